"""The imagefolder layout: its fields, and the images held out where there is no test split."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import save, train_lines, write_lines

from ablate.data.captions import read
from ablate.data.entries import caption
from ablate.data.imagefolder import _room
from ablate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


def lines_with(root: Path, **fields: Any) -> None:
    """Writes the training lines; the last one, line 4, gets other fields. None takes one away."""
    *lines, last = train_lines()
    last = {name: value for name, value in (last | fields).items() if value is not None}
    write_lines(root / "train" / "metadata.jsonl", [*lines, last])


@pytest.mark.parametrize("field", ["text", "caption", "prompt"])
def test_a_caption_may_stand_in_any_of_three_fields(imagefolder: Path, field: str) -> None:
    lines_with(imagefolder, **{"text": None, field: "A slime."})
    assert caption(read(imagefolder).train[0], 0) == "A slime."


def test_an_image_without_a_group_is_one_by_itself(imagefolder: Path) -> None:
    lines_with(imagefolder, group=None)
    assert [image.group for image in read(imagefolder).train] == ["train/2_attack1_9.png", "2", "10", "10"]


def test_empty_lines_are_skipped(imagefolder: Path) -> None:
    file = imagefolder / "train" / "metadata.jsonl"
    before = read(imagefolder).train
    file.write_text(file.read_text().replace("\n", "\r\n\n"))
    assert read(imagefolder).train == before


def test_images_may_lie_in_folders(imagefolder: Path) -> None:
    save(imagefolder / "test" / "bats" / "9.jpg")
    write_lines(imagefolder / "test" / "metadata.jsonl", [{"file_name": "bats/9.jpg", "text": "A bat."}])
    (prompt,) = read(imagefolder).prompts
    assert prompt.image_name == "bats-9.jpg"
    assert prompt.reference == imagefolder / "test" / "bats" / "9.jpg"


def test_prompts_that_would_be_saved_as_one_file_are_refused(imagefolder: Path) -> None:
    lines = [{"file_name": name, "text": "A bat."} for name in ("a/b.png", "a-b.jpg")]
    write_lines(imagefolder / "test" / "metadata.jsonl", lines)
    with pytest.raises(DataError, match="is also the name of"):
        read(imagefolder)


def test_a_name_under_which_no_sample_could_be_saved_is_refused(imagefolder: Path) -> None:
    name = f"{'a' * 200}/{'b' * 60}.png"
    write_lines(imagefolder / "test" / "metadata.jsonl", [{"file_name": name, "text": "A bat."}])
    with pytest.raises(DataError, match="longer than the 255 bytes"):
        read(imagefolder)


@pytest.mark.parametrize("name", ["10_ATTACK1_0.png", "10_attack1_0.PNG"])
def test_names_that_differ_only_in_case_are_refused(imagefolder: Path, name: str) -> None:
    save(imagefolder / "train" / name)
    lines_with(imagefolder, file_name=name)
    with pytest.raises(DataError, match="on a disk that ignores case"):
        read(imagefolder)


def test_names_that_differ_only_in_the_form_of_an_accent_are_refused(imagefolder: Path) -> None:
    names = ["bl\u00e4u.png", "bla\u0308u.png"]
    for name in names:
        save(imagefolder / "train" / name)
    write_lines(imagefolder / "train" / "metadata.jsonl", [{"file_name": n, "text": "A bat."} for n in names])
    with pytest.raises(DataError, match="Unicode forms"):
        read(imagefolder)


@pytest.mark.parametrize(
    ("fields", "field", "what"),
    [
        ({"text": None}, ".text", "is missing"),
        ({"text": ""}, ".text", "is empty"),
        ({"text": "\u200b\u00a0"}, ".text", "is empty"),
        ({"text": [None]}, ".text", "holds nothing where a string"),
        ({"text": []}, ".text", "is an empty list"),
        ({"text": ["A slime.", ""]}, ".text", "holds an empty string"),
        ({"text": 3}, ".text", "holds a number"),
        ({"text": {"en": "A slime."}}, ".text", "holds an object"),
        ({"file_name": None}, ".file_name", "is missing"),
        ({"file_name": "../metadata.jsonl"}, ".file_name", "not a path below its folder"),
        ({"file_name": "/etc/passwd"}, ".file_name", "not a path below its folder"),
        ({"file_name": "x.png"}, ".file_name", "there is no image train/x.png"),
        ({"file_name": "10_attack1_0.png"}, ".file_name", "is also the name of line"),
        ({"group": []}, ".group", "holds a list"),
        ({"group": True}, ".group", "holds true or false"),
        ({"group": 1.5}, ".group", "holds a number"),
    ],
)
def test_a_bad_field_is_named_with_its_line(
    imagefolder: Path, fields: dict[str, Any], field: str, what: str
) -> None:
    lines_with(imagefolder, **fields)
    with pytest.raises(DataError) as caught:
        read(imagefolder)
    assert caught.value.where.endswith(f"metadata.jsonl: line 4{field}")
    assert what in caught.value.what


@pytest.mark.parametrize(
    "line", ["[]", "3", "null", "{", '{"file_name": "\xe9"}', '{"text": "a", "text": "b"}', '{"text": NaN}']
)
def test_a_line_that_is_no_object_is_named(imagefolder: Path, line: str) -> None:
    file = imagefolder / "train" / "metadata.jsonl"
    file.write_bytes(file.read_bytes() + line.encode("latin-1"))
    with pytest.raises(DataError) as caught:
        read(imagefolder)
    assert "metadata.jsonl: line 5" in caught.value.where


def test_a_test_folder_needs_its_metadata(imagefolder: Path) -> None:
    (imagefolder / "test" / "metadata.jsonl").unlink()
    with pytest.raises(DataError, match=r"has no captions: found 1 image and 0 .txt files"):
        read(imagefolder)


def test_metadata_at_the_top_and_in_a_split_are_refused(imagefolder: Path) -> None:
    write_lines(imagefolder / "metadata.jsonl", train_lines("train/"))
    with pytest.raises(DataError, match=r"there is train/metadata.jsonl too"):
        read(imagefolder)


def test_an_image_outside_the_splits_is_refused(tmp_path: Path) -> None:
    for name in ("train/1.png", "validation/1.png"):
        save(tmp_path / name)
    names = ["train/1.png", "validation/1.png"]
    write_lines(tmp_path / "metadata.jsonl", [{"file_name": name, "text": "A bat."} for name in names])
    with pytest.raises(DataError, match="neither in train/ nor in test/"):
        read(tmp_path)


def test_a_test_split_alone_is_refused(tmp_path: Path) -> None:
    write_lines(tmp_path / "metadata.jsonl", [{"file_name": "test/1.png", "text": "A bat."}])
    with pytest.raises(DataError, match="no image to train with"):
        read(tmp_path)


# ── without a test split ─────────────────────────────────────────────────────────────────────────


def write_flat(root: Path, groups: list[int | None]) -> None:
    """An image for each group; None for one without."""
    lines: list[dict[str, Any]] = []
    for number, group in enumerate(groups):
        (root / f"{number}.png").touch()
        belongs = {} if group is None else {"group": group}
        lines.append({"file_name": f"{number}.png", "text": "A bat."} | belongs)
    write_lines(root / "metadata.jsonl", lines)


def split(root: Path) -> tuple[list[str], list[str]]:
    train = [image.path.name for image in read(root).train]
    return train, [prompt.image_name for prompt in read(root).prompts]


def test_one_image_in_twenty_is_held_out(tmp_path: Path) -> None:
    write_flat(tmp_path, [None] * 1600)
    train, test = split(tmp_path)
    assert len(test) == 80
    assert sorted(train + test) == sorted(f"{number}.png" for number in range(1600))


@pytest.mark.parametrize(("images", "held_out"), [(2, 1), (50, 10), (320, 64), (1280, 64)])
def test_of_few_images_more_are_held_out(images: int, held_out: int) -> None:
    assert _room(images) == held_out


def test_the_same_images_are_held_out_for_ever(tmp_path: Path) -> None:
    write_flat(tmp_path, [None] * 60)
    assert split(tmp_path)[1][:6] == ["0.png", "6.png", "7.png", "8.png", "14.png", "18.png"]


def test_no_more_than_two_thousand_are_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ablate.data.imagefolder.FEW_HELD_OUT", 1)
    monkeypatch.setattr("ablate.data.imagefolder.MOST_HELD_OUT", 3)
    write_flat(tmp_path, [None] * 200)
    assert len(split(tmp_path)[1]) == 3


def test_a_held_out_image_is_a_prompt_with_a_real_image(tmp_path: Path) -> None:
    write_flat(tmp_path, [None] * 20)
    prompt = read(tmp_path).prompts[0]
    assert (prompt.text, prompt.reference) == ("A bat.", tmp_path / prompt.image_name)


def test_a_single_group_cannot_be_split(tmp_path: Path) -> None:
    write_flat(tmp_path, [1, 1, 1])
    with pytest.raises(DataError, match="only one group"):
        read(tmp_path)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(groups=st.lists(st.integers(0, 9) | st.none(), min_size=2, max_size=60))
def test_groups_stay_together_and_nothing_is_lost(
    tmp_path_factory: pytest.TempPathFactory, groups: list[int | None]
) -> None:
    root = tmp_path_factory.mktemp("flat")
    if len(set(groups)) < 2 and groups[0] is not None:
        groups = [*groups, None]
    write_flat(root, groups)
    train, test = read(root).train, read(root).prompts
    assert not {image.group for image in train} & {prompt.group for prompt in test}
    assert len(train) + len(test) == len(groups)
    assert train
    assert test
    # More only where even the smallest group is larger.
    smallest = min(sum(g == group for g in groups) if group is not None else 1 for group in groups)
    assert len(test) <= max(_room(len(groups)), smallest)
