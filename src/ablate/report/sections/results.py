"""The metrics of quality: means, paired differences, and how many images they were measured on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ablate.report import numbers
from ablate.report.blocks import Block, Figure, Heading, Table, Text
from ablate.report.drawing import FAINT, SOFT, draw_interval, looks, row_panels
from ablate.report.section import Section
from ablate.report.sections.summary import headlines
from ablate.report.words import variant_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure as Drawing

    from ablate.report.metrics import Metric
    from ablate.report.results import Results

BETTER = "#e4f1ec"
"""Tint of the side on which a variant is better than the baseline."""


class MeasuredResults(Section):
    """All metrics of all variants."""

    name = "results"

    def blocks(self, results: Results) -> list[Block]:
        """Empty where no finished run has a metric."""
        if not results.metrics:
            return []
        to = f"to {results.baseline}"
        below = (
            f" Below it: the difference {to}, paired over seeds, with its 95 % interval; "
            "bold where that leaves out zero."
        )
        blocks: list[Block] = [
            Heading("Results"),
            results_table(results),
            Text(
                "Mean over seeds ± half the width of its 95 % interval (Student's t)."
                f"{below if headlines(results) else ''} ↓ lower is better, ↑ higher is better."
            ),
        ]
        if images := _images(results):
            blocks.append(Text(images))
        blocks.append(
            Figure(
                "metrics",
                "Each metric: a dot for each seed, faint lines along seeds, mean and 95 % interval",
                "A dot is a seed, a faint line follows one seed through the variants; below the dots, "
                "mean and 95 % interval.",
                partial(draw_metrics, results),
            )
        )
        if any(metric.differences for metric in results.metrics):
            blocks.append(
                Figure(
                    "differences",
                    f"Paired differences {to} with 95 % intervals",
                    f"Differences {to}, paired over seeds, with 95 % intervals. The tinted side is the "
                    "better one.",
                    partial(draw_differences, results),
                )
            )
        return blocks


def results_table(results: Results) -> Table:
    """Mean ± half-width of the 95 % interval; below it the paired difference to the baseline."""
    rows = []
    for variant in results.variants:
        cells = (_cell(metric, variant) for metric in results.metrics)
        rows.append([variant_name(results, variant), seeds_of(results, variant), *cells])
    hints = {
        (row, column): hint
        for row, variant in enumerate(results.variants)
        for column, metric in enumerate(results.metrics, start=2)
        if (hint := _by_seed(metric, variant))
    }
    return Table(["variant", "seeds", *(metric.title for metric in results.metrics)], rows, hints=hints)


def seeds_of(results: Results, variant: str) -> str:
    """How many seeds its metrics have: ``8``, or ``0–8`` where some have fewer."""
    counts = {len(metric.values.get(variant, ())) for metric in results.metrics}
    return "–".join(map(str, sorted(counts)))


def _by_seed(metric: Metric, variant: str) -> str:
    """Each seed's value, and its difference to the baseline."""
    values = metric.values.get(variant, {})
    paired = {} if variant == metric.baseline else metric.paired(variant, metric.baseline)
    places = metric.decimals_of_differences
    differences = {seed: f" ({numbers.number(d, places, sign=True)})" for seed, d in paired.items()}
    return "\n".join(
        f"seed {seed}: {numbers.number(value, metric.decimals)}{differences.get(seed, '')}"
        for seed, value in values.items()
    )


def _cell(metric: Metric, variant: str) -> str:
    mean, difference = metric.mean(variant), metric.differences.get(variant)
    return f"{mean}\n{numbers.marked(difference, metric.decimals_of_differences)}" if difference else mean


@dataclass(frozen=True)
class ImageCounts:
    """Distinct numbers over the finished runs, ascending. More than one: runs differ."""

    generated: list[int]
    real: list[int]
    dimension: list[int]
    below_dimension: bool
    """Some run has fewer images, generated or real, than its features have dimensions."""


