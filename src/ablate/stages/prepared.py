"""What stage prepare wrote, for those who read it, and what its keys are made of.

Arrays are mapped into memory: opening them takes no time, and only the rows that are asked for are read.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ablate import fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from ablate.stages.keys import RunKeys

SOURCES = (
    *("stages/prepare.py", "stages/prepared.py", "stages/device.py"),
    *("store/growing.py", "parts/vae.py", "parts/text.py"),
    *(f"data/{name}.py" for name in ("captions", "entries", "fields", "files", "imagefolder", "images")),
    *("data/sidecars.py", "data/strict_json.py", "data/tables", "data/task.py"),
)
LIBRARIES = ("torch", "diffusers", "transformers", "pillow")


def ingredients(keys: RunKeys) -> dict[str, Any]:
    """Data, frozen parts and image size."""
    return {
        "data": keys.data,
        "size": keys.config.data.size,
        **keys.config.data.not_default(),
        **{name: keys.part(name) for name in ("vae", "text_encoder", "tokenizer")},
        "numerics": keys.numerics,
        "code": fingerprint.of_files(SOURCES, LIBRARIES),
    }


def augmented_ingredients(keys: RunKeys) -> dict[str, Any]:
    """The prepared images, and the forms that are made of each. The same for all seeds."""
    augmentation = keys.config.augmentation
    return {
        "prepare": keys.prepare,
        "augmentation": augmentation.contribution(),
        "code": fingerprint.of_class(type(augmentation)) | fingerprint.of_files(("diffusion/randomness.py",)),
    }


@dataclass(frozen=True)
class Encoded:
    """Images and their latents. Tensors are mapped from the files of an entry and must not be written to.

    Where there are K augmented forms of each image, they are a second axis: ``mean[rows, forms]`` is
    [B, C, h, w].
    """

    folder: Path

    @cached_property
    def mean(self) -> Tensor:
        """Posterior means [N, C, h, w] of the latents; [N, K, C, h, w] of forms."""
        return _mapped(self.folder / "mean.npy")

    @cached_property
    def std(self) -> Tensor:
        """Posterior standard deviations, of the same shape."""
        return _mapped(self.folder / "std.npy")

    @cached_property
    def images(self) -> Tensor:
        """What was encoded, uint8 [N, S, S, 3]; [N, K, S, S, 3] of forms."""
        return _mapped(self.folder / "images.npy")


@dataclass(frozen=True)
class Prepared(Encoded):
    """A prepared data set: its training images, captions and prompts."""

    @cached_property
    def _index(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "prepared.json").read_text())
        return content

    @cached_property
    def references(self) -> Tensor:
        """Real images of the prompts that have one, uint8 [R, S, S, 3]."""
        return _mapped(self.folder / "references.npy")

    @cached_property
    def states(self) -> Tensor:
        """Text states [U, L, D]; row 0 is the empty caption."""
        return _mapped(self.folder / "states.npy")

    @property
    def captions(self) -> list[list[int]]:
        """For each training image the rows of its possible captions."""
        rows: list[list[int]] = self._index["captions"]
        return rows

    @property
    def prompts(self) -> list[dict[str, Any]]:
        """Test prompts: ``image_name``, ``text``, ``state`` (row), ``reference`` (row or null)."""
        prompts: list[dict[str, Any]] = self._index["prompts"]
        return prompts


def _mapped(file: Path) -> Tensor:
    """An array file as a tensor whose rows are read from the disk when they are used."""
    import numpy as np
    import torch

    array = np.load(file, mmap_mode="r", allow_pickle=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it cannot be written to is meant
        return torch.from_numpy(array)
