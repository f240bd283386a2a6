"""Configurations: checked whole before anything is made, with variables replaced at first use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jtc.storage import StorageConfigException, StorageManager
from jtc.storage._config import DiskConfig, read_config
from small_drivers import EightMethods

if TYPE_CHECKING:
    from collections.abc import Mapping


def made(options: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what a driver is called with."""
    table = {"driver": "mine", **options}
    config = DiskConfig.parse("media", table).with_variables("media", environ or {})
    return config.make("media", dict)  # type: ignore[no-any-return]


ENVIRON = {"SET": "value", "EMPTY": "", "NESTED": "${SET}", "_a1": "odd"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${SET}", "value"),
        ("a-${SET}-b-${_a1}", "a-value-b-odd"),
        ("${SET}${SET}", "valuevalue"),
        ("${EMPTY}", ""),
        ("${UNSET:-fallback}", "fallback"),
        ("${UNSET:-}", ""),
        ("${EMPTY:-fallback}", "fallback"),
        ("${SET:-fallback}", "value"),
        ("${UNSET:-https://x/y:-z}", "https://x/y:-z"),
        ("$${SET}", "${SET}"),
        ("$${not a name:at all}", "${not a name:at all}"),
        ("$$${SET}", "$${SET}"),
        ("a$b", "a$b"),
        ("$SET", "$SET"),
        ("$", "$"),
        ("p$$w{}rd", "p$$w{}rd"),
        ("${NESTED}", "${SET}"),
        ("{SET}", "{SET}"),
    ],
)
def test_variables_stand_in_strings(text: str, expected: str) -> None:
    assert made({"key": text}, ENVIRON) == {"key": expected}


def test_variables_stand_at_any_depth_of_tables_and_lists() -> None:
    options = {"a": {"b": ["${SET}", {"c": "${SET}"}]}, "number": 5, "flag": True}
    assert made(options, ENVIRON) == {
        "a": {"b": ["value", {"c": "value"}]},
        "number": 5,
        "flag": True,
    }


@pytest.mark.parametrize(
    ("options", "key"),
    [({"secret": "x${MISSING}"}, "secret"), ({"a": {"b": ["${MISSING}"]}}, "a.b")],
)
def test_an_unset_variable_is_named_with_its_key_and_disk(options: Any, key: str) -> None:
    with pytest.raises(StorageConfigException) as raised:
        made(options, ENVIRON)
    assert repr(key) in str(raised.value)
    assert "'MISSING'" in str(raised.value)
    assert raised.value.disk == "media"


@pytest.mark.parametrize(
    "text", ["${}", "${1A}", "${A B}", "${A:x}", "${:-x}", "${A-x}", "${SET:=x}"]
)
def test_what_names_no_variable_is_refused(text: str) -> None:
    with pytest.raises(StorageConfigException, match="names no variable"):
        made({"key": text}, ENVIRON)


def test_a_variable_within_a_default_is_refused() -> None:
    with pytest.raises(StorageConfigException, match="within the default"):
        made({"key": "${UNSET:-${SET}}"}, ENVIRON)


@given(st.text(), st.text())
def test_text_without_braces_is_left_as_it_is(text: str, value: str) -> None:
    if "${" not in text:
        assert made({"key": text}, ENVIRON) == {"key": text}
    assert made({"key": "<${SECRET}>"}, {"SECRET": value}) == {"key": f"<{value}>"}


def test_a_configuration_does_not_change_with_the_callers_mapping() -> None:
    table: dict[str, Any] = {"driver": "mine", "nested": {"a": [1]}}
    config = read_config({"disks": {"d": table}})
    table["nested"]["a"].append(2)
    table["driver"] = "other"
    assert config.disks["d"] == DiskConfig("mine", {"nested": {"a": [1]}})
    assert read_config({"disks": {"d": {"driver": "mine", "disable": ["stat"]}}}).disks[
        "d"
    ].disable == ("stat",)


@pytest.mark.parametrize("depth", [100, 3_000])
def test_tables_within_tables_without_end_are_refused(tmp_path: Path, depth: int) -> None:
    file = tmp_path / "storage.toml"
    file.write_text(f"[disks.d]\ndriver = 'mine'\n{'.'.join('a' * depth)} = 1\n")
    itself: dict[str, Any] = {"driver": "mine"}
    itself["options"] = [itself]
    for source in (file, {"disks": {"d": itself}}):
        with pytest.raises(StorageConfigException, match="nested"):
            read_config(source)


