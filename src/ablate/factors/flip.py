"""Mirrored images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ablate.factors.augmentation import Augmentation, flip

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
