"""Augmentation of training images, each image by its own draws."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from ablate.factors.base import Factor
from ablate.fields import Position

if TYPE_CHECKING:
    from torch import Tensor


class Augmentation(Factor):
    """What is done to training images before they are encoded."""

    name: ClassVar[str] = "augmentation"
    field: ClassVar[str] = "augmentation"
    title: ClassVar[str] = "the augmentation"
    enters: ClassVar[str] = "batch"
    reasons: ClassVar[dict[str, str]] = {
        "batch": "the latents are those of the unchanged images: a cache bypasses the augmentation",
    }

    kind: str
    """``none``; ``flip``: mirrored with probability ½; ``strong``: flip, shift, rotation, scale, colour."""
    start: Position = 0
    """First epoch with this augmentation; none before."""
    variants: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Augmented forms of each image that are encoded once and drawn from; ``null``: a new one each time.
    ``flip`` with 2 holds both of its forms."""

    @classmethod
    def of(cls, config: Any) -> Self | None:
        """None for ``kind: none``."""
        augmentation: Self = config.augmentation
        return None if augmentation.kind == "none" else augmentation

    @classmethod
    def off(cls) -> dict[str, Any]:
        """There is always a section, so its kind says whether it acts."""
        return {"augmentation": NoAugmentation()}

    @abstractmethod
    def apply(self, images: Tensor, *address: int | str) -> Tensor:
        """Augmented images [B, 3, H, W] in [−1, 1], all draws made from ``address``
        (``ablate.diffusion.randomness``)."""

    def form(self, image: Tensor, number: int, row: int) -> Tensor:
        """Form ``number`` of ``variants`` of the image [1, 3, S, S] that is the data set's ``row``."""
        return self.apply(image, "augmentation", self.kind, number, row)


class NoAugmentation(Augmentation):
    """The images as they are."""

    kind: Literal["none"] = "none"

    def apply(self, images: Tensor, *address: int | str) -> Tensor:
        """The same images."""
        return images


class Flip(Augmentation):
    """Each image mirrored with probability ½."""

    kind: Literal["flip"] = "flip"

    def apply(self, images: Tensor, *address: int | str) -> Tensor:
        """Some of the images mirrored."""
        return flip(images, *address)

    def form(self, image: Tensor, number: int, row: int) -> Tensor:
        """With two forms those that there are: the image and its mirror image."""
        if self.variants == 2:
            return image.flip(-1) if number else image
        return super().form(image, number, row)


class Strong(Augmentation):
    """Flip, shift, rotation, scale and colour."""

    kind: Literal["strong"] = "strong"

    def apply(self, images: Tensor, *address: int | str) -> Tensor:
        """Every image changed."""
        return strong(images, *address)


AUGMENTATIONS: dict[str, type[Augmentation]] = {"none": NoAugmentation, "flip": Flip, "strong": Strong}
"""The values of ``augmentation.kind``."""


def flip(images: Tensor, *address: int | str) -> Tensor:
    """Mirrors each image [B, 3, H, W] with probability ½."""
    import torch

    from ablate.diffusion import randomness

    mirrored = randomness.uniform((len(images),), *address, "flip") < 0.5
    return torch.where(mirrored.to(images.device).view(-1, 1, 1, 1), images.flip(-1), images)


def strong(images: Tensor, *address: int | str) -> Tensor:
    """Flip, rotation ±15°, scale 0.8–1.2, shift ±10 %, brightness, contrast and saturation ±20 %.

    Images [B, 3, H, W] in [−1, 1]; what comes in at the borders is white.
    """
    import torch
    import torch.nn.functional as F

    from ablate.diffusion import randomness

    images = flip(images, *address)
    n, device = len(images), images.device
    draw = (2 * randomness.uniform((7, n), *address, "strong") - 1).to(device)
    angle, scale = draw[0] * torch.pi / 12, 1 + 0.2 * draw[1]
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    shift_x, shift_y = 0.2 * draw[2], 0.2 * draw[3]  # the grid spans 2, so 0.2 is 10 % of the edge
    affine = torch.stack([torch.stack([cos, -sin, shift_x], -1), torch.stack([sin, cos, shift_y], -1)], 1)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    # Sampling 1 − image pads with zeros, that is with white.
    images = 1 - F.grid_sample(1 - images, grid, padding_mode="zeros", align_corners=False)
    brightness, contrast, saturation = (0.2 * row.view(-1, 1, 1, 1) for row in draw[4:7])
    grey = images.mean(1, keepdim=True)
    images = grey + (1 + saturation) * (images - grey)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = mean + (1 + contrast) * (images - mean) + brightness
    return images.clamp(-1, 1)
