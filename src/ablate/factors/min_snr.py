"""Min-SNR-γ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from ablate.factors.weighting import Weighting

if TYPE_CHECKING:
    from torch import Tensor

    from ablate.diffusion.schedule import ForwardProcess


class MinSnr(Weighting):
    """Min-SNR-γ (Hang et al. 2023, eq. 8): no timestep weighs more than γ in terms of x_0."""

    kind: Literal["min_snr"] = "min_snr"
    gamma: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0

    def weights(self, t: Tensor, process: ForwardProcess) -> Tensor:
        """min(SNR, γ)/SNR for a predicted noise, min(SNR, γ)/(SNR + 1) for a predicted velocity."""
        alpha_bar = process.alpha_bar[t]
        snr = alpha_bar / (1 - alpha_bar)
        return snr.clamp(max=self.gamma) / (snr if process.prediction == "epsilon" else snr + 1)
