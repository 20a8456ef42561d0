"""Loads the pretrained parts: the embedded kit's, those of any other folder, and those of the hubs.

Every part comes back in eval mode with frozen weights in float32. Only safetensors are read, but for the
two networks that are published in no such form: torchvision's trunks for LPIPS (read as plain tensors)
and clean-fid's Inception (TorchScript). Whatever keeps a part from being loaded is a ``ComponentError``.
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

from ablate import sources
from ablate.errors import ComponentError
from ablate.sources import Folder, HubFiles, Source, TorchFile, first_line
from ablate.spec.config import EMBEDDED as EMBEDDED_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import lpips
    import torch
    from diffusers import AutoencoderKL, AutoencoderTiny
    from numpy.typing import NDArray
    from torch import nn
    from transformers import CLIPTextModel, CLIPTokenizer

EMBEDDED = Path(str(files("ablate"))) / "assets" / "sprites"
"""The kit that is shipped with the package."""

TITLES = {
    "vae": "VAE",
    "text_encoder": "text encoder",
    "tokenizer": "tokenizer",
    "evaluator": "evaluator",
    "perceptual": "LPIPS network",
    "inception": "Inception network",
}
"""What the fields of ``components`` are called."""

INCEPTION_FILE = "inception-2015-12-05.pt"

FILES: dict[str, tuple[sources.Names, ...]] = {
    "vae": (("config.json", "diffusion_pytorch_model.safetensors"),),
    "text_encoder": (("config.json", "model.safetensors"),),
    "tokenizer": (
        ("tokenizer_config.json", "tokenizer.json"),
        ("tokenizer_config.json", "vocab.json", "merges.txt"),
    ),
    "evaluator": (("open_clip_config.json", "open_clip_model.safetensors"),),
    "perceptual": (("config.json", "model.safetensors"),),
    "inception": ((INCEPTION_FILE,),),
}
"""The files of each part, in a folder of one's own and on a hub; one of the sets will do."""

REVISIONS = {"openai/clip-vit-base-patch32": "refs/pr/15"}
"""Where the weights of a repository are safetensors, if its main branch has a pickle only: the hub's own
conversion, which was never merged."""

EVALUATORS = {"ViT-B-32:openai": "timm/vit_base_patch32_clip_224.openai/"}
"""What open_clip's table of pretrained models says of the usual one: importing open_clip takes seconds."""