def image_counts(results: Results) -> ImageCounts:
    """The numbers of images and of dimensions behind the metrics."""
    keys = ["images", "reference_images", "feature_dimension"]
    table = pd.DataFrame([run.metrics for run in results.finished], columns=keys)
    generated, real, dimension = (sorted(table[key].dropna().astype(int).unique().tolist()) for key in keys)
    fewest = table[["images", "reference_images"]].min(axis=1)
    return ImageCounts(generated, real, dimension, bool((fewest < table["feature_dimension"]).any()))


def counted(values: Sequence[int]) -> str:
    """``512``, or ``256 or 512`` where runs differ."""
    return " or ".join(numbers.number(number, 0) for number in values)


def _images(results: Results) -> str:
    images = image_counts(results)
    if not images.generated:
        return ""
    real = f"; FID and KID compare them with {counted(images.real)} real ones" if images.real else ""
    space = f" in {counted(images.dimension)} dimensions" if images.real and images.dimension else ""
    return (
        f"Each run drew {counted(images.generated)} images{real}{space}. FID with few images is biased "
        "upward (Bińkowski et al. 2018; Chong and Forsyth 2020) and can only be compared between equal "
        "numbers of images; KID is unbiased."
    )


def draw_metrics(results: Results) -> Drawing:
    """Values of each variant: a dot a seed, lines along seeds, mean and 95 % interval below."""
    plot, panels = row_panels(results.metrics, results.variants, height=0.5)
    look = looks(results)
    for axes, metric in zip(panels, results.metrics, strict=True):
        values = pd.DataFrame(metric.values, index=results.seeds, columns=results.variants)
        height = pd.Series(range(len(results.variants)), results.variants) - 0.13
        for _, of_seed in values.iterrows():
            shown = of_seed.dropna()
            axes.plot(shown, height[shown.index], color=FAINT, linewidth=0.7, zorder=1)
        for row, variant in enumerate(results.variants):
            if variant in metric.values:
                colour, marker = look[variant]
                dots = values[variant].dropna()
                style = {"s": 14, "color": colour, "marker": marker, "alpha": 0.55, "linewidth": 0}
                axes.scatter(dots, [row - 0.13] * len(dots), **style)
                draw_interval(axes, metric.intervals[variant], row + 0.2, colour, marker)
        axes.set_title(metric.title, pad=8)
        axes.margins(x=0.08)
    return plot


def draw_differences(results: Results) -> Drawing:
    """Paired differences to the baseline with 95 % intervals; the better side is tinted."""
    metrics = [metric for metric in results.metrics if metric.differences]
    variants = [v for v in results.others if any(v in metric.differences for metric in metrics)]
    plot, panels = row_panels(metrics, variants, height=0.34)
    look = looks(results)
    for axes, metric in zip(panels, metrics, strict=True):
        reach = [0.0]
        for row, variant in enumerate(variants):
            if difference := metric.differences.get(variant):
                draw_interval(axes, difference, row, *look[variant])
                reach += [difference.mean, difference.low, difference.high]
        low, high = np.nanmin(reach), np.nanmax(reach)
        margin = 0.1 * (high - low) or 1.0
        left, right = axes.set_xlim(low - margin, high + margin)
        better = (left, 0) if metric.lower_is_better else (0, right)
        axes.axvspan(*better, color=BETTER, zorder=0, lw=0)
        axes.axvline(0, color=SOFT, linewidth=0.8, zorder=1)
        axes.set_title(metric.label, pad=17)
        words, side, x = ("← better", "left", 0) if metric.lower_is_better else ("better →", "right", 1)
        style = {"ha": side, "va": "bottom", "color": "#00664a", "fontsize": 8}
        axes.annotate(words, (x, 1.02), xycoords="axes fraction", **style)
    plot.supxlabel(f"difference to {results.baseline}", fontsize=8.5)
    return plot
