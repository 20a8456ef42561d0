"""Where the spread between runs comes from: the training's seed, or that of the sampling noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ablate.report import numbers
from ablate.report.blocks import Block, Heading, Table, Text
from ablate.report.numbers import NONE
from ablate.report.section import Section
from ablate.stats import VarianceSplit, variance_split

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.report.metrics import Metric
    from ablate.report.results import Results


@dataclass(frozen=True)
class Crossed:
    """Variants that differ in ``sample.seed`` only: each training, sampled with several noises."""

    variants: tuple[str, ...]
    splits: Mapping[str, VarianceSplit]
    """Metric's key → its split."""
    trainings: int
    """Training seeds that all of them have."""


class Variance(Section):
    """The variance of a single run's figure, split."""

    name = "variance"

    def blocks(self, results: Results) -> list[Block]:
        """Empty where no training was sampled with several noises."""
        groups = crossed(results)
        if not groups:
            return []
        blocks: list[Block] = [Heading("Where the spread between runs comes from")]
        for group in groups:
            who = ", ".join(group.variants)
            blocks += [
                Text(f"{who}: {group.trainings} trainings, each sampled with the same noises."),
                _table(group, results.metrics),
            ]
        legend = (
            "Shares of the variance of a single run's figure (two-way random effects). *Training seed*: "
            "initial weights, order of data and training noise. *Sampling seed*: the noise that images are "
            "drawn from. *Rest*: what is neither's alone. With few seeds the shares are rough."
        )
        return [*blocks, Text(legend)]


def _table(group: Crossed, metrics: Sequence[Metric]) -> Table:
    rows = []
    for metric in metrics:
        if split := group.splits.get(metric.key):
            spread = math.sqrt(split.training + split.sampling + split.residual)
            shares = (NONE if math.isnan(x) else f"{numbers.percent(x, 0)} %" for x in split.shares.values())
            rows.append([metric.label, f"{spread:.2g}", *shares])
    return Table(["metric", "standard deviation", "training seed", "sampling seed", "rest"], rows)


def crossed(results: Results) -> tuple[Crossed, ...]:
    """One for each group of variants with two or more sampling seeds, and as many training seeds."""
    groups: dict[str, dict[int, str]] = {}
    for variant, config in results.record.configs.items():
        seed = config.get("sample", {}).get("seed")
        # Without a seed of its own, a variant is sampled with the training's: that is not crossed.
        if seed is not None:
            rest = {**config, "sample": {**config["sample"], "seed": None}}
            groups.setdefault(repr(rest), {}).setdefault(seed, variant)
    found = (_split(group, results.metrics) for group in groups.values() if len(group) > 1)
    return tuple(filter(None, found))


def _split(group: Mapping[int, str], metrics: Sequence[Metric]) -> Crossed | None:
    splits, counts = {}, []
    for metric in metrics:
        values = {seed: metric.values.get(variant, {}) for seed, variant in group.items()}
        trainings = set.intersection(*map(set, values.values()))
        if len(trainings) > 1 and not metric.mixed_spaces:
            crossed = {(training, seed): values[seed][training] for training in trainings for seed in values}
            splits[metric.key] = variance_split(crossed)
            counts.append(len(trainings))
    return Crossed(tuple(group.values()), splits, min(counts)) if splits else None
