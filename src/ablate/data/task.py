"""The published task's format.

``train_info.json`` names the training images ``train/<key>_<frame>.png``; ``test.json`` the prompts
and, where they exist, the real images ``test/<image_name>``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.data import strict_json
from ablate.data.entries import Captioned, Prompt, TrainImage
from ablate.data.fields import EXPECTED, Entry, Names, NoImageError, kind_of, natural, read_all, read_each
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ablate.data.fields import OnProblem

TRAIN, TEST = MARKERS = ("train_info.json", "test.json")


def read(root: Path, on_problem: OnProblem) -> Captioned:
    """All training frames, sorted by entry and frame number (frames may be missing), and all prompts, sorted
    by entry."""
    train = read_all(lambda: _train(root, on_problem), on_problem)
    prompts = read_all(lambda: _prompts(root, on_problem), on_problem)
    return Captioned((root / TRAIN, root / TEST), tuple(train), tuple(prompts))


def odd_frames(root: Path) -> Iterator[tuple[str, int, int]]:
    """(entry, files, ``num_frames``) of the training entries whose frames are not as many as they say.
    Raises DataError."""
    frames = _frames(root / "train")
    for entry in _entries(root / TRAIN, lambda problem: None):
        said = entry.content.get("num_frames") if isinstance(entry.content, dict) else None
        found = len(frames.get(entry.name, ()))
        if isinstance(said, int) and found not in (0, said):  # without any it is an error already
            yield entry.name, found, said


def _train(root: Path, on_problem: OnProblem) -> list[TrainImage]:
    entries, frames = _entries(root / TRAIN, on_problem), _frames(root / "train")
    names = Names()

    def read(entry: Entry) -> list[TrainImage]:
        names.add(entry, "", entry.name)
        descriptions = entry.texts("given_description")
        action = entry.text("action_description", required=False)
        if entry.name not in frames:
            what = f"there is no image train/{entry.name}_<frame>.png"
            fix = "Add an image for this entry, or remove the entry from train_info.json."
            raise entry.error("", what, fix, NoImageError)
        monster = _monster(entry.name)
        return [TrainImage(path, descriptions, action, monster) for path in frames[entry.name]]

    return [image for images in read_each(entries, read, on_problem) for image in images]


def _prompts(root: Path, on_problem: OnProblem) -> list[Prompt]:
    names = Names(endings=False)

    def read(entry: Entry) -> Prompt:
        name = entry.file_name("image_name")
        names.add(entry, "image_name", name)
        image = root / "test" / name
        reference = image if image.is_file() else None
        return Prompt(name, entry.text("text_prompt"), reference, _monster(entry.name))

    return list(read_each(_entries(root / TEST, on_problem), read, on_problem))


def _entries(file: Path, on_problem: OnProblem) -> list[Entry]:
    """The entries of a file that must hold a non-empty object, in natural order of their keys."""
    if not file.exists():
        raise DataError("the file does not exist", where=str(file), fix=EXPECTED)
    content = strict_json.read(strict_json.text_of(file), str(file), on_fault=on_problem)
    if not isinstance(content, dict):
        what = f"holds {kind_of(content)} where an object is expected"
        raise DataError(what, where=str(file), fix=EXPECTED)
    if not content:
        raise DataError("has no entries", where=str(file), fix="A data set needs at least one image.")
    return [Entry(file, key, content[key]) for key in sorted(content, key=natural)]


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
