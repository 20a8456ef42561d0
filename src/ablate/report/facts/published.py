"""Published figures, and what was measured here for the variants that stand for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.metrics import COSTS, METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ablate.report.facts.metrics import MetricFacts
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
    metric: MetricFacts | None
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
class PublishedFacts:
    """Published figures with where they come from."""

    source: str
    setting: str
    results: tuple[PublishedResult, ...]
    ratios: tuple[PublishedRatio, ...]


def published(given: Mapping[str, Any] | None, metrics: Iterable[MetricFacts]) -> PublishedFacts | None:
    """None where the spec brings no published figures."""
    if not given:
        return None
    by_key = {metric.key: metric for metric in metrics}
    results = tuple(
        PublishedResult(
            key=(key := result["metric"]),
            label=(METRICS | COSTS)[key].label,
            value=result["value"],
            baseline=result.get("baseline"),
            variant=result["variant"],
            metric=by_key.get(key),
        )
        for result in given["results"]
    )
    times = {key: [result for result in results if result.key == key] for key in COSTS}
    return PublishedFacts(
        source=given["source"],
        setting=given["setting"],
        results=results,
        ratios=tuple(_ratio(first, later) for first, *more in filter(None, times.values()) for later in more),
    )


def _ratio(first: PublishedResult, later: PublishedResult) -> PublishedRatio:
    measured = later.metric.ratio(later.variant, first.variant) if later.metric else None
    return PublishedRatio(first, later, later.value / first.value, measured)
