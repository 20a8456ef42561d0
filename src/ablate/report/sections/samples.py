"""What the samples look like, and whether they show what their prompts say."""

from __future__ import annotations

import random
import textwrap
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure as Drawing
from PIL import Image

from ablate.records import LABELS
from ablate.report import numbers
from ablate.report.blocks import Block, Figure, Frame, Heading, Table, Text
from ablate.report.drawing import DPI, FAINT, SOFT
from ablate.report.metrics import values_of
from ablate.report.numbers import NONE
from ablate.report.section import Section
from ablate.report.sections.variants import same_noise
from ablate.report.words import variant_name
from ablate.stats import Interval, mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ablate.records import RunRecord
    from ablate.report.results import Results

GRID_PROMPTS = 8
CELL = 192
"""Edge of a cell of the sample grid, in pixels of the figure, or nearly."""


@dataclass(frozen=True)
class Grid:
    """The images to show side by side: one seed, the same prompts for all variants."""

    seed: int
    prompts: tuple[tuple[str, str], ...]
    """(image name, prompt), drawn at random once and for all, so that nobody picks."""
    prompt_count: int
    folders: Mapping[str, Path]
    """What stands beside a row, its variant's name first → folder with its images."""

    def files(self) -> dict[tuple[str, str], Path]:
        """(row, image name) → file, of those that exist."""
        return {
            (row, name): file
            for row, folder in self.folders.items()
            for name, _ in self.prompts
            if (file := (folder / name).with_suffix(".png")).is_file()
        }


@dataclass(frozen=True)
class Accuracy:
    """How often the evaluator reads an attribute of the prompt off the sample (zero-shot)."""

    attribute: str
    intervals: Mapping[str, Interval]
    """Variant → mean over seeds, as a share from 0 to 1."""
    chance: float | None
    """Share that guessing reaches; None where the number of labels was not recorded."""


class Samples(Section):
    """The same prompts for each variant, and the evaluator's view of them."""

    name = "samples"

    def blocks(self, results: Results) -> list[Block]:
        """Empty where no run has samples or accuracies."""
        blocks: list[Block] = []
        grid = choose_grid(results)
        if grid and grid.files():
            noise, same = (" and noise", " and the same noise") if same_noise(results) else ("", "")
            blocks += [
                Heading("Samples"),
                Figure(
                    "samples",
                    f"The same prompts{noise} for each variant",
                    f"Seed {grid.seed}: in a column, the same prompt{same}. The prompts were drawn at random "
                    f"from {grid.prompt_count}.",
                    partial(draw_grid, grid, results.baseline),
                    [Frame(v, partial(draw_grid, grid, results.baseline, [v])) for v in grid.folders],
                ),
            ]
        if found := accuracies(results):
            blocks += [
                Heading("Do the samples show what the prompt says?"),
                _accuracy_table(results, found),
                Text(
                    "Share of samples, in percent, in which the evaluator finds the prompt's own value of "
                    "an attribute most likely (zero-shot); mean over seeds ± half the width of its 95 % "
                    "interval."
                ),
            ]
        return blocks


def _accuracy_table(results: Results, found: Sequence[Accuracy]) -> Table:
    """A row a variant, a column an attribute, in percent; the last row is chance where it is known."""
    rows = []
    for variant in results.variants:
        if any(variant in accuracy.intervals for accuracy in found):
            cells = (_percent(accuracy.intervals.get(variant)) for accuracy in found)
            rows.append([variant_name(results, variant), *cells])
    if any(accuracy.chance for accuracy in found):
        chances = (accuracy.chance for accuracy in found)
        rows.append(["*chance*", *(numbers.percent(c) if c else NONE for c in chances)])
    return Table(["variant", *(accuracy.attribute for accuracy in found)], rows)


def _percent(interval: Interval | None) -> str:
    if interval is None:
        return NONE
    return numbers.mean(Interval(100 * interval.mean, 100 * interval.low, 100 * interval.high, interval.n), 1)


