"""EMA observers: averages of the weights that watch a training and cannot change it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


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

    @torch.no_grad()
    def update(self, epoch: int, weights: Mapping[str, Tensor]) -> None:
        """Moves the shadow towards the weights after an optimizer step."""
        if epoch < self.start:
            return
        shadows = list(self.shadow.values())
        torch._foreach_lerp_(shadows, [weights[name] for name in self.shadow], 1 - self.decay)
