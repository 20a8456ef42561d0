"""What all figures share: colours, markers, panels, how an interval is drawn, and the PNG.

Figures are drawn with matplotlib's objects (no pyplot, no global state), and the same results give the
same bytes: a picture holds no time and no version.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ablate.report.metrics import Metric
    from ablate.report.results import Results
    from ablate.stats import Interval

DPI = 200
INK, SOFT, FAINT = "#222222", "#666666", "#d9d9d9"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's colours, told apart with any colour vision; yellow is too light for lines."""
MARKERS = "oDs^vPX"

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


def png(draw: Callable[[], Figure]) -> bytes:
    """The picture that ``draw`` makes, in the style of all figures."""
    file = io.BytesIO()
    with mpl.rc_context(STYLE):  # the style holds inside this block only
        # matplotlib would write its own version into the file.
        draw().savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()


def looks(results: Results) -> dict[str, tuple[str, str]]:
    """Variant → (colour, marker), the same in all figures. The baseline is black."""
    chosen = {results.baseline: (INK, MARKERS[0])}
    for index, variant in enumerate(results.others):
        # Past six variants a colour comes back, with another marker.
        marker = MARKERS[(index // len(COLOURS)) % len(MARKERS)]
        chosen[variant] = (COLOURS[index % len(COLOURS)], marker)
    return chosen


def panels(metrics: Sequence[Metric], rows: int, height: float) -> tuple[Figure, Any]:
    """One panel a metric, side by side, with a row a variant, ``height`` inches each, from the top."""
    figure = Figure(
        figsize=(1.2 + 2.3 * len(metrics), 0.9 + height * rows), layout=ConstrainedLayoutEngine(w_pad=0.1)
    )
    drawn = figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
    for axes in drawn:
        axes.set_ylim(rows - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        for row in range(rows - 1):
            axes.axhline(row + 0.5, color="#efefef", linewidth=0.6, zorder=0)
    return figure, drawn


def name_rows(axes: Any, variants: Sequence[str]) -> None:
    """Names of the variants beside their rows."""
    axes.set_yticks(range(len(variants)), variants, color=INK, fontsize=9)


def draw_interval(axes: Any, interval: Interval, row: float, colour: str, marker: str) -> None:
    """A mean with its interval, lying in a row."""
    if math.isfinite(interval.low):
        axes.plot([interval.low, interval.high], [row, row], color=colour, linewidth=1.8, zorder=3)
    axes.plot([interval.mean], [row], **point(colour, marker))


def draw_upright(axes: Any, interval: Interval, x: float, colour: str, marker: str) -> None:
    """A mean with its interval, standing at ``x``."""
    if math.isfinite(interval.low):
        axes.plot([x, x], [interval.low, interval.high], color=colour, linewidth=1.4, zorder=3)
    axes.plot([x], [interval.mean], **point(colour, marker))


def point(colour: str, marker: str) -> dict[str, Any]:
    """How a mean is drawn."""
    return {
        "marker": marker,
        "markersize": 5.5,
        "color": colour,
        "markeredgecolor": "white",
        "markeredgewidth": 0.6,
        "linestyle": "",
        "zorder": 4,
    }


def log_if_wide(axes: Any, which: str, values: Sequence[float]) -> None:
    """Makes an axis, ``x`` or ``y``, logarithmic where its values span more than a factor of five."""
    if len(values) and min(values) > 0 and max(values) > 5 * min(values):
        axes.set(**{f"{which}scale": "log"})
        axis = getattr(axes, f"{which}axis")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
