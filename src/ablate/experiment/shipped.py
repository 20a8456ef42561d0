"""The experiments that come with the package: what each asks, and copies to run and to change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablate.errors import UserError
from ablate.experiment import yaml
from ablate.paths import write_new

PACKAGE = Path(__file__).parents[1]
PLACES = (PACKAGE / "assets" / "experiments", PACKAGE.parents[1] / "experiments")
"""Where they are: in a wheel, which takes them along, and in a checkout."""


@dataclass(frozen=True)
class Example:
    """A shipped experiment, and what has become of its copy."""

    file: Path
    """The copy."""
    question: str
    state: Literal["written", "there", "yours"]
    """``there``: it had been copied before. ``yours``: another file has its name, and was left alone."""


def copy_examples(folder: Path) -> list[Example]:
    """Copies the shipped experiments into a folder, and replaces nothing there.

    Raises:
        UserError: ``folder`` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError("is a file", where=str(folder), fix="Name a folder for the examples.")
    folder.mkdir(parents=True, exist_ok=True)
    shipped = next(place for place in PLACES if place.is_dir())
    return [_copy(file, folder / file.name) for file in sorted(shipped.glob("*.yaml"))]


def _copy(file: Path, copy: Path) -> Example:
    text, question = file.read_bytes(), yaml.read(file).data["question"]
    try:
        write_new(copy, text)
    except FileExistsError:
        same = copy.is_file() and copy.read_bytes() == text
        return Example(copy, question, "there" if same else "yours")
    return Example(copy, question, "written")
