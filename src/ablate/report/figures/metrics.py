"""The metrics of each variant, and the differences to the baseline."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ablate.report.figures.style import FAINT, SOFT, draw_interval, looks, name_rows, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ablate.report.facts import Facts

BETTER = "#e4f1ec"
"""Tint of the side on which a variant is better than the baseline."""


def metric_plot(facts: Facts) -> Figure | None:
    """Values of each variant: a dot a seed, lines along seeds, mean and 95 % interval below."""
    if not facts.metrics:
        return None
    figure, drawn = panels(facts.metrics, len(facts.variants), height=0.5)
    look = looks(facts)
    for axes, metric in zip(drawn, facts.metrics, strict=True):
        for seed in facts.seeds:
            rows = [row for row, v in enumerate(facts.variants) if seed in metric.values.get(v, {})]
            values = [metric.values[facts.variants[row]][seed] for row in rows]
            axes.plot(values, [row - 0.13 for row in rows], color=FAINT, linewidth=0.7, zorder=1)
        for row, variant in enumerate(facts.variants):
            if variant not in metric.values:
                continue
            colour, marker = look[variant]
            values = list(metric.values[variant].values())
            axes.scatter(
                values, [row - 0.13] * len(values), s=14, color=colour, marker=marker, alpha=0.55, linewidth=0
            )
            draw_interval(axes, metric.intervals[variant], row + 0.2, colour, marker)
        axes.set_title(f"{metric.label} {metric.arrow}", pad=8)
        axes.margins(x=0.08)
    name_rows(drawn[0], facts.variants)
    return figure


def difference_plot(facts: Facts) -> Figure | None:
    """Paired differences to the baseline with 95 % intervals; the better side is tinted."""
    metrics = [metric for metric in facts.metrics if metric.differences]
    variants = [v for v in facts.others if any(v in metric.differences for metric in metrics)]
    if not metrics:
        return None
    figure, drawn = panels(metrics, len(variants), height=0.34)
    look = looks(facts)
    for axes, metric in zip(drawn, metrics, strict=True):
        reach = [0.0]
        for row, variant in enumerate(variants):
            if (difference := metric.differences.get(variant)) is None:
                continue
            draw_interval(axes, difference, row, *look[variant])
            reach += [x for x in (difference.mean, difference.low, difference.high) if math.isfinite(x)]
        low, high = min(reach), max(reach)
        margin = 0.1 * (high - low) or 1.0
        axes.set_xlim(low - margin, high + margin)
        left, right = axes.get_xlim()
        axes.axvspan(*((left, 0) if metric.lower_is_better else (0, right)), color=BETTER, zorder=0, lw=0)
        axes.axvline(0, color=SOFT, linewidth=0.8, zorder=1)
        axes.set_title(metric.label, pad=17)
        side = ("← better", "left", 0.0) if metric.lower_is_better else ("better →", "right", 1.0)
        axes.annotate(
            side[0],
            (side[2], 1.02),
            xycoords="axes fraction",
            ha=side[1],
            va="bottom",
            color="#00664a",
            fontsize=8,
        )
    figure.supxlabel(f"difference to {facts.baseline}", fontsize=8.5)
    name_rows(drawn[0], variants)
    return figure
