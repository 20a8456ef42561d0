"""The same prompts for each variant, side by side."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ablate.report.figures.style import DPI, FAINT, SOFT

if TYPE_CHECKING:
    from ablate.report.facts import Facts
    from ablate.report.facts.samples import Grid

CELL = 192
"""Edge of a cell of the sample grid, in pixels of the figure, or nearly."""


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
