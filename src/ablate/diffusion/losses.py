"""The losses of a training step: noise MSE, LPIPS on the decoded prediction, KL of the prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from ablate.diffusion import randomness

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def noise_mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over all elements (Ho et al. 2020, eq. 14), in fp32. A scalar."""
    return (prediction.float() - target.float()).square().mean()


def lpips_rows(t: Tensor, below: float, images: int | None, *address: int | str) -> Tensor:
    """The images of a batch that LPIPS looks at, ascending rows [K]: of some drawn at random, the clean ones.

    Args:
        t: timesteps [B], on the CPU, so that nothing has to wait for a GPU to know K.
        below: an image takes part if its timestep is smaller.
        images: how many of the batch are drawn, without repeats; None or more than B for all.
        address: of the randomness.
    """
    if images is None or images >= len(t):
        rows = torch.arange(len(t))
    else:
        rows = randomness.permutation(len(t), *address, "lpips subset")[:images].sort().values
    return rows[t[rows] < below]


def lpips(
    x0: Tensor,
    images: Tensor,
    decode: Callable[[Tensor], Tensor],
    distance: Callable[[Tensor, Tensor], Tensor],
    *,
    of: int | None = None,
    micro_batch: int | None = None,
) -> Tensor:
    """LPIPS (Zhang et al. 2018) between decoded predicted latents and images. A scalar.

    Args:
        x0: predicted clean latents [K, C, h, w]; the gradient runs through them to the U-Net.
        images: the training images [K, 3, H, W] in [−1, 1].
        decode: latents to images in [−1, 1]; its weights are frozen, its graph is kept.
        distance: the ``lpips`` module: two batches of images to [B, 1, 1, 1].
        of: what the sum of the K distances is divided by. With K images left of ``of`` drawn at random
            from a batch it is Σ d·[image is left] / ``of``: in expectation the mean over the batch, in which
            images that are left out for their timestep count 0. None: K.
        micro_batch: images decoded at once; None: all. Memory is that of one micro-batch, whatever K.
    """
    if not len(x0):
        return x0.sum()  # zero, with a gradient of no elements

    def summed(x0: Tensor, images: Tensor) -> Tensor:
        return distance(decode(x0), images).sum()

    if micro_batch is None or micro_batch >= len(x0):
        return summed(x0, images) / (of or len(x0))
    pairs = list(zip(x0.detach().split(micro_batch), images.split(micro_batch), strict=True))
    if not x0.requires_grad:
        return torch.stack([summed(*pair) for pair in pairs]).sum() / (of or len(x0))
    values, gradients = zip(*(_with_gradient(summed, *pair) for pair in pairs), strict=True)
    total: Tensor = _Known.apply(x0, torch.stack(values).sum(), torch.cat(gradients))
    return total / (of or len(x0))


def _with_gradient(
    loss: Callable[[Tensor, Tensor], Tensor], x0: Tensor, images: Tensor
) -> tuple[Tensor, Tensor]:
    """A loss and its gradient by ``x0``; its graph is gone when this returns."""
    x0.requires_grad_()
    value = loss(x0, images)
    (gradient,) = torch.autograd.grad(value, x0)
    return value.detach(), gradient


class _Known(torch.autograd.Function):
    """A number whose gradient by ``x`` is known already: the graph of how it came about is not kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return upstream[0] * gradient, None, None


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
