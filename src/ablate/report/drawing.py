"""What all figures share: colours, markers, panels, how an interval is drawn, and the PNG.

Figures are drawn with matplotlib's objects (no pyplot, no global state), and the same results give the
same bytes: a picture holds no time and no version.
"""

from __future__ import annotations

import io
import math
import textwrap
from itertools import cycle
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
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
    # Past six variants a colour comes back, with another marker.
    pairs = ((colour, marker) for marker in MARKERS for colour in COLOURS)
    return {results.baseline: (INK, MARKERS[0])} | dict(zip(results.others, cycle(pairs), strict=False))


def line_look(number: int) -> tuple[str, str]:
    """(colour, marker) of the lines of one panel: both change from line to line."""
    return COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]


def panel_grid(
    count: int, columns: int, size: tuple[float, float], margin: tuple[float, float], **shared: Any
) -> tuple[Figure, list[Any]]:
    """``count`` panels of ``size`` inches, at most ``columns`` a row, and ``margin`` around all of them."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figsize = margin[0] + size[0] * columns, margin[1] + size[1] * rows
    figure = Figure(figsize=figsize, layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False, **shared).flat)
    for unused in panels[count:]:
        unused.set_axis_off()
    return figure, panels[:count]


def row_panels(metrics: Sequence[Metric], variants: Sequence[str], height: float) -> tuple[Figure, list[Any]]:
    """One panel a metric, side by side, with a row a variant, ``height`` inches each, from the top."""
    rows = len(variants)
    figure, panels = panel_grid(len(metrics), len(metrics), (2.3, height * rows), (1.2, 0.9), sharey=True)
    figure.set_layout_engine(ConstrainedLayoutEngine(w_pad=0.1))
    panels[0].set_yticks(range(rows), variants, color=INK, fontsize=9)
    for axes in panels:
        axes.set_ylim(rows - 0.45, -0.55)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        for row in range(rows - 1):
            axes.axhline(row + 0.5, color="#efefef", linewidth=0.6, zorder=0)
    return figure, panels


def draw_interval(
    axes: Any, interval: Interval, at: float, colour: str, marker: str, *, upright: bool = False
) -> None:
    """A mean with its interval, lying in the row ``at``, or standing upright there."""
    ends, here = [interval.low, interval.high], [at, at]
    if math.isfinite(interval.low):
        line = (here, ends) if upright else (ends, here)
        axes.plot(*line, color=colour, linewidth=1.4 if upright else 1.8, zorder=3)
    middle = (at, interval.mean) if upright else (interval.mean, at)
    axes.plot(*middle, **point(colour, marker))


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


def legend_beside(figure: Figure, lines: Sequence[tuple[str, dict[str, Any]]], **options: Any) -> None:
    """A legend at the right of all panels: a label, and how its line looks."""
    handles = [Line2D([], [], **look) for _, look in lines]
    labels = [textwrap.fill(label, 30, break_on_hyphens=False) for label, _ in lines]
    figure.legend(handles, labels, loc="outside right upper", fontsize=8, alignment="left", **options)


def log_if_wide(axes: Any, which: str, values: Sequence[float]) -> None:
    """Makes an axis, ``x`` or ``y``, logarithmic where its values span more than a factor of five."""
    if len(values) and min(values) > 0 and max(values) > 5 * min(values):
        axes.set(**{f"{which}scale": "log"})
        axis = getattr(axes, f"{which}axis")
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