TRUNKS = {
    "alex": TorchFile("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "7be5be79"),
    "vgg": TorchFile("https://download.pytorch.org/models/vgg16-397923af.pth", "397923af"),
    "squeeze": TorchFile("https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth", "b8a52dc0"),
}
"""torchvision's classifiers, whose features LPIPS compares."""

CLEAN_FID = TorchFile(
    f"https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/{INCEPTION_FILE}"
)
"""The Inception that clean-fid downloads. Its own place, the temporary folder, does not outlive a restart."""


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
    return _load_autoencoder("AutoencoderKL", "vae", part, device)


def load_small_decoder(part: Part, device: str = "cpu") -> AutoencoderTiny:
    """A diffusers AutoencoderTiny. Raises ComponentError if there is none."""
    return _load_autoencoder("AutoencoderTiny", "small_decoder", part, device)


def _load_autoencoder(kind: str, name: str, part: Part, device: str) -> Any:
    folder = part_files(name, part)[0].parent
    import diffusers
    import torch

    with _loading(name, part):
        model, report = getattr(diffusers, kind).from_pretrained(
            folder, torch_dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
        _refuse_gaps(report["missing_keys"])
    return model.to(device).eval().requires_grad_(False)


def load_text_encoder(
    part: Part, tokenizer_part: Part, device: str = "cpu"
) -> tuple[CLIPTokenizer, CLIPTextModel]:
    """A transformers CLIPTextModel and its tokenizer. Raises ComponentError if there is none."""
    folder = part_files("text_encoder", part)[0].parent
    tokenizer_folder = part_files("tokenizer", tokenizer_part)[0].parent
    import torch
    from transformers import CLIPTextModel, CLIPTokenizer

    with _loading("text_encoder", part), _quiet_transformers():
        model, report = CLIPTextModel.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
        _refuse_gaps(report["missing_keys"])
    with _loading("tokenizer", tokenizer_part):
        tokenizer = CLIPTokenizer.from_pretrained(tokenizer_folder)
    # A tokenizer whose files are broken is not an error for transformers: it has only special tokens.
    if len(tokenizer) != model.config.vocab_size:
        raise ComponentError(
            f"the tokenizer has {len(tokenizer)} tokens, the text encoder {model.config.vocab_size}",
            where=shown(tokenizer_part),
            fix="The tokenizer's files are broken or belong to another model.",
        )
    return tokenizer, model.to(device).eval().requires_grad_(False)


def load_evaluator(part: Part, device: str = "cpu") -> Evaluator:
    """An open_clip model: a local folder, or "ViT-B-32:openai" (architecture:weights).

    Raises ComponentError if there is none.
    """
    files = part_files("evaluator", part)
    import open_clip

    with _loading("evaluator", part):
        if folder := local_folder(part):
            identifier, settings = f"local-dir:{folder}", {}
            config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
            name = str(config.get("name", folder.name))
            labels_file = folder / "labels.json"
            labels = json.loads(labels_file.read_text(encoding="utf-8")) if labels_file.is_file() else {}
        else:
            identifier, _, weights = part.source.partition(":")
            name, labels = part.source, {}
            settings = _as_trained(open_clip.get_pretrained_cfg(identifier, weights), files[0])
        model, _, preprocess = open_clip.create_model_and_transforms(
            identifier, require_pretrained=True, device=device, **settings
        )
        tokenizer = open_clip.get_tokenizer(identifier)
    model.eval().requires_grad_(False)
    return Evaluator(
        name=name, model=model, preprocess=preprocess, tokenizer=tokenizer, labels=labels, device=device
    )


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


def load_perceptual(part: Part, device: str = "cpu") -> lpips.LPIPS:
    """LPIPS for images in [-1, 1]: a folder's trunk, or the published "alex", "vgg" or "squeeze".

    A folder's ``config.json`` names the network, ``{"net": "alex"}``; with ``"heads": true`` the published
    linear heads weigh its features. Raises ComponentError if there is none.
    """
    files = part_files("perceptual", part)
    import torch
    from safetensors.torch import load_file

    with _loading("perceptual", part):
        if folder := local_folder(part):
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            metric = untrained_lpips(config["net"], heads=config.get("heads", False))
            trunk = load_file(folder / "model.safetensors")
        else:
            metric = untrained_lpips(part.source, heads=True)
            classifier = torch.load(files[0], map_location="cpu", weights_only=True)
            trunk = trunk_of(classifier, metric.net.state_dict())
        metric.net.load_state_dict(trunk)
    return metric.to(device).eval().requires_grad_(False)


def trunk_of(classifier: dict[str, torch.Tensor], names: Iterable[str]) -> dict[str, torch.Tensor]:
    """A torchvision classifier's weights by the names they have in LPIPS: ``features.0.weight`` is
    ``slice1.0.weight`` there."""
    return {name: classifier[f"features.{name.partition('.')[2]}"] for name in names}


def untrained_lpips(net: str, *, heads: bool = False, trainable: bool = False) -> lpips.LPIPS:
    """LPIPS with a random trunk, for weights of one's own, with or without the published linear heads."""
    import lpips

    with warnings.catch_warnings():
        # lpips 0.1.4 still asks torchvision for its networks with the old argument.
        warnings.filterwarnings("ignore", category=UserWarning, module="torchvision")
        return lpips.LPIPS(net=net, lpips=heads, pnet_rand=True, pnet_tune=trainable, verbose=False)


def load_inception(part: Part | None = None, device: str = "cpu") -> nn.Module:
    """clean-fid's Inception: images [N, 3, 299, 299] in [0, 255] → features [N, 2048].

    Without a part it is the one that clean-fid would download. Raises ComponentError if there is none.
    """
    folder = part_files("inception", part)[0].parent
    from cleanfid.inception_torchscript import InceptionV3W

    with _loading("inception", part), warnings.catch_warnings():
        # torch calls TorchScript deprecated; clean-fid has its network in no other form.
        warnings.filterwarnings("ignore", category=FutureWarning, module="torch.jit")
        # What build_feature_extractor("clean") makes, which looks in the temporary folder only.
        model: nn.Module = InceptionV3W(str(folder), download=False)
    return model.to(device).eval().requires_grad_(False)


def part_files(name: str, part: Part | None) -> tuple[Path, ...]:
    """The files of the part that ``components.<name>`` names, downloaded if they are not here yet.

    They lie in one folder. No part as ``inception`` is clean-fid's own. Raises ComponentError within
    seconds if they are not here and cannot be downloaded.
    """
    return sources.ready(source_of(name, part), f"the {TITLES[name]} {shown(part)}")


def source_of(name: str, part: Part | None) -> Source:
    """Where the files of the part that ``components.<name>`` names are, or come from.

    Raises ComponentError if it can be nowhere.
    """
    if part is None:
        return CLEAN_FID
    if name == "inception":
        path = Path(part.source).expanduser() / part.subfolder
        return Folder(path.parent if path.name == INCEPTION_FILE else path, FILES[name])
    if folder := local_folder(part):
        return Folder(folder, FILES[name])
    if name == "evaluator":
        return _open_clip_files(part.source)
    if name == "perceptual":
        if part.source in TRUNKS:
            return TRUNKS[part.source]
        raise ComponentError(
            f"is neither a folder nor one of {', '.join(TRUNKS)}",
            where=shown(part),
            fix="Name a kit's perceptual folder or one of the networks.",
        )
    revision = REVISIONS.get(part.source, "main") if name == "text_encoder" else "main"
    return HubFiles(part.source, FILES[name], part.subfolder, revision)


def _open_clip_files(source: str) -> HubFiles:
    address = EVALUATORS.get(source, "")
    if not address:
        import open_clip

        architecture, _, weights = source.partition(":")
        address = open_clip.get_pretrained_cfg(architecture, weights).get("hf_hub", "")
    repository, _, weights_file = address.rpartition("/")
    if not repository:
        raise ComponentError(
            "no evaluator can be loaded from there: neither a folder nor a model that open_clip can fetch",
            where=source,
            fix="Name an open_clip folder, or architecture:weights as in ViT-B-32:openai.",
        )
    name = Path(weights_file or "open_clip_model").with_suffix(".safetensors").name
    return HubFiles(repository, ((name,),))


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


def shown(part: Part | None) -> str:
    """A part in one word, as a message names it."""
    if part is None:
        return "of clean-fid"
    return f"{part.source}/{part.subfolder}" if part.subfolder else part.source


def _refuse_gaps(missing: Iterable[str]) -> None:
    """Weights that a file does not have would otherwise stay random, with no more than a warning."""
    if names := sorted(missing):
        raise ValueError(f"the file lacks {len(names)} weights, {names[0]} among them")


@contextmanager
def _loading(name: str, part: Part | None) -> Iterator[None]:
    """Turns a library's failure to load into a ComponentError, and leaves torch's global RNG as it was.

    The libraries raise nearly everything here (OSError, ValueError, RuntimeError, KeyError, JSON and
    safetensors errors), so nearly everything is caught.
    """
    import torch

    try:
        with torch.random.fork_rng(devices=[]):
            yield
    except ComponentError:
        raise
    except Exception as error:
        source = source_of(name, part)
        fetched = f"Delete them in {source.place}, and `ablate fetch` gets them again."
        raise ComponentError(
            f"no {TITLES[name]} can be loaded from there ({first_line(error)})",
            where=shown(part),
            fix=f"Its files are broken or of another kind. {fetched if source.address else 'Replace them.'}",
        ) from error


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """A text encoder's weights often lie beside those of an image encoder, which are no news."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
