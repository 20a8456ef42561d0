"""The weight of each timestep in the training loss."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from ablate.factors.base import Factor
from ablate.fields import Position

if TYPE_CHECKING:
    from torch import Tensor

    from ablate.diffusion.schedule import ForwardProcess


class Weighting(Factor):
    """What the losses that are ``weighted`` are multiplied by. A subclass for each ``kind``."""

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


class MinSnr(Weighting):
    """Min-SNR-γ (Hang et al. 2023, eq. 8): no timestep weighs more than γ in terms of x_0."""

    kind: Literal["min_snr"] = "min_snr"
    gamma: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0

    def weights(self, t: Tensor, process: ForwardProcess) -> Tensor:
        """min(SNR, γ)/SNR for a predicted noise, min(SNR, γ)/(SNR + 1) for a predicted velocity."""
        alpha_bar = process.alpha_bar[t]
        snr = alpha_bar / (1 - alpha_bar)
        return snr.clamp(max=self.gamma) / (snr if process.prediction == "epsilon" else snr + 1)


WEIGHTINGS: dict[str, type[Weighting]] = {"min_snr": MinSnr}
"""The values of ``weighting.kind``."""
