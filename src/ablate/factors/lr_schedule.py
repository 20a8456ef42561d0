"""What a schedule of the learning rate is. Each kind is a file of its own."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from ablate.factors.base import Factor


class LrSchedule(Factor):
    """The learning rate over the training, as a share of ``train.learning_rate``."""

    name: ClassVar[str] = "lr_schedule"
    field: ClassVar[str] = "lr_schedule"
    title: ClassVar[str] = "the schedule of the learning rate"
    enters: ClassVar[str] = "update"
    looks_ahead: ClassVar[bool] = True

    kind: str

    @abstractmethod
    def share(self, passed: float, epochs: int) -> float:
        """The share, in 0 to 1, when ``passed`` of ``epochs`` are over. A pure function: nothing is carried
        from step to step.
        """
