"""EMA: an average of the weights, which watches a training and cannot change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from ablate.factors.base import Factor
from ablate.fields import Position

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class Ema(Factor):
    """Exponential moving average of the U-Net's weights; sampling uses the average."""

    name: ClassVar[str] = "ema"
    field: ClassVar[str] = "ema"
    title: ClassVar[str] = "the average"
    enters: ClassVar[str] = "EMA weights"
    reasons: ClassVar[dict[str, str]] = {
        "EMA weights": "the average equals the weights",
        "images": "the average is kept, and the images are drawn from the weights themselves",
    }

    decay: Annotated[float, Field(gt=0, lt=1)]
    """Share of the old average kept at each optimizer step."""
    start: Position = 0
    """Epoch of the first update."""
    shadow: Literal["current", "initial"] = "current"
    """What the average begins with at ``start``: the weights of that moment, or the initial weights
    of the training (the stale shadow of an EMA that was made early and first updated midway)."""

    @classmethod
    def asked(cls, config: Any) -> Any:
        """The average, and whether it is sampled."""
        return config.ema and (config.ema, config.sample.weights)


class EmaObserver:
    """shadow ← decay·shadow + (1−decay)·weights after each optimizer step from epoch ``start`` on.

    Before ``start`` there is nothing to average; whoever trains calls ``begin`` at that
    epoch. The decay is constant, as in the published setting; diffusers' ``EMAModel`` adds a warm-up
    whose first decay is 0, with which a stale shadow would be forgotten at its first update.
    """

    def __init__(self, decay: float, start: int) -> None:
        self.decay = decay
        self.start = start
        self.shadow: dict[str, Tensor] = {}

    def begin(self, weights: Mapping[str, Tensor]) -> None:
        """Takes a copy of the weights [name → tensor] that the average begins with."""
        self.shadow = {name: weight.detach().clone() for name, weight in weights.items()}

    def update(self, epoch: int, weights: Mapping[str, Tensor]) -> None:
        """Moves the shadow towards the weights after an optimizer step."""
        import torch

        if epoch < self.start:
            return
        with torch.no_grad():
            shadows = list(self.shadow.values())
            torch._foreach_lerp_(shadows, [weights[name] for name in self.shadow], 1 - self.decay)
