"""The losses of a training step: noise MSE, LPIPS on the decoded prediction, KL of the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def noise_mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over all elements (Ho et al. 2020, eq. 14), in fp32. A scalar."""
    return (prediction.float() - target.float()).square().mean()


def lpips(
    x0: Tensor,
    images: Tensor,
    decode: Callable[[Tensor], Tensor],
    distance: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """LPIPS (Zhang et al. 2018) between the decoded predicted latents and the images. A scalar.

    Args:
        x0: predicted clean latents [B, C, h, w]; the gradient runs through them to the U-Net.
        images: the training images [B, 3, H, W] in [−1, 1].
        decode: latents to images in [−1, 1]; its weights are frozen, its graph is kept.
        distance: the ``lpips`` module: two batches of images to [B, 1, 1, 1].
    """
    return distance(decode(x0), images).mean()


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
    return 0.5 * (ratio + (mean_p - mean_q).square() / var_q - 1 - torch.log(ratio)).mean()


def posterior_kl(mean: Tensor, std: Tensor) -> Tensor:
    """KL of a VAE's posterior N(mean, std²), both [B, C, h, w], from the standard normal. A scalar.

    Summed over an image's elements, averaged over the batch (Kingma & Welling 2014, appendix B). A
    VAE is trained with it; beside a frozen VAE it is a number that no trained weight can change.
    """
    divergence = 0.5 * (mean.square() + std.square() - 1 - 2 * std.log())
    return divergence.sum((1, 2, 3)).mean()
