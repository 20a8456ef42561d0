"""How the trainings went, what the variants cost, and what sharing saved."""

from __future__ import annotations

import math
import textwrap
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ablate.report import numbers
from ablate.report.blocks import Block, Figure, Heading, Table, Text
from ablate.report.drawing import log_if_wide, looks
from ablate.report.metrics import values_of
from ablate.report.results import FINISHED
from ablate.report.section import Section
from ablate.report.words import NONE, plural, variant_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.records import RunRecord, Verification
    from ablate.report.metrics import Metric
    from ablate.report.results import Results


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


class Costs(Section):
    """Losses, times and sharing."""

    name = "costs"

    def blocks(self, results: Results) -> list[Block]:
        """Always there: an experiment without a run has trained nothing."""
        blocks: list[Block] = [Heading("Training and cost")]
        curves = distinct_trainings(results)
        panels = _panels(
            curves, {f"loss_{name}": loss.label for name, loss in results.vocabulary.losses.items()}
        )
        if panels:
            blocks.append(
                Figure(
                    "losses",
                    "Losses over epochs",
                    "Mean over seeds; thin lines are seeds. A training that several variants share is drawn "
                    "once, and a branch from where it leaves its trunk.",
                    partial(draw_losses, curves, panels, looks(results)),
                )
            )
        times = times_table(results)
        if times.rows:
            blocks += [
                Heading("Time per image and per epoch", level=3),
                times,
                Text(
                    "Mean over seeds ± half the width of its 95 % interval; ratio: times as long as "
                    f"{results.baseline} with the same seed, the geometric mean with its 95 % interval. "
                    "Epochs are the last ones, in which all that is configured acts. *One measurement*: the "
                    "two stand on one training, or on the same images, which were timed once. Times depend "
                    "on the machine and on what else ran on it."
                ),
            ]
        sharing = count_sharing(results)
        blocks += [
            Heading("What sharing saved", level=3),
            _sharing_table(sharing),
            Text(
                f"Equal stretches of training are trained once: {numbers.percent(sharing.shared, 0)} % of "
                "the epochs asked for were shared. Epochs that an earlier experiment had trained count as "
                "trained."
            ),
        ]
        if results.record.verified:
            blocks.append(Text(_verified(results.record.verified)))
        return blocks


def times_table(results: Results) -> Table:
    """Seconds by variant, with their ratio to the baseline, and evaluations of the U-Net."""
    head, rows = ["variant"], []
    evaluations = values_of("evaluations_per_image", results.finished)
    for cost in results.costs:
        head += [cost.label, f"ratio to {results.baseline}"]
    if evaluations:
        head.append("U-Net evaluations per image")
    for variant in results.variants:
        cells = [cell for cost in results.costs for cell in _times(results, cost, variant)]
        if evaluations:
            seeds = evaluations.get(variant)
            cells.append(f"{fmean(seeds.values()):g}" if seeds else NONE)
        if set(cells) - {NONE}:
            rows.append([variant_name(results, variant), *cells])
    return Table(head, rows)


def _times(results: Results, cost: Metric, variant: str) -> list[str]:
    if variant not in cost.intervals:
        return [NONE, NONE]
    seconds = numbers.mean(cost.intervals[variant], numbers.decimals(cost))
    if variant == results.baseline:
        return [seconds, NONE]
    if not any(cost.paired(variant, results.baseline).values()):
        # Equal to the last digit: not two that took as long, but one that was timed once.
        return [seconds, "one measurement"]
    ratio = cost.ratio(variant, results.baseline)
    return [seconds, numbers.ratio(ratio) if ratio else NONE]


def _sharing_table(sharing: Sharing) -> Table:
    """Epochs, steps and seconds: asked for, trained, saved by sharing."""
    rows = []
    for what, asked, trained in (
        ("epochs", sharing.epochs_asked, sharing.epochs_trained),
        ("optimizer steps", sharing.steps_asked, sharing.steps_trained),
    ):
        rows.append([what, *(numbers.number(n, 0) for n in (asked, trained, asked - trained))])
    if sharing.seconds_asked:
        saved = sharing.seconds_asked - sharing.seconds_trained
        times = (sharing.seconds_asked, sharing.seconds_trained, saved)
        rows.append(["training time", *map(numbers.duration, times)])
    if sharing.sample_seconds:
        rows.append(["sampling time", NONE, numbers.duration(sharing.sample_seconds), NONE])
    return Table(["", "asked for", "trained", "saved by sharing"], rows)


