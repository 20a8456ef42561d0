"""The verdicts: a table, and for each claim how its verdict was reached."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ablate.report import numbers
from ablate.report.blocks import Block, Fold, Heading, Items, Table, Text, bold, bullets
from ablate.report.section import Section
from ablate.report.words import line, listed
from ablate.stats import Verdict
from ablate.text import plural

if TYPE_CHECKING:
    from ablate.report.claims import Claim, Looks
    from ablate.report.results import Results


TERMS = (
    "**95 % interval**: 95 of 100 such intervals hold the true mean difference. Student's t takes the "
    "differences of the seeds to be roughly normal. BCa does not: it draws the seeds again and again.",
    "**Sign-flip test, p**: if the change did nothing, each seed's difference might as well have the other "
    "sign. p is the share of all combinations of signs whose mean is at least as far from zero.",
    "**Holm**: each further claim is one more chance to be wrong, so p is raised with their number.",
    "**80 % power**: of five experiments like this one, four would find it.",
)
"""What the lines below the table speak of, for readers who have not met it."""


class Verdicts(Section):
    """What became of the claims that the spec makes."""

    name = "verdicts"

    def blocks(self, results: Results) -> list[Block]:
        """Empty without claims."""
        claims = results.claims
        if not claims:
            return []
        return [
            Heading("Verdicts"),
            verdict_table(results),
            *map(Text, what_verdicts_say(results, "third")),
            Items([[_quoted(claim), *how(claim, len(claims))] for claim in claims], numbered=True),
            Fold("What these words mean", [bullets(TERMS)]),
        ]


def what_verdicts_say(results: Results, column: str) -> list[str]:
    """Paragraphs on what the verdicts are about, how sure they are, and when claims are judged. ``column``:
    which one has metric and direction."""
    holm = f" (Holm's correction over {len(results.claims)} claims)" if len(results.claims) > 1 else ""
    said = (
        f"A verdict is on what the {column} column says, whatever else the claim says, and it counts if the "
        "claim was written before the runs. Where nothing has an effect, the probability that any verdict is "
        f"wrong is at most {results.alpha:g}{holm}. *Inconclusive* means neither shown nor refuted."
    )
    return [said, *filter(None, [_looks(results.looks)])]


def verdict_table(results: Results) -> Table:
    """A row a claim: what it says of the numbers, what they are, and the verdict."""
    head = ["", "claim", "metric and direction", "difference [95 %]", "p (Holm)", "verdict"]
    rows = []
    for number, claim in enumerate(results.claims, start=1):
        must = " *(must be supported)*" if claim.must else ""
        difference = numbers.difference(claim.judgement.difference, claim.places)
        p, verdict = numbers.p_value(claim.judgement.p_corrected), bold(claim.verdict)
        rows.append([f"{number}.", line(claim.text) + must, says(claim), difference, p, verdict])
    return Table(head, rows, words=3)


def says(claim: Claim) -> str:
    """What a claim says of the numbers: ``FID (inception): lpips lower than plain``."""
    margin = "" if claim.margin is None else f"{claim.margin:g}"
    if claim.direction == "equal":
        return f"{claim.metric_label}: {claim.variant} equal to {claim.against} within ±{margin}"
    by = f" by {margin} or more" if margin else ""
    return f"{claim.metric_label}: {claim.variant} {claim.direction} than {claim.against}{by}"


def _quoted(claim: Claim) -> str:
    return f'"{line(claim.text)}"' + (f" ({line(claim.source)})" if claim.source else "")


def how(claim: Claim, claims: int) -> list[str]:
    """How the verdict was reached, line by line. ``claims``: how many were judged together."""
    judgement, places = claim.judgement, claim.places
    difference, bca = judgement.difference, judgement.bca
    if difference is None or bca is None:
        return ["Measured: nothing. The two variants have no seed in common with this metric, in one space."]
    measured = f"{claim.variant} − {claim.against} = {numbers.number(difference.mean, places, sign=True)}"
    if difference.n == 1:
        return [f"Measured with one seed: {measured}. One seed decides nothing."]
    intervals = (
        f", 95 % interval {numbers.bounds(difference, places)} (Student's t), "
        f"{numbers.bounds(bca, places)} (bootstrap, BCa)"
    )
    if difference.low == difference.high == 0:
        measured, intervals = f"{claim.variant} − {claim.against} = 0 in each", ""
    return [
        f"Measured over {difference.n} seeds{_when(claim)}: {measured}{intervals}.",
        _test(claim, claims),
        *_power(claim, claims),
    ]


def _looks(looks: Looks) -> str:
    """When the claims are judged: at the looks that were planned, or when all runs have ended. Empty where
    that was done."""
    if not looks.planned:
        return "" if looks.ended else "Claims are judged when all runs have ended, so nothing is decided yet."
    counts = listed([str(look.seeds) for look in looks.planned])
    levels = listed([f"{look.alpha:.3g}" for look in looks.planned])
    words = (
        f"The claims are judged at {plural(len(looks.planned), 'planned look')}, after {counts} seeds, which "
        f"may spend {levels} of this probability. A verdict of an earlier look stays. "
    )
    if not looks.taken:
        return f"{words}None was taken yet, so nothing is decided."
    return f"{words}{looks.taken} of {len(looks.planned)} were taken."


def _when(claim: Claim) -> str:
    """The look that a verdict is from."""
    if not claim.look:
        return ""
    decided = "" if claim.verdict == Verdict.INCONCLUSIVE else ", where it was decided"
    return f" (look at {claim.look.seeds} seeds{decided}, at level {claim.level:.3g})"


def _test(claim: Claim, claims: int) -> str:
    """The test and its p, by itself and corrected."""
    judgement = claim.judgement
    test = "Two one-sided t tests" if judgement.test == "TOST" else "Sign-flip test"
    words = f"{test}: p = {numbers.p_value(judgement.p)}".replace("= <", "<")
    if claims > 1:
        words += f", corrected for {claims} claims {numbers.p_value(judgement.p_corrected)}"
    if judgement.test == "sign-flip" and judgement.difference and claim.smallest_p:
        words += f"; {judgement.difference.n} seeds can give no less than {numbers.p_value(claim.smallest_p)}"
    return f"{words}."


def _power(claim: Claim, claims: int) -> list[str]:
    """What the design could have seen, and what it would take to decide."""
    judgement, sentences = claim.judgement, []
    if claim.too_few_seeds:
        first = f"the first of {claims} claims" if claims > 1 else "a claim"
        sentences.append(f"{claim.least_seeds} seeds are the least that can decide {first}.")
    elif not math.isnan(judgement.detectable):
        size = numbers.number(judgement.detectable, claim.places)
        what = f"difference of {size}" if claim.margin is None else f"distance of {size} from the margin"
        sentences.append(f"This design sees a true {what} with 80 % power.")
    if claim.verdict == Verdict.INCONCLUSIVE and judgement.seeds_needed:
        sentences.append(
            f"If the measured difference is the true one, {judgement.seeds_needed} seeds would decide "
            "with 80 % power."
        )
    return [" ".join(sentences)] if sentences else []