def test_secrets_are_not_in_a_repr() -> None:
    assert "hush" not in repr(read_config({"disks": {"d": {"driver": "x", "secret": "hush"}}}))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"disk": {}}, r"keys default, disks, doctor, not 'disk'. Did you mean 'disks'"),
        ({"docter": {}}, "Did you mean 'doctor'"),
        ({"doctor": []}, "'doctor' is a table"),
        ({"disks": []}, "'disks' is a table"),
        ({"disks": {"default": {"driver": "x"}}}, "name 'default' is reserved"),
        ({"default": "a"}, "default disk is 'a', but there are only: none"),
        ({"default": "a", "disks": {"b": {"driver": "x"}}}, "only: b"),
        ({"default": ["b"], "disks": {"b": {"driver": "x"}}}, "only: b"),
        ({"default": "default"}, "default"),
        ({"disks": {"b": "x"}}, "is a table, not str"),
        ({"disks": {"b": {}}}, "names its driver"),
        ({"disks": {"b": {"driver": ""}}}, "names its driver"),
        ({"disks": {"b": {"driver": 5}}}, "names its driver"),
        ({"disks": {"b": {"driver": "x", "disable": "stat"}}}, "'disable' is a list"),
        ({"disks": {"b": {"driver": "x", "disable": [1]}}}, "'disable' is a list"),
        ({"disks": {"b": {"driver": "x", 1: 2}}}, "name is a str, not 1"),
    ],
)
def test_what_is_no_configuration_is_refused_and_changes_nothing(config: Any, message: str) -> None:
    manager = StorageManager.isolated({"disks": {"old": {"driver": "x"}}})
    with pytest.raises(StorageConfigException, match=message):
        manager.configure(config)
    assert manager.disks() == ["old"]


def test_the_disk_in_question_is_named() -> None:
    with pytest.raises(StorageConfigException) as raised:
        read_config({"disks": {"media": {}}})
    assert raised.value.disk == "media"


def test_a_toml_file_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "storage.toml"
    file.write_text('default = "m"\n[disks.m]\ndriver = "mine"\nkey = "${A}"\ndisable = ["stat"]\n')
    for source in (file, str(file)):
        config = read_config(source)
        assert config.default == "m"
        assert config.disks == {"m": DiskConfig("mine", {"key": "${A}"}, ("stat",))}


@pytest.mark.parametrize("content", [b"default = ", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "storage.toml"
    file.write_bytes(content)
    with pytest.raises(StorageConfigException, match=r"storage\.toml' is not TOML"):
        read_config(file)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        StorageConfigException, match=r"nowhere\.toml' cannot be read: No such file"
    ):
        read_config(tmp_path / "nowhere.toml")
    with pytest.raises(StorageConfigException, match="cannot be read"):
        read_config(tmp_path)


@pytest.fixture
def odd_files(tmp_path: Path) -> dict[str, Path]:
    """Return paths of what is no configuration file, by what they are."""
    fifo, large = tmp_path / "fifo", tmp_path / "large.toml"
    os.mkfifo(fifo)
    large.write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    link = tmp_path / "link"
    link.symlink_to(fifo)
    return {
        "fifo": fifo,
        "link": link,
        "zero": Path("/dev/zero"),
        "null": Path("/dev/null"),
        "directory": tmp_path,
        "large": large,
    }


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("fifo", "is not a regular file"),
        ("link", "is not a regular file"),
        ("zero", "is not a regular file"),
        ("null", "is not a regular file"),
        ("directory", "cannot be read: Is a directory"),
        ("large", "has more than 4194304 bytes"),
    ],
)
async def test_config_file_that_is_no_small_regular_file_is_refused_without_waiting(
    odd_files: dict[str, Path], kind: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = odd_files[kind]
    with pytest.raises(StorageConfigException, match=message):
        read_config(path)
    monkeypatch.setenv("FILESYSTEM_CONFIG", str(path))
    with pytest.raises(StorageConfigException, match=message):
        await StorageManager.isolated().disk("a").get("a.txt")


class Made(EightMethods):
    def __init__(self, *, root: str, base_url: str = "/") -> None:
        super().__init__()
        self.root = root
        self.base_url = base_url


def make(factory: Any, **options: Any) -> Any:
    return DiskConfig.parse("d", {"driver": "mine", **options}).make("d", factory)


def test_an_unknown_option_is_refused_with_those_there_are() -> None:
    assert make(Made, root="x").root == "x"
    with pytest.raises(
        StorageConfigException,
        match=r"'mine' has no option 'rot'. Did you mean 'root'.*base_url, root",
    ) as raised:
        make(Made, rot="x")
    assert raised.value.disk == "d"
    with pytest.raises(StorageConfigException, match=r"no option 'zzzz'. It has: base_url, root"):
        make(Made, zzzz="x")


def test_a_lacking_option_is_named() -> None:
    with pytest.raises(StorageConfigException, match="needs the options: root"):
        make(Made)


def test_a_factory_that_takes_anything_gets_anything() -> None:
    def factory(root: str, **rest: Any) -> dict[str, Any]:
        return {"root": root, **rest}

    assert make(factory, root="r", odd=1) == {"root": "r", "odd": 1}
    with pytest.raises(StorageConfigException, match="needs the options: root"):
        make(factory, odd=1)


def test_a_factory_without_a_signature_says_itself_what_is_wrong() -> None:
    with pytest.raises(StorageConfigException, match=r"refuses its configuration \(TypeError"):
        make(int, odd=1)


class Ending(BaseException):
    """As pytest's Skipped, or a Timeout of gevent's."""


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), Ending()], ids=repr)
async def test_factory_that_ends_the_program_is_an_error_of_the_configuration(
    error: BaseException,
) -> None:
    def end(*_: object, **__: object) -> Any:
        raise error

    manager = StorageManager.isolated(
        {
            "disks": {
                "d": {"driver": "ending"},
                "m": {"driver": "memory"},
            }
        }
    )
    manager.extend("ending", end)
    with pytest.raises(StorageConfigException, match=type(error).__name__) as raised:
        await manager.disk("d").get("a.txt")
    assert raised.value.disk == "d"
    with pytest.raises(StorageConfigException, match="refuses its configuration"):
        await manager.disk("m").with_layer(end).get("a.txt")
    with pytest.raises(StorageConfigException, match="refuses its configuration"):
        manager.build({"driver": "ending"})
    await manager.disk("m").put("a.txt", b"")


