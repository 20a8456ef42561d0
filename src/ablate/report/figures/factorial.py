"""Main effects and interactions of a factorial design, on its first metric."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

from ablate.report.figures.style import COLOURS, INK, MARKERS, SOFT, draw_upright
from ablate.stats import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ablate.report.facts import Facts
    from ablate.report.facts.factorial import Cell, FactorialMetric

COLUMNS = 3
DODGE = 0.07
"""Distance between lines, so that their intervals do not hide each other; a level is 1 wide."""


def main_effect_plot(facts: Facts) -> Figure | None:
    """A panel a factor: the mean of each of its levels."""
    design = facts.factorial
    if design is None or not design.metrics:
        return None
    entry = design.metrics[0]
    figure, panels = _panels(
        entry, len(design.factors), width=1.1 + 0.55 * max(map(len, design.factors.values()))
    )
    for axes, (factor, levels) in zip(panels, design.factors.items(), strict=False):
        cells: list[Cell] = [((factor, level),) for level in levels]
        axes.axhline(entry.means[cells[0]], color=SOFT, linewidth=0.7, linestyle=":", zorder=1)
        _line(axes, entry, cells, 0.0, INK, "o")
        axes.set_xticks(range(len(levels)), levels, color=INK)
        axes.set_title(factor, pad=8)
    return figure


def interaction_plot(facts: Facts) -> Figure | None:
    """A panel a pair of factors: a line for each level of the second."""
    design = facts.factorial
    if design is None or not design.metrics or not design.pairs:
        return None
    entry = design.metrics[0]
    figure, panels = _panels(
        entry, len(design.pairs), width=2.2 + 0.5 * max(map(len, design.factors.values()))
    )
    for axes, (first, second) in zip(panels, design.pairs, strict=False):
        levels, lines = design.factors[first], design.factors[second]
        for number, line in enumerate(lines):
            cells: list[Cell] = [((first, level), (second, line)) for level in levels]
            shift = DODGE * (number - (len(lines) - 1) / 2)
            colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
            _line(axes, entry, cells, shift, colour, marker, line)
        axes.set_xticks(range(len(levels)), levels, color=INK)
        axes.set_xlabel(first)
        axes.legend(
            title=second, loc="upper left", bbox_to_anchor=(1.0, 1.02), fontsize=8, title_fontsize=8.5
        )
    return figure


def _panels(entry: FactorialMetric, count: int, width: float) -> tuple[Figure, Sequence[Any]]:
    """Panels in rows of three that share the metric's axis."""
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(0.8 + width * columns, 0.3 + 2.4 * rows), layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False, sharey=True).flat)
    for axes in panels[count:]:
        axes.set_axis_off()
    figure.supylabel(f"{entry.metric.label} {entry.metric.arrow}", fontsize=8.5)
    return figure, panels


def _line(
    axes: Any,
    entry: FactorialMetric,
    cells: Sequence[Cell],
    shift: float,
    colour: str,
    marker: str,
    label: str = "",
) -> None:
    """Means joined by a line, each with the interval of its difference to the first."""
    places = [number + shift for number in range(len(cells))]
    means = [entry.means[cell] for cell in cells]
    axes.plot(places, means, color=colour, linewidth=1.0, marker=marker, markersize=4, label=label)
    for x, cell in zip(places, cells, strict=True):
        step = entry.steps.get(cell)
        low, high = (step.low, step.high) if step else (math.nan, math.nan)
        interval = Interval(entry.means[cell], means[0] + low, means[0] + high, step.n if step else 1)
        draw_upright(axes, interval, x, colour, marker)
    axes.set_xlim(-0.4, len(cells) - 0.6)
