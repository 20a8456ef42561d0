"""The figures of a report. Each function draws one, or gives None where its numbers are missing.

Figures are drawn with matplotlib's objects (no pyplot, no global state), and the same facts give the
same bytes: the files hold no time and no version.
"""

from __future__ import annotations

import math
import textwrap
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ablate.report.facts import Curve, Facts, Grid, MetricFacts
    from ablate.stats import Interval

DPI = 200
INK, SOFT, FAINT = "#222222", "#666666", "#d9d9d9"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours, told apart with any colour vision; yellow is too light for lines."""
MARKERS = "oDs^vPX"
BETTER = "#e4f1ec"
"""Tint of the side on which a variant is better than the baseline."""

CELL = 192
"""Edge of a cell of the sample grid, in pixels of the figure, or nearly."""

LOSSES = {"loss_mse": "noise MSE", "loss_lpips": "LPIPS", "loss_kl": "KL"}
"""Parts of the loss, each in a panel."""

STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same
    "font.size": 8.5,
    "text.parse_math": False,  # a prompt may hold a dollar sign
    "text.color": INK,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.formatter.useoffset": False,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "lines.solid_capstyle": "round",
}


def draw(facts: Facts, folder: Path) -> dict[str, str]:
    """Draw every figure that the facts allow into ``folder``; figure's name → file name."""
    files = {}
    # The style holds inside this block only.
    with mpl.rc_context(STYLE):
        for name, figure_of in FIGURES.items():
            figure = figure_of(facts)
            if figure is not None:
                files[name] = f"{name}.png"
                # matplotlib would write its own version into the file.
                figure.savefig(folder / files[name], dpi=DPI, metadata={"Software": None})
    return files


def metric_plot(facts: Facts) -> Figure | None:
    """Values of each variant: a dot a seed, lines along seeds, mean and 95 % interval below."""
    if not facts.metrics:
        return None
    figure, panels = _panels(facts.metrics, len(facts.variants), height=0.5)
    looks = _looks(facts)
    for axes, metric in zip(panels, facts.metrics, strict=True):
        for seed in facts.seeds:
            rows = [row for row, v in enumerate(facts.variants) if seed in metric.values.get(v, {})]
            values = [metric.values[facts.variants[row]][seed] for row in rows]
            axes.plot(values, [row - 0.13 for row in rows], color=FAINT, linewidth=0.7, zorder=1)
        for row, variant in enumerate(facts.variants):
            if variant not in metric.values:
                continue
            colour, marker = looks[variant]
            values = list(metric.values[variant].values())
            axes.scatter(
                values, [row - 0.13] * len(values), s=14, color=colour, marker=marker, alpha=0.55, linewidth=0
            )
            _interval(axes, metric.intervals[variant], row + 0.2, colour, marker)
        axes.set_title(f"{metric.label} {metric.arrow}", pad=8)
        axes.margins(x=0.08)
    _name_rows(panels[0], facts.variants)
    return figure


def difference_plot(facts: Facts) -> Figure | None:
    """Paired differences to the baseline with 95 % intervals; the better side is tinted."""
    metrics = [metric for metric in facts.metrics if metric.differences]
    variants = [v for v in facts.others if any(v in metric.differences for metric in metrics)]
    if not metrics:
        return None
    figure, panels = _panels(metrics, len(variants), height=0.34)
    looks = _looks(facts)
    for axes, metric in zip(panels, metrics, strict=True):
        reach = [0.0]
        for row, variant in enumerate(variants):
            if (difference := metric.differences.get(variant)) is None:
                continue
            _interval(axes, difference, row, *looks[variant])
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
    _name_rows(panels[0], variants)
    return figure


def loss_plot(facts: Facts) -> Figure | None:
    """Losses over epochs: the mean over seeds, a thin line a seed. A shared trunk is drawn once."""
    recorded = {name for curve in facts.curves for name in curve.series}
    # The total differs between variants by definition; its parts can be compared.
    parts = [name for name in LOSSES if name in recorded] or [name for name in ("loss",) if name in recorded]
    if not parts:
        return None
    figure = Figure(figsize=(2.2 + 3.9 * len(parts), 3.1), layout="constrained")
    panels = figure.subplots(1, len(parts), squeeze=False, sharex=True)[0]
    looks = _looks(facts)
    for axes, name in zip(panels, parts, strict=True):
        for curve in facts.curves:
            _draw_curve(axes, curve, name, looks[curve.variants[0]][0])
        values = np.concatenate([line.get_ydata() for line in axes.get_lines()])
        if values.size and values.min() > 0 and values.max() > 5 * values.min():
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_title(LOSSES.get(name, "training loss"), pad=8)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles = [Line2D([], [], color=looks[curve.variants[0]][0], linewidth=1.8) for curve in facts.curves]
    labels = [textwrap.fill(_shared_by(curve), 30, break_on_hyphens=False) for curve in facts.curves]
    figure.legend(handles, labels, loc="outside right upper", fontsize=8, alignment="left")
    return figure


