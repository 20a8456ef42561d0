"""Published figures beside the measured ones, each with its setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.metrics import COSTS
from ablate.report import numbers
from ablate.report.markdown.results import counts
from ablate.report.markdown.text import NONE, Rows, plural

if TYPE_CHECKING:
    from ablate.report.facts import Facts
    from ablate.report.facts.published import PublishedResult


def published_table(facts: Facts) -> Rows:
    """A row a published figure."""
    difference = f"difference to {facts.baseline}"
    rows = [["metric", "published", "its baseline", "metric here", "variant", "measured here", difference]]
    for result in facts.published.results if facts.published else ():
        figures = (result.value, result.baseline)
        rows.append(
            [
                result.label,
                *(NONE if figure is None else _figure(result, figure) for figure in figures),
                result.metric.label if result.metric else NONE,
                result.variant,
                *_measured(result),
            ]
        )
    return rows


def setting_here(facts: Facts) -> str:
    """The measured setting in words, to stand beside the published one."""
    config = facts.record.configs.get(facts.baseline, {})
    words = [f"profile `{facts.record.spec.get('profile', '')}`"]
    if "data" in config:
        words.append(f"{config['data'].get('size')} px")
    if "train" in config:
        words.append(plural(config["train"].get("epochs"), "epoch"))
    if generated := counts(facts)["generated"]:
        words.append(f"{generated} images a run")
    words.append(plural(len(facts.seeds), "seed"))
    labels = [metric.label for metric in facts.metrics]
    return f"{', '.join(words)}; {', '.join(labels)}".rstrip("; ")


def ratio_lines(facts: Facts) -> list[str]:
    """A sentence for each two published times of one kind: how many times as long, there and here."""
    lines = []
    for ratio in facts.published.ratios if facts.published else ():
        first, later = ratio.first, ratio.later
        there = f"{_figure(first, first.value)} → {_figure(later, later.value)}, ×{ratio.published:.2f}"
        here = "not measured here"
        if ratio.measured and later.metric:
            places, means = numbers.decimals(later.metric), later.metric.intervals
            times = (numbers.seconds(means[result.variant].mean, places) for result in (first, later))
            here = f"measured {' → '.join(times)}, {numbers.ratio(ratio.measured)}"
        lines.append(f"{first.label}, {first.variant} → {later.variant}: published {there}; {here}.")
    return lines


def _figure(result: PublishedResult, figure: float) -> str:
    return numbers.duration(figure) if result.key in COSTS else f"{figure:g}"


def _measured(result: PublishedResult) -> list[str]:
    """The mean here, and the difference to the baseline."""
    if result.metric is None or result.measured is None:
        return [NONE, NONE]
    places, mean = numbers.decimals(result.metric), result.measured
    difference = result.metric.differences.get(result.variant)
    unit = " s" if result.key in COSTS else ""
    measured = numbers.mean(mean, places) + unit
    if unit and mean.mean >= 60:
        measured += f" ({numbers.duration(mean.mean)})"
    return [measured, numbers.difference(difference, places) + unit if difference else NONE]
