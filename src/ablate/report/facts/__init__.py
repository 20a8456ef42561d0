"""What a report says, as numbers: a pure function of the experiment's record. A module a topic."""

from ablate.report.facts.gather import Facts, gather

__all__ = ["Facts", "gather"]
