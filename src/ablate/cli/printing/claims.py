"""What is printed of claims that are open: what would decide them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from rich.markup import escape

from ablate.cli.printing import print_table, say
from ablate.experiment.options import as_ranges
from ablate.report.sections.verdicts import says
from ablate.text import duration, plural

if TYPE_CHECKING:
    from ablate.looking.next import Coming, Step


def print_coming(found: Coming, command: str, seeds: str | None) -> None:
    """The open claims, the chances of each at what could be run next, the cost, and how to do it.

    Args:
        command: what runs the experiment with the same settings.
        seeds: as they were given in place of the spec's.
    """
    if found.missing:
        these = f" --seeds {seeds}" if seeds else ""
        are = "is" if found.missing == 1 else "are"
        say(f"{plural(found.missing, 'run')} of the experiment itself {are} missing: {command}{these}")
    if not found.open:
        decided = "The claim is decided." if found.claims == 1 else f"All {found.claims} claims are decided."
        say(decided if found.claims else "The spec makes no claim.")
        return
    are = "is" if len(found.open) == 1 else "are"
    say(f"{len(found.open)} of {plural(found.claims, 'claim')} {are} open.")
    head = [
        "",
        "claim",
        "p (Holm)",
        "level",
        "seeds for 80 %",
        *(_where(step, planned=bool(found.looks)) for step in found.steps),
    ]
    rows = []
    for number, claim in found.open.items():
        p, needed = claim.judgement.p_corrected, claim.judgement.seeds_needed
        chances = [_share(step.chances[number]) for step in found.steps]
        rows.append(
            [
                f"{number}.",
                escape(says(claim)),
                f"{p:.3g}",
                f"{claim.level:.3g}",
                str(needed or "–"),
                *chances,
            ]
        )
    print_table(head, rows)
    if found.least:
        say(
            "With so few seeds nobody can tell how many it takes; "
            f"at least {found.least} can decide (`ablate plan`)."
        )
        return
    say(
        "Seeds and chances hold if the measured differences are the true ones. Those that made somebody look "
        "closer are often smaller."
    )
    for step in found.steps:
        say(_cost(step, planned=bool(found.looks)))
    _print_how(found, command)


def _print_how(found: Coming, command: str) -> None:
    """What to do, and why it keeps the probability of a wrong verdict."""
    if found.looks and found.steps:
        seeds = found.steps[0].seeds
        say(
            f"To take the next look: {command} --seeds {as_ranges(seeds)} "
            f"(or write `seeds: [{', '.join(map(str, seeds))}]` into it)"
        )
    elif not (found.looks or found.ended):
        say("The claims are judged when all runs have ended.")
    elif found.looks:
        say("The last look has been taken, and all of alpha is spent. Only fresh seeds can say more.")
    else:
        say(
            "The spec has planned no further look, so all of its alpha is spent: the same seeds, judged "
            "again together with more, would be wrong more often than alpha. Fresh seeds by themselves are "
            "not. (`looks: [6, 9, 12]` in a spec plans looks before the first run.)"
        )
        for step in found.steps:
            say(f"{command} --seeds {as_ranges(step.seeds)}")


def _cost(step: Step, *, planned: bool) -> str:
    by_themselves = f"Seeds {as_ranges(step.seeds)} by themselves"
    what = f"The look at {plural(len(step.seeds), 'seed')}" if planned else by_themselves
    time = ""
    if step.hours:
        time = f", {duration(step.hours * 3600)} of a {step.device}"
    elif step.hours is None:
        time = "; nobody has measured how long that takes"
    work = f"{plural(step.runs, 'run')}, {plural(step.steps, 'optimizer step')}"
    return f"{what}, at level {step.level:.3g}: {work}{time}."


def _where(step: Step, *, planned: bool) -> str:
    seeds = len(step.seeds)
    return f"at {plural(seeds, 'seed')}" if planned else f"with {plural(seeds, 'fresh seed')}"


def _share(chance: float) -> str:
    return "–" if math.isnan(chance) else f"{chance:.0%}"
