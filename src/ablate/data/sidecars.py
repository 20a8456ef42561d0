"""Captions beside the images: ``bat.txt`` or ``bat.caption`` for ``bat.png``, as most tools for fine-tuning
read them. A caption is the whole file: tags, commas and all; its lines are joined by spaces.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from ablate.data.fields import Entry
from ablate.data.files import ENDINGS as IMAGE_ENDINGS
from ablate.data.files import split_ending, walk
from ablate.data.strict_json import text_of
from ablate.errors import DataError
from ablate.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ablate.data.fields import OnProblem

ENDINGS = (".txt", ".caption")

LOOKED_AT = 100_000
"""Files of a folder until it is clear that it is not a data set."""
SHOWN = 5
"""Names in a message."""


class Found:
    """Images and caption files of a folder, by their paths in it without an ending."""

    def __init__(self) -> None:
        self.images: dict[str, list[str]] = {}
        self.texts: dict[str, list[str]] = {}
        self.any_pair = False
        """Whether an image and a caption have one name."""

    def __str__(self) -> str:
        images, texts = (sum(map(len, some.values())) for some in (self.images, self.texts))
        endings = {split_ending(name)[1] for names in self.texts.values() for name in names} or {ENDINGS[0]}
        return f"{plural(images, 'image')} and {plural(texts, ' and '.join(sorted(endings)) + ' file')}"

    def add(self, name: str) -> None:
        """Puts an image or a caption file where it belongs, and forgets any other."""
        stem, ending = split_ending(name)
        if name.rpartition("/")[2].startswith("."):  # such as the ._bat.png that macOS leaves on other disks
            return
        if ending in IMAGE_ENDINGS:
            self.images.setdefault(stem, []).append(name)
            self.any_pair |= stem in self.texts
        elif ending in ENDINGS:
            self.texts.setdefault(stem, []).append(name)
            self.any_pair |= stem in self.images


def look(folder: Path) -> Found:
    """What there is in a folder and those below it, until it is clear whether there are captions beside the
    images."""
    found = Found()
    for name in islice(walk(folder), LOOKED_AT):
        found.add(name)
        if found.any_pair:
            break
    return found


def read(folder: Path, on_problem: OnProblem) -> Iterator[Entry]:
    """An entry for each image in ``folder`` and those below it, with its caption.

    An image without a caption, one with two, and a caption of two images go to ``on_problem``.
    """
    found = Found()
    for name in walk(folder):
        found.add(name)
    without = sorted(
        name for stem, names in found.images.items() if stem not in found.texts for name in names
    )
    if without:
        more = f" and {len(without) - SHOWN} more" if len(without) > SHOWN else ""
        what = f"found {found}: no caption for {', '.join(without[:SHOWN])}{more}"
        fix = "Write a .txt file for each image, with the image's name."
        on_problem(DataError(what, where=str(folder), fix=fix))
    for stem, images in found.images.items():
        if texts := found.texts.get(stem):
            if len(images) > 1 or len(texts) > 1:
                names = " and ".join((*images, *texts))
                what = f"it cannot be told which caption belongs to which image: there are {names}"
                fix = "Keep one image and one caption file of a name."
                on_problem(DataError(what, where=str(folder / texts[0]), fix=fix))
            try:
                text = " ".join(text_of(folder / texts[0]).split())
            except DataError as problem:
                on_problem(problem)
            else:
                yield Entry(folder / texts[0], "", {"file_name": images[0], "text": text})
