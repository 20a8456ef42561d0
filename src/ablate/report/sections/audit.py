"""What the audit found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.records import DIFFERENCE, LAYERS
from ablate.report import numbers
from ablate.report.blocks import Block, Fold, Heading, Table, Text, bold, code
from ablate.report.numbers import NONE
from ablate.report.section import Section
from ablate.report.words import line, listed, shorten

if TYPE_CHECKING:
    from ablate.report.results import Results

ACTS = {"active": "active", "passive": "passive by design", "inert": "**inert**", "warning": "**warning**"}


class Audit(Section):
    """What acts, and where the rest dies."""

    name = "audit"

    def blocks(self, results: Results) -> list[Block]:
        """Empty without findings."""
        if not results.record.findings:
            return []
        found: list[Block] = [
            Heading("Audit"),
            findings_table(results),
            Text(
                "Before the run, a few real training steps with and without each thing. *Active*: the "
                "training changes. *Passive by design*: only what is drawn or measured changes. **Inert**: "
                "nothing does; the layer is the first that is the same to the last bit. **Warning**: acts in "
                "a way that is probably not meant, or could not be looked at."
            ),
        ]
        changes = changes_table(results)
        if not changes.rows:
            return found
        title = f"Relative size of the difference to {results.baseline}, layer by layer"
        legend = "In the epoch where the two first differ. 0: the same to the last bit; –: not looked at."
        return [*found, Fold(title, [changes, Text(legend)])]


NOTES = {
    ("inert", False): "Something in {} was meant to act and does not",
    ("inert", True): "Something in {} does nothing, as expected",
    ("warning", False): "The audit warns of {}",
}
"""What the top of the report says of findings: (act, expected) → a sentence about their variants."""


def notes(results: Results) -> list[str]:
    """Whatever does nothing or is probably not meant."""
    findings = results.record.findings
    if findings is None:
        return ["This experiment ran without an audit."]
    found = []
    for kind, sentence in NOTES.items():
        variants = dict.fromkeys(bold(f.variant) for f in findings if (f.act, f.expected) == kind)
        if variants:
            found.append(f"{sentence.format(listed([*variants]))}: see [Audit](#audit).")
    return found


def findings_table(results: Results) -> Table:
    """A row a finding."""
    rows = []
    for finding in results.record.findings or ():
        about = f"difference to {results.baseline}" if finding.about == DIFFERENCE else code(finding.about)
        act = ACTS[finding.act] + (" (expected)" if finding.expected else "")
        why = shorten(line(finding.reason)) or NONE
        rows.append([finding.variant, about, act, finding.layer or NONE, why])
    return Table(["variant", "about", "acts?", "dies in", "why"], rows, words=5)


def changes_table(results: Results) -> Table:
    """A row a variant: how much it differs from the baseline in each layer."""
    rows = []
    for finding in results.record.findings or ():
        if finding.about == DIFFERENCE and finding.changes:
            cells = (numbers.change(finding.changes[x]) if x in finding.changes else NONE for x in LAYERS)
            rows.append([finding.variant, str(finding.epoch), *cells])
    return Table(["variant", "epoch", *LAYERS], rows)
