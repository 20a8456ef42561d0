"""What one training step needs, drawn by its address: images, latents, noise, timesteps, captions."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch

from ablate.diffusion import randomness
from ablate.stages.prepare import to_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from ablate.factors import Acting
    from ablate.stages.training import Training


@dataclass(frozen=True)
class Batch:
    """What one forward pass needs, on the device. Latents are [B, C, h, w], scaled to unit variance."""

    compared: Mapping[str, Tensor]
    """Loss → rows [K] of the images that it looks at; only losses that look at some."""
    images: Mapping[str, Tensor]
    """Loss → these images after augmentation, [K, 3, S, S] in [−1, 1]."""
    mean: Tensor
    std: Tensor
    """The posterior of the images' latents."""
    x0: Tensor
    """Latents drawn from it."""
    noise: Tensor
    t: Tensor
    """Timesteps [B]."""
    context: Tensor
    """Text states [B, L, D]."""

    def for_losses(self) -> dict[str, Any]:
        """All of it that a loss is computed from."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "context"}


def draw_batch(training: Training, rows: Tensor, epoch: int, number: int, acting: Acting) -> Batch:
    """The images in ``rows`` as batch ``number`` of an epoch, with all its random draws."""
    draw = (training.seed, epoch, number)
    t = randomness.integers(training.process.timesteps, (len(rows),), *draw, "timestep")
    asked = {loss.name: loss.compared(t, training.process.timesteps, *draw) for loss in acting.losses}
    compared = {name: some for name, some in asked.items() if some is not None}
    images, mean, std = draw_images(training, rows, compared, draw, acting)
    shape = tuple(mean.shape)
    send = training.send
    return Batch(
        compared={name: send(some) for name, some in compared.items()},
        images=images,
        mean=mean,
        std=std,
        x0=mean + std * send(randomness.normal(shape, *draw, "posterior")),
        noise=send(randomness.normal(shape, *draw, "noise")),
        t=send(t),
        context=training.take("states", caption_rows(training, rows, draw)),
    )


def draw_images(
    training: Training,
    rows: Tensor,
    compared: Mapping[str, Tensor],
    draw: tuple[int, ...],
    acting: Acting,
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Those of a batch's images that a loss looks at, and mean and deviation of all its latents.

    Augmented as the configuration says: not at all, or to one of the forms in the cache, or anew, which
    alone takes the VAE.
    """
    take, augmentation = training.take, acting.augmentation
    if augmentation and not augmentation.variants:
        images = augmentation.apply(to_model(take("images", rows)), *draw)
        shown = {name: images[training.send(some)] for name, some in compared.items()}
        return shown, *training.encode(images)
    kind, index = "", [rows]
    if augmentation:
        kind = "augmented "
        index.append(randomness.integers(augmentation.variants or 1, (len(rows),), *draw, "form"))
    mean, std = take(f"{kind}mean", *index), take(f"{kind}std", *index)
    shown = {
        name: to_model(take(f"{kind}images", *(part[some] for part in index)))
        for name, some in compared.items()
    }
    return shown, mean, std


def caption_rows(training: Training, rows: Tensor, draw: tuple[int, ...]) -> Tensor:
    """For each image one of its captions at random; row 0, the empty one, for dropped captions."""
    captions = training.data.captions
    choice = randomness.uniform((len(rows),), *draw, "caption").tolist()
    picked = [
        captions[row][int(u * len(captions[row]))] for row, u in zip(rows.tolist(), choice, strict=True)
    ]
    dropped = (
        randomness.uniform((len(rows),), *draw, "caption dropout") < training.config.train.caption_dropout
    )
    return torch.tensor(picked).masked_fill(dropped, 0)
