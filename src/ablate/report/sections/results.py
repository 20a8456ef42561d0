"""The metrics of quality: means, paired differences, and how many images they were measured on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ablate.report import numbers
from ablate.report.blocks import Block, Figure, Heading, Table, Text, bold
from ablate.report.drawing import FAINT, SOFT, draw_interval, looks, name_rows, panels
from ablate.report.section import Section
from ablate.report.sections.summary import headlines
from ablate.report.words import NONE, variant_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib import figure

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
        seeds = {len(metric.values.get(variant, ())) for metric in results.metrics}
        cells = (_cell(metric, variant) for metric in results.metrics)
        rows.append([variant_name(results, variant), "–".join(map(str, sorted(seeds))), *cells])
    return Table(["variant", "seeds", *(metric.title for metric in results.metrics)], rows)


def means_table(results: Results) -> Table:
    """A row a variant: mean ± half-width of each metric."""
    rows = [
        [variant, *(_mean(metric, variant) for metric in results.metrics)] for variant in results.variants
    ]
    return Table(["Variant", *(metric.title for metric in results.metrics)], rows)


def differences_table(results: Results) -> Table:
    """A row a variant: its paired difference to the baseline in each metric."""
    rows = [
        [variant, *(_difference(metric, variant) for metric in results.metrics)] for variant in results.others
    ]
    return Table(["Variant", *(metric.title for metric in results.metrics)], rows)


def _cell(metric: Metric, variant: str) -> str:
    if variant not in metric.differences:
        return _mean(metric, variant)
    text = _difference(metric, variant)
    marked = bold(text) if metric.differences[variant].excludes_zero else text
    return f"{_mean(metric, variant)}\n{marked}"


def _mean(metric: Metric, variant: str) -> str:
    if variant not in metric.intervals:
        return NONE
    return numbers.mean(metric.intervals[variant], numbers.decimals(metric))


def _difference(metric: Metric, variant: str) -> str:
    if variant not in metric.differences:
        return NONE
    return numbers.difference(metric.differences[variant], numbers.decimals(metric))


@dataclass(frozen=True)
class ImageCounts:
    """Distinct numbers over the finished runs, ascending. More than one: runs differ."""

    generated: tuple[int, ...]
    real: tuple[int, ...]
    dimension: tuple[int, ...]
    below_dimension: bool
    """Some run has fewer images, generated or real, than its features have dimensions."""


def image_counts(results: Results) -> ImageCounts:
    """The numbers of images and of dimensions behind the metrics."""
    finished = results.finished

    def distinct(key: str) -> tuple[int, ...]:
        return tuple(sorted({int(run.metrics[key]) for run in finished if key in run.metrics}))

    return ImageCounts(
        generated=distinct("images"),
        real=distinct("reference_images"),
        dimension=distinct("feature_dimension"),
        below_dimension=any(
            min(run.metrics.get(key, math.inf) for key in ("images", "reference_images"))
            < run.metrics.get("feature_dimension", 0)
            for run in finished
        ),
    )


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


def draw_metrics(results: Results) -> figure.Figure:
    """Values of each variant: a dot a seed, lines along seeds, mean and 95 % interval below."""
    plot, drawn = panels(results.metrics, len(results.variants), height=0.5)
    look = looks(results)
    for axes, metric in zip(drawn, results.metrics, strict=True):
        for seed in results.seeds:
            rows = [row for row, v in enumerate(results.variants) if seed in metric.values.get(v, {})]
            values = [metric.values[results.variants[row]][seed] for row in rows]
            axes.plot(values, [row - 0.13 for row in rows], color=FAINT, linewidth=0.7, zorder=1)
        for row, variant in enumerate(results.variants):
            if variant not in metric.values:
                continue
            colour, marker = look[variant]
            values = list(metric.values[variant].values())
            axes.scatter(
                values, [row - 0.13] * len(values), s=14, color=colour, marker=marker, alpha=0.55, linewidth=0
            )
            draw_interval(axes, metric.intervals[variant], row + 0.2, colour, marker)
        axes.set_title(metric.title, pad=8)
        axes.margins(x=0.08)
    name_rows(drawn[0], results.variants)
    return plot


def draw_differences(results: Results) -> figure.Figure:
    """Paired differences to the baseline with 95 % intervals; the better side is tinted."""
    metrics = [metric for metric in results.metrics if metric.differences]
    variants = [v for v in results.others if any(v in metric.differences for metric in metrics)]
    plot, drawn = panels(metrics, len(variants), height=0.34)
    look = looks(results)
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
    plot.supxlabel(f"difference to {results.baseline}", fontsize=8.5)
    name_rows(drawn[0], variants)
    return plot
