"""What the audit found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.records import LAYERS
from ablate.report import numbers
from ablate.report.markdown.text import NONE, Rows, line, listed, shorten

if TYPE_CHECKING:
    from ablate.report.facts import Facts

DIFFERENCE = "difference"
"""What a finding is about that compares a variant with the baseline."""

ACTS = {"active": "active", "passive": "passive by design", "inert": "**inert**", "warning": "**warning**"}


def notes(facts: Facts) -> list[str]:
    """What the top of the report says of the audit: whatever does nothing or is probably not meant."""
    findings = facts.record.findings
    if findings is None:
        return ["This experiment ran without an audit."]
    inert, expected, warned = (
        list(dict.fromkeys(f"**{f.variant}**" for f in findings if (f.act, f.expected) == kind))
        for kind in (("inert", False), ("inert", True), ("warning", False))
    )
    sentences = (
        (inert, f"Something in {listed(inert)} was meant to act and does not"),
        (expected, f"Something in {listed(expected)} does nothing, as expected"),
        (warned, f"The audit warns of {listed(warned)}"),
    )
    return [f"{sentence}: see [Audit](#audit)." for variants, sentence in sentences if variants]


def findings_table(facts: Facts) -> Rows:
    """A row a finding."""
    rows = [["variant", "about", "acts?", "dies in", "why"]]
    for finding in facts.record.findings or ():
        about = f"difference to {facts.baseline}" if finding.about == DIFFERENCE else f"`{finding.about}`"
        act = ACTS[finding.act] + (" (expected)" if finding.expected else "")
        rows.append(
            [finding.variant, about, act, finding.layer or NONE, shorten(line(finding.reason)) or NONE]
        )
    return rows


def changes_table(facts: Facts) -> Rows:
    """A row a variant: how much it differs from the baseline in each layer."""
    rows = [["variant", "epoch", *LAYERS]]
    for finding in facts.record.findings or ():
        if finding.about == DIFFERENCE and finding.changes:
            cells = (numbers.change(finding.changes[x]) if x in finding.changes else NONE for x in LAYERS)
            rows.append([finding.variant, str(finding.epoch), *cells])
    return rows
