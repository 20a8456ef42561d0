"""Quality against time: variants that share one training and are sampled differently."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from matplotlib import figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from ablate.report.blocks import Block, Figure, Heading, Table, Text
from ablate.report.drawing import COLOURS, INK, MARKERS, draw_upright, log_if_wide, point
from ablate.report.section import Section
from ablate.stats import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.report.metrics import Metric
    from ablate.report.results import Results

FEWEST = 3
"""Ways of sampling below which there is nothing to draw."""

COLUMNS = 2
RING: dict[str, Any] = {
    "marker": "o",
    "markersize": 11,
    "markerfacecolor": "none",
    "markeredgecolor": INK,
    "linestyle": "",
}
"""How a point on the frontier is marked."""
CORNERS = ((6, 5), (6, -11), (-6, 5), (-6, -11))
"""Where the steps stand beside a point, one line of points after the other, so that they keep apart."""


@dataclass(frozen=True)
class Frontier:
    """The variants that differ from the baseline in ``sample`` only, and which of them no other beats."""

    seconds: Metric
    """Seconds per image."""
    lines: tuple[tuple[str, ...], ...]
    """Variants that differ in the number of steps only, in its order."""
    steps: Mapping[str, int]
    optimal: Mapping[str, tuple[str, ...]]
    """Metric's key → the variants, fastest first, that no other one beats: every variant with a better
    mean takes longer, and not by chance."""


class QualityAndTime(Section):
    """Which ways of sampling no other one beats."""

    name = "frontier"

    def blocks(self, results: Results) -> list[Block]:
        """Empty where fewer than three ways of sampling were measured."""
        front = frontier(results)
        if front is None:
            return []
        blocks: list[Block] = [Heading("Quality and time")]
        if any(front.optimal.values()):
            blocks.append(
                Figure(
                    "frontier",
                    "Each metric against seconds per image",
                    f"Variants that differ from {results.baseline} in sampling only: means over seeds with "
                    "95 % intervals. A line joins variants that differ in the number of steps, which stands "
                    "at each point. Ringed: no other is better and as fast.",
                    partial(draw_frontier, front, results.metrics),
                )
            )
        return [
            *blocks,
            _table(front, results.metrics),
            Text(
                "A variant is on the frontier if every other with a better mean takes longer, with a 95 % "
                "interval of the paired difference above zero. Neighbours may not be told apart in quality."
            ),
        ]


def _table(front: Frontier, metrics: Sequence[Metric]) -> Table:
    """A row a metric: the variants on the frontier, fastest first."""
    rows = [[m.title, ", ".join(front.optimal[m.key])] for m in metrics if front.optimal[m.key]]
    return Table(["metric", "on the frontier, fastest first"], rows, words=2)


def frontier(results: Results) -> Frontier | None:
    """None where fewer than three ways of sampling were measured."""
    configs, baseline, metrics = results.record.configs, results.baseline, results.metrics
    seconds = next((cost for cost in results.costs if cost.key == "seconds_per_image"), None)
    if seconds is None or baseline not in configs or not metrics:
        return None
    training = _without(configs[baseline], "sample")
    ways = {
        variant: _without(config["sample"], "seed")
        for variant, config in configs.items()
        if variant in seconds.intervals and _without(config, "sample") == training
    }
    if len({repr(way) for way in ways.values()}) < FEWEST:
        return None

    def line(variant: str) -> str:
        return repr(_without(ways[variant], "steps"))

    order = list(dict.fromkeys(map(line, ways)))
    in_lines = sorted(ways, key=lambda variant: (order.index(line(variant)), ways[variant]["steps"]))
    return Frontier(
        seconds=seconds,
        lines=tuple(tuple(group) for _, group in groupby(in_lines, key=line)),
        steps={variant: ways[variant]["steps"] for variant in in_lines},
        optimal={metric.key: _unbeaten(in_lines, seconds, metric) for metric in metrics},
    )


def _unbeaten(variants: Sequence[str], seconds: Metric, metric: Metric) -> tuple[str, ...]:
    if metric.mixed_spaces:
        return ()
    measured = [variant for variant in variants if variant in metric.intervals]
    sign = -1 if metric.lower_is_better else 1
    quality = {variant: sign * metric.intervals[variant].mean for variant in measured}
    unbeaten = [
        variant
        for variant in measured
        if all(_slower(seconds, o, variant) for o in measured if quality[o] > quality[variant])
    ]
    return tuple(sorted(unbeaten, key=lambda variant: seconds.intervals[variant].mean))


def _slower(seconds: Metric, variant: str, other: str) -> bool:
    """Whether a variant takes longer than another, beyond the chance of timing; with one seed, at all."""
    differences = list(seconds.paired(variant, other).values())
    if not differences:
        return seconds.intervals[variant].mean > seconds.intervals[other].mean
    interval = mean_interval(differences)
    return interval.low > 0 if interval.n > 1 else interval.mean > 0


def _without(config: Mapping[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != field}


def draw_frontier(front: Frontier, measured: Sequence[Metric]) -> figure.Figure:
    """A panel a metric over seconds per image; a line joins variants that differ in their steps."""
    metrics = [metric for metric in measured if front.optimal[metric.key]]
    rows, columns = -(-len(metrics) // COLUMNS), min(COLUMNS, len(metrics))
    plot = figure.Figure(figsize=(2.4 + 3.5 * columns, 0.6 + 2.5 * rows), layout="constrained")
    panels = list(plot.subplots(rows, columns, squeeze=False, sharex=True).flat)
    for number, (axes, metric) in enumerate(zip(panels, metrics, strict=False)):
        _panel(axes, front, metric)
        axes.tick_params(labelbottom=number + columns >= len(metrics))
    for axes in panels[len(metrics) :]:
        axes.set_axis_off()
    plot.supxlabel("seconds per image", fontsize=8.5)
    handles = [Line2D([], [], linewidth=1.2, **_look(index)) for index in range(len(front.lines))]
    labels = [textwrap.fill(", ".join(line), 30, break_on_hyphens=False) for line in front.lines]
    handles.append(Line2D([], [], **RING))
    labels.append("no other is better and as fast")
    plot.legend(handles, labels, loc="outside right upper", fontsize=8, alignment="left", labelspacing=0.9)
    return plot


def _panel(axes: Any, front: Frontier, metric: Metric) -> None:
    seconds = front.seconds.intervals
    for index, line in enumerate(front.lines):
        look = _look(index)
        shown = [variant for variant in line if variant in metric.intervals]
        axes.plot(
            [seconds[variant].mean for variant in shown],
            [metric.intervals[variant].mean for variant in shown],
            color=look["color"],
            linewidth=1.0,
            alpha=0.6,
        )
        for variant in shown:
            x, y = seconds[variant], metric.intervals[variant]
            draw_upright(axes, y, x.mean, look["color"], look["marker"])
            if math.isfinite(x.low):
                # A logarithmic axis has no place for a bound at or below zero.
                axes.plot([max(x.low, x.mean / 10), x.high], [y.mean] * 2, color=look["color"], linewidth=1.4)
            if variant in front.optimal[metric.key]:
                axes.plot([x.mean], [y.mean], zorder=5, **RING)
            axes.annotate(
                str(front.steps[variant]),
                (x.mean, y.mean),
                xytext=(corner := CORNERS[index % len(CORNERS)]),
                textcoords="offset points",
                ha="left" if corner[0] > 0 else "right",
                fontsize=7,
                color=look["color"],
                path_effects=[withStroke(linewidth=2, foreground="white")],
                zorder=6,
            )
    log_if_wide(axes, "x", [seconds[variant].mean for line in front.lines for variant in line])
    axes.set_title(metric.title, pad=8)
    axes.margins(x=0.1, y=0.12)


def _look(index: int) -> dict[str, Any]:
    return {**point(COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]), "linestyle": "-"}
