"""Reads a data set's captions and prompts, whatever its format. Everything wrong is a ``DataError``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ablate.data import imagefolder, sidecars, task
from ablate.data.fields import EXPECTED
from ablate.data.strict_json import fail
from ablate.data.tables import TABLES
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.data.entries import Captioned
    from ablate.data.fields import OnProblem


class Format(NamedTuple):
    """One way in which a data set lies in its folder."""

    name: str
    markers: tuple[str, ...]
    """Files of which a folder in this format has at least one."""
    read: Callable[[Path, OnProblem], Captioned]


FORMATS = (
    Format("the task's format", task.MARKERS, task.read),
    Format("imagefolder", imagefolder.MARKERS, imagefolder.read),
)
BESIDE = Format("captions beside the images", (), imagefolder.read)
"""What a folder without any marker is in, if it has images and captions of one name."""


def read(root: Path, on_problem: OnProblem = fail) -> Captioned:
    """The training images and prompts below ``root``, and the files that say what they show.

    Raises DataError if the folder is in no known format. What is wrong with a file or a single entry goes
    to ``on_problem``, which raises it, too, unless another is given.
    """
    return format_of(root).read(root, on_problem)


def format_of(root: Path) -> Format:
    """The format of a folder, by the files in it. Raises DataError if there is none, or more than one."""
    if not root.is_dir():
        raise DataError("the folder does not exist", where=str(root), fix="Check the path.")
    marked = {name: form for form in FORMATS for name in form.markers if (root / name).is_file()}
    if not marked:
        there_is = sidecars.look(root)
        if there_is.any_pair:
            return BESIDE
        names = ", ".join((*task.MARKERS, *TABLES))
        what = f"is not a data set: found {there_is}, no two of one name, and none of {names}"
        raise DataError(what, where=str(root), fix=EXPECTED)
    first, last = next(iter(marked)), next(reversed(marked))
    if marked[first] is not marked[last]:
        what = f"is in two formats: there are {first} and {last}"
        raise DataError(what, where=str(root), fix="Remove one of them.")
    return marked[first]
