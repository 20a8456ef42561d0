"""The published task's format.

``train_info.json`` names the training images ``train/<key>_<frame>.png``; ``test.json`` the prompts
and, where they exist, the real images ``test/<image_name>``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.data.entries import Prompt, TrainImage
from ablate.data.fields import EXPECTED, Names, NoImageError, natural, read_each, read_object
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ablate.data.fields import Entry, OnProblem

MARKERS = ("train_info.json", "test.json")


def read_train(root: Path, on_problem: OnProblem) -> list[TrainImage]:
    """All training frames, sorted by entry and frame number. Frames may be missing."""
    entries, frames = read_object(root / "train_info.json"), _frames(root / "train")

    def read(entry: Entry) -> list[TrainImage]:
        descriptions = entry.texts("given_description")
        action = entry.text("action_description", required=False)
        if entry.name not in frames:
            what = f"there is no image train/{entry.name}_<frame>.png"
            fix = "Add an image for this entry, or remove the entry from train_info.json."
            raise entry.error("", what, fix, NoImageError)
        monster = _monster(entry.name)
        return [TrainImage(path, descriptions, action, monster) for path in frames[entry.name]]

    return [image for images in read_each(entries, read, on_problem) for image in images]


def read_prompts(root: Path, on_problem: OnProblem) -> list[Prompt]:
    """All test prompts, sorted by entry."""
    names = Names()

    def read(entry: Entry) -> Prompt:
        name = entry.file_name("image_name")
        names.add(entry, "image_name", name)
        image = root / "test" / name
        reference = image if image.is_file() else None
        return Prompt(name, entry.text("text_prompt"), reference, _monster(entry.name))

    return list(read_each(read_object(root / "test.json"), read, on_problem))


def odd_frames(root: Path) -> Iterator[tuple[str, int, int]]:
    """(entry, files, ``num_frames``) of the training entries whose frames are not as many as they say."""
    frames = _frames(root / "train")
    for entry in read_object(root / "train_info.json"):
        said = entry.content.get("num_frames") if isinstance(entry.content, dict) else None
        found = len(frames.get(entry.name, ()))
        if isinstance(said, int) and found not in (0, said):  # without any it is an error already
            yield entry.name, found, said


def _monster(key: str) -> str:
    """The part of an entry's name before its first underscore."""
    return key.split("_", 1)[0]


def _frames(folder: Path) -> dict[str, list[Path]]:
    """Entry → its frames' files in the order of their numbers."""
    if not folder.is_dir():
        raise DataError("the folder does not exist", where=str(folder), fix=EXPECTED)
    frames: dict[str, list[Path]] = {}
    for path in sorted(folder.glob("*.png"), key=lambda path: natural(path.stem)):
        key, _, number = path.stem.rpartition("_")
        if number.isdecimal():
            frames.setdefault(key, []).append(path)
    return frames
