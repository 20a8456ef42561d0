"""The top of the report: what must be known before the numbers, and each variant in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.metrics import METRICS
from ablate.report import numbers
from ablate.report.facts.claims import unmet
from ablate.report.markdown import audit, factorial
from ablate.report.markdown.text import listed, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ablate.report.facts import Facts
    from ablate.report.facts.factorial import FactorialFacts
    from ablate.report.facts.metrics import MetricFacts
    from ablate.stats import PairedDifference


def notes(facts: Facts) -> list[str]:
    """What a reader must know before trusting the numbers."""
    found = [*_notes_on_claims(facts), *audit.notes(facts)]
    if facts.gaps:
        found.append(f"Runs that failed, are missing or lack a metric: {len(facts.gaps)}, listed below.")
    most = max((len(values) for metric in facts.metrics for values in metric.values.values()), default=0)
    if most == 1:
        found.append("One seed: there are no intervals, and no difference can be told from chance.")
    if facts.images.below_dimension:
        found.append(
            "Fewer images than the feature space has dimensions: the covariance that FID fits does not "
            "have full rank. Read KID first."
        )
    if len(facts.images.generated) > 1 or len(facts.images.real) > 1:
        found.append(
            "Runs were measured with different numbers of images; FID's bias depends on it, so FID "
            "cannot be compared between them."
        )
    mixed = [metric.label for metric in facts.metrics if metric.mixed_spaces]
    if mixed:
        found.append(
            f"Variants were measured in different spaces: {', '.join(mixed)}. "
            f"Differences are given within one space only."
        )
    return found


def _notes_on_claims(facts: Facts) -> list[str]:
    found = []
    if missed := [str(facts.claims.index(claim) + 1) for claim in unmet(facts)]:
        noun, verb = ("Claim", "is") if len(missed) == 1 else ("Claims", "are")
        found.append(f"{noun} {listed(missed)} must be supported and {verb} not.")
    if short := [claim for claim in facts.claims if claim.too_few_seeds]:
        found.append(
            f"Too few seeds for {plural(len(facts.claims), 'claim')} at α = {facts.alpha:g}: whatever the "
            f"differences, the sign-flip test decides none before {plural(short[0].least_seeds, 'seed')}."
        )
    return found


def headlines(facts: Facts) -> list[str]:
    """A sentence for each variant, or for each main effect of a factorial design: the first metric with
    numbers, the others in words."""
    if facts.factorial:
        return factorial_headlines(facts.factorial)
    found = []
    for variant in facts.others:
        measured = [(m, m.differences[variant]) for m in facts.metrics if variant in m.differences]
        if measured:
            agree = _agreement(facts, measured[0][0], variant)
            found.append(_headline(f"{variant} − {facts.baseline}", measured, agree))
    return found


def factorial_headlines(design: FactorialFacts) -> list[str]:
    """A sentence for each main effect."""
    if not design.metrics:
        return []
    return [
        _headline(
            factorial.label(design, cell),
            [(entry.metric, entry.effects[cell].difference) for entry in design.metrics],
        )
        for cell in design.metrics[0].effects
        if len(cell) == 1
    ]


def _headline(
    name: str, measured: Sequence[tuple[MetricFacts, PairedDifference]], agreement: str = ""
) -> str:
    (first, difference), *rest = measured
    amount = numbers.difference(difference, numbers.decimals(first))
    sentence = f"**{name}**: {first.label} {amount}, {judgement(first, difference)}{agreement}"
    others: dict[str, list[str]] = {}
    for metric, of_metric in rest:
        others.setdefault(judgement(metric, of_metric), []).append(METRICS[metric.key].label)
    return "; ".join([sentence, *(f"{', '.join(keys)} {words}" for words, keys in others.items())]) + "."


def _agreement(facts: Facts, metric: MetricFacts, variant: str) -> str:
    """In how many seeds: `` (better in 4 of 6 seeds)``."""
    gains = metric.gains(variant, facts.baseline).values()
    better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    if len(gains) < 2 or not better + worse:
        return ""
    more = "better" if better >= worse else "worse"
    said = judgement(metric, metric.differences[variant])
    return f" ({'' if more == said else f'{more} '}in {max(better, worse)} of {len(gains)} seeds)"


def judgement(metric: MetricFacts, difference: PairedDifference) -> str:
    """Where the 95 % interval lies: ``better``, ``worse``, or on both sides of zero."""
    if difference.low == difference.high == 0:
        return "equal in every seed"
    if difference.n > 1 and not difference.excludes_zero:
        return "not told apart"
    word = "better" if (difference.mean < 0) == metric.lower_is_better and difference.mean else "worse"
    if difference.n > 1:
        return word
    return f"{word} in the one seed" if difference.mean else "equal in the one seed"
