"""In short: each variant, or each main effect of a factorial design, in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.report import numbers
from ablate.report.blocks import Block, Heading, Text, bold, bullets
from ablate.report.section import Section
from ablate.report.sections import factorial

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ablate.report.metrics import Metric
    from ablate.report.results import Results
    from ablate.stats import PairedDifference


class Summary(Section):
    """The differences in words."""

    name = "summary"

    def blocks(self, results: Results) -> list[Block]:
        """Always there: without a difference it says why there is none."""
        heading = Heading("In short")
        found = headlines(results)
        if not found:
            nothing = (
                "There is nothing to compare with the baseline: this report shows its numbers alone."
                if results.metrics
                else "No finished run has a metric yet."
            )
            return [heading, Text(nothing)]
        what = "averages over all other factors" if _of_levels(results) else "variant − baseline"
        return [
            heading,
            bullets(found),
            Text(
                f'Differences are {what}, with 95 % intervals. "Better" and "worse" mean that the interval '
                "lies on one side of zero; each is read by itself, without a correction for their number."
            ),
        ]


def headlines(results: Results) -> list[str]:
    """A sentence for each main effect of a factorial design, or for each variant: the first metric with
    numbers, the others in words."""
    return _of_levels(results) or _of_variants(results)


def _of_levels(results: Results) -> list[str]:
    """Empty for another design, and where a combination of levels lacks each metric."""
    design = factorial.design(results)
    if design is None:
        return []
    return [
        _headline(
            factorial.label(design, cell),
            [(entry.metric, entry.effects[cell].difference) for entry in design.metrics],
        )
        for cell in design.cells(1)
    ]


def _of_variants(results: Results) -> list[str]:
    found = []
    for variant in results.others:
        measured = [(m, m.differences[variant]) for m in results.metrics if variant in m.differences]
        if measured:
            agree = _agreement(results, measured[0][0], variant)
            found.append(_headline(f"{variant} − {results.baseline}", measured, agree))
    return found


def _headline(name: str, measured: Sequence[tuple[Metric, PairedDifference]], agreement: str = "") -> str:
    (first, difference), *rest = measured
    amount = numbers.difference(difference, first.decimals_of_differences)
    sentence = f"{bold(name)}: {first.label} {amount}, {judgement(first, difference)}{agreement}"
    others: dict[str, list[str]] = {}
    for metric, of_metric in rest:
        others.setdefault(judgement(metric, of_metric), []).append(metric.name)
    return "; ".join([sentence, *(f"{', '.join(keys)} {words}" for words, keys in others.items())]) + "."


def _agreement(results: Results, metric: Metric, variant: str) -> str:
    """In how many seeds: `` (better in 4 of 6 seeds)``."""
    gains = metric.gains(variant, results.baseline).values()
    better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    if len(gains) < 2 or not better + worse:
        return ""
    more = "better" if better >= worse else "worse"
    said = judgement(metric, metric.differences[variant])
    return f" ({'' if more == said else f'{more} '}in {max(better, worse)} of {len(gains)} seeds)"


def judgement(metric: Metric, difference: PairedDifference) -> str:
    """Where the 95 % interval lies: ``better``, ``worse``, or on both sides of zero."""
    if difference.low == difference.high == 0:
        return "equal in every seed"
    if difference.n > 1 and not difference.excludes_zero:
        return "not told apart"
    word = "better" if (difference.mean < 0) == metric.lower_is_better and difference.mean else "worse"
    if difference.n > 1:
        return word
    return f"{word} in the one seed" if difference.mean else "equal in the one seed"
