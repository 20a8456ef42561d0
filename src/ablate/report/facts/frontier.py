"""Quality against time: variants that stand on one training and are sampled differently."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ablate.stats import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.report.facts.metrics import MetricFacts

FEWEST = 3
"""Ways of sampling below which there is nothing to draw."""


@dataclass(frozen=True)
class FrontierFacts:
    """The variants that differ from the baseline in ``sample`` only, and which of them no other beats."""

    seconds: MetricFacts
    """Seconds per image."""
    lines: tuple[tuple[str, ...], ...]
    """Variants that differ in the number of steps only, in its order."""
    steps: Mapping[str, int]
    optimal: Mapping[str, tuple[str, ...]]
    """Metric's key → the variants, fastest first, that no other one beats: every variant with a better
    mean takes longer, and not by chance."""


def frontier(
    configs: Mapping[str, Mapping[str, Any]],
    baseline: str,
    metrics: Sequence[MetricFacts],
    costs: Sequence[MetricFacts],
) -> FrontierFacts | None:
    """None where fewer than three ways of sampling were measured."""
    seconds = next((cost for cost in costs if cost.key == "seconds_per_image"), None)
    if seconds is None or baseline not in configs or not metrics:
        return None
    training = _without(configs[baseline], "sample")
    ways = {
        variant: _without(config["sample"], "seed")
        for variant, config in configs.items()
        if variant in seconds.intervals and _without(config, "sample") == training
    }
    if len({repr(way) for way in ways.values()}) < FEWEST:
        return None

    def line(variant: str) -> str:
        return repr(_without(ways[variant], "steps"))

    order = list(dict.fromkeys(map(line, ways)))
    in_lines = sorted(ways, key=lambda variant: (order.index(line(variant)), ways[variant]["steps"]))
    return FrontierFacts(
        seconds=seconds,
        lines=tuple(tuple(group) for _, group in groupby(in_lines, key=line)),
        steps={variant: ways[variant]["steps"] for variant in in_lines},
        optimal={metric.key: _unbeaten(in_lines, seconds, metric) for metric in metrics},
    )


def _unbeaten(variants: Sequence[str], seconds: MetricFacts, metric: MetricFacts) -> tuple[str, ...]:
    if metric.mixed_spaces:
        return ()
    measured = [variant for variant in variants if variant in metric.intervals]
    sign = -1 if metric.lower_is_better else 1
    quality = {variant: sign * metric.intervals[variant].mean for variant in measured}
    unbeaten = [
        variant
        for variant in measured
        if all(_slower(seconds, o, variant) for o in measured if quality[o] > quality[variant])
    ]
    return tuple(sorted(unbeaten, key=lambda variant: seconds.intervals[variant].mean))


def _slower(seconds: MetricFacts, variant: str, other: str) -> bool:
    """Whether a variant takes longer than another, beyond the chance of timing; with one seed, at all."""
    differences = list(seconds.paired(variant, other).values())
    if not differences:
        return seconds.intervals[variant].mean > seconds.intervals[other].mean
    interval = mean_interval(differences)
    return interval.low > 0 if interval.n > 1 else interval.mean > 0


def _without(config: Mapping[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != field}
