"""Prompts of your own: whatever form a file has, each of its texts is drawn, or an error says why not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablate.data.fields import is_blank
from ablate.errors import UserError
from ablate.runner.prompts import FORMATS, Prompt, read_prompts

if TYPE_CHECKING:
    from pathlib import Path


def read(folder: Path, name: str, content: str | bytes | Any) -> list[tuple[str, str]]:
    file = folder / name
    if not isinstance(content, (str, bytes)):
        content = json.dumps(content)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return [tuple(prompt) for prompt in read_prompts([], file)]


@pytest.mark.parametrize(
    "content",
    [
        "A red one.\nA blue one.\n",
        "A red one.\r\nA blue one.",
        "A red one.\rA blue one.\r",
        "\ufeffA red one.\n  A blue one.  \n\n",
    ],
    ids=["LF", "CRLF", "CR", "byte order mark"],
)
def test_a_text_file_has_a_prompt_a_line(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, "mine.txt", content) == [
        ("mine-0.png", "A red one."),
        ("mine-1.png", "A blue one."),
    ]


def test_an_empty_line_is_counted_and_not_drawn(tmp_path: Path) -> None:
    assert read(tmp_path, "mine.txt", "a\n \nb") == [("mine-0.png", "a"), ("mine-2.png", "b")]


def test_only_line_ends_end_a_line(tmp_path: Path) -> None:
    (only,) = read(tmp_path, "mine.txt", "a\u2028b\x0cc")
    assert only == ("mine-0.png", "a\u2028b\x0cc")


@pytest.mark.parametrize(
    ("content", "prompts"),
    [
        ({"0_main": {"image_name": "0.png", "text_prompt": "red"}}, [("0.png", "red")]),
        ({"first": "red", "second": "blue"}, [("first", "red"), ("second", "blue")]),
        (["red", "blue"], [("mine-0.png", "red"), ("mine-1.png", "blue")]),
        (
            [{"file_name": "0.png", "text": "red"}, {"caption": "blue"}],
            [("0.png", "red"), ("mine-1.png", "blue")],
        ),
        ({"key": {"file_name": "0.png", "prompt": "red"}}, [("0.png", "red")]),
        ({"key": {"text": "red"}}, [("key", "red")]),
        ({"a": {"image_name": "a/0.png", "text_prompt": "red"}}, [("a-0.png", "red")]),
        ([{"file_name": "0.png", "text": ["red", "crimson"]}], [("0.png", "red"), ("0.png", "crimson")]),
    ],
    ids=["the task's", "name to text", "texts", "objects", "file_name", "no name", "in a folder", "captions"],
)
def test_json_has_several_forms(tmp_path: Path, content: Any, prompts: list[tuple[str, str]]) -> None:
    assert read(tmp_path, "mine.json", content) == prompts


def test_a_metadata_file_is_no_plain_text(tmp_path: Path) -> None:
    lines = '{"file_name": "0.png", "text": "A red monster."}\n\n{"file_name": "1.png", "caption": "Blue."}\n'
    assert read(tmp_path, "metadata.jsonl", lines) == [("0.png", "A red monster."), ("1.png", "Blue.")]


def test_a_table_has_names_of_columns(tmp_path: Path) -> None:
    table = 'file_name,text\n0.png,"A red, angry monster."\n1.png,Blue.\n'
    assert read(tmp_path, "mine.CSV", table) == [("0.png", "A red, angry monster."), ("1.png", "Blue.")]
    assert read(tmp_path, "mine.csv", "prompt,more\r\nred,1\r\n") == [("mine-0.png", "red")]


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("mine.txt", '{"file_name": "0.png", "text": "red"}', "holds JSON, and its ending says plain text"),
        ("mine.txt", '[\n "red"]', "holds JSON"),
        ("mine.txt", "", "no prompt in it"),
        ("mine.txt", "a\0b", "holds NUL"),
        ("mine.txt", "red".encode("utf-16"), "UTF-16"),
        ("mine.txt", b"\xe9t\xe9", "line 1: is not UTF-8"),
        ("mine.yaml", "- red", "does not say what it is"),
        ("mine", "red", "does not say what it is"),
        ("mine.json", "red", "not valid JSON"),
        ("mine.json", "3", "holds a number where a list of texts"),
        ("mine.json", "[]", "no prompt in it"),
        ("mine.json", '{"a": "red", "a": "blue"}', '"a" is there twice'),
        ("mine.json", {"a": {"image_name": "", "text_prompt": "red"}}, "a.image_name: is empty"),
        ("mine.json", {"a": {"image_name": "0.png", "text_prompt": None}}, "a.text_prompt: is missing"),
        ("mine.json", {"a": None}, "a.text_prompt: is missing"),
        ("mine.json", {"a": " "}, "is empty"),
        ("mine.json", {"a": 3}, "holds a number"),
        ("mine.json", [["red"], 3], "entry 0"),
        ("mine.json", {"..": "red"}, "not a path below its folder"),
        ("mine.json", {"a": {"image_name": "../0.png", "text_prompt": "red"}}, "not a path below its folder"),
        ("mine.json", {"a": {"image_name": "a\0b", "text_prompt": "red"}}, "not a path below its folder"),
        ("mine.json", {"a" * 300: "red"}, "not a path below its folder"),
        ("mine.json", ["\ud83d"], "half of a character"),
        ("mine.jsonl", '{"text": "red"}\n{"text": \n', "line 2"),
        ("mine.jsonl", '{"file_name": "0.png"}', "line 1.text_prompt: is missing"),
        ("mine.csv", "file_name,colour\n0.png,red\n", "line 1: its first line does not name its columns"),
        ("mine.csv", "text,text\nred,blue\n", "line 1"),
        ("mine.csv", "text\nA red, angry one.\n", "line 2: has 2 fields where line 1 names 1"),
        ("mine.csv", 'text\n"red\n', "line 2: is not a table"),
        ("mine.csv", "text\n", "no prompt in it"),
        ("mine.csv", "file_name,text\n,red\n", "line 2.file_name: is empty"),
    ],
)
def test_what_is_no_prompt_is_named(tmp_path: Path, name: str, content: Any, complaint: str) -> None:
    with pytest.raises(UserError) as error:
        read(tmp_path, name, content)
    assert complaint in str(error.value)
    assert error.value.fix


def test_a_folder_and_a_file_that_is_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.txt").mkdir()
    for name in ("folder.txt", "nowhere.txt"):
        with pytest.raises(UserError, match=name):
            read_prompts([], tmp_path / name)


def test_the_command_line_and_a_file_are_both_drawn(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("blue")
    prompts = read_prompts(["red", "green"], tmp_path / "prompt.txt")
    assert [prompt.text for prompt in prompts] == ["red", "green", "blue"]


@pytest.mark.parametrize("given", [[""], ["red", "  "], ["\udcff"]])
def test_an_empty_or_broken_text_on_the_command_line_is_refused(given: list[str]) -> None:
    with pytest.raises(UserError, match="--prompt: number"):
        read_prompts(given, None)


def test_nothing_to_draw_is_said() -> None:
    with pytest.raises(UserError, match="nothing to draw"):
        read_prompts([], None)


@given(
    texts=st.lists(
        st.text().map(str.strip).filter(lambda text: not is_blank(text) and "\0" not in text),
        min_size=1,
        max_size=5,
    )
)
def test_no_text_of_a_list_is_lost_or_changed(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("prompts")
    assert [text for _, text in read(folder, "mine.json", texts)] == texts
    lines = "\n".join(json.dumps({"text": text}, ensure_ascii=False) for text in texts)
    assert [text for _, text in read(folder, "mine.jsonl", lines)] == texts


@given(content=st.text(max_size=200), ending=st.sampled_from(sorted(FORMATS)))
def test_any_content_gives_prompts_or_an_error_of_the_users(
    tmp_path_factory: pytest.TempPathFactory, content: str, ending: str
) -> None:
    file = tmp_path_factory.mktemp("any") / f"any{ending}"
    file.write_bytes(content.encode("utf-8", "surrogatepass"))
    try:
        prompts = read_prompts([], file)
    except UserError as error:
        assert error.where and error.fix
    else:
        assert prompts and all(isinstance(prompt, Prompt) and prompt.text.strip() for prompt in prompts)
