"""Stage prepare: images → latent moments, captions → text states, once per data set and parts.

The entry holds
    latents.safetensors   mean, std [N, C, h, w]: the VAE's posterior, scaled to unit variance
    images.safetensors    train [N, S, S, 3] and reference [R, S, S, 3], uint8
    texts.safetensors     states [U, L, D] of the unique captions; row 0 is the empty one
    prepared.json         captions of each image and each prompt as rows of ``states``
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from ablate import components
from ablate.data import captions, sprites
from ablate.spec.config import EMBEDDED
from ablate.stages import device as devices

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from ablate.keys import RunKeys
    from ablate.spec.config import Components
    from ablate.store import Store

BATCH = 64


@dataclass(frozen=True)
class Prepared:
    """A finished entry, each part read when it is first used."""

    folder: Path

    def _tensor(self, file: str, name: str) -> Tensor:
        with safe_open(str(self.folder / f"{file}.safetensors"), framework="pt") as handle:
            tensor: Tensor = handle.get_tensor(name)
        return tensor

    @cached_property
    def _index(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / "prepared.json").read_text())
        return content

    @cached_property
    def mean(self) -> Tensor:
        """Posterior means [N, C, h, w] of the training images' latents."""
        return self._tensor("latents", "mean")

    @cached_property
    def std(self) -> Tensor:
        """Posterior standard deviations [N, C, h, w]."""
        return self._tensor("latents", "std")

    @cached_property
    def images(self) -> Tensor:
        """Training images, uint8 [N, S, S, 3]."""
        return self._tensor("images", "train")

    @cached_property
    def references(self) -> Tensor:
        """Real images of the prompts that have one, uint8 [R, S, S, 3]."""
        return self._tensor("images", "reference")

    @cached_property
    def states(self) -> Tensor:
        """Text states [U, L, D]; row 0 is the empty caption."""
        return self._tensor("texts", "states")

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


def prepare(keys: RunKeys, store: Store, progress: Callable[[str], None]) -> Prepared:
    """Makes the entry, or finds it. Raises DataError for a data set that is not as it should be."""
    folder = store.path("prepare", keys.prepare)
    with store.lock(f"prepare-{keys.prepare}"):
        if not store.has("prepare", keys.prepare):
            _make(keys, store, progress)
    return Prepared(folder)


def _make(keys: RunKeys, store: Store, progress: Callable[[str], None]) -> None:
    config = keys.config
    device = devices.setup(config.compute)
    root = data_folder(keys, store)
    progress("reading images")
    train, prompts = captions.read_train(root), captions.read_prompts(root)
    size = config.data.size
    images = np.stack([captions.load_image(image.path, size) for image in train])
    with_reference = [prompt for prompt in prompts if prompt.reference]
    references = [
        captions.load_image(prompt.reference, size) for prompt in with_reference if prompt.reference
    ]

    progress("encoding images")
    mean, std = _encode_images(images, keys, device)

    progress("encoding captions")
    per_image = [
        [captions.caption(image, description) for description in range(len(image.descriptions))]
        for image in train
    ]
    texts = list(dict.fromkeys(["", *(t for some in per_image for t in some), *(p.text for p in prompts)]))
    row = {text: number for number, text in enumerate(texts)}
    states = encode_texts(texts, config.components, device)

    reference_row = {prompt.image_name: number for number, prompt in enumerate(with_reference)}
    index = {
        "captions": [[row[text] for text in some] for some in per_image],
        "prompts": [
            {
                "image_name": prompt.image_name,
                "text": prompt.text,
                "state": row[prompt.text],
                "reference": reference_row.get(prompt.image_name),
            }
            for prompt in prompts
        ],
    }
    empty = np.zeros((0, size, size, 3), np.uint8)
    with store.writing("prepare", keys.prepare, keys.prepare_ingredients) as folder:
        save_file({"mean": mean, "std": std}, folder / "latents.safetensors")
        tensors = {"train": images, "reference": np.stack(references) if references else empty}
        save_file({k: torch.from_numpy(v) for k, v in tensors.items()}, folder / "images.safetensors")
        save_file({"states": states}, folder / "texts.safetensors")
        (folder / "prepared.json").write_text(json.dumps(index))


def data_folder(keys: RunKeys, store: Store) -> Path:
    """The data set's folder; the embedded one is generated into the store first."""
    if keys.config.data.path != EMBEDDED:
        from pathlib import Path

        return Path(keys.config.data.path).expanduser()
    key = keys.data.removeprefix("generator:")
    with store.lock(f"data-{key}"):
        if not store.has("data", key):
            with store.writing("data", key, {"data": keys.data}) as folder:
                sprites.generate(folder)
    return store.path("data", key)


@torch.no_grad()
def _encode_images(images: NDArray[np.uint8], keys: RunKeys, device: torch.device) -> tuple[Tensor, Tensor]:
    vae = components.load_vae(keys.config.components.vae, str(device))
    means, stds = [], []
    for batch in torch.from_numpy(images).split(BATCH):
        posterior = vae.encode(to_model(batch.to(device))).latent_dist
        means.append((posterior.mean * vae.config.scaling_factor).cpu())
        stds.append((posterior.std * vae.config.scaling_factor).cpu())
    return torch.cat(means).contiguous(), torch.cat(stds).contiguous()


@torch.no_grad()
def encode_texts(texts: list[str], parts: Components, device: torch.device) -> Tensor:
    """The text encoder's last hidden states [N, L, D] on the CPU, padded to the tokenizer's length."""
    tokenizer, encoder = components.load_text_encoder(parts.text_encoder, parts.tokenizer, str(device))
    states = []
    for start in range(0, len(texts), 4 * BATCH):
        tokens = tokenizer(
            texts[start : start + 4 * BATCH],
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        states.append(encoder(tokens.input_ids.to(device)).last_hidden_state.cpu())
    return torch.cat(states).contiguous()


def to_model(images: Tensor) -> Tensor:
    """uint8 [B, S, S, 3] → float32 [B, 3, S, S] in [−1, 1]."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Float [B, 3, S, S] in [−1, 1] (clamped) → uint8 [B, S, S, 3] on the CPU."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu()
