"""Which runs stand, which are missing, and how many images they measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.records import RunRecord

FINISHED = "FINISHED"
MISSING = "MISSING"
"""Status of a variant and seed that the spec asks for and no run stands for."""


@dataclass(frozen=True)
class ImageCounts:
    """Distinct numbers over the finished runs, ascending. More than one: runs differ."""

    generated: tuple[int, ...]
    real: tuple[int, ...]
    dimension: tuple[int, ...]
    below_dimension: bool
    """Some run has fewer images, generated or real, than its features have dimensions."""


@dataclass(frozen=True)
class Gap:
    """A run that did not finish, was never made, or lacks metrics."""

    variant: str
    seed: int
    status: str
    reason: str
    run_id: str = ""


def standing_runs(runs: Sequence[RunRecord]) -> dict[tuple[str, int], RunRecord]:
    """(variant, seed) → the run that counts. A run made again after a failure replaces it."""
    # Finished runs come last and win.
    return {(run.variant, run.seed): run for run in sorted(runs, key=lambda run: run.status == FINISHED)}


def image_counts(finished: Sequence[RunRecord]) -> ImageCounts:
    """The numbers of images and of dimensions behind the metrics."""

    def distinct(key: str) -> tuple[int, ...]:
        return tuple(sorted({int(run.metrics[key]) for run in finished if key in run.metrics}))

    def too_few(run: RunRecord) -> bool:
        counts = [run.metrics.get(key, math.inf) for key in ("images", "reference_images")]
        return min(counts) < run.metrics.get("feature_dimension", 0)

    return ImageCounts(
        generated=distinct("images"),
        real=distinct("reference_images"),
        dimension=distinct("feature_dimension"),
        below_dimension=any(too_few(run) for run in finished),
    )


def find_gaps(
    runs: Mapping[tuple[str, int], RunRecord],
    variants: Sequence[str],
    seeds: Sequence[int],
    metrics: Sequence[str],
) -> tuple[Gap, ...]:
    """What the spec asks for and the runs do not give."""
    gaps = []
    for variant in variants:
        for seed in seeds:
            run = runs.get((variant, seed))
            if run is None:
                gaps.append(Gap(variant, seed, MISSING, "no run was recorded"))
            elif run.status != FINISHED:
                gaps.append(
                    Gap(variant, seed, run.status, run.reason or "no reason was recorded", run.run_id)
                )
            elif lacking := [k for k in metrics if not math.isfinite(run.metrics.get(k, math.nan))]:
                reason = f"no {', '.join(METRICS[key].label for key in lacking)}"
                gaps.append(Gap(variant, seed, run.status, reason, run.run_id))
    return tuple(gaps)
