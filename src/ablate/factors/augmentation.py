"""What an augmentation is. Each kind is a file of its own."""

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


def flip(images: Tensor, *address: int | str) -> Tensor:
    """Mirrors each image [B, 3, H, W] with probability ½."""
    import torch

    from ablate.diffusion import randomness

    mirrored = randomness.uniform((len(images),), *address, "flip") < 0.5
    return torch.where(mirrored.to(images.device).view(-1, 1, 1, 1), images.flip(-1), images)
