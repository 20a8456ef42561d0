"""JSON that says two things, or nothing, is an error with its line and column; all other JSON is read."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablate.data.strict_json import read, text_of
from ablate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES, st.booleans(), st.sampled_from([None, 1]))
def test_all_that_json_can_say_once_is_read(value: object, ascii_only: bool, indent: int | None) -> None:
    assert read(json.dumps(value, ensure_ascii=ascii_only, indent=indent), "a.json") == value


@given(st.lists(st.sampled_from(["a", "b", "A", "a:", '"', "{"]), max_size=6), st.booleans())
def test_a_key_is_refused_exactly_where_it_is_there_twice(keys: list[str], nested: bool) -> None:
    text = "{" + ", ".join(f"{json.dumps(key)}: {{}}" for key in keys) + "}"
    problems: list[DataError] = []
    read(f'{{"x": [{text}], "a": 1}}' if nested else text, "a.json", on_fault=problems.append)
    assert len(problems) == len(keys) - len(set(keys))


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ('{"1": 1,\n "1": 1}', "line 2, column 2", 'the key "1" is there twice, first in line 1'),
        ('{"a": {"b": 1, "b": 2}}', "line 1, column 16", 'the key "b" is there twice'),
        ('[{"b": 1},\n{"b": 1, "\\u0062": 2}]', "line 2, column 10", r'the key "\\u0062" is there twice'),
        ('{"a": NaN}', "line 1, column 7", "NaN is not a finite number"),
        ('{"NaN": "NaN",\n"b": -Infinity}', "line 2, column 6", "-Infinity is not a finite number"),
        ("[1, 1e999]", "line 1, column 5", "1e999 is not a finite number"),
        ('["\\ud83d"]', "line 1, column 2", "holds half of a character"),
        ('{"a": 1', "line 1, column 8", "is not valid JSON"),
        ('{"a": 1} {}', "line 1, column 10", "is not valid JSON: Extra data"),
        ("", "line 1, column 1", "is not valid JSON"),
        ('{"a": "line\nbreak"}', "line 1, column 12", "is not valid JSON"),
    ],
)
def test_a_fault_is_named_with_its_line_and_column(text: str, place: str, what: str) -> None:
    with pytest.raises(DataError, match=what) as caught:
        read(text, "a.json")
    assert caught.value.where == f"a.json: {place}"
    assert caught.value.fix


def test_lines_are_counted_from_where_the_text_begins() -> None:
    with pytest.raises(DataError) as caught:
        read('{"a": 1, "a": 2}', "a.jsonl", first_line=7)
    assert caught.value.where == "a.jsonl: line 7, column 10"


def test_all_faults_can_be_collected() -> None:
    problems: list[DataError] = []
    read('{"a": NaN,\n"a": {"b": 1, "b": 1e400},\n"a": "\\udc00"}', "a.json", on_fault=problems.append)
    assert [problem.where for problem in problems] == [
        "a.json: line 1, column 7",
        "a.json: line 2, column 1",
        "a.json: line 2, column 15",
        "a.json: line 2, column 20",
        "a.json: line 3, column 1",
        "a.json: line 3, column 6",
    ]


def test_whole_characters_in_two_halves_are_read() -> None:
    assert read('"\\ud83e\\udd87"', "a.json") == "🦇"


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 9999, '{"a": ' * 100_000])
def test_what_python_cannot_hold_is_an_error(text: str) -> None:
    with pytest.raises(DataError):
        read(text, "a.json")


# ── files ────────────────────────────────────────────────────────────────────────────────────────


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeffbat\r\n".encode())
    assert text_of(tmp_path / "a.txt") == "bat\r\n"


@pytest.mark.parametrize(
    ("content", "place", "what"),
    [
        ("bat".encode("utf-16"), "", "is UTF-16"),
        ("bat".encode("utf-32"), "", "is UTF-16 or UTF-32"),
        ("a\nbät".encode("latin-1"), ": line 2", "is not UTF-8"),
    ],
)
def test_another_encoding_is_named(tmp_path: Path, content: bytes, place: str, what: str) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(content)
    with pytest.raises(DataError, match=what) as caught:
        text_of(file)
    assert caught.value.where == f"{file}{place}"


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, what in (("", "is a folder"), ("pipe", "not an ordinary file"), ("none", "does not exist")):
        with pytest.raises(DataError, match=what):
            text_of(tmp_path / name)
