"""What a weighting of timesteps is. Each kind is a file of its own."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from ablate.factors.base import Factor
from ablate.fields import Position

if TYPE_CHECKING:
    from torch import Tensor

    from ablate.diffusion.schedule import ForwardProcess


class Weighting(Factor):
    """What the losses that are ``weighted`` are multiplied by."""

    name: ClassVar[str] = "weighting"
    field: ClassVar[str] = "weighting"
    title: ClassVar[str] = "the weighting"
    enters: ClassVar[str] = "loss"
    reasons: ClassVar[dict[str, str]] = {"loss": "every timestep drawn has the weight 1"}

    kind: str
    start: Position = 0
    """First epoch with this weighting; before it every timestep has the weight 1."""

    @abstractmethod
    def weights(self, t: Tensor, process: ForwardProcess) -> Tensor:
        """The weights [B] of timesteps ``t`` [B], 0 or more; ``process`` has ᾱ and what is predicted."""
