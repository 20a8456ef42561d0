"""Reads a data set's captions and prompts, whatever its format. Everything wrong is a ``DataError``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ablate.data import imagefolder, task
from ablate.data.entries import Prompt, TrainImage, caption
from ablate.data.fields import EXPECTED, fail
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.data.fields import OnProblem

__all__ = [
    "Prompt",
    "TrainImage",
    "caption",
    "format_of",
    "read_prompts",
    "read_train",
]


class Format(NamedTuple):
    """One way in which a data set lies in its folder."""

    name: str
    markers: tuple[str, ...]
    """Files of which a folder in this format has at least one."""
    read_train: Callable[[Path, OnProblem], list[TrainImage]]
    read_prompts: Callable[[Path, OnProblem], list[Prompt]]


FORMATS = (
    Format("the task's format", task.MARKERS, task.read_train, task.read_prompts),
    Format("imagefolder", imagefolder.MARKERS, imagefolder.read_train, imagefolder.read_prompts),
)


def read_train(root: Path, on_problem: OnProblem = fail) -> list[TrainImage]:
    """All training images below ``root``, in an order that depends on their names alone.

    Raises DataError if the folder is in no known format, or one of its files cannot be read. What is
    wrong with a single entry goes to ``on_problem``, which raises it, too, unless another is given.
    """
    return format_of(root).read_train(root, on_problem)


def read_prompts(root: Path, on_problem: OnProblem = fail) -> list[Prompt]:
    """All test prompts below ``root``, in an order that depends on their names alone; as ``read_train``."""
    return format_of(root).read_prompts(root, on_problem)


def format_of(root: Path) -> Format:
    """The format of a folder, by the files in it. Raises DataError if there is none, or more than one."""
    if not root.is_dir():
        raise DataError("the folder does not exist", where=str(root), fix="Check the path.")
    found = {name: form for form in FORMATS for name in form.markers if (root / name).is_file()}
    if not found:
        looked_for = ", ".join(name for form in FORMATS for name in form.markers)
        raise DataError(f"is not a data set: it has none of {looked_for}", where=str(root), fix=EXPECTED)
    first, last = next(iter(found)), next(reversed(found))
    if found[first] is not found[last]:
        what = f"is in two formats: there are {first} and {last}"
        raise DataError(what, where=str(root), fix="Remove one of them.")
    return found[first]
