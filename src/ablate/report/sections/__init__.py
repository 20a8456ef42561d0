"""The sections of a report. To add one, write its file and name it in ``SECTIONS``.

Those of plug-ins stand before the last two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.plugins import blamed
from ablate.report.blocks import Block, Notes, code, figures
from ablate.report.drawing import png
from ablate.report.sections.audit import Audit
from ablate.report.sections.costs import Costs
from ablate.report.sections.factorial import FactorialEffects
from ablate.report.sections.frontier import QualityAndTime
from ablate.report.sections.gaps import Gaps
from ablate.report.sections.mattered import WhatMattered
from ablate.report.sections.opening import Opening
from ablate.report.sections.provenance import Provenance
from ablate.report.sections.published import PublishedFigures
from ablate.report.sections.results import MeasuredResults
from ablate.report.sections.samples import Samples
from ablate.report.sections.search import TheSearch
from ablate.report.sections.summary import Summary
from ablate.report.sections.variance import Variance
from ablate.report.sections.variants import Variants
from ablate.report.sections.verdicts import Verdicts

if TYPE_CHECKING:
    from ablate.report.results import Results
    from ablate.report.section import Section

SECTIONS: dict[str, Section] = {
    section.name: section
    for section in (
        Opening(),
        Verdicts(),
        Summary(),
        TheSearch(),
        WhatMattered(),
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
    *before, gaps, provenance = SECTIONS.values()
    blocks = [block for section in before for block in section.blocks(results)]
    for section in results.vocabulary.sections.values():
        blocks += _by_a_stranger(section, results)
    return [*blocks, *gaps.blocks(results), *provenance.blocks(results)]


def _by_a_stranger(section: Section, results: Results) -> list[Block]:
    """The blocks of a plug-in's section; where it fails, a note that says so: all else is worth a report."""
    try:
        blocks = list(section.blocks(results))
        for figure in figures(blocks):
            png(figure.draw)
        if wrong := [block for block in blocks if not isinstance(block, Block)]:
            raise TypeError(f"{wrong[0]!r} is not a block")
    except Exception as error:
        where = blamed(error) or section.name
        return [
            Notes([f"Section {code(section.name)} failed at {code(where)}: {type(error).__name__}: {error}"])
        ]
    return blocks
