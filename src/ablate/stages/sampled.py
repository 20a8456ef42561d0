"""What stage sample wrote, for those who read it, and what its keys are made of. No torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ablate import fingerprint
from ablate.stages.trained import observer_ingredients

if TYPE_CHECKING:
    from pathlib import Path

    from ablate.records import EpochRow
    from ablate.stages.keys import RunKeys
    from ablate.store import Store

SOURCES = (
    *("stages/sample.py", "stages/sampled.py", "stages/trained.py", "stages/device.py"),
    *("diffusion/samplers.py", "diffusion/randomness.py", "diffusion/unet.py", "parts/vae.py"),
)
LIBRARIES = ("torch", "diffusers")

SAMPLED = "sampled.json"
PREVIEW = "preview.png"


def ingredients(keys: RunKeys) -> dict[str, Any]:
    """The trained weights, the prompts (they are part of the prepared data) and the sampler."""
    return {
        "state": keys.chain[-1],
        "observer": keys.observer and observer_ingredients(keys.observer, keys.chain[-1]),
        "seed": keys.sample_seed,
        # The observer says which weights are meant.
        "sample": keys.config.sample.model_dump(mode="json", exclude={"weights", "seed"}),
        "numerics": keys.numerics,
        "code": fingerprint.of_files(SOURCES, LIBRARIES),
    }


def preview_ingredients(keys: RunKeys, epoch: int) -> dict[str, Any]:
    """The state and the number of prompts. Not the sampler: runs on one trunk share previews."""
    return {"state": keys.chain[epoch], "prompts": keys.config.track.preview_prompts}


@dataclass(frozen=True)
class Sampled:
    """The samples of a run: a PNG for each prompt, and in ``sampled.json`` what they cost and came from."""

    folder: Path

    @cached_property
    def _content(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / SAMPLED).read_text())
        return content

    @property
    def images(self) -> Path:
        """The folder of the PNGs."""
        return self.folder / "images"

    @property
    def names(self) -> list[str]:
        """The file names of the PNGs."""
        return sorted(file.name for file in self.images.glob("*.png"))

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


def preview_image(store: Store, key: str) -> Path:
    """The image of a preview, by the preview's key."""
    return store.path("preview", key) / PREVIEW


def png_name(image_name: str) -> str:
    """The file name of a sample: ``image_name`` with the ending .png."""
    return PurePath(image_name).with_suffix(".png").name
