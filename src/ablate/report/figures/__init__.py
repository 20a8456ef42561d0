"""The figures of a report. A function draws one, or gives None where its numbers are missing.

Figures are drawn with matplotlib's objects (no pyplot, no global state), and the same facts give the
same bytes: the files hold no time and no version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

from ablate.report.figures.factorial import interaction_plot, main_effect_plot
from ablate.report.figures.frontier import frontier_plot
from ablate.report.figures.losses import loss_plot
from ablate.report.figures.metrics import difference_plot, metric_plot
from ablate.report.figures.samples import sample_grid
from ablate.report.figures.style import DPI, STYLE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.figure import Figure

    from ablate.report.facts import Facts

FIGURES: dict[str, Callable[[Facts], Figure | None]] = {
    "metrics": metric_plot,
    "differences": difference_plot,
    "main-effects": main_effect_plot,
    "interactions": interaction_plot,
    "frontier": frontier_plot,
    "samples": sample_grid,
    "losses": loss_plot,
}
"""Every figure: its name, which is its file's stem, and the function that draws it."""


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
