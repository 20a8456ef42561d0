"""What was asked for, and what was trained since equal links are trained once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.report.facts.curves import epochs_of
from ablate.report.facts.runs import FINISHED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ablate.records import RunRecord


@dataclass(frozen=True)
class Sharing:
    """What was asked for, and what was trained since equal links are trained once."""

    epochs_asked: int
    epochs_trained: int
    steps_asked: int
    steps_trained: int
    seconds_asked: float
    """What the runs would have taken without sharing: each link's seconds, counted in each run."""
    seconds_trained: float
    """Each link's seconds, counted once."""
    sample_seconds: float

    @property
    def shared(self) -> float:
        """Share of the epochs asked for that another run had trained already, from 0 to 1."""
        return 1 - self.epochs_trained / self.epochs_asked if self.epochs_asked else 0.0


def count_sharing(runs: Sequence[RunRecord]) -> Sharing:
    """Count links, steps and seconds: in each run, and once."""
    steps: dict[str, int] = {}
    seconds: dict[str, float] = {}
    steps_asked, seconds_asked = 0, 0.0
    for run in runs:
        times = [value for _, value in epochs_of(run, "epoch_seconds")]
        # Link i stands for the i-th epoch. A run that did not finish trained as far as its history goes.
        trained = run.links if run.status == FINISHED else run.links[: len(times)]
        steps |= dict.fromkeys(trained, run.steps_per_epoch)
        seconds |= dict(zip(run.links, times, strict=False))
        steps_asked += len(run.links) * run.steps_per_epoch
        seconds_asked += sum(times)
    return Sharing(
        epochs_asked=sum(len(run.links) for run in runs),
        epochs_trained=len(steps),
        steps_asked=steps_asked,
        steps_trained=sum(steps.values()),
        seconds_asked=seconds_asked,
        seconds_trained=sum(seconds.values()),
        sample_seconds=sum(run.metrics.get("sample_seconds", 0.0) for run in runs),
    )
