"""Observers: they watch a training and cannot change it, and have weights of their own to sample."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ablate.factors.base import Factor
from ablate.fields import Position

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    Weights = Mapping[str, Tensor]


class Observer(Factor):
    """An average of the U-Net's weights that sampling may use.

    An observer is the setting alone; what it has seen is its state, tensors by name, which is stored
    beside the training's.
    """

    name: ClassVar[str] = "ema"
    field: ClassVar[str] = "ema"
    title: ClassVar[str] = "the average"
    enters: ClassVar[str] = "EMA weights"
    reasons: ClassVar[dict[str, str]] = {
        "EMA weights": "the average equals the weights",
        "images": "the average is kept, and the images are drawn from the weights themselves",
    }

    kind: str
    start: Position = 0
    """Epoch of the first update."""

    @classmethod
    def asked(cls, config: Any) -> Any:
        """The average, and whether it is sampled."""
        return config.ema and (config.ema, config.sample.weights)

    def resolved(self, epochs: int) -> Self | None:
        """With ``start`` as an epoch of ``epochs``, so that equal observers are equal; None if it begins
        after the last one."""
        start = self.first_epoch(epochs)
        return self.model_copy(update={"start": start}) if start < epochs else None

    @property
    def begins(self) -> int:
        """``start`` of a resolved observer."""
        assert isinstance(self.start, int)
        return self.start

    @abstractmethod
    def begin(self, weights: Weights, initial: Callable[[], Weights]) -> dict[str, Tensor]:
        """The state before the first update, all of it copies.

        Args:
            weights: the U-Net's at the beginning of epoch ``start``.
            initial: makes those at the beginning of the training.
        """

    @abstractmethod
    def update(self, state: dict[str, Tensor], weights: Weights) -> None:
        """Moves the state on, in place, after an optimizer step that gave ``weights``."""

    def sampled(self, state: Weights) -> Weights:
        """The weights to sample, by the U-Net's names: the state itself."""
        return state
