"""The Hugging Face ``imagefolder`` layout: images, and a table with a row for each or a caption beside each.

``train/`` and ``test/`` have a table each (``metadata.jsonl`` or another of ``TABLES``) or captions beside
their images; or there is one table at the top; or captions lie beside images anywhere. A row holds
``file_name``, a path from its own folder; ``text`` (or ``caption``, or ``prompt``), a text or a list of
texts; and, where images belong together, their ``group``. Without a test split one is held out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.data import sidecars
from ablate.data.entries import Captioned, Prompt, TrainImage
from ablate.data.fields import EXPECTED, TEXT_FIELDS, Names, NoImageError, natural, read_all, read_each
from ablate.data.tables import TABLES, table_in
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ablate.data.fields import Entry, OnProblem

SPLITS = ("train", "test")
MARKERS = (*TABLES, *(f"{split}/{name}" for split in SPLITS for name in TABLES))

HELD_OUT_SHARE = 0.05
MOST_HELD_OUT = 2000
"""Of the images without a test split, what becomes one."""
FEW_HELD_OUT = 64
LARGEST_SHARE = 0.2
"""So that not fewer than 64 of a few images are held out, but at most a fifth: fewer measure nothing."""


def read(root: Path, on_problem: OnProblem) -> Captioned:
    """Training images and prompts, in natural order of their names. A prompt is the first text of an image
    of ``test/``, which may be missing."""
    rows = read_all(lambda: _all_rows(root, on_problem), on_problem)
    train, test, held_out = _splits(root, rows, on_problem)
    names = Names(endings=False)

    def prompt(row: _Row) -> Prompt:
        name = row.name.replace("/", "-")
        names.add(row.entry, "file_name", name)
        return Prompt(name, row.texts[0], row.path if row.path.is_file() else None, row.group)

    return Captioned(
        files=tuple(dict.fromkeys(row.entry.file for row in rows)),
        train=tuple(TrainImage(row.path, row.texts, "", row.group) for row in train),
        prompts=tuple(read_each(test, prompt, on_problem)),
        held_out=held_out,
        unread=Counter(name for row in rows for name in row.unread),
    )


@dataclass(frozen=True)
class _Row:
    """What is said about one image."""

    entry: Entry
    split: str
    """``train``, ``test``, or "" where the folder has no splits."""
    name: str
    """The image's path below its split."""
    place: str
    """The image's path below the data set's folder."""
    path: Path
    texts: tuple[str, ...]
    group: str
    unread: tuple[str, ...]
    """Names of the other fields of its entry."""


def _splits(root: Path, rows: Sequence[_Row], on_problem: OnProblem) -> tuple[list[_Row], list[_Row], bool]:
    """Training rows, whose images are there, test rows, and whether these were held out."""
    test = [row for row in rows if row.split == "test"]

    def with_image(row: _Row) -> _Row:
        if row.path.is_file():
            return row
        what, fix = f"there is no image {row.place}", "Add the image, or remove its line."
        raise row.entry.error("file_name", what, fix, NoImageError)

    train = list(read_each((row for row in rows if row.split != "test"), with_image, on_problem))
    if rows and not train:
        on_problem(DataError("there is no image to train with", where=str(root), fix=EXPECTED))
    if test or not train:
        return train, test, False
    try:
        return *_hold_out(train), True
    except DataError as problem:
        on_problem(problem)
        return train, [], False


def _all_rows(root: Path, on_problem: OnProblem) -> list[_Row]:
    top = table_in(root)
    nested = [table for split in SPLITS if (table := table_in(root / split))]
    if top and nested:
        fix = "Keep one for all images, or one for each split."
        raise DataError(f"there is {nested[0].relative_to(root)} too", where=str(top), fix=fix)
    if top or not (nested or (root / "train").is_dir()):
        return _rows(root, "", on_problem)
    # A test folder without captions is an error: other images would be held out in its stead.
    splits = SPLITS if (root / "test").is_dir() else SPLITS[:1]
    return [row for split in splits for row in _rows(root, split, on_problem)]


