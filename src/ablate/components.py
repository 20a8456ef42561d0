"""Loads the pretrained parts: the embedded kit's, any other kit's, and those of the hub.

Every part comes back in eval mode with frozen weights in float32, and only from safetensors where the
project wrote it. Whatever keeps a part from being loaded is a ``ComponentError``.
"""

from __future__ import annotations

import json
import os
import warnings
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ablate.errors import ComponentError
from ablate.spec.config import EMBEDDED as EMBEDDED_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lpips
    import torch
    from diffusers import AutoencoderKL
    from numpy.typing import NDArray
    from transformers import CLIPTextModel, CLIPTokenizer

EMBEDDED = Path(str(files("ablate"))) / "assets" / "sprites"
"""The kit that is shipped with the package."""


class Part(Protocol):
    """Where a pretrained part is."""

    @property
    def source(self) -> str:
        """A local folder or a hub id."""

    @property
    def subfolder(self) -> str:
        """A folder within the source, or ""."""


class Evaluator:
    """A contrastive image–text model that scores images. Made by ``load_evaluator``."""

    def __init__(
        self,
        *,
        name: str,
        model: Any,
        preprocess: Any,
        tokenizer: Any,
        labels: dict[str, dict[str, str]],
        device: str,
    ) -> None:
        self.name = name
        """Stands in every table beside a metric taken in this model's features."""
        self.labels = labels
        """Attribute → {name: its phrase, as it stands in captions}; {} if the model has none."""
        self._model = model
        self._preprocess = preprocess
        self._tokenizer = tokenizer
        self.device = device

    def encode_images(self, images: NDArray[np.uint8], batch: int = 128) -> NDArray[np.float32]:
        """uint8 [N, H, W, 3] → unit vectors float32 [N, D]. Resized as the model's own preprocessing does."""
        import torch
        from PIL import Image

        parts: list[NDArray[np.float32]] = []
        for start in range(0, len(images), batch):
            pixels = [self._preprocess(Image.fromarray(image)) for image in images[start : start + batch]]
            with torch.inference_mode():
                parts.append(self._unit(self._model.encode_image(torch.stack(pixels).to(self.device))))
        return np.concatenate(parts)

    def encode_texts(self, texts: list[str], batch: int = 512) -> NDArray[np.float32]:
        """N texts → unit vectors float32 [N, D]."""
        import torch

        parts: list[NDArray[np.float32]] = []
        for start in range(0, len(texts), batch):
            tokens = self._tokenizer(texts[start : start + batch]).to(self.device)
            with torch.inference_mode():
                parts.append(self._unit(self._model.encode_text(tokens)))
        return np.concatenate(parts)

    @staticmethod
    def _unit(embeddings: torch.Tensor) -> NDArray[np.float32]:
        import torch.nn.functional as F

        array: NDArray[np.float32] = F.normalize(embeddings.float(), dim=-1).cpu().numpy()
        return array


def load_vae(part: Part, device: str = "cpu") -> AutoencoderKL:
    """A diffusers AutoencoderKL. Raises ComponentError if there is none."""
    import torch
    from diffusers import AutoencoderKL

    with _loading(part, "VAE"):
        source, subfolder = _source(part)
        vae = AutoencoderKL.from_pretrained(
            source, subfolder=subfolder or None, torch_dtype=torch.float32, use_safetensors=True
        )
    return vae.to(device).eval().requires_grad_(False)


def load_text_encoder(
    part: Part, tokenizer_part: Part, device: str = "cpu"
) -> tuple[CLIPTokenizer, CLIPTextModel]:
    """A transformers CLIPTextModel and its tokenizer. Raises ComponentError if there is none."""
    import torch
    from transformers import CLIPTextModel, CLIPTokenizer

    with _loading(part, "text encoder"):
        source, subfolder = _source(part)
        model = CLIPTextModel.from_pretrained(
            source, subfolder=subfolder, dtype=torch.float32, use_safetensors=True
        )
    with _loading(tokenizer_part, "tokenizer"):
        source, subfolder = _source(tokenizer_part)
        tokenizer = CLIPTokenizer.from_pretrained(source, subfolder=subfolder)
    # A tokenizer whose files are missing is not an error for transformers: it has only special tokens.
    if len(tokenizer) != model.config.vocab_size:
        raise ComponentError(
            f"the tokenizer has {len(tokenizer)} tokens, the text encoder {model.config.vocab_size}",
            where=_place(tokenizer_part),
            fix="The tokenizer's files are missing or belong to another model.",
        )
    return tokenizer, model.to(device).eval().requires_grad_(False)


