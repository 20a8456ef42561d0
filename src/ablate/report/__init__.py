"""From an experiment's record to a report: results → sections → blocks → formats."""

from ablate.report.results import gather, unmet
from ablate.report.write import write_report

__all__ = ["gather", "unmet", "write_report"]
