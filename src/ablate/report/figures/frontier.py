"""Quality against time."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from ablate.report.figures.style import COLOURS, INK, MARKERS, draw_upright, log_if_wide, point

if TYPE_CHECKING:
    from ablate.report.facts import Facts
    from ablate.report.facts.frontier import FrontierFacts
    from ablate.report.facts.metrics import MetricFacts

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


def frontier_plot(facts: Facts) -> Figure | None:
    """A panel a metric over seconds per image; a line joins variants that differ in their steps."""
    front = facts.frontier
    metrics = [metric for metric in facts.metrics if front and front.optimal[metric.key]]
    if front is None or not metrics:
        return None
    rows, columns = -(-len(metrics) // COLUMNS), min(COLUMNS, len(metrics))
    figure = Figure(figsize=(2.4 + 3.5 * columns, 0.6 + 2.5 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False, sharex=True).flat)
    for number, (axes, metric) in enumerate(zip(panels, metrics, strict=False)):
        _draw(axes, front, metric)
        axes.tick_params(labelbottom=number + columns >= len(metrics))
    for axes in panels[len(metrics) :]:
        axes.set_axis_off()
    figure.supxlabel("seconds per image", fontsize=8.5)
    handles = [Line2D([], [], linewidth=1.2, **_look(index)) for index in range(len(front.lines))]
    labels = [textwrap.fill(", ".join(line), 30, break_on_hyphens=False) for line in front.lines]
    handles.append(Line2D([], [], **RING))
    labels.append("no other is better and as fast")
    figure.legend(handles, labels, loc="outside right upper", fontsize=8, alignment="left", labelspacing=0.9)
    return figure


def _draw(axes: Any, front: FrontierFacts, metric: MetricFacts) -> None:
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
    axes.set_title(f"{metric.label} {metric.arrow}", pad=8)
    axes.margins(x=0.1, y=0.12)


def _look(index: int) -> dict[str, Any]:
    return {**point(COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]), "linestyle": "-"}
