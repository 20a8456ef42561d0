"""The losses of each distinct training."""

from __future__ import annotations

import math
import textwrap
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ablate.report.figures.style import log_if_wide, looks

if TYPE_CHECKING:
    from ablate.report.facts import Facts
    from ablate.report.facts.curves import Curve

LOSSES = {"loss_mse": "noise MSE", "loss_lpips": "LPIPS", "loss_kl": "KL"}
"""Parts of the loss, each in a panel."""


def loss_plot(facts: Facts) -> Figure | None:
    """Losses over epochs: the mean over seeds, a thin line a seed. A shared trunk is drawn once."""
    recorded = {name for curve in facts.curves for name in curve.series}
    # The total differs between variants by definition; its parts can be compared.
    parts = [name for name in LOSSES if name in recorded] or [name for name in ("loss",) if name in recorded]
    if not parts:
        return None
    figure = Figure(figsize=(2.2 + 3.9 * len(parts), 3.1), layout="constrained")
    panels = figure.subplots(1, len(parts), squeeze=False, sharex=True)[0]
    look = looks(facts)
    for axes, name in zip(panels, parts, strict=True):
        for curve in facts.curves:
            _draw_curve(axes, curve, name, look[curve.variants[0]][0])
        log_if_wide(axes, "y", np.concatenate([line.get_ydata() for line in axes.get_lines()]).tolist())
        axes.set_title(LOSSES.get(name, "training loss"), pad=8)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [Line2D([], [], color=look[curve.variants[0]][0], linewidth=1.8) for curve in facts.curves]
    labels = [textwrap.fill(_shared_by(curve), 30, break_on_hyphens=False) for curve in facts.curves]
    figure.legend(handles, labels, loc="outside right upper", fontsize=8, alignment="left")
    return figure


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