def sample_grid(facts: Facts) -> Figure | None:
    """The same prompts and noise for each variant: a row a variant, a column a prompt."""
    grid = facts.grid
    cells = _cells(grid) if grid else {}
    if grid is None or not cells:
        return None
    variants = [variant for variant in facts.variants if variant in grid.folders]
    # Whole multiples of the image's pixels, so that every pixel of a small image is the same square.
    size = next(iter(cells.values())).width
    cell = size * max(1, round(CELL / size))
    gap, label = 0.06 * CELL, 0.2 * CELL + 15.0 * max(map(len, variants))
    captions = [textwrap.fill(prompt, 17) for _, prompt in grid.prompts]
    head = 26.0 * max(caption.count("\n") + 1 for caption in captions) + 20
    width = label + len(grid.prompts) * (cell + gap)
    height = head + len(variants) * (cell + gap)
    figure = Figure(figsize=(width / DPI, height / DPI))
    for column, (name, _) in enumerate(grid.prompts):
        left = label + column * (cell + gap)
        figure.text(
            (left + cell / 2) / width,
            1 - (head - 14) / height,
            captions[column],
            ha="center",
            va="bottom",
            fontsize=7.5,
            linespacing=1.15,
        )
        for row, variant in enumerate(variants):
            bottom = height - head - row * (cell + gap) - cell
            box = (left / width, bottom / height, cell / width, cell / height)
            _show(figure.add_axes(box), cells.get((variant, name)))
    for row, variant in enumerate(variants):
        middle = height - head - row * (cell + gap) - cell / 2
        weight = "bold" if variant == facts.baseline else "normal"
        figure.text(
            (label - 0.1 * CELL) / width, middle / height, variant, ha="right", va="center", fontweight=weight
        )
    return figure


FIGURES: dict[str, Callable[[Facts], Figure | None]] = {
    "metrics": metric_plot,
    "differences": difference_plot,
    "samples": sample_grid,
    "losses": loss_plot,
}
"""Every figure: its name, which is its file's stem, and the function that draws it."""


def _looks(facts: Facts) -> dict[str, tuple[str, str]]:
    """Variant → (colour, marker), the same in all figures. The baseline is black."""
    looks = {facts.baseline: (INK, MARKERS[0])}
    for index, variant in enumerate(facts.others):
        # Past six variants a colour comes back, with another marker.
        marker = MARKERS[(index // len(COLOURS)) % len(MARKERS)]
        looks[variant] = (COLOURS[index % len(COLOURS)], marker)
    return looks


def _panels(metrics: Sequence[MetricFacts], rows: int, height: float) -> tuple[Figure, Any]:
    """One panel a metric, side by side, with a row a variant, ``height`` inches each, from the top."""
    figure = Figure(
        figsize=(1.2 + 2.3 * len(metrics), 0.9 + height * rows), layout=ConstrainedLayoutEngine(w_pad=0.1)
    )
    panels = figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
    for axes in panels:
        axes.set_ylim(rows - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        for row in range(rows - 1):
            axes.axhline(row + 0.5, color="#efefef", linewidth=0.6, zorder=0)
    return figure, panels


def _name_rows(axes: Any, variants: Sequence[str]) -> None:
    axes.set_yticks(range(len(variants)), variants, color=INK, fontsize=9)


def _interval(axes: Any, interval: Interval, row: float, colour: str, marker: str) -> None:
    if math.isfinite(interval.low):
        axes.plot([interval.low, interval.high], [row, row], color=colour, linewidth=1.8, zorder=3)
    axes.plot(
        [interval.mean],
        [row],
        marker=marker,
        markersize=5.5,
        color=colour,
        markeredgecolor="white",
        markeredgewidth=0.6,
        zorder=4,
    )


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


def _cells(grid: Grid) -> dict[tuple[str, str], Image.Image]:
    """(variant, image name) → image, of those that exist."""
    cells = {}
    for variant, folder in grid.folders.items():
        for name, _ in grid.prompts:
            file = (folder / name).with_suffix(".png")
            if file.is_file():
                with Image.open(file, formats=["PNG"]) as image:
                    cells[variant, name] = image.convert("RGB")
    return cells


def _show(axes: Any, image: Image.Image | None) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=FAINT, linewidth=0.5)
    if image is None:
        axes.text(0.5, 0.5, "no image", ha="center", va="center", color=SOFT, fontsize=7)
    else:
        axes.imshow(np.asarray(image), interpolation="nearest", aspect="auto")
