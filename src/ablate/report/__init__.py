"""From an experiment's record to a page of markdown with figures: computed first, then rendered."""

from ablate.report.facts import gather
from ablate.report.facts.claims import unmet
from ablate.report.index import write_index
from ablate.report.write import write_report

__all__ = ["gather", "unmet", "write_index", "write_report"]
