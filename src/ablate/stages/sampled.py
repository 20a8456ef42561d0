"""What stage sample wrote, for those who read it. Imports no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from ablate.keys import RunKeys
    from ablate.records import EpochRow
    from ablate.store import Store

SAMPLED = "sampled.json"
PREVIEW = "preview.png"


@dataclass(frozen=True)
class Sampled:
    """The samples of a run: a PNG for each prompt, and what they cost and came from."""

    folder: Path

    @cached_property
    def _content(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / SAMPLED).read_text())
        return content

    @property
    def images(self) -> Path:
        """The folder of the PNGs."""
        return self.folder / "images"

    def image(self, image_name: str) -> Path:
        """The PNG of the prompt with this ``image_name``."""
        return self.images / png_name(image_name)

    @property
    def seconds(self) -> float:
        """What drawing all images took."""
        return float(self._content["seconds"])

    @property
    def evaluations_per_image(self) -> float:
        """Evaluations of the U-Net that an image took."""
        return float(self._content["evaluations_per_image"])

    @property
    def weights(self) -> str:
        """SHA-256 of the weights that the images were drawn with (hex)."""
        return str(self._content["weights"])

    @property
    def history(self) -> list[EpochRow]:
        """What each epoch of the training measured."""
        history: list[EpochRow] = self._content["history"]
        return history


def weights_file(keys: RunKeys, store: Store) -> Path:
    """The file of the weights that a run samples from: those at the end of its chain, or an observer's."""
    stage, key = keys.weights
    return store.path(stage, key) / ("unet.safetensors" if stage == "train" else "shadow.safetensors")


def preview_image(store: Store, key: str) -> Path:
    """The image of a preview, by the preview's key."""
    return store.path("preview", key) / PREVIEW


def png_name(image_name: str) -> str:
    """The file name of a sample: ``image_name`` with the ending .png."""
    return PurePath(image_name).with_suffix(".png").name
