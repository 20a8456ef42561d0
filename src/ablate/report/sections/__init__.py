"""The sections of a report. To add one, write its file and name it in ``SECTIONS``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.report.sections.audit import Audit
from ablate.report.sections.costs import Costs
from ablate.report.sections.factorial import FactorialEffects
from ablate.report.sections.frontier import QualityAndTime
from ablate.report.sections.gaps import Gaps
from ablate.report.sections.opening import Opening
from ablate.report.sections.provenance import Provenance
from ablate.report.sections.published import PublishedFigures
from ablate.report.sections.results import MeasuredResults
from ablate.report.sections.samples import Samples
from ablate.report.sections.summary import Summary
from ablate.report.sections.variance import Variance
from ablate.report.sections.variants import Variants
from ablate.report.sections.verdicts import Verdicts

if TYPE_CHECKING:
    from ablate.report.blocks import Block
    from ablate.report.results import Results
    from ablate.report.sections.base import Section

SECTIONS: dict[str, Section] = {
    section.name: section
    for section in (
        Opening(),
        Verdicts(),
        Summary(),
        Variants(),
        Audit(),
        MeasuredResults(),
        FactorialEffects(),
        QualityAndTime(),
        PublishedFigures(),
        Variance(),
        Samples(),
        Costs(),
        Gaps(),
        Provenance(),
    )
}
"""Every section by its name, in the order of the page."""


def page(results: Results) -> list[Block]:
    """The blocks of all sections, one after the other."""
    return [block for section in SECTIONS.values() for block in section.blocks(results)]
