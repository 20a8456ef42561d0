"""EMA: the exponential moving average of the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ablate.factors.observer import Observer
from ablate.fields import Position

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from ablate.factors.observer import Weights


class Ema(Observer):
    """Exponential moving average of the U-Net's weights; sampling uses the average.

    shadow ← decay·shadow + (1−decay)·weights after each optimizer step from epoch ``start`` on.

    The decay is constant, as in the published setting; diffusers' ``EMAModel`` adds a warm-up whose first
    decay is 0, with which a stale shadow would be forgotten at its first update.
    """

    kind: Annotated[Literal["ema"], Field(exclude=True)] = "ema"
    decay: Annotated[float, Field(gt=0, lt=1)]
    """Share of the old average kept at each optimizer step."""
    start: Position = 0
    """Epoch of the first update."""
    shadow: Literal["current", "initial"] = "current"
    """What the average begins with at ``start``: the weights of that moment, or the initial weights
    of the training (the stale shadow of an EMA that was made early and first updated midway)."""

    def begin(self, weights: Weights, initial: Callable[[], Weights]) -> dict[str, Tensor]:
        """A copy of the weights that ``shadow`` names."""
        chosen = initial() if self.shadow == "initial" else weights
        return {name: weight.detach().clone() for name, weight in chosen.items()}

    def update(self, state: dict[str, Tensor], weights: Weights) -> None:
        """Moves the shadow towards the weights."""
        import torch

        with torch.no_grad():
            torch._foreach_lerp_(list(state.values()), [weights[name] for name in state], 1 - self.decay)
