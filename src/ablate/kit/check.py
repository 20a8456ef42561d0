"""Measures a kit's parts on a data set's test split: pairs that no training has seen."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lpips
import numpy as np
import torch

from ablate.data import sprites
from ablate.errors import ComponentError, DataError
from ablate.experiment.config import Part
from ablate.kit.dataset import KitData, load, to_unit
from ablate.kit.vae import psnr, reconstruct
from ablate.metrics.accuracy import zero_shot
from ablate.parts.evaluator import Evaluator, EvaluatorPart, unit_vectors
from ablate.parts.perceptual import PerceptualPart
from ablate.parts.text import load_text, quiet_transformers
from ablate.parts.vae import VaePart
from ablate.text import in_one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

    from ablate.documents import checks

PARTS = ("vae", "text_encoder", "tokenizer", "image_encoder", "evaluator", "perceptual")


@dataclass(frozen=True)
class PairQualities:
    """How well an image–text model tells held-out pairs apart. Shares between 0 and 1."""

    zero_shot: dict[str, float]
    """Attribute → accuracy when its phrase is exchanged. {} if the data has no known attributes."""
    top1: float
    """Images whose own text is nearest among all test texts."""
    top5: float


@dataclass(frozen=True)
class PerceptualQualities:
    """How the perceptual distance orders images. Shares between 0 and 1."""

    neighbour: dict[str, float]
    """Attribute → test images whose nearest training image agrees in it."""
    same_monster: float | None
    """How often another image of the same held-out monster is nearer than one of another monster."""


@dataclass(frozen=True)
class KitQualities:
    """What ``check_kit`` measures and the kit's manifest records."""

    vae_psnr: float
    """dB, mean over test images, from the posterior's mean."""
    text_encoder: PairQualities
    evaluator: PairQualities
    perceptual: PerceptualQualities
    bytes: dict[str, int]
    """Part → its size on disk."""

    def to_json(self) -> checks.KitCheck:
        """Plain values, rounded to what the test split can tell."""
        rounded: checks.KitCheck = json.loads(
            json.dumps(asdict(self)), parse_float=lambda text: round(float(text), 4)
        )
        return rounded


@dataclass(frozen=True)
class TextEncoderPair:
    """The conditioning text encoder with the image encoder it was trained beside."""

    tokenizer: CLIPTokenizer
    text: CLIPTextModel
    image: CLIPVisionModelWithProjection
    labels: dict[str, dict[str, str]]

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 [N, 32, 32, 3] → unit vectors [N, D]."""
        return unit_vectors(lambda some: self.image(to_unit(some)).image_embeds, images, 128)

    def encode_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """N texts → unit vectors [N, D]."""

        def encode(some: list[str]) -> Any:
            tokens = self.tokenizer(some, padding="max_length", truncation=True, return_tensors="pt")
            return self.text(tokens.input_ids).pooler_output

        return unit_vectors(encode, texts, 512)


def check_kit(kit: Path, data: Path | None = None) -> KitQualities:
    """Measure every part of ``kit`` on the test split of ``data`` (default: the generated sprites).

    Raises ComponentError if a part is missing and DataError if ``data`` has no test images.
    """
    if data:
        return measure(kit, load(data))
    with tempfile.TemporaryDirectory() as folder:
        sprites.generate(Path(folder))
        return measure(kit, load(Path(folder)))


def measure(kit: Path, data: KitData) -> KitQualities:
    """``check_kit`` for a data set that is already in memory."""
    require_test_images(data)
    vae = VaePart(_part(kit, "vae")).load()
    evaluator = EvaluatorPart(_part(kit, "evaluator")).load()
    pair = load_text_encoder_pair(kit, evaluator.labels)
    metric = PerceptualPart(_part(kit, "perceptual")).load()
    return KitQualities(
        vae_psnr=psnr(data.test_images, reconstruct(vae, data.test_images)),
        text_encoder=pair_qualities(pair, data),
        evaluator=pair_qualities(evaluator, data),
        perceptual=perceptual_qualities(metric, data, evaluator.labels),
        bytes={part: sum(f.stat().st_size for f in (kit / part).rglob("*") if f.is_file()) for part in PARTS},
    )


def require_test_images(data: KitData) -> None:
    """Raises DataError if there is nothing to measure a kit on."""
    if not len(data.test_images):
        raise DataError(
            "no test prompt has an image",
            where="the test split",
            fix="A kit is measured on real held-out images: put them below test/.",
        )


def _part(kit: Path, name: str) -> Part:
    return Part(source=str(kit), subfolder=name)


def load_text_encoder_pair(kit: Path, labels: dict[str, dict[str, str]]) -> TextEncoderPair:
    """A kit's text encoder and image encoder. Raises ComponentError if one is missing."""
    from transformers import CLIPVisionModelWithProjection

    tokenizer, text = load_text(_part(kit, "text_encoder"), _part(kit, "tokenizer"))
    try:
        with quiet_transformers():
            image = CLIPVisionModelWithProjection.from_pretrained(
                kit / "image_encoder", dtype=torch.float32, use_safetensors=True
            ).eval()
    except Exception as error:  # the libraries raise nearly everything here, as for all parts
        raise ComponentError(
            f"the image encoder cannot be loaded ({in_one_line(error)})",
            where=str(kit / "image_encoder"),
            fix="It is only used to check the text encoder: train the kit again with `ablate kit build`.",
        ) from error
    return TextEncoderPair(tokenizer, text, image, labels)


