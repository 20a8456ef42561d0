"""Who ends trials of a search early: Optuna's pruners by the names that a spec has for them.

At each *mark* a trial is scored and judged. Successive halving and Hyperband have marks at epochs: the score
is the objective of the run as it stands there. The Wilcoxon pruner has a mark after each seed. Optuna is
imported when a pruner is made.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, model_validator

from ablate.experiment.choices import choice
from ablate.fields import FieldError, Model, Positive
from ablate.records import BY_SEEDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from optuna.pruners import BasePruner


@dataclass(frozen=True)
class Mark:
    """Where a trial is scored."""

    step: int
    """What Optuna and the record call it: its epoch, or the number of seeds so far."""
    epoch: int | None
    """The epoch after which the runs are looked at; None for their end."""
    seeds: tuple[int, ...]
    """The runs that are looked at: the score is the mean over them."""

    @property
    def words(self) -> str:
        """``3 epochs``, ``2 seeds``."""
        what = "seed" if self.epoch is None else "epoch"
        return f"{self.step} {what}{'s' * (self.step != 1)}"


@dataclass(frozen=True)
class Scored:
    """A trial at a mark."""

    trial: str
    step: int
    """Of the mark."""
    value: float
    """Of the objective."""
    pruned: bool
    """Whether the trial ends here."""
    key: str = ""
    """Of the results that the value is made of: those of other code or data have another. Older versions kept
    none."""


def successive_halving(pruner: Pruner, marks: int) -> BasePruner:
    """One of ``reduction`` trials goes on from each mark (ASHA: Li et al. 2020)."""
    from optuna.pruners import SuccessiveHalvingPruner

    return SuccessiveHalvingPruner(min_resource=1, reduction_factor=pruner.reduction)


def hyperband(pruner: Pruner, marks: int) -> BasePruner:
    """Trials in brackets that are judged from the first, the second, … or no mark on, so that what begins
    badly has its chance (Li et al. 2018)."""
    from optuna.pruners import HyperbandPruner

    most = pruner.reduction**marks + 1  # so that rounding does not lose a bracket
    return HyperbandPruner(min_resource=1, max_resource=most, reduction_factor=pruner.reduction)


def wilcoxon(pruner: Pruner, marks: int) -> BasePruner:
    """No further seeds for a trial whose seeds so far are worse than the same seeds of the best trial, by
    Wilcoxon's signed-rank test."""
    from optuna.pruners import WilcoxonPruner

    return WilcoxonPruner(p_threshold=pruner.p)


PRUNERS: dict[str, Callable[[Pruner, int], BasePruner]] = {
    "successive-halving": successive_halving,
    "hyperband": hyperband,
    "wilcoxon": wilcoxon,
}

if TYPE_CHECKING:
    PrunerName = str
else:
    PrunerName = choice(PRUNERS)


class Pruner(Model):
    """Who ends trials early, and where they are judged. A name is short for its ``kind``."""

    kind: PrunerName
    """Who judges."""
    marks: Annotated[tuple[Positive, ...] | None, Field(strict=False, min_length=1)] = None
    """Epochs after which trials are judged; ``null``: 1/``reduction`` of all epochs, and the same share of
    each mark for the one before. Not of ``wilcoxon``, which judges after each seed."""
    reduction: Annotated[int, Field(ge=2, le=100)] = 3
    """One trial in this many goes on from each mark; ``wilcoxon`` does not use it."""
    p: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Of ``wilcoxon``: a trial ends when it is worse than the best one with a smaller p."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        others = ("marks", "reduction") if self.by_seeds else ("p",)
        defaults = type(self).model_fields
        if strange := [name for name in others if getattr(self, name) != defaults[name].default]:
            raise FieldError(f"{self.kind} has no {strange[0]}", strange[0])
        if self.marks and list(self.marks) != sorted(set(self.marks)):
            raise FieldError("marks must be ascending, each once", "marks")
        return self

    @property
    def by_seeds(self) -> bool:
        """Whether it judges after each seed."""
        return self.kind in BY_SEEDS

    def marks_of(self, epochs: int, seeds: Sequence[int]) -> tuple[Mark, ...]:
        """Where the trials of a search with these epochs and seeds are judged, in order."""
        if self.by_seeds:
            return tuple(Mark(number, None, (seed,)) for number, seed in enumerate(seeds[:-1], start=1))
        return tuple(Mark(epoch, epoch, tuple(seeds)) for epoch in self.marks or self._shares(epochs))

    def _shares(self, epochs: int) -> list[int]:
        """A third of all epochs, a ninth, …, ascending."""
        found: list[int] = []
        while (epochs := round(epochs / self.reduction)) >= 1:
            found.insert(0, epochs)
        return found

    def step_for_optuna(self, number: int) -> int:
        """The step of the mark with this number, from 0: halving has its rungs at powers of ``reduction``."""
        return number if self.by_seeds else int(self.reduction**number)

    def made(self, marks: int) -> BasePruner:
        """The pruner for a number of marks."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "wilcoxon is experimental"
            return PRUNERS[self.kind](self, marks)
