"""Captions beside the images: what belongs together, and what is said where something is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tiny import save, write_lines

from ablate.data.captions import format_of, read
from ablate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

TAGS = "1girl, solo, (red hair:1.2), looking at viewer, <lora:x:0.8>"


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Forty images with tags beside them, eight of which are held out."""
    for number in range(40):
        save(tmp_path / f"{number}.png", number)
        (tmp_path / f"{number}.txt").write_text(f"{TAGS}, {number}\n")
    return tmp_path


def error(root: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read(root)
    assert caught.value.fix
    return caught.value


def test_the_whole_file_is_the_caption(flat: Path) -> None:
    found = read(flat)
    assert format_of(flat).name == "captions beside the images"
    assert {image.path.name: image.descriptions for image in found.train} == {
        image.path.name: (f"{TAGS}, {image.path.stem}",) for image in found.train
    }
    assert (len(found.train), len(found.prompts)) == (32, 8)
    assert found.held_out


def test_the_same_images_are_held_out_as_with_a_table(flat: Path) -> None:
    held_out = [prompt.image_name for prompt in read(flat).prompts]
    write_lines(flat / "metadata.jsonl", [{"file_name": f"{n}.png", "text": "a"} for n in range(40)])
    assert [prompt.image_name for prompt in read(flat).prompts] == held_out


@pytest.mark.parametrize("ending", [".txt", ".caption", ".TXT"])
def test_splits_may_lie_in_folders(tmp_path: Path, ending: str) -> None:
    for split in ("train", "test"):
        save(tmp_path / split / "inner" / "a.b.webp")
        (tmp_path / split / "inner" / f"a.b{ending}").write_text(f"of the {split}")
    save(tmp_path / "stray.png")
    found = read(tmp_path)
    assert [image.descriptions for image in found.train] == [("of the train",)]
    (prompt,) = found.prompts
    assert (prompt.image_name, prompt.text) == ("inner-a.b.webp", "of the test")


def test_lines_are_joined(flat: Path) -> None:
    (flat / "0.txt").write_bytes("\ufeffa bat,\r\n  at night\r\n\r\n".encode())
    texts = {prompt.image_name: prompt.text for prompt in read(flat).prompts}
    assert texts["0.png"] == "a bat, at night"


def test_images_without_a_caption_are_named_with_the_numbers(flat: Path) -> None:
    (flat / "3.txt").unlink()
    (flat / "7.txt").unlink()
    assert error(flat).what == "found 40 images and 38 .txt files: no caption for 3.png, 7.png"


def test_of_many_images_without_a_caption_a_few_are_named(flat: Path) -> None:
    for number in range(10, 20):
        (flat / f"{number}.txt").unlink()
    assert error(flat).what.endswith("no caption for 10.png, 11.png, 12.png, 13.png, 14.png and 5 more")


def test_captions_that_belong_to_no_image_make_no_data_set(tmp_path: Path) -> None:
    for number in range(3):
        save(tmp_path / f"{number}.png")
        (tmp_path / f"image-{number}.txt").touch()
    assert "found 3 images and 3 .txt files" in error(tmp_path).what


@pytest.mark.parametrize("text", ["", " \n", "\u200b\ufeff"])
def test_an_empty_caption_is_named(flat: Path, text: str) -> None:
    (flat / "5.txt").write_text(text)
    found = error(flat)
    assert (found.where, found.what) == (str(flat / "5.txt"), "is empty")


def test_a_caption_in_another_encoding_is_named(flat: Path) -> None:
    (flat / "5.txt").write_bytes("bät".encode("utf-16"))
    assert error(flat).where == str(flat / "5.txt")


@pytest.mark.parametrize("second", ["5.caption", "5.jpg", "5.TXT"])
def test_two_files_of_one_kind_and_name_are_refused(flat: Path, second: str) -> None:
    save(flat / second) if second == "5.jpg" else (flat / second).write_text("a bat")
    found = error(flat)
    assert "which caption belongs to which image" in found.what
    assert second in found.what


def test_names_that_differ_in_case_only_are_refused(flat: Path) -> None:
    save(flat / "A.png")
    save(flat / "a.png")
    for name in ("A", "a"):
        (flat / f"{name}.txt").write_text("a bat")
    assert "on a disk that ignores case" in error(flat).what


def test_a_table_is_read_instead_of_text_files(flat: Path) -> None:
    write_lines(flat / "metadata.jsonl", [{"file_name": f"{n}.png", "text": "a bat"} for n in range(40)])
    assert {image.descriptions for image in read(flat).train} == {("a bat",)}
