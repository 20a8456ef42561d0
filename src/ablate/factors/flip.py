"""Mirrored images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ablate.factors.augmentation import Augmentation

if TYPE_CHECKING:
    from torch import Tensor


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


def flip(images: Tensor, *address: int | str) -> Tensor:
    """Mirrors each image [B, 3, H, W] with probability ½."""
    import torch

    from ablate.diffusion import randomness

    mirrored = randomness.uniform((len(images),), *address, "flip") < 0.5
    return torch.where(mirrored.to(images.device).view(-1, 1, 1, 1), images.flip(-1), images)
