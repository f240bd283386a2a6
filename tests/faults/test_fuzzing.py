"""Random paths, configurations and variables: refused by name, or right; never anything else."""

from __future__ import annotations

import contextlib
import json
import os
import time
import unicodedata
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzzing import fuzzed
from jtc.storage._config import DiskConfig, StorageConfig, read_config
from jtc.storage.drivers.local_driver import LocalDriver
from jtc.storage.drivers.s3_driver import S3Driver
from jtc.storage.exceptions import InvalidPathException, StorageConfigException
from jtc.storage.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Callable

_PATH_CASES = json.loads((resources.files("jtc.storage.testing") / "paths.json").read_text())


def strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in (*value, *value.values()) for text in strings(item)]
    return [text for item in value for text in strings(item)] if isinstance(value, list) else []


PIECES = (
    *(
        "/",
        "//",
        ".",
        "..",
        "\\",
        "\x00",
        "\n",
        "%2e%2e",
        "%2f",
        "~",
        ":",
        "C:",
        "*",
        "?",
        "#",
        "$",
        "a",
    ),
    *(
        "\uff0e",
        "\u2024",
        "\u2025",
        "\u2026",
        "\uff0f",
        "\u2215",
        "\u202e",
        "\u200b",
        "\u200d",
        "\ufeff",
    ),
    *(
        "\ud800",
        "\udcff",
        "\x7f",
        "\x85",
        "e\u0301",
        "\u00e9",
        "\U0001f468\u200d\U0001f4bb",
        "\u202f",
    ),
    *(".jtc-tmp-", ".jtc-tmp-x", "a" * 255, "\u00fc" * 128, "b" * 300, " ", "CON", "."),
)
odd_paths = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    st.text(max_size=40),
    st.lists(st.text(max_size=6), max_size=6).map("/".join),
    st.tuples(st.sampled_from(strings(_PATH_CASES)), st.sampled_from(PIECES)).map("".join),
    st.lists(st.sampled_from(strings(_PATH_CASES)), max_size=3).map("/".join),
)


def is_within(path: str) -> bool:
    """Tell by other means than the policy's whether a path stays where it should."""
    parts = path.split("/")
    plain = unicodedata.normalize("NFKC", path).split("/")
    return (
        not path.startswith("/")
        and path == os.path.normpath(path)
        and not {"", ".", ".."} & set(parts)
        and not {".", ".."} & set(plain)
        and not any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in path)
        and "\\" not in path
        and len(path.encode()) <= 1024
        and max(len(part.encode()) for part in parts) <= 255
    )


@pytest.mark.row("fuzzing: paths")
def test_a_random_path_is_refused_or_stays_within_the_root(
    tmp_path: Path, rounds: Callable[..., int], report: Callable[[str], None]
) -> None:
    root = tmp_path / "root"
    local = LocalDriver(root, base_url="/files")
    s3 = S3Driver("b", endpoint_url="https://s3.test")
    seen = {"refused": 0, "taken": 0}
    named: list[bool] = []

    @fuzzed(rounds(20_000, brief=200))
    @given(odd_paths)
    def fuzz(path: str) -> None:
        try:
            checked = check_path(path)
        except InvalidPathException as error:
            seen["refused"] += 1
            # An error keeps the beginning of a path that is far too long.
            named.append(str(error) != "" and (error.path or "")[:4000] == path[:4000])
            for driver in (local, s3):
                with pytest.raises(InvalidPathException):
                    driver.url(path)
                with pytest.raises(InvalidPathException):
                    driver.path(path)
            return
        seen["taken"] += 1
        assert checked == path.removeprefix("/")
        assert check_path(checked) == checked
        assert is_within(checked)
        assert unquote(s3.url(path)) == f"https://s3.test/b/{checked}"
        assert unquote(local.url(path)) == f"/files/{checked}"
        assert Path(local.path(path)).is_relative_to(root)

    began = time.perf_counter()
    fuzz()
    report(
        f"{seen['refused']} refused, {seen['taken']} taken and within, "
        f"in {time.perf_counter() - began:.0f} s"
    )
    assert all(named)
    assert min(seen.values()) > 0


GOOD = """\
default = "media"
[disks.media]
driver = "s3"
bucket = "${BUCKET:-media}"
part_size = 6_291_456
disable = ["visibility"]
driver_options = { StorageClass = "STANDARD_IA" }
[disks.scratch]
driver = "local"
root = "${SCRATCH}"
durable = true
"""
TOKENS = (
    *(
        "[",
        "]",
        "[[",
        "{",
        "}",
        "=",
        '"',
        "'",
        '"""',
        "\n",
        "#",
        ".",
        ",",
        "${",
        "}",
        "$${",
        ":-",
        "\x00",
    ),
    *("default", "disks", "driver", "local", "disable", "true", "nan", "1e999", "0x", "9" * 5000),
    *(
        "1979-05-27T07:32:00Z",
        "9999-99-99",
        "\\uD800",
        "\ufeff",
        "[" * 3000,
        "{a=" * 2000,
        "a." * 1000,
    ),
)


@st.composite
def tomls(draw: st.DrawFn) -> bytes:
    text = GOOD
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 20))
        text = text[:at] + draw(st.sampled_from(TOKENS) | st.text(max_size=5)) + text[at + length :]
    data = text.encode("utf-8", "surrogatepass")
    return data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(("local", "${A}", "${A:-b}", "$${", "${", "${}")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("default", "disks", "driver", "disable", "root", "a"))
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def is_read(source: Any) -> bool:
    try:
        config = read_config(source)
    except StorageConfigException:
        return False
    assert isinstance(config, StorageConfig)
    for name, disk in config.disks.items():
        with contextlib.suppress(StorageConfigException):
            made = disk.with_variables(name, {"A": "${B}", "SCRATCH": "x"})
            made.make(name, LocalDriver if made.driver == "local" else dict)
    return True


@pytest.mark.row("fuzzing: configurations")
def test_a_random_configuration_is_read_or_refused_as_one(
    tmp_path: Path, rounds: Callable[..., int], report: Callable[[str], None]
) -> None:
    file = tmp_path / "storage.toml"
    seen = {"refused": 0, "read": 0}

    def use(source: Any) -> None:
        seen["read" if is_read(source) else "refused"] += 1

    @fuzzed(rounds(6000, brief=60))
    @given(tomls())
    def fuzz_toml(content: bytes) -> None:
        file.write_bytes(content)
        use(file)

    @fuzzed(rounds(6000, brief=60))
    @given(st.dictionaries(st.sampled_from(("default", "disks", "x")), values))
    def fuzz_mapping(source: dict[str, Any]) -> None:
        use(source)

    @fuzzed(rounds(6000, brief=60))
    @given(st.text(alphabet="${}:-AB_a1 \n\\é", max_size=30), st.text(max_size=5))
    def fuzz_variables(text: str, value: str) -> None:
        try:
            made = DiskConfig("d", {"key": text}).with_variables("d", {"A": value, "B": ""})
        except StorageConfigException:
            seen["refused"] += 1
            return
        seen["read"] += 1
        if "${" not in text:
            assert made.options == {"key": text}

    began = time.perf_counter()
    for path in ("\x00", "/no/such/file", str(tmp_path), "\ud800"):
        use(path)
    for fuzz in (fuzz_toml, fuzz_mapping, fuzz_variables):
        fuzz()
    report(
        f"{seen['refused']} refused by StorageConfigException, {seen['read']} read, "
        f"in {time.perf_counter() - began:.0f} s"
    )
    assert min(seen.values()) > 0
