"""The evaluator: a contrastive image–text model for CLIP-I, CLIP-T and the features of FID and KID."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import MeaninglessError
from ablate.parts import messages
from ablate.parts.base import PretrainedPart, local_folder, refuse_infinite
from ablate.parts.sources import HubFiles

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from ablate.experiment.config import Components
    from ablate.parts.sources import Source

ADDRESSES = {"ViT-B-32:openai": "timm/vit_base_patch32_clip_224.openai/"}
"""What open_clip's table of pretrained models says of the usual one: importing open_clip takes seconds."""

SHORTEST = 1e-12
"""Length of an embedding below which nothing scales it to 1."""


@dataclass(frozen=True)
class Evaluator:
    """A contrastive image–text model that scores images. Made by ``EvaluatorPart.load``."""

    name: str
    """Stands in every table beside a metric taken in this model's features."""
    labels: dict[str, dict[str, str]]
    """Attribute → {name: its phrase, as it stands in captions}; {} if the model has none."""
    device: str
    model: Any
    preprocess: Any
    tokenizer: Any

    def encode_images(self, images: NDArray[np.uint8], batch: int = 128) -> NDArray[np.float32]:
        """uint8 [N, H, W, 3] → unit vectors float32 [N, D]. Resized as the model's own preprocessing does.

        Raises as ``unit_vectors``.
        """
        import torch
        from PIL import Image

        def encode(some: NDArray[np.uint8]) -> Any:
            pixels = [self.preprocess(Image.fromarray(image)) for image in some]
            return self.model.encode_image(torch.stack(pixels).to(self.device))

        return unit_vectors(encode, images, batch)

    def encode_texts(self, texts: list[str], batch: int = 512) -> NDArray[np.float32]:
        """N texts → unit vectors float32 [N, D]. Raises as ``unit_vectors``."""
        return unit_vectors(
            lambda some: self.model.encode_text(self.tokenizer(some).to(self.device)), texts, batch
        )


def unit_vectors(encode: Callable[[Any], Any], items: Any, batch: int) -> NDArray[np.float32]:
    """The embeddings [N, D] that ``encode`` makes of N items, scaled to length 1.

    Raises MeaninglessError if one of them has no length, or holds something else than numbers.
    """
    import numpy as np
    import torch
    import torch.nn.functional as F

    with torch.inference_mode():
        units, wrong = [], 0
        for start in range(0, len(items), batch):
            vectors = encode(items[start : start + batch]).float()
            lengths = vectors.norm(dim=-1)
            wrong += int((~lengths.isfinite() | (lengths < SHORTEST)).sum())
            units.append(F.normalize(vectors, dim=-1).cpu().numpy())
    if wrong:
        raise MeaninglessError(
            f"{wrong} of {len(items)} embeddings have no direction: not a number, or of length 0",
            where="the evaluator",
            fix="Its weights or its preprocessing are broken: see components.evaluator.",
        )
    return np.concatenate(units)


class EvaluatorPart(PretrainedPart):
    """An open_clip model: a local folder, or "ViT-B-32:openai" (architecture:weights)."""

    field = "evaluator"
    title = "evaluator"
    file_sets = (("open_clip_config.json", "open_clip_model.safetensors"),)

    def published(self) -> Source:
        """The repository in open_clip's table. Raises ComponentError for what is not in it."""
        source = self.reference.source
        if not (address := ADDRESSES.get(source, "")):
            import open_clip

            architecture, _, weights = source.partition(":")
            address = open_clip.get_pretrained_cfg(architecture, weights).get("hf_hub", "")
        repository, _, weights_file = address.rpartition("/")
        if not repository:
            raise messages.no_evaluator(source)
        name = Path(weights_file or "open_clip_model").with_suffix(".safetensors").name
        return HubFiles(repository, ((name,),))

    def load(self, device: str = "cpu") -> Evaluator:
        """The model that scores images. Raises ComponentError if there is none."""
        files = self.files()
        import open_clip

        with self.loading():
            if folder := local_folder(self.reference):
                identifier, settings = f"local-dir:{folder}", {}
                config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
                name = str(config.get("name", folder.name))
                labels_file = folder / "labels.json"
                labels = json.loads(labels_file.read_text(encoding="utf-8")) if labels_file.is_file() else {}
            else:
                name, labels = self.reference.source, {}
                identifier, _, weights = name.partition(":")
                settings = _as_trained(open_clip.get_pretrained_cfg(identifier, weights), files[0])
            model, _, preprocess = open_clip.create_model_and_transforms(
                identifier, require_pretrained=True, device=device, **settings
            )
            tokenizer = open_clip.get_tokenizer(identifier)
            refuse_infinite(model)
        model.eval().requires_grad_(False)
        return Evaluator(name, labels, device, model, preprocess, tokenizer)

    def holds(self, components: Components) -> str:
        """The length of its features."""
        import numpy as np

        black = np.zeros((1, 64, 64, 3), np.uint8)
        return f"{self.load().encode_images(black).shape[1]} features"


def _as_trained(trained: dict[str, Any], weights: Path) -> dict[str, Any]:
    """What open_clip has to be told about downloaded weights. By itself it would run OpenAI's with another
    activation than they were trained with, and only warn."""
    return {
        "pretrained": str(weights),
        "force_quick_gelu": trained.get("quick_gelu", False),
        "image_mean": trained.get("mean"),
        "image_std": trained.get("std"),
        "image_interpolation": trained.get("interpolation"),
        "image_resize_mode": trained.get("resize_mode"),
    }