def pair_qualities(model: Evaluator | TextEncoderPair, data: KitData) -> PairQualities:
    """Zero-shot accuracy by attribute, and retrieval among all test texts."""
    images, texts = model.encode_images(data.test_images), model.encode_texts(data.test_prompts)
    similarity = images @ texts.T
    # Equal prompts count as the image's own; its rank is the number of other texts that are nearer.
    own = np.diag(similarity)[:, None]
    rank = (similarity > own + 1e-6).sum(axis=1)
    accuracy = zero_shot(images, data.test_prompts, model)
    return PairQualities(
        zero_shot={attribute: float(right.mean()) for attribute, right in accuracy.items()},
        top1=float((rank < 1).mean()),
        top5=float((rank < 5).mean()),
    )


def perceptual_qualities(
    metric: lpips.LPIPS, data: KitData, labels: dict[str, dict[str, str]]
) -> PerceptualQualities:
    """Nearest neighbours and same-monster comparisons under LPIPS, on the test images."""
    known = slice(None, None, max(1, len(data.images) // 1000))
    test = perceptual_features(metric, data.test_images)
    nearest = torch.cdist(test, perceptual_features(metric, data.images[known])).argmin(dim=1).tolist()
    captions = [texts[0] for texts in data.captions[known]]
    pairs = [(prompt, captions[i]) for prompt, i in zip(data.test_prompts, nearest, strict=True)]
    neighbour = {
        attribute: float(
            np.mean([names_in(prompt, names) == names_in(text, names) for prompt, text in pairs])
        )
        for attribute, names in labels.items()
    }
    monsters = np.array(data.test_monsters)
    same = monsters[:, None] == monsters[None, :]
    distance = torch.cdist(test, test).numpy()
    others = [distance[i][~same[i]] for i in range(len(test))]
    closer = [
        float((distance[i, j] < others[i]).mean())
        for i, j in zip(*np.nonzero(same), strict=True)
        if i != j and len(others[i])
    ]
    return PerceptualQualities(neighbour, float(np.mean(closer)) if closer else None)


def perceptual_features(metric: lpips.LPIPS, images: NDArray[np.uint8]) -> torch.Tensor:
    """Vectors [N, F] whose squared Euclidean distances are the metric's LPIPS (without linear heads)."""
    rows = []
    with torch.inference_mode():
        for x in torch.split(to_unit(images), 128):
            layers = metric.net(metric.scaling_layer(x))
            unit = [lpips.normalize_tensor(h) / (h.shape[2] * h.shape[3]) ** 0.5 for h in layers]
            rows.append(torch.cat([h.flatten(1) for h in unit], dim=1))
    return torch.cat(rows)


def names_in(text: str, names: dict[str, str]) -> set[str]:
    """The names whose phrases stand in the text."""
    return {name for name, phrase in names.items() if f" {phrase}" in text}