def load_evaluator(part: Part, device: str = "cpu") -> Evaluator:
    """An open_clip model: a local folder, or "ViT-B-32:openai" (architecture:weights).

    Raises ComponentError if there is none.
    """
    import open_clip

    folder = local_folder(part)
    with _loading(part, "evaluator"):
        if folder is not None:
            identifier, pretrained = f"local-dir:{folder}", None
            config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
            name = str(config.get("name", folder.name))
            labels_file = folder / "labels.json"
            labels = json.loads(labels_file.read_text(encoding="utf-8")) if labels_file.is_file() else {}
        else:
            identifier, _, weights = part.source.partition(":")
            pretrained, name, labels = weights or None, part.source, {}
        model, _, preprocess = open_clip.create_model_and_transforms(
            identifier, pretrained=pretrained, require_pretrained=True, device=device
        )
        tokenizer = open_clip.get_tokenizer(identifier)
    model.eval().requires_grad_(False)
    return Evaluator(
        name=name, model=model, preprocess=preprocess, tokenizer=tokenizer, labels=labels, device=device
    )


def load_perceptual(part: Part, device: str = "cpu") -> lpips.LPIPS:
    """LPIPS for images in [-1, 1]: a kit's trunk, or the published "alex", "vgg" or "squeeze".

    Raises ComponentError if there is none.
    """
    import lpips
    from safetensors.torch import load_file

    with _loading(part, "perceptual part"):
        if part.source in ("alex", "vgg", "squeeze"):
            metric = lpips.LPIPS(net=part.source, verbose=False)
        else:
            folder = local_folder(part)
            if folder is None:
                raise ComponentError(
                    "is neither a folder nor one of alex, vgg, squeeze",
                    where=_place(part),
                    fix="Name a kit's perceptual folder or one of the three networks.",
                )
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            metric = untrained_lpips(config["net"])
            metric.net.load_state_dict(load_file(folder / "model.safetensors"))
    return metric.to(device).eval().requires_grad_(False)


def untrained_lpips(net: str, *, trainable: bool = False) -> lpips.LPIPS:
    """LPIPS without linear heads and with a random trunk, for weights of one's own."""
    import lpips

    with warnings.catch_warnings():
        # lpips 0.1.4 still asks torchvision for its networks with the old argument.
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
        return lpips.LPIPS(net=net, lpips=False, pnet_rand=True, pnet_tune=trainable, verbose=False)


def local_folder(part: Part) -> Path | None:
    """The part's folder, or None for a hub id. Raises ComponentError if it is a path that is not there.

    The source ``sprites`` is the embedded kit.
    """
    root = EMBEDDED if part.source == EMBEDDED_NAME else Path(part.source).expanduser()
    folder = root / part.subfolder
    if folder.is_dir():
        return folder
    # A hub id has at most one slash; anything else can only be meant as a path.
    looks_like_path = part.source.startswith((".", "~", os.sep)) or part.source.count("/") > 1
    if looks_like_path or root.exists():
        raise ComponentError(
            "the folder does not exist",
            where=str(folder),
            fix="Check the path, or train a kit there with `ablate kit build`.",
        )
    return None


def _source(part: Part) -> tuple[str | Path, str]:
    """Source and subfolder as ``from_pretrained`` takes them: one complete folder, or a hub id's two."""
    folder = local_folder(part)
    return (folder, "") if folder else (part.source, part.subfolder)


def _place(part: Part) -> str:
    return f"{part.source}/{part.subfolder}" if part.subfolder else part.source


@contextmanager
def _loading(part: Part, kind: str) -> Iterator[None]:
    """Turns a library's failure to load into a ComponentError, and leaves torch's global RNG as it was.

    The libraries raise nearly everything here (OSError, ValueError, RuntimeError, KeyError, JSON,
    safetensors and HTTP errors), so nearly everything is caught.
    """
    import torch

    try:
        with torch.random.fork_rng(devices=[]):
            yield
    except ComponentError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines()
        offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
        raise ComponentError(
            f"no {kind} can be loaded from there ({type(error).__name__}: {lines[0] if lines else ''})",
            where=_place(part),
            fix="A local folder must be complete; a hub id must be right and reachable"
            + (" (HF_HUB_OFFLINE is set: only earlier downloads are found)." if offline else "."),
        ) from error