def _rows(root: Path, split: str, on_problem: OnProblem) -> list[_Row]:
    """The rows of a split's folder, or of ``root`` itself, in natural order of the images' names."""
    source, entries = _entries(root / split, on_problem)
    names = Names()

    def read(entry: Entry) -> _Row:
        row = _row(entry, root, split)
        names.add(entry, "file_name", row.place)
        return row

    rows = list(read_each(entries, read, on_problem))
    if not rows:
        fix = "A data set needs at least one image with a caption."
        on_problem(DataError("has no entries", where=str(source), fix=fix))
    if len({row.split for row in rows}) > 1 and (stray := next((row for row in rows if not row.split), None)):
        what = f"{stray.name!r} is neither in train/ nor in test/"
        raise stray.entry.error("file_name", what, "Put each image into one of them, or none.")
    return sorted(rows, key=lambda row: natural(row.place))


def _entries(folder: Path, on_problem: OnProblem) -> tuple[Path, Iterator[Entry]]:
    """Where the captions of a folder are, and its entries: of its table, or of the captions beside images."""
    if not folder.is_dir():
        raise DataError("the folder does not exist", where=str(folder), fix=EXPECTED)
    if table := table_in(folder):
        return table, TABLES[table.name](table, on_problem)
    if (found := sidecars.look(folder)).any_pair:
        return folder, sidecars.read(folder, on_problem)
    what = f"has no captions: found {found}, and none of {', '.join(TABLES)}"
    raise DataError(what, where=str(folder), fix=EXPECTED)


def _row(entry: Entry, root: Path, split: str) -> _Row:
    name = entry.file_name("file_name", folders=True)
    place = f"{split}/{name}" if split else name
    first, _, rest = place.partition("/")
    in_split = rest and first in SPLITS
    group, text = entry.field("group"), _text_field(entry)
    is_number = isinstance(group, int) and not isinstance(group, bool)
    return _Row(
        entry,
        split=first if in_split else "",
        name=rest if in_split else place,
        place=place,
        path=root / place,
        texts=(entry.text(text),) if isinstance(entry.field(text), str) else entry.texts(text),
        # A number is as good a name as a text.
        group=str(group) if is_number else entry.text("group", required=False) or place,
        unread=tuple(sorted(entry.fields - {"file_name", "group", text})),
    )


def _text_field(entry: Entry) -> str:
    for name in TEXT_FIELDS:
        if entry.field(name) is not None:
            return name
    raise entry.error(TEXT_FIELDS[0], "is missing", f"Every line needs one of: {', '.join(TEXT_FIELDS)}.")


def _hold_out(rows: Sequence[_Row]) -> tuple[list[_Row], list[_Row]]:
    """Training rows and held-out rows: whole groups, in the order of a hash of their names, as many as
    fit into ``_room``. The same rows always give the same split.
    """
    groups: dict[str, list[_Row]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    if len(groups) < 2:
        raise DataError(
            "there is no test split, and only one group to hold out",
            where=str(rows[0].entry.file),
            fix="Add test/ with its captions, or give the images several groups.",
        )
    by_hash = sorted(groups, key=lambda name: hashlib.sha256(name.encode()).digest())
    room = _room(len(rows))
    held_out: set[str] = set()
    for name in by_hash:
        if len(groups[name]) <= room:
            held_out.add(name)
            room -= len(groups[name])
    held_out = held_out or {min(by_hash, key=lambda name: len(groups[name]))}
    return [row for row in rows if row.group not in held_out], [row for row in rows if row.group in held_out]


def _room(images: int) -> int:
    """How many of ``images`` may be held out: 5 % and at most 2000, or a fifth and at most 64."""
    few = min(FEW_HELD_OUT, round(LARGEST_SHARE * images))
    return max(1, few, min(MOST_HELD_OUT, round(HELD_OUT_SHARE * images)))
