"""YAML text → data and positions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ablate.errors import SpecError
from ablate.experiment import yaml

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("12", 12),
        ("-3", -3),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("off", "off"),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("y", "y"),
        ("none", "none"),
        ("43%", "43%"),
        ("2020-01-01", "2020-01-01"),
        ("1:30", "1:30"),
        ("'1e-4'", "1e-4"),
        ('"true"', "true"),
        ("=", "="),
        ("[1, a]", [1, "a"]),
        ("{a: }", {"a": None}),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    read = yaml.parse(text, "x").data
    assert read == value
    assert type(read) is type(value)


def test_empty_text_is_nothing() -> None:
    assert yaml.parse("# only this\n", "x").data is None


def test_positions_of_keys_values_and_entries() -> None:
    document = yaml.parse("a:\n  b: 1\n  c: [x,\n    y]\n", "f.yaml")
    assert document.where(("a", "b")) == "f.yaml:2:6"
    assert document.where(("a", "b"), key=True) == "f.yaml:2:3"
    assert document.where(("a", "c", 1)) == "f.yaml:4:5"
    assert document.where(("a", "missing", "deeper")) == "f.yaml:1:1"
    assert document.where(("a", "b", "below a value")) == "f.yaml:2:3"
    assert document.where(("nothing",)) == "f.yaml:1:1"


def test_columns_count_characters_not_bytes() -> None:
    assert yaml.parse("{ä: 1, 日本: 2}", "f").where(("日本",), key=True) == "f:1:8"


@pytest.mark.parametrize("text", ["50", "1.5", "0.90", "1e-4", "-1", "007"])
def test_a_number_as_a_key_is_the_text_that_was_written(text: str) -> None:
    assert yaml.parse(f"{text}: x\n", "f").data == {text: "x"}


def test_the_same_key_as_number_and_as_text_is_there_twice() -> None:
    with pytest.raises(SpecError, match="`50` is here twice"):
        yaml.parse("50: x\n'50': y\n", "f")


def test_anchor_points_where_the_value_is_written() -> None:
    document = yaml.parse("a: &shared {x: 1}\nb: *shared\n", "f")
    assert document.data == {"a": {"x": 1}, "b": {"x": 1}}
    assert document.where(("b", "x")) == "f:1:16"
    assert document.where(("b",), key=True) == "f:2:1"


def test_merge_key_yields_to_own_keys_and_to_earlier_bases() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  z: 3\n  <<: [*a, *b]\n"
    assert yaml.parse(text, "f").data["c"] == {"x": 1, "y": 1, "z": 3}


def test_merged_values_are_not_shared_objects() -> None:
    data = yaml.parse("a: &a {x: {y: 1}}\nb: *a\n", "f").data
    data["a"]["x"]["y"] = 2
    assert data["b"]["x"]["y"] == 1


def test_nesting_at_the_limit_is_read() -> None:
    depth = yaml.MAX_DEPTH
    assert yaml.parse("[" * depth + "]" * depth, "f").data is not None


def test_alias_chain_cannot_exceed_the_depth() -> None:
    text = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 2000))
    with pytest.raises(SpecError, match="nested deeper"):
        yaml.parse(text, "f")


def test_byte_order_mark_and_carriage_returns_are_fine(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    document = yaml.read(file)
    assert document.data == {"a": 1, "b": 2}
    assert document.position(("b",), key=True) == (2, 1)


def test_wrong_byte_is_found_by_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes("ä: 1\n日本: ".encode() + b"\xff\n")
    with pytest.raises(SpecError) as caught:
        yaml.read(file)
    assert caught.value.where == f"{file}:2:5"


def test_huge_file_is_refused_without_reading_it_all(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    with file.open("wb") as out:
        out.truncate(1 << 40)
    with pytest.raises(SpecError, match="larger than 1024 KiB"):
        yaml.read(file)


def test_nul_in_a_file_name_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        yaml.read(tmp_path / "a\0.yaml")


def test_missing_file_names_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "ema.yaml").touch()
    with pytest.raises(SpecError) as caught:
        yaml.read(tmp_path / "emma.yaml")
    assert caught.value.fix == f"Did you mean {tmp_path / 'ema.yaml'}?"


KEYS = st.text(st.sampled_from("abcxyz_-ä日"), min_size=1, max_size=8).filter(lambda key: key[0] not in "-?")
TREES = st.recursive(
    st.integers() | st.sampled_from(["off", "43%", "some text"]),
    lambda inner: st.dictionaries(KEYS, inner, min_size=1, max_size=4),
    max_leaves=12,
)


def written(tree: Any, indent: int = 0) -> str:
    if not isinstance(tree, dict):
        return f" {tree}\n"
    return "\n" + "".join(f"{' ' * indent}{key}:{written(value, indent + 2)}" for key, value in tree.items())


def leaves(tree: Any, path: tuple[str, ...] = ()) -> Any:
    for key, value in tree.items() if isinstance(tree, dict) else ():
        yield (*path, key), value
        yield from leaves(value, (*path, key))


@given(st.dictionaries(KEYS, TREES, min_size=1, max_size=4))
def test_every_position_points_at_the_text_of_its_key(tree: dict[str, Any]) -> None:
    text = written(tree)
    document = yaml.parse(text, "f")
    assert document.data == tree
    lines = text.split("\n")
    for path, value in leaves(tree):
        line, column = document.keys[path]
        assert lines[line - 1][column - 1 :].startswith(f"{path[-1]}:")
        if not isinstance(value, dict):
            line, column = document.values[path]
            assert lines[line - 1][column - 1 :] == str(value)


YAML_LIKE = st.text(st.sampled_from("ab:-?&*!%@`|>'\"{}[],#<=~.0123eE+\\ \n\t\r\u2028é\0\x1b"), max_size=60)


@given(st.text() | YAML_LIKE)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        yaml.parse(text, "f")
    except SpecError as error:
        assert error.where.startswith("f:")


@given(st.binary(max_size=60))
def test_any_bytes_are_decoded_or_refused(content: bytes) -> None:
    try:
        yaml.parse(yaml._decode(content, "f"), "f")
    except SpecError as error:
        assert error.where.startswith("f")


@given(st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"])))
@example("1e3")
@example("0o17")
@example("yes")
@example("~")
def test_a_text_that_is_written_is_read_as_that_text(text: str) -> None:
    assert yaml.parse(yaml.dump({"path": text}), "a.yaml").data == {"path": text}
