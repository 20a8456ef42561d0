"""A data set, held in memory the way the kit's training runs use it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from ablate.data import captions
from ablate.data.entries import caption
from ablate.data.images import load_image
from ablate.stages.prepare import to_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SIZE = 32
"""Height and width of the kit's images in pixels."""


@dataclass(frozen=True)
class KitData:
    """Training images with all their captions, and the held-out pairs of the test split."""

    images: NDArray[np.uint8]
    """[N, 32, 32, 3]"""
    captions: list[list[str]]
    """N lists of paraphrases."""
    test_images: NDArray[np.uint8]
    """[M, 32, 32, 3]: the prompts that have a real image."""
    test_prompts: list[str]
    """M texts."""
    test_monsters: list[str]
    """M monsters: the groups of the pairs."""

    def sha256(self) -> str:
        """A digest of all images and texts."""
        digest = hashlib.sha256(self.images.tobytes() + self.test_images.tobytes())
        digest.update(json.dumps([self.captions, self.test_prompts]).encode())
        return digest.hexdigest()


def load(root: Path) -> KitData:
    """Read a whole data set at 32×32. Raises DataError if it is none."""
    data = captions.read(root)
    pairs = [(p, p.reference) for p in data.prompts if p.reference is not None]
    empty = np.zeros((0, SIZE, SIZE, 3), dtype=np.uint8)
    return KitData(
        images=np.stack([load_image(image.path, SIZE) for image in data.train]),
        captions=[[caption(image, i) for i in range(len(image.descriptions))] for image in data.train],
        test_images=np.stack([load_image(path, SIZE) for _, path in pairs]) if pairs else empty,
        test_prompts=[prompt.text for prompt, _ in pairs],
        test_monsters=[prompt.group for prompt, _ in pairs],
    )


def to_unit(images: NDArray[np.uint8]) -> torch.Tensor:
    """uint8 [N, H, W, 3] → float32 [N, 3, H, W] in [-1, 1]."""
    return to_model(torch.from_numpy(images))


def shifted(images: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Each image moved by up to one pixel each way, with white coming in at the edges."""
    n, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=255)
    offsets = rng.integers(0, 3, size=(n, 2))
    return np.stack([padded[i, y : y + height, x : x + width] for i, (y, x) in enumerate(offsets)])
