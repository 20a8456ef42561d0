"""The learning rate."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from ablate.factors.base import Factor


class LearningRate(Factor):
    """How far an optimizer step goes, before a schedule."""

    name: ClassVar[str] = "learning_rate"
    field: ClassVar[str] = "train.learning_rate"
    title: ClassVar[str] = "the learning rate"
    enters: ClassVar[str] = "update"

    value: float

    @classmethod
    def of(cls, config: Any) -> Self:
        """From ``train.learning_rate``."""
        return cls(value=float(config.train.learning_rate))

    @classmethod
    def off(cls) -> None:
        """Every training has it."""
