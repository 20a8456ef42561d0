"""What the tests of odd inputs share.

Inputs are drawn by hypothesis, the same ones each time. One that has failed stays as an ``@example``.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Done

SPEC = """\
question: Does clipping help?
profile: sprites
baseline: plain
config:
  data: {path: photos}
  train: {epochs: 2, batch: 4}
variants:
  plain: {}
  clipped:
    train: {gradient_clip: 0.5}
seeds: [0, 1]
claims:
  - text: Clipping helps.
    variant: clipped
    against: plain
    metric: fid
    direction: lower
"""


OWN = (".ablate", "mlflow.db", "optuna.db")
"""What ablate may write into a folder before it has done anything: a store, and databases."""

SECONDS = 20
"""A refusal takes milliseconds; this is for a machine that does much else."""


def drawn(examples: int) -> settings:
    """The same examples each time, as many as there are. They may share a test's fixtures."""
    return settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def examples(few: int, many: int) -> pytest.MarkDecorator:
    """A test of ``few`` examples, and with ``make faults`` of ``many``."""
    campaign = pytest.param(many, id="many", marks=pytest.mark.faults)
    return pytest.mark.parametrize("many", [pytest.param(few, id="few"), campaign])


def content_of(folder: Path) -> dict[str, str]:
    """Path → what is there, of everything in a folder that is not ablate's own."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not name.startswith(OWN):
            if path.is_symlink():
                found[name] = f"link to {path.readlink()}"
            elif path.is_file():
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                found[name] = "folder" if path.is_dir() else "something else"
    return found


class Home(NamedTuple):
    """A user's folder."""

    folder: Path
    spec: Path


class Try(Protocol):
    def __call__(self, *arguments: str, codes: tuple[int, ...] = (0, 2)) -> Done: ...


ADVICE = ("must ", "missing: ", "needs ", "write ", "Did you mean")
"""Words by which the first line says what to do already: ``must be at least 1, not 0``."""


def says_what_where_and_what_to_do(done: Done, *where: str) -> None:
    """An error of ablate's: a line with the place, and a line with the way out."""
    said = done.err[done.err.index("error: ") :].strip()
    assert all(place in said for place in where), said
    assert "\n" in said or any(words in said for words in ADVICE), f"it does not say what to do: {said}"