def _verified(measured: Verification) -> str:
    """What training each variant by itself took, and whether it changed anything."""
    separate, together = (
        numbers.duration(seconds)
        for seconds in (sum(measured.separate_seconds.values()), measured.shared_seconds)
    )
    return (
        f"`ablate verify` trained the {plural(len(measured.equal), 'variant')} of seed {measured.seed} "
        f"both ways: each by itself took {separate}, all together {together}, so separate training takes "
        f"{measured.ratio:.2f} times as long. The weights are equal to the last bit in "
        f"{sum(measured.equal.values())} of {len(measured.equal)}."
    )


def count_sharing(results: Results) -> Sharing:
    """Count links, steps and seconds: in each run, and once."""
    steps: dict[str, int] = {}
    seconds: dict[str, float] = {}
    runs = results.runs.values()
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


def distinct_trainings(results: Results) -> tuple[Curve, ...]:
    """Each distinct training once, with the variants that stand on it."""
    groups: list[tuple[list[str], dict[int, RunRecord]]] = []
    for variant in results.variants:
        runs = {run.seed: run for run in results.finished if run.variant == variant and run.history}
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


def draw_losses(
    curves: Sequence[Curve], panels: Mapping[str, str], look: Mapping[str, tuple[str, str]]
) -> figure.Figure:
    """Losses over epochs: the mean over seeds, a thin line a seed. A shared trunk is drawn once.

    ``panels``: curve → title.
    """
    plot = figure.Figure(figsize=(2.2 + 3.9 * len(panels), 3.1), layout="constrained")
    grid = plot.subplots(1, len(panels), squeeze=False, sharex=True)[0]
    for axes, (name, title) in zip(grid, panels.items(), strict=True):
        for curve in curves:
            _draw_curve(axes, curve, name, look[curve.variants[0]][0])
        log_if_wide(axes, "y", np.concatenate([line.get_ydata() for line in axes.get_lines()]).tolist())
        axes.set_title(title, pad=8)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [Line2D([], [], color=look[curve.variants[0]][0], linewidth=1.8) for curve in curves]
    labels = [textwrap.fill(_shared_by(curve), 30, break_on_hyphens=False) for curve in curves]
    plot.legend(handles, labels, loc="outside right upper", fontsize=8, alignment="left")
    return plot


def _panels(curves: Sequence[Curve], labels: Mapping[str, str]) -> dict[str, str]:
    """The losses to draw: curve → title."""
    recorded = {name for curve in curves for name in curve.series}
    # The total differs between variants by definition; its parts can be compared.
    parts = {name: label for name, label in labels.items() if name in recorded}
    return parts or ({"loss": "training loss"} if "loss" in recorded else {})


def _draw_curve(axes: Any, curve: Curve, name: str, colour: str) -> None:
    seeds = curve.series.get(name, {})
    values_at: dict[int, list[float]] = defaultdict(list)
    # From the last shared epoch on, so that a branch starts at its trunk.
    for points in seeds.values():
        own = [(epoch, value) for epoch, value in points if epoch >= curve.fork - 1 and math.isfinite(value)]
        for epoch, value in own:
            values_at[epoch].append(value)
        axes.plot(*np.array(own).reshape(-1, 2).T, color=colour, linewidth=0.6, alpha=0.3)
    means = [(epoch, float(np.mean(values))) for epoch, values in sorted(values_at.items())]
    axes.plot(*np.array(means).reshape(-1, 2).T, color=colour, linewidth=1.8)
    axes.plot(*np.array(means[-1:]).reshape(-1, 2).T, color=colour, marker="o", markersize=4)


def _shared_by(curve: Curve) -> str:
    names = ", ".join(curve.variants)
    return f"{names} (one training)" if len(curve.variants) > 1 else names
