"""How the trainings went, what the variants cost, and what sharing saved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from ablate.records import FINISHED
from ablate.report import numbers
from ablate.report.blocks import Block, Figure, Heading, Table, Text
from ablate.report.drawing import legend_beside, log_if_wide, looks, panel_grid
from ablate.report.metrics import Metric, values_of
from ablate.report.numbers import NONE
from ablate.report.section import Section
from ablate.report.words import variant_name
from ablate.text import duration, plural

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure as Drawing

    from ablate.records import RunRecord, Verification
    from ablate.report.results import Results


@dataclass
class Curve:
    """The training of one or more variants."""

    variants: list[str]
    """All variants that use exactly this training."""
    runs: dict[int, RunRecord]
    """Seed → a run of one of them."""
    fork: int = 0
    """First epoch that no earlier curve has (the last one if there is none): before it, this curve
    repeats another."""

    def epochs(self, name: str) -> pd.DataFrame:
        """The curve ``name``: a row an epoch from the last shared one on, so that a branch starts at its
        trunk, and a column a seed; NaN where a value is not finite."""
        curves = {
            seed: pd.Series(dict(run.history.get(name, ())), dtype=float)
            for seed, run in sorted(self.runs.items())
        }
        table = pd.DataFrame(curves).sort_index()
        return table[table.index >= self.fork - 1].where(np.isfinite)


@dataclass(frozen=True)
class Work:
    """An amount of training."""

    epochs: int
    steps: int
    seconds: float


class Costs(Section):
    """Losses, times and sharing."""

    name = "costs"

    def blocks(self, results: Results) -> list[Block]:
        """Always there: an experiment without a run has trained nothing."""
        blocks: list[Block] = [Heading("Training and cost")]
        curves = distinct_trainings(results)
        parts = {f"loss_{name}": loss.label for name, loss in results.vocabulary.losses.items()}
        if panels := _panels(curves, parts):
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
                    "two have one training, or the same images, which were timed once. Times depend "
                    "on the machine and on what else ran on it."
                ),
            ]
        asked, trained = count_sharing(results)
        shared = 1 - trained.epochs / asked.epochs if asked.epochs else 0.0
        blocks += [
            Heading("What sharing saved", level=3),
            _sharing_table(results, asked, trained),
            Text(
                f"Equal stretches of training are trained once: {numbers.percent(shared, 0)} % of "
                "the epochs asked for were shared. Epochs that an earlier experiment had trained count as "
                "trained."
            ),
        ]
        if calls := _calls(results):
            blocks += [
                Heading("What it took, and what was expected", level=3),
                calls,
                Text(
                    "One row for each call of `ablate run` that did some work and came to its end. Expected "
                    "is what `ablate plan` said before, by what earlier runs had taken; "
                    f"{NONE}: nothing was known of some of the work."
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
    seconds = cost.mean(variant)
    if variant == results.baseline or variant not in cost.intervals:
        return [seconds, NONE]
    paired = cost.paired(variant, results.baseline)
    if paired and not any(paired.values()):
        # Equal to the last digit: not two that took as long, but one that was timed once.
        return [seconds, "one measurement"]
    return [seconds, numbers.ratio(cost.ratio(variant, results.baseline))]


def _sharing_table(results: Results, asked: Work, trained: Work) -> Table:
    """Epochs, steps and seconds: asked for, trained, saved by sharing."""
    counts = (("epochs", asked.epochs, trained.epochs), ("optimizer steps", asked.steps, trained.steps))
    rows = [[what, *(numbers.number(n, 0) for n in (of, done, of - done))] for what, of, done in counts]
    if asked.seconds:
        times = (asked.seconds, trained.seconds, asked.seconds - trained.seconds)
        rows.append(["training time", *map(duration, times)])
    if sampling := sum(run.metrics.get("sample_seconds", 0.0) for run in results.runs.values()):
        rows.append(["sampling time", NONE, duration(sampling), NONE])
    return Table(["", "asked for", "trained", "saved by sharing"], rows)


def _calls(results: Results) -> Table | None:
    """Expected and real times of each call; None if no call was expected to take any."""
    calls = results.record.calls
    if all(call.expected_seconds is None for call in calls):
        return None
    rows = [
        [
            str(call.workers),
            NONE if call.expected_seconds is None else duration(call.expected_seconds),
            duration(call.seconds),
            NONE
            if call.expected_hours is None
            else f"{numbers.number(call.expected_hours, 2)} {call.device}-hours",
            f"{numbers.number(call.hours, 2)} {call.device}-hours",
        ]
        for call in calls
    ]
    return Table(["workers", "expected time", "time", "expected work", "work"], rows)


def _verified(measured: Verification) -> str:
    """What training each variant by itself took, and whether it changed anything."""
    separate = duration(sum(measured.separate_seconds.values()))
    return (
        f"`ablate verify` trained the {plural(len(measured.equal), 'variant')} of seed {measured.seed} "
        f"both ways: each by itself took {separate}, all together "
        f"{duration(measured.shared_seconds)}, so separate training takes {measured.ratio:.2f} times "
        f"as long. The weights are equal to the last bit in {sum(measured.equal.values())} of "
        f"{len(measured.equal)}."
    )


def count_sharing(results: Results) -> tuple[Work, Work]:
    """What was asked for, and what was trained, since equal links are trained once."""
    runs, seconds_asked = results.runs.values(), 0.0
    steps: dict[str, int] = {}
    seconds: dict[str, float] = {}
    for run in runs:
        # Link i stands for the i-th epoch. Of an epoch that was logged twice the later value stands.
        times = [value for _, value in sorted(dict(run.history.get("epoch_seconds", ())).items())]
        # A run that did not finish trained as far as its history goes.
        trained = run.links if run.status == FINISHED else run.links[: len(times)]
        steps |= dict.fromkeys(trained, run.steps_per_epoch)
        seconds |= dict(zip(run.links, times, strict=False))
        seconds_asked += sum(times)
    steps_asked = sum(len(run.links) * run.steps_per_epoch for run in runs)
    asked = Work(sum(len(run.links) for run in runs), steps_asked, seconds_asked)
    return asked, Work(len(steps), sum(steps.values()), sum(seconds.values()))


def distinct_trainings(results: Results) -> list[Curve]:
    """Each distinct training once, with the variants that use it."""
    curves: list[Curve] = []
    for variant in results.variants:
        runs = {run.seed: run for run in results.finished if run.variant == variant and run.history}
        same = next((curve for curve in curves if _same_training(curve.runs, runs)), None)
        if same:
            same.variants.append(variant)
            same.runs.update(runs | same.runs)
        elif runs:
            curves.append(Curve([variant], runs))
    drawn: set[str] = set()
    for curve in curves:
        curve.fork = min(_fork(run, drawn) for run in curve.runs.values())
        drawn.update(link for run in curve.runs.values() for link in run.links)
    return curves


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
) -> Drawing:
    """Losses over epochs: the mean over seeds, a thin line a seed. A shared trunk is drawn once.

    ``panels``: curve → title.
    """
    plot, grid = panel_grid(len(panels), len(panels), (3.9, 3.1), (2.2, 0), sharex=True)
    colours = [look[curve.variants[0]][0] for curve in curves]
    for axes, (name, title) in zip(grid, panels.items(), strict=True):
        for curve, colour in zip(curves, colours, strict=True):
            epochs = curve.epochs(name)
            for _, seed in epochs.items():
                axes.plot(seed.dropna(), color=colour, linewidth=0.6, alpha=0.3)
            means = epochs.mean(axis=1).dropna()
            axes.plot(means, color=colour, linewidth=1.8)
            axes.plot(means[-1:], color=colour, marker="o", markersize=4)
        log_if_wide(axes, "y", np.concatenate([line.get_ydata() for line in axes.get_lines()]).tolist())
        axes.set_title(title, pad=8)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    names = [f"{', '.join(c.variants)}{' (one training)' if len(c.variants) > 1 else ''}" for c in curves]
    strokes = [{"color": colour, "linewidth": 1.8} for colour in colours]
    legend_beside(plot, list(zip(names, strokes, strict=True)))
    return plot


def _panels(curves: Sequence[Curve], labels: Mapping[str, str]) -> dict[str, str]:
    """The losses to draw: curve → title."""
    recorded = {name for curve in curves for run in curve.runs.values() for name in run.history}
    # The total differs between variants by definition; its parts can be compared.
    parts = {name: label for name, label in labels.items() if name in recorded}
    return parts or ({"loss": "training loss"} if "loss" in recorded else {})
