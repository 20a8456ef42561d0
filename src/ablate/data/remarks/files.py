"""Remarks on files: those that cannot be read, those that nothing reads, and links."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.data.files import is_image, walk
from ablate.data.images import MOST_PIXELS, OversizedImageError, UnknownPixelsError
from ablate.data.remarks.base import Remark
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ablate.data.remarks.base import DataSet

BROKEN: dict[type[DataError], tuple[str, str]] = {
    DataError: ("images that cannot be read", "Copy them again from their source, or remove their entries."),
    UnknownPixelsError: (
        "images whose pixels have no known meaning",
        "Save them with 8 bits a channel, as PNGs for example.",
    ),
    OversizedImageError: (
        f"images of more than {MOST_PIXELS // 1_000_000} megapixels",
        "Make them smaller, or remove their entries.",
    ),
}
"""Kind of problem → what is wrong, and what to do."""


def broken_images(data: DataSet) -> Iterator[Remark]:
    """Images that a training would stop at."""
    problems = [seen.problem for seen in data.images.values() if seen.problem]
    for kind, (what, fix) in BROKEN.items():
        yield Remark("error", what, tuple(data.place_of(p) for p in problems if type(p) is kind), fix)


def unread(data: DataSet) -> Iterator[Remark]:
    """Files in the folder that no run reads. They are not part of the data set's digest."""
    if (
        not data.read.train or not data.read.prompts
    ):  # an error already, and then nothing of the split is read
        return
    read = {data.place(path) for _, path in data.read.by_role()}
    left = [name for name in walk(data.folder) if name not in read]
    images = tuple(name for name in left if is_image(name))
    others = tuple(name for name in left if not is_image(name))
    yield Remark("warning", "images that no entry names", images, "They are not used.")
    yield Remark("info", "other files that nothing reads", others)


def links(data: DataSet) -> Iterator[Remark]:
    """Links through which files are read."""
    read = {path for _, path in data.read.by_role()}
    on_the_way = {data.folder} | read | {above for path in read for above in path.parents}
    below = (path for path in on_the_way if path == data.folder or data.folder in path.parents)
    found = sorted(path for path in below if path.is_symlink())
    fix = "They are followed. What they lead to is part of the data set's digest."
    yield Remark("info", "links", tuple(f"{data.place(path)} → {_end(path)}" for path in found), fix)


def _end(link: Path) -> str:
    return link.readlink().as_posix()
