"""The Hugging Face ``imagefolder`` layout: images beside a ``metadata.jsonl`` with a line for each.

``train/metadata.jsonl`` and ``test/metadata.jsonl``, or one ``metadata.jsonl`` at the top. A line holds
``file_name``, a path from its own folder; ``text`` (or ``caption``, or ``prompt``), a text or a list of
texts; and, where images belong together, their ``group``. Without a test split one is held out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.data.entries import Prompt, TrainImage
from ablate.data.fields import EXPECTED, Names, NoImageError, natural, read_each, read_lines
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ablate.data.fields import Entry, OnProblem

METADATA = "metadata.jsonl"
MARKERS = (METADATA, f"train/{METADATA}", f"test/{METADATA}")

TEXT_FIELDS = ("text", "caption", "prompt")
"""The first that a line has is its text."""

HELD_OUT_SHARE = 0.05
MOST_HELD_OUT = 2000
"""Of the images without a test split, what becomes one."""


def read_train(root: Path, on_problem: OnProblem) -> list[TrainImage]:
    """The images of ``train/``, in natural order of their names."""
    return [TrainImage(row.path, row.texts, "", row.group) for row in _splits(root, on_problem)[0]]


def read_prompts(root: Path, on_problem: OnProblem) -> list[Prompt]:
    """The first text of each image of ``test/``, in natural order of their names. Images may be missing."""
    names = Names()

    def read(row: _Row) -> Prompt:
        name = row.name.replace("/", "-")
        names.add(row.entry, "file_name", name)
        return Prompt(name, row.texts[0], row.path if row.path.is_file() else None, row.group)

    return list(read_each(_splits(root, on_problem)[1], read, on_problem))


@dataclass(frozen=True)
class _Row:
    """A line of metadata.jsonl."""

    entry: Entry
    split: str
    """``train``, ``test``, or "" where the folder has no splits."""
    name: str
    """The image's path below its split."""
    path: Path
    texts: tuple[str, ...]
    group: str


def _splits(root: Path, on_problem: OnProblem) -> tuple[list[_Row], list[_Row]]:
    """Training rows, whose images are there, and test rows."""
    rows = _all_rows(root, on_problem)
    test = [row for row in rows if row.split == "test"]

    def with_image(row: _Row) -> _Row:
        if row.path.is_file():
            return row
        what, fix = f"there is no image {row.path.relative_to(root)}", "Add the image, or remove its line."
        raise row.entry.error("file_name", what, fix, NoImageError)

    train = list(read_each((row for row in rows if row.split != "test"), with_image, on_problem))
    if not train:
        raise DataError("there is no image to train with", where=str(root), fix=EXPECTED)
    return (train, test) if test else _hold_out(train)


def _all_rows(root: Path, on_problem: OnProblem) -> list[_Row]:
    top = root / METADATA
    if not top.is_file():
        # A test folder without metadata.jsonl is an error: other images would be held out in its stead.
        splits = ("train", "test") if (root / "test").is_dir() else ("train",)
        return [row for split in splits for row in _rows(root / split / METADATA, root, split, on_problem)]
    if nested := [name for name in MARKERS[1:] if (root / name).is_file()]:
        fix = "Keep one for all images, or one for each split."
        raise DataError(f"there is {nested[0]} too", where=str(top), fix=fix)
    return _rows(top, root, "", on_problem)


def _rows(file: Path, root: Path, split: str, on_problem: OnProblem) -> list[_Row]:
    """The lines of a metadata file, in natural order of the images' names."""
    rows: dict[str, _Row] = {}
    for row in read_each(read_lines(file, on_problem), lambda entry: _row(entry, root, split), on_problem):
        same = rows.setdefault(row.path.as_posix(), row)
        if same is not row:
            what = f"{row.name!r} is also in {same.entry.name}"
            on_problem(row.entry.error("file_name", what, "Keep one line."))
    if not rows:
        on_problem(DataError("has no entries", where=str(file), fix="A data set needs at least one image."))
    if len(splits := {row.split for row in rows.values()}) > 1 and "" in splits:
        stray = next(row for row in rows.values() if not row.split)
        what = f"{stray.name!r} is neither in train/ nor in test/"
        raise stray.entry.error("file_name", what, "Put each image into one of them, or none.")
    return [rows[name] for name in sorted(rows, key=natural)]


def _row(entry: Entry, root: Path, split: str) -> _Row:
    name = entry.file_name("file_name", folders=True)
    place = f"{split}/{name}" if split else name
    first, _, rest = place.partition("/")
    in_split = rest and first in ("train", "test")
    group = entry.field("group")
    return _Row(
        entry,
        split=first if in_split else "",
        name=rest if in_split else place,
        path=root / place,
        texts=_texts(entry),
        # A number is as good a name as a text.
        group=str(group) if isinstance(group, int) else entry.text("group", required=False) or place,
    )


def _texts(entry: Entry) -> tuple[str, ...]:
    field = next((name for name in TEXT_FIELDS if entry.field(name) is not None), None)
    if field is None:
        raise entry.error(TEXT_FIELDS[0], "is missing", f"Every line needs one of: {', '.join(TEXT_FIELDS)}.")
    return (entry.text(field),) if isinstance(entry.field(field), str) else entry.texts(field)


def _hold_out(rows: Sequence[_Row]) -> tuple[list[_Row], list[_Row]]:
    """Training rows and held-out rows: whole groups, in the order of a hash of their names, as many as
    fit into 5 % of the images and 2000. The same rows always give the same split.
    """
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    if len(groups) < 2:
        raise DataError(
            "there is no test split, and only one group to hold out",
            where=str(rows[0].entry.file),
            fix="Add test/ with a metadata.jsonl, or give the images several groups.",
        )
    by_hash = sorted(groups, key=lambda name: hashlib.sha256(name.encode()).digest())
    room = max(1, min(MOST_HELD_OUT, round(HELD_OUT_SHARE * len(rows))))
    held_out: set[str] = set()
    for name in by_hash:
        if len(groups[name]) <= room:
            held_out.add(name)
            room -= len(groups[name])
    held_out = held_out or {min(by_hash, key=lambda name: len(groups[name]))}
    return [row for row in rows if row.group not in held_out], [row for row in rows if row.group in held_out]
