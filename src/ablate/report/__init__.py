"""From an experiment's record to a page of markdown with figures: computed first, then rendered."""

from ablate.report.write import write_report

__all__ = ["write_report"]
