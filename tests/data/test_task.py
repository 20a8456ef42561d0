"""The task's format, and what is said about folders that are not in it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablate.data.captions import read
from ablate.data.fields import natural
from ablate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

ENTRY = {"given_description": ["A red slime."], "action_description": "", "num_frames": 3}
PROMPT = {"image_name": "7_main.png", "text_prompt": "A bat."}


@pytest.fixture
def root(task_folder: Path) -> Path:
    return task_folder


def write(path: Path, content: Any) -> None:
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def test_missing_frames_are_skipped(root: Path) -> None:
    (root / "train" / "2_attack1_9.png").unlink()
    names = [image.path.name for image in read(root).train]
    assert names == ["2_attack1_10.png", "10_attack1_0.png", "10_attack1_2.png"]


def test_a_missing_image_folder_is_named(root: Path) -> None:
    (root / "train").rename(root / "elsewhere")
    with pytest.raises(DataError, match="the folder does not exist"):
        read(root)


def test_invalid_json_is_named_with_its_line(root: Path) -> None:
    write(root / "train_info.json", '{\n "1_main": {,}\n}')
    with pytest.raises(DataError, match="not valid JSON") as caught:
        read(root)
    assert "line 2, column" in caught.value.where


@pytest.mark.parametrize(
    "content",
    [
        [],
        3,
        {},
        {"10_attack1": []},
        {"10_attack1": {}},
        {"10_attack1": {**ENTRY, "given_description": "A slime."}},
        {"10_attack1": {**ENTRY, "given_description": []}},
        {"10_attack1": {**ENTRY, "given_description": ["A slime.", " "]}},
        {"10_attack1": {**ENTRY, "given_description": ["A slime.", 3]}},
        {"10_attack1": {**ENTRY, "given_description": ["\ud83d"]}},
        {"10_attack1": {**ENTRY, "action_description": 3}},
        {"10_attack1": ENTRY, "10_Attack1": ENTRY},
        '{"10_attack1": {"given_description": ["a"], "given_description": ["b"]}}',
        '{"10_attack1": {"given_description": ["a"], "num_frames": Infinity}}',
        {"9" * 9999: ENTRY},
        "\xff\xfe",
        "[" * 100_000,
        '{"10_attack1": ' + "9" * 9999 + "}",
    ],
)
def test_other_shaped_json_is_a_data_error(root: Path, content: Any) -> None:
    if isinstance(content, str):
        (root / "train_info.json").write_bytes(content.encode("latin-1"))
    else:
        write(root / "train_info.json", content)
    with pytest.raises(DataError) as caught:
        read(root)
    assert "train_info.json" in caught.value.where
    assert caught.value.fix


def test_a_byte_order_mark_does_no_harm(root: Path) -> None:
    before = read(root).train
    (root / "train_info.json").write_bytes(b"\xef\xbb\xbf" + (root / "train_info.json").read_bytes())
    assert read(root).train == before


def test_an_entry_without_any_image_is_named(root: Path) -> None:
    for path in (root / "train").glob("10_*"):
        path.unlink()
    with pytest.raises(DataError, match="no image train/10_attack1_"):
        read(root)


@pytest.mark.parametrize("field", ["text_prompt", "image_name"])
@pytest.mark.parametrize("value", [None, "", 3, ["A bat."]])
def test_a_test_entry_with_a_bad_field_is_named(root: Path, field: str, value: Any) -> None:
    write(root / "test.json", {"7_main": {**PROMPT, field: value}})
    with pytest.raises(DataError) as caught:
        read(root)
    assert caught.value.where.endswith(f"7_main.{field}")


@pytest.mark.parametrize("name", ["../7_main.png", "a/b.png", "/etc/passwd", "..", "a\\b", "a\0b", "a" * 300])
def test_an_image_name_cannot_leave_its_folder(root: Path, name: str) -> None:
    write(root / "test.json", {"7_main": {**PROMPT, "image_name": name}})
    with pytest.raises(DataError, match="not a plain file name"):
        read(root)


@pytest.mark.parametrize("name", ["7_main.png", "7_main.jpg"])
def test_two_prompts_cannot_share_an_image_name(root: Path, name: str) -> None:
    write(root / "test.json", {"7_main": PROMPT, "8_main": {**PROMPT, "image_name": name}})
    with pytest.raises(DataError, match="is also the name of 7_main"):
        read(root)


@given(st.lists(st.integers(min_value=0), unique=True))
def test_natural_order_counts(numbers: list[int]) -> None:
    names = [f"monster-{number}.png" for number in numbers]
    assert sorted(names, key=natural) == [f"monster-{number}.png" for number in sorted(numbers)]


@given(st.lists(st.text(), unique=True), st.randoms())
def test_natural_order_does_not_depend_on_the_order_before(names: list[str], random: Any) -> None:
    shuffled = random.sample(names, len(names))
    assert sorted(names, key=natural) == sorted(shuffled, key=natural)
