"""The KL term."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from ablate.factors.base import Loss
from ablate.fields import Position

if TYPE_CHECKING:
    from torch import Tensor

    from ablate.factors.base import Frozen, Step


class Kl(Loss):
    """KL divergence of the predicted clean latents' per-channel Gaussian from the data latents'."""

    name: ClassVar[str] = "kl"
    label: ClassVar[str] = "KL"
    reasons: ClassVar[dict[str, str]] = {
        "loss": "the KL term adds nothing to the loss",
        "gradient": "the gradient of the KL term is zero",
    }

    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.01
    start: Position = 0
    """First epoch with this loss."""
    form: Literal["corrected", "as-published"] = "corrected"
    """``as-published``: the frozen VAE's own KL from a standard normal, which no weight can change."""

    def loss(self, step: Step, frozen: Frozen) -> Tensor:
        """A scalar: it compares whole batches."""
        if self.form == "as-published":
            scale = frozen.vae.config.scaling_factor
            return posterior_kl(step.mean / scale, step.std / scale)
        return kl(step.predicted_x0, step.x0)


def kl(x0: Tensor, target: Tensor) -> Tensor:
    """KL of the predicted clean latents from the data latents, as per-channel Gaussians. A scalar.

    Both batches [B, C, h, w] are summarized by mean and variance over B, h, w. For each channel
    KL(p‖q) = ½·(σ_p²/σ_q² + (μ_p−μ_q)²/σ_q² − 1 − ln σ_p²/σ_q²); the mean over channels is returned.
    It is zero when the predictions have the data's per-channel mean and variance.
    """
    axes = (0, 2, 3)
    mean_p, mean_q = x0.mean(axes), target.mean(axes)
    var_p = x0.var(axes, unbiased=False) + 1e-6
    var_q = target.var(axes, unbiased=False) + 1e-6
    ratio = var_p / var_q
    return 0.5 * (ratio + (mean_p - mean_q).square() / var_q - 1 - ratio.log()).mean()


def posterior_kl(mean: Tensor, std: Tensor) -> Tensor:
    """KL of a VAE's posterior N(mean, std²), both [B, C, h, w], from the standard normal. A scalar.

    Summed over an image's elements, averaged over the batch (Kingma & Welling 2014, appendix B). A
    VAE is trained with it; beside a frozen VAE it is a number that no trained weight can change.
    """
    divergence = 0.5 * (mean.square() + std.square() - 1 - 2 * std.log())
    return divergence.sum((1, 2, 3)).mean()
