"use strict";

// Names come from users: they become text nodes and properties, never markup.

const element = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
const byId = (id) => document.getElementById(id);
const say = (text, wrong = false) => {
  byId("status").textContent = text;
  byId("status").classList.toggle("wrong", wrong);
};

async function ask(path, body) {
  const options = body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const answer = await fetch(path, options);
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Error(typeof problem.detail === "string" ? problem.detail : `It failed (${answer.status}).`);
  }
  return answer.status === 204 ? null : answer.json();
}

// Not fetch(), which has no upload progress.
function send(form, file, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const data = new FormData();
    for (const [name, value] of Object.entries(form.fields)) data.append(name, value);
    data.append("file", file, "file");
    const request = new XMLHttpRequest();
    request.open("POST", form.url);
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onload = () =>
      request.status < 300 ? resolve() : reject(new Error(`The storage refused it (${request.status}).`));
    request.onerror = () => reject(new Error("The storage could not be reached."));
    request.onabort = () => reject(new Error("Cancelled."));
    signal.addEventListener("abort", () => request.abort());
    request.send(data);
  });
}

async function upload(file, hidden) {
  const stop = new AbortController();
  const bar = element("progress", { max: 1, value: 0, ariaLabel: `Upload of ${file.name}` });
  const percent = element("span", { textContent: "0 %" });
  const cancel = element("button", { type: "button", textContent: "Cancel", onclick: () => stop.abort() });
  const name = element("span", { className: "name", textContent: file.name, title: file.name });
  const row = element("li", { className: "transfer" }, name, bar, percent, cancel);
  byId("transfers").append(row);
  const showProgress = (part) => {
    bar.value = part;
    percent.textContent = `${Math.round(part * 100)} %`;
  };
  try {
    if (file.size > 100_000_000) throw new Error("It is longer than 100 MB.");
    const form = await ask("/api/uploads", { name: file.name, private: hidden });
    await send(form, file, showProgress, stop.signal);
    await ask("/api/uploads/done", { token: form.token, name: file.name, private: hidden });
    showProgress(1);
    say(`“${file.name}” is there.`);
  } catch (error) {
    say(`“${file.name}”: ${error.message}`, true);
  }
  row.remove();
}

async function uploadAll(files) {
  const hidden = byId("private").checked;
  for (const file of files) await upload(file, hidden);
  await show();
}

function view(item) {
  if (item.private) return element("div", { className: "view locked" });
  if (item.video) {
    return element("div", { className: "view" }, element("video", { src: item.url, controls: true, preload: "metadata", ariaLabel: item.name }));
  }
  const open = element("button", { className: "view", type: "button", ariaLabel: `Show ${item.name}` });
  open.append(element("img", { src: item.url, alt: item.name, loading: "lazy" }));
  open.onclick = () => {
    Object.assign(byId("viewer").querySelector("img"), { src: item.url, alt: item.name });
    byId("viewer").querySelector(".name").textContent = item.name;
    byId("viewer").showModal();
  };
  return open;
}

function linking(item, card) {
  const seconds = element("select", { ariaLabel: `How long the link to ${item.name} is good` });
  for (const [value, text] of [[5, "5 seconds"], [60, "1 minute"], [3600, "1 hour"]]) {
    seconds.append(element("option", { value, textContent: text }));
  }
  const make = element("button", { type: "button", textContent: "Make a link" });
  make.onclick = () => attempt(async () => {
    const { url } = await ask("/api/links", { ...key(item), seconds: Number(seconds.value) });
    card.querySelector(".link")?.remove();
    card.querySelector(".text").append(
      element("a", { className: "link", href: url, target: "_blank", rel: "noreferrer", textContent: `Open, for ${seconds.selectedOptions[0].text}` }),
    );
  });
  return [seconds, make];
}

function card(item) {
  const size = item.size < 1e6 ? `${Math.ceil(item.size / 1e3)} kB` : `${(item.size / 1e6).toFixed(1)} MB`;
  const remove = element("button", { type: "button", textContent: "Delete", ariaLabel: `Delete ${item.name}` });
  const actions = element("div", { className: "actions" });
  const made = element(
    "li",
    { className: "card" },
    view(item),
    element(
      "div",
      { className: "text" },
      element("span", { className: "name", textContent: item.name, title: item.name }),
      element("span", { className: "metadata", textContent: item.private ? `${size}, private` : size }),
      actions,
    ),
  );
  if (item.private) actions.append(...linking(item, made));
  remove.onclick = () => attempt(async () => {
    await ask("/api/deletions", key(item));
    say(`“${item.name}” is gone.`);
    await show();
  });
  actions.append(remove);
  return made;
}

const key = ({ token, name, private: hidden }) => ({ token, name, private: hidden });

async function attempt(action) {
  try {
    await action();
  } catch (error) {
    say(error.message, true);
  }
}

async function show() {
  await attempt(async () => {
    const items = await ask("/api/files");
    byId("files-shown").replaceChildren(...items.map(card));
    byId("empty").hidden = items.length > 0;
  });
}

byId("files").onchange = async (event) => {
  const chosen = [...event.target.files];
  event.target.value = "";
  await uploadAll(chosen);
};
const drop = document.querySelector(".drop");
for (const type of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", type === "dragover");
    if (type === "drop") uploadAll([...event.dataTransfer.files]);
  });
}
show();
