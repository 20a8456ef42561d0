"""Published figures beside what was measured here for the variants that stand for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.metrics import COSTS
from ablate.report import numbers
from ablate.report.blocks import Block, Heading, Table, Text, bullets, code
from ablate.report.section import Section
from ablate.report.sections.results import counted, image_counts
from ablate.report.words import NONE, line, plural

if TYPE_CHECKING:
    from ablate.report.metrics import Metric
    from ablate.report.results import Results
    from ablate.stats import Interval


@dataclass(frozen=True)
class PublishedResult:
    """One published figure, and the measured metric of the same name."""

    key: str
    label: str
    """Without a feature space: the setting says which the publication used."""
    value: float
    baseline: float | None
    """What the publication compared itself with."""
    variant: str
    """What stands for it here."""
    metric: Metric | None
    """None where no run has it."""

    @property
    def measured(self) -> Interval | None:
        """Mean over seeds of the variant that stands for it."""
        return self.metric.intervals.get(self.variant) if self.metric else None


@dataclass(frozen=True)
class PublishedRatio:
    """Two published times of one kind, and the same two here: ``later`` is so many times ``first``."""

    first: PublishedResult
    later: PublishedResult
    published: float
    measured: Interval | None


@dataclass(frozen=True)
class Published:
    """Published figures with where they come from."""

    source: str
    setting: str
    results: tuple[PublishedResult, ...]
    ratios: tuple[PublishedRatio, ...]


class PublishedFigures(Section):
    """The two settings, their figures side by side, and the ratios of times."""

    name = "published"

    def blocks(self, results: Results) -> list[Block]:
        """Empty where the spec brings no published figures."""
        found = published(results)
        if found is None:
            return []
        ratios = ratio_lines(found)
        return [
            Heading("Published figures beside the measured ones"),
            bullets(
                [
                    f"**Published** ({line(found.source)}): {line(found.setting)}",
                    f"**Measured here**: {_setting_here(results)}",
                ]
            ),
            Text(
                "Two settings: **the figures of the two must not be compared with each other.** What can be "
                "compared is whether a change makes something better or worse, and for times the ratio."
            ),
            published_table(found, results.baseline),
            *([bullets(ratios)] if ratios else []),
        ]


def published(results: Results) -> Published | None:
    """None where the spec brings no published figures."""
    given = results.record.spec.get("published")
    if not given:
        return None
    by_key = {metric.key: metric for metric in (*results.metrics, *results.costs)}
    found = tuple(
        PublishedResult(
            key=(key := result["metric"]),
            label=results.vocabulary.figures[key].label,
            value=result["value"],
            baseline=result.get("baseline"),
            variant=result["variant"],
            metric=by_key.get(key),
        )
        for result in given["results"]
    )
    times = {key: [result for result in found if result.key == key] for key in COSTS}
    return Published(
        source=given["source"],
        setting=given["setting"],
        results=found,
        ratios=tuple(_ratio(first, later) for first, *more in filter(None, times.values()) for later in more),
    )


def _ratio(first: PublishedResult, later: PublishedResult) -> PublishedRatio:
    measured = later.metric.ratio(later.variant, first.variant) if later.metric else None
    return PublishedRatio(first, later, later.value / first.value, measured)


def published_table(found: Published, baseline: str) -> Table:
    """A row a published figure."""
    head = ["metric", "published", "its baseline", "metric here", "variant", "measured here"]
    rows = [
        [
            result.label,
            _figure(result, result.value),
            NONE if result.baseline is None else _figure(result, result.baseline),
            result.metric.label if result.metric else NONE,
            result.variant,
            *_measured(result),
        ]
        for result in found.results
    ]
    return Table([*head, f"difference to {baseline}"], rows)


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


def ratio_lines(found: Published) -> list[str]:
    """A sentence for each two published times of one kind: how many times as long, there and here."""
    lines = []
    for ratio in found.ratios:
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
