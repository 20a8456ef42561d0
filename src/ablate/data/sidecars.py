"""Captions beside the images: ``bat.txt`` or ``bat.caption`` for ``bat.png``, as most tools for fine-tuning
read them. A caption is the whole file: tags, commas and all; its lines are joined by spaces.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from ablate.data.fields import Entry
from ablate.data.files import is_image, walk
from ablate.data.strict_json import text_of
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ablate.data.fields import OnProblem

ENDINGS = (".txt", ".caption")

LOOKED_AT = 100_000
"""Files of a folder until it is clear that it is not a data set."""
SHOWN = 5
"""Names in a message."""


class Found(NamedTuple):
    """Images and caption files, by their paths without an ending."""

    images: dict[Path, list[Path]]
    texts: dict[Path, list[Path]]

    def __str__(self) -> str:
        images, texts = (sum(map(len, some.values())) for some in self)
        endings = {path.suffix for some in self.texts.values() for path in some} or {ENDINGS[0]}
        return f"{_count(images, 'image')} and {_count(texts, ' and '.join(sorted(endings)) + ' file')}"

    @property
    def pairs(self) -> set[Path]:
        """Those that are both."""
        return self.images.keys() & self.texts.keys()


def look(folder: Path) -> Found:
    """What there is in a folder and those below it: enough of it to tell whether it is a data set."""
    return _sorted(islice(walk(folder), LOOKED_AT))


def read(folder: Path, on_problem: OnProblem) -> Iterator[Entry]:
    """An entry for each image in ``folder`` and those below it, with its caption.

    An image without a caption, one with two, and a caption of two images go to ``on_problem``.
    """
    found = _sorted(walk(folder))
    if without := [path.relative_to(folder).as_posix() for stem in found.images.keys() - found.texts.keys()
                   for path in found.images[stem]]:  # fmt: skip
        names = ", ".join(sorted(without)[:SHOWN])
        more = f" and {len(without) - SHOWN} more" if len(without) > SHOWN else ""
        fix = "Write a .txt file for each image, with the image's name."
        what = f"found {found}: no caption for {names}{more}"
        on_problem(DataError(what, where=str(folder), fix=fix))
    for stem in sorted(found.pairs):
        images, texts = sorted(found.images[stem]), sorted(found.texts[stem])
        if len(images) > 1 or len(texts) > 1:
            names = " and ".join(path.name for path in (*images, *texts))
            what = f"it cannot be told which caption belongs to which image: there are {names}"
            fix = "Keep one image and one caption file of a name."
            on_problem(DataError(what, where=str(texts[0]), fix=fix))
        try:
            text = " ".join(text_of(texts[0]).split())
        except DataError as problem:
            on_problem(problem)
        else:
            name = images[0].relative_to(folder).as_posix()
            yield Entry(texts[0], "", {"file_name": name, "text": text})


def _sorted(files: Iterable[Path]) -> Found:
    found = Found(defaultdict(list), defaultdict(list))
    for path in files:
        if path.name.startswith("."):  # such as the ._bat.png that macOS leaves on other disks
            continue
        if is_image(path):
            found.images[path.with_suffix("")].append(path)
        elif path.suffix.lower() in ENDINGS:
            found.texts[path.with_suffix("")].append(path)
    return found


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