def test_factory_that_is_interrupted_raises_the_interruption() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(interrupted)


def test_a_driver_that_refuses_its_options_is_an_error_of_the_configuration() -> None:
    def refuse(root: str) -> None:
        raise ValueError(f"no such root: {root}")

    with pytest.raises(StorageConfigException, match=r"ValueError: no such root: x") as raised:
        make(refuse, root="x")
    assert raised.value.disk == "d"
    assert isinstance(raised.value.__cause__, ValueError)

    def config_error() -> None:
        raise StorageConfigException("theirs")

    with pytest.raises(StorageConfigException, match=r"^theirs") as raised:
        make(config_error)
    assert raised.value.disk == "d"


def test_the_driver_and_what_is_disabled_may_be_variables_too() -> None:
    table = {"driver": "${DRIVER:-local}", "disable": ["${CAPABILITY}"]}
    config = DiskConfig.parse("d", table).with_variables("d", {"CAPABILITY": "listing"})
    assert config.driver == "local"
    assert config.disable == ("listing",)


def test_the_default_disk_may_be_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    disks = {"a": {"driver": "memory"}, "b": {"driver": "memory"}}
    monkeypatch.setenv("WHICH", "b")
    assert read_config({"default": "${WHICH}", "disks": disks}).default == "b"
    monkeypatch.delenv("WHICH")
    assert read_config({"default": "${WHICH:-a}", "disks": disks}).default == "a"
    with pytest.raises(StorageConfigException, match="'WHICH'"):
        read_config({"default": "${WHICH}", "disks": disks})


def test_source_of_a_disk_names_the_file_or_what_else_it_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FILESYSTEM_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("storage.toml").write_text('default = "a"\n[disks.a]\ndriver = "memory"\nsecret = "5"')
    expected = f"the file {str(tmp_path / 'storage.toml')!r}"
    manager = StorageManager.isolated()
    assert manager.source_of("memory") == "the environment variables of the driver 'memory'"
    manager.configure("storage.toml")
    assert manager.source_of("a") == manager.source_of() == expected
    manager.set_driver(EightMethods(), "a")
    assert manager.source_of("a") == "set_driver()"
    manager.configure({"disks": {"b": {"driver": "memory"}}})
    assert manager.source_of("b") == "a mapping"
    monkeypatch.setenv("FILESYSTEM_CONFIG", "storage.toml")
    assert StorageManager.isolated().source_of("default") == expected
    assert manager.sync.source_of("b") == "a mapping"
