"""Published figures beside what was measured here for the variants that stand for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ablate.metrics import COSTS
from ablate.report import numbers
from ablate.report.blocks import Block, Heading, Table, Text, bullets, code
from ablate.report.numbers import NONE
from ablate.report.section import Section
from ablate.report.sections.results import counted, image_counts
from ablate.report.words import line
from ablate.text import duration, plural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ablate.report.metrics import Metric
    from ablate.report.results import Results


class PublishedFigures(Section):
    """The two settings, their figures side by side, and the ratios of times."""

    name = "published"

    def blocks(self, results: Results) -> list[Block]:
        """Empty where the spec brings no published figures."""
        published = results.record.spec.get("published")
        if not published:
            return []
        ratios = ratio_lines(results)
        return [
            Heading("Published figures beside the measured ones"),
            bullets(
                [
                    f"**Published** ({line(published['source'])}): {line(published['setting'])}",
                    f"**Measured here**: {_setting_here(results)}",
                ]
            ),
            Text(
                "Two settings: **the figures of the two must not be compared with each other.** What can be "
                "compared is whether a change makes something better or worse, and for times the ratio."
            ),
            published_table(results),
            *([bullets(ratios)] if ratios else []),
        ]


def _setting_here(results: Results) -> str:
    """The measured setting in words, to stand beside the published one."""
    config = results.record.configs.get(results.baseline, {})
    words = [f"profile {code(results.record.spec.get('profile', ''))}"]
    if "data" in config:
        words.append(f"{config['data'].get('size')} px")
    if "train" in config:
        words.append(plural(config["train"].get("epochs"), "epoch"))
    if generated := counted(image_counts(results).generated):
        words.append(f"{generated} images a run")
    words.append(plural(len(results.seeds), "seed"))
    labels = [metric.label for metric in results.metrics]
    return f"{', '.join(words)}; {', '.join(labels)}".rstrip("; ")


def published_table(results: Results) -> Table:
    """A row a published figure: what the publication says, and what was measured for it here."""
    head = ["metric", "published", "its baseline", "metric here", "variant", "measured here"]
    rows = []
    for figure in results.record.spec["published"]["results"]:
        metric = results.find(figure["metric"])
        rows.append(
            [
                results.vocabulary.figures[figure["metric"]].label,
                _published(figure, "value"),
                _published(figure, "baseline"),
                metric.label if metric else NONE,
                figure["variant"],
                *_measured(metric, figure["variant"]),
            ]
        )
    return Table([*head, f"difference to {results.baseline}"], rows)


def _published(figure: Mapping[str, Any], field: str) -> str:
    value = figure.get(field)
    if value is None:
        return NONE
    if figure["metric"] in COSTS:
        return duration(value) if value >= 60 else f"{value:g} s"
    return f"{value:g}"


def _measured(metric: Metric | None, variant: str) -> list[str]:
    """The mean here, and the difference to the baseline."""
    if metric is None or variant not in metric.intervals:
        return [NONE, NONE]
    unit, mean = " s" if metric.key in COSTS else "", metric.intervals[variant].mean
    long = f" ({duration(mean)})" if unit and mean >= 60 else ""
    difference = metric.difference(variant) + unit if variant in metric.differences else NONE
    return [f"{metric.mean(variant)}{unit}{long}", difference]


def ratio_lines(results: Results) -> list[str]:
    """A sentence for each two published times of one kind: how many times as long, there and here."""
    lines = []
    for key in COSTS:
        times = [time for time in results.record.spec["published"]["results"] if time["metric"] == key]
        for later in times[1:]:
            first, variants = times[0], [times[0]["variant"], later["variant"]]
            there = f"{_published(first, 'value')} → {_published(later, 'value')}"
            here, metric = "not measured here", results.find(key)
            if metric and (ratio := metric.ratio(*reversed(variants))):
                means = (numbers.seconds(metric.intervals[v].mean, metric.decimals) for v in variants)
                here = f"measured {' → '.join(means)}, {numbers.ratio(ratio)}"
            lines.append(
                f"{COSTS[key].label}, {' → '.join(variants)}: published {there}, "
                f"×{later['value'] / first['value']:.2f}; {here}."
            )
    return lines