def accuracies(results: Results) -> list[Accuracy]:
    """The share of samples that show what the prompt says, an attribute at a time."""
    finished = results.finished
    keys = dict.fromkeys(key for run in finished for key in run.metrics if key.startswith("accuracy_"))
    found = []
    for key in keys:
        attribute = key.removeprefix("accuracy_")
        intervals = {v: mean_interval([*seeds.values()]) for v, seeds in values_of(key, finished).items()}
        labels = {run.metrics.get(f"{LABELS}{attribute}") for run in finished} - {None, 0}
        found.append(Accuracy(attribute, intervals, 1 / (labels.pop() or 1) if len(labels) == 1 else None))
    return found


def choose_grid(results: Results) -> Grid | None:
    """One seed and a few prompts; None where no run has samples."""
    return grid_of(results.finished, {variant: variant for variant in results.variants})


def grid_of(runs: Sequence[RunRecord], rows: Mapping[str, str]) -> Grid | None:
    """One seed and a few prompts of some variants; None where no run of them has samples.

    Args:
        rows: variant → what stands beside its row; in the order of the rows.
    """
    sampled = [run for run in runs if run.variant in rows and run.samples and run.prompts]
    if not sampled:
        return None
    # The seed that most variants have; the first of equals.
    seeds = sorted({run.seed for run in sampled})
    seed = max(seeds, key=lambda seed: sum(run.seed == seed for run in sampled))
    chosen = {run.variant: run for run in sampled if run.seed == seed}
    prompts = list(next(iter(chosen.values())).prompts.items())
    picked = sorted(random.Random(0).sample(range(len(prompts)), min(GRID_PROMPTS, len(prompts))))
    return Grid(
        seed=seed,
        prompts=tuple(prompts[index] for index in picked),
        prompt_count=len(prompts),
        folders={row: folder for v, row in rows.items() if v in chosen and (folder := chosen[v].samples)},
    )


def draw_grid(grid: Grid, baseline: str, only: Sequence[str] | None = None) -> Drawing:
    """The same prompts for each variant: a row a variant, a column a prompt.

    Of some rows alone, the columns are where they are with all.
    """
    rows = grid.folders if only is None else only
    files = grid.files()
    cells = {cell: _read(file) for cell, file in files.items() if cell[0] in rows}
    # Whole multiples of the image's pixels, so that every pixel of a small image is the same square.
    size = _read(next(iter(files.values()))).width
    cell = size * max(1, round(CELL / size))
    longest = max(len(line) for row in grid.folders for line in row.splitlines())
    step, label = cell + 0.06 * CELL, 0.2 * CELL + 15.0 * longest
    captions = [textwrap.fill(prompt, 17) for _, prompt in grid.prompts]
    head = 26.0 * max(caption.count("\n") + 1 for caption in captions) + 20
    width, height = label + len(captions) * step, head + len(rows) * step
    plot = Drawing(figsize=(width / DPI, height / DPI))
    for column, caption in enumerate(captions):
        x, y = (label + column * step + cell / 2) / width, 1 - (head - 14) / height
        plot.text(x, y, caption, ha="center", va="bottom", fontsize=7.5, linespacing=1.15)
    for number, row in enumerate(rows):
        bottom = height - head - number * step - cell
        x, y = (label - 0.1 * CELL) / width, (bottom + cell / 2) / height
        weight = "bold" if row.splitlines()[0] == baseline else "normal"
        plot.text(x, y, row, ha="right", va="center", fontweight=weight)
        for column, (name, _) in enumerate(grid.prompts):
            left = label + column * step
            axes = plot.add_axes((left / width, bottom / height, cell / width, cell / height))
            _show(axes, cells.get((row, name)))
    return plot


def _read(file: Path) -> Image.Image:
    with Image.open(file, formats=["PNG"]) as image:
        return image.convert("RGB")


def _show(axes: Any, image: Image.Image | None) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, edgecolor=FAINT, linewidth=0.5)
    if image is None:
        axes.text(0.5, 0.5, "no image", ha="center", va="center", color=SOFT, fontsize=7)
    else:
        axes.imshow(np.asarray(image), interpolation="nearest", aspect="auto")
