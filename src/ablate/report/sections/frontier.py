"""Quality against time: variants that share one training and are sampled differently."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from matplotlib.patheffects import withStroke

from ablate.report.blocks import Block, Figure, Heading, Table, Text
from ablate.report.drawing import INK, draw_interval, legend_beside, line_look, log_if_wide, panel_grid, point
from ablate.report.section import Section
from ablate.stats import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure as Drawing

    from ablate.report.metrics import Metric
    from ablate.report.results import Results

FEWEST = 3
"""Ways of sampling below which there is nothing to draw."""

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
    seconds = results.find("seconds_per_image")
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

    lines: dict[str, list[str]] = {}
    for variant, way in ways.items():
        lines.setdefault(repr(_without(way, "steps")), []).append(variant)
    steps = {variant: way["steps"] for variant, way in ways.items()}
    in_lines = [sorted(line, key=steps.__getitem__) for line in lines.values()]
    return Frontier(
        seconds=seconds,
        lines=tuple(map(tuple, in_lines)),
        steps=steps,
        optimal={metric.key: _unbeaten([*chain(*in_lines)], seconds, metric) for metric in metrics},
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


def draw_frontier(front: Frontier, measured: Sequence[Metric]) -> Drawing:
    """A panel a metric over seconds per image; a line joins variants that differ in their steps."""
    metrics = [metric for metric in measured if front.optimal[metric.key]]
    plot, panels = panel_grid(len(metrics), 2, (3.5, 2.5), (2.4, 0.6), sharex=True)
    for number, (axes, metric) in enumerate(zip(panels, metrics, strict=True)):
        _panel(axes, front, metric)
        axes.tick_params(labelbottom=number + 2 >= len(metrics))
    plot.supxlabel("seconds per image", fontsize=8.5)
    looks = [
        (", ".join(line), {**point(*line_look(index)), "linestyle": "-", "linewidth": 1.2})
        for index, line in enumerate(front.lines)
    ]
    legend_beside(plot, [*looks, ("no other is better and as fast", RING)], labelspacing=0.9)
    return plot


def _panel(axes: Any, front: Frontier, metric: Metric) -> None:
    seconds = front.seconds.intervals
    for index, line in enumerate(front.lines):
        colour, marker = line_look(index)
        corner = CORNERS[index % len(CORNERS)]
        points = [(v, seconds[v], metric.intervals[v]) for v in line if v in metric.intervals]
        means = [x.mean for _, x, _ in points], [y.mean for _, _, y in points]
        axes.plot(*means, color=colour, linewidth=1.0, alpha=0.6)
        for variant, x, y in points:
            draw_interval(axes, y, x.mean, colour, marker, upright=True)
            if math.isfinite(x.low):
                # A logarithmic axis has no place for a bound at or below zero.
                axes.plot([max(x.low, x.mean / 10), x.high], [y.mean] * 2, color=colour, linewidth=1.4)
            if variant in front.optimal[metric.key]:
                axes.plot([x.mean], [y.mean], zorder=5, **RING)
            axes.annotate(
                str(front.steps[variant]),
                (x.mean, y.mean),
                xytext=corner,
                textcoords="offset points",
                ha="left" if corner[0] > 0 else "right",
                fontsize=7,
                color=colour,
                path_effects=[withStroke(linewidth=2, foreground="white")],
                zorder=6,
            )
    log_if_wide(axes, "x", [seconds[variant].mean for line in front.lines for variant in line])
    axes.set_title(metric.title, pad=8)
    axes.margins(x=0.1, y=0.12)
