"""Each distinct training's curves, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.records import RunRecord


@dataclass(frozen=True)
class Curve:
    """The training of one or more variants, epoch by epoch."""

    variants: tuple[str, ...]
    """All variants that stand on exactly this training."""
    fork: int
    """First epoch that no earlier curve has (the last one if there is none): before it, this curve
    repeats another."""
    series: Mapping[str, Mapping[int, Sequence[tuple[int, float]]]]
    """Name (``loss``, ``loss_mse``, …) → seed → (epoch, value) in the order of epochs."""


def distinct_trainings(finished: Sequence[RunRecord], variants: Sequence[str]) -> tuple[Curve, ...]:
    """Each distinct training once, with the variants that stand on it."""
    groups: list[tuple[list[str], dict[int, RunRecord]]] = []
    for variant in variants:
        runs = {run.seed: run for run in finished if run.variant == variant and run.history}
        same = next((group for group in groups if _same_training(group[1], runs)), None)
        if same:
            same[0].append(variant)
            same[1].update({seed: run for seed, run in runs.items() if seed not in same[1]})
        elif runs:
            groups.append(([variant], runs))

    drawn: set[str] = set()
    curves = []
    for names, runs in groups:
        fork = min(_fork(run, drawn) for run in runs.values())
        drawn.update(link for run in runs.values() for link in run.links)
        keys = dict.fromkeys(key for run in runs.values() for key in run.history)
        series = {
            key: {seed: epochs_of(run, key) for seed, run in sorted(runs.items()) if run.history.get(key)}
            for key in keys
        }
        curves.append(Curve(tuple(names), fork, series))
    return tuple(curves)


def epochs_of(run: RunRecord, key: str) -> list[tuple[int, float]]:
    """One curve of a run: (epoch, value), in the order of epochs."""
    # A resumed run may have logged an epoch twice; the later value stands.
    return sorted(dict(run.history.get(key, ())).items())


def _fork(run: RunRecord, drawn: set[str]) -> int:
    epochs = sorted({epoch for points in run.history.values() for epoch, _ in points})
    shared = sum(link in drawn for link in run.links)
    return epochs[min(shared, len(epochs) - 1)] if epochs else 0


def _same_training(some: Mapping[int, RunRecord], others: Mapping[int, RunRecord]) -> bool:
    common = some.keys() & others.keys()
    return bool(common) and all(
        some[seed].links and list(some[seed].links) == list(others[seed].links) for seed in common
    )
