"""Facts in words and tables: everything the templates print is made here, as strings. A module a section."""

from ablate.report.markdown.page import render

__all__ = ["render"]
