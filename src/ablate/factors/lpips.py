"""The LPIPS term."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from ablate.factors.base import Loss
from ablate.fields import Position, Positive

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from ablate.factors.base import Frozen, Step


class Lpips(Loss):
    """LPIPS (Zhang et al. 2018) between the decoded prediction x̂0 and the training image."""

    name: ClassVar[str] = "lpips"
    label: ClassVar[str] = "LPIPS"
    parts: ClassVar[tuple[str, ...]] = ("perceptual",)
    libraries: ClassVar[tuple[str, ...]] = ("lpips",)
    looks_at_images: ClassVar[bool] = True
    reasons: ClassVar[dict[str, str]] = {
        "loss": "the LPIPS term adds nothing to the loss",
        "gradient": "the gradient of the LPIPS term is zero",
    }

    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 0.1
    start: Position = 0
    """First epoch with this loss."""
    form: Literal["corrected", "as-published"] = "corrected"
    """``as-published``: of the decoded x_t − ε̂, computed without gradient."""
    images: Positive | None = None
    """Images of each batch that are decoded, drawn at random: their mean is an unbiased estimate of the
    batch's. ``null``: all."""
    timesteps: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the timesteps, from the clean end, at which it acts; images at others count 0 in the mean."""
    micro_batch: Positive | None = None
    """Images decoded at once, their gradients put together: less memory, the same result. ``null``: all."""

    def compared(self, t: Tensor, timesteps: int, *address: int | str) -> Tensor:
        """Some images of the batch, drawn at random, of these the clean ones."""
        return lpips_rows(t, self.timesteps * timesteps, self.images, *address)

    def loss(self, step: Step, frozen: Frozen) -> Tensor:
        """A scalar, since micro-batches keep no graph of each image."""
        import torch

        published = self.form == "as-published"
        with torch.set_grad_enabled(not published):
            predicted = step.x_t - step.predicted_noise if published else step.predicted_x0
            return lpips(
                predicted[step.compared[self.name]],
                step.images[self.name],
                frozen.decode,
                frozen.part("perceptual"),
                of=min(self.images or len(step.t), len(step.t)),
                micro_batch=self.micro_batch,
            )


def lpips_rows(t: Tensor, below: float, images: int | None, *address: int | str) -> Tensor:
    """The images of a batch that LPIPS looks at, ascending rows [K]: of some drawn at random, the clean ones.

    Args:
        t: timesteps [B], on the CPU, so that nothing has to wait for a GPU to know K.
        below: an image takes part if its timestep is smaller.
        images: how many of the batch are drawn, without repeats; None or more than B for all.
        address: of the randomness.
    """
    import torch

    from ablate.diffusion import randomness

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
    import torch

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
    return _known(x0, torch.stack(values).sum(), torch.cat(gradients)) / (of or len(x0))


def _with_gradient(
    loss: Callable[[Tensor, Tensor], Tensor], x0: Tensor, images: Tensor
) -> tuple[Tensor, Tensor]:
    """A loss and its gradient by ``x0``; its graph is gone when this returns."""
    import torch

    x0.requires_grad_()
    value = loss(x0, images)
    (gradient,) = torch.autograd.grad(value, x0)
    return value.detach(), gradient


def _known(x: Tensor, value: Tensor, gradient: Tensor) -> Tensor:
    """``value``, whose gradient by ``x`` is known already: the graph of how it came about is not kept."""
    surrogate = (x * gradient).sum()
    return value + (surrogate - surrogate.detach())
