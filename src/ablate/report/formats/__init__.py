"""The formats of a report: each turns blocks into files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.report.formats import csv, html, latex, markdown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.report.results import Results

FORMATS: dict[str, Callable[[Results, Path], str]] = {
    "markdown": markdown.write,
    "html": html.write,
    "latex": latex.write,
    "csv": csv.write,
}
"""What writes a report into a folder, and gives the path in it to show."""
