"""What the variants cost, and what sharing saved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.report import numbers
from ablate.report.markdown.text import NONE, Rows, name, plural

if TYPE_CHECKING:
    from ablate.records import Verification
    from ablate.report.facts import Facts
    from ablate.report.facts.metrics import MetricFacts
    from ablate.report.facts.sharing import Sharing


def times_table(facts: Facts) -> Rows:
    """Seconds by variant, with their ratio to the baseline, and evaluations of the U-Net."""
    rows = [["variant"]]
    for cost in facts.costs:
        rows[0] += [cost.label, f"ratio to {facts.baseline}"]
    if facts.evaluations:
        rows[0].append("U-Net evaluations per image")
    for variant in facts.variants:
        cells = [cell for cost in facts.costs for cell in _times(facts, cost, variant)]
        if facts.evaluations:
            evaluations = facts.evaluations.get(variant)
            cells.append(NONE if evaluations is None else f"{evaluations:g}")
        if set(cells) - {NONE}:
            rows.append([name(facts, variant), *cells])
    return rows


def _times(facts: Facts, cost: MetricFacts, variant: str) -> list[str]:
    if variant not in cost.intervals:
        return [NONE, NONE]
    seconds = numbers.mean(cost.intervals[variant], numbers.decimals(cost))
    if variant == facts.baseline:
        return [seconds, NONE]
    if not any(cost.paired(variant, facts.baseline).values()):
        # Equal to the last digit: not two that took as long, but one that was timed once.
        return [seconds, "one measurement"]
    ratio = cost.ratio(variant, facts.baseline)
    return [seconds, numbers.ratio(ratio) if ratio else NONE]


def sharing_table(sharing: Sharing) -> Rows:
    """Epochs, steps and seconds: asked for, trained, saved by sharing."""
    rows = [["", "asked for", "trained", "saved by sharing"]]
    for what, asked, trained in (
        ("epochs", sharing.epochs_asked, sharing.epochs_trained),
        ("optimizer steps", sharing.steps_asked, sharing.steps_trained),
    ):
        rows.append([what, *(numbers.number(n, 0) for n in (asked, trained, asked - trained))])
    if sharing.seconds_asked:
        saved = sharing.seconds_asked - sharing.seconds_trained
        times = (sharing.seconds_asked, sharing.seconds_trained, saved)
        rows.append(["training time", *map(numbers.duration, times)])
    if sharing.sample_seconds:
        rows.append(["sampling time", NONE, numbers.duration(sharing.sample_seconds), NONE])
    return rows


def verified(measured: Verification | None) -> str:
    """What training each variant by itself took, and whether it changed anything."""
    if measured is None:
        return ""
    separate, together = (
        numbers.duration(seconds)
        for seconds in (sum(measured.separate_seconds.values()), measured.shared_seconds)
    )
    return (
        f"`ablate verify` trained the {plural(len(measured.equal), 'variant')} of seed {measured.seed} "
        f"both ways: each by itself took {separate}, all together {together}, so separate training takes "
        f"{measured.ratio:.2f} times as long. The weights are equal to the last bit in "
        f"{sum(measured.equal.values())} of {len(measured.equal)}."
    )
