"""What a section of a report is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from ablate.report.blocks import Block
    from ablate.report.results import Results


class Section(ABC):
    """One topic of a report."""

    name: ClassVar[str]
    """Its name in the dict of sections."""

    @abstractmethod
    def blocks(self, results: Results) -> list[Block]:
        """What the report says on the topic; empty where the record has nothing on it."""
