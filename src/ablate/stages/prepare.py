"""Stage prepare: images → latent moments, captions → text states, once per data set and parts.

``prepare/<key>/`` holds (``ablate.stages.prepared`` reads it)
    images.npy       [N, S, S, 3] uint8, the training images
    mean.npy         [N, C, h, w] float32, with std.npy the VAE's posterior, scaled to unit variance
    references.npy   [R, S, S, 3] uint8, the real images of the prompts that have one
    states.npy       [U, L, D] float32 of the unique captions; row 0 is the empty one
    prepared.json    captions of each image and each prompt as rows of ``states``
``augmented/<key>/`` holds images.npy, mean.npy and std.npy of K augmented forms of each training
image, [N, K, …].

The arrays grow chunk by chunk (``ablate.store.growing``): the memory that is needed does not depend on
the number of images, and a killed process loses only the chunk that it was at.
"""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ablate.data import captions
from ablate.data.entries import caption
from ablate.data.images import load_images
from ablate.data.place import place_of
from ablate.errors import UserError
from ablate.parts.text import load_text
from ablate.parts.vae import VaePart
from ablate.stages import device as devices
from ablate.stages.prepared import Encoded, Prepared
from ablate.stages.refusals import refuse_infinite
from ablate.stages.unchanged import refuse_other_data, refuse_other_parts
from ablate.store.growing import grow, make_growing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from ablate.experiment.config import Components, Data
    from ablate.stages.keys import RunKeys
    from ablate.store import Store
    from ablate.store.growing import Arrays

BATCH = 64
"""Images that the VAE encodes at once, at most."""
PIXELS = 2**20
"""Pixels that the VAE encodes at once, at most: 16 images of 256 px."""
CHUNK = 8
"""Batches between two writes to the disk."""
TEXTS = 256
"""Captions that are encoded and written at once."""
READERS = 4
"""Processes that decode images while the VAE encodes."""


def prepare(keys: RunKeys, store: Store, progress: Callable[[str], None]) -> Prepared:
    """Makes the entry, or finds it; and the augmented forms, where the configuration asks for some.

    Goes on where an interrupted process stopped, to the same bytes. Raises DataError for a data set
    that is not as it should be, or no longer as it was when the keys were made; ComponentError for a part
    that is not.
    """

    def look() -> None:
        refuse_other_data(keys, store)
        refuse_other_parts(keys, store, "vae", "text_encoder", "tokenizer")

    def fill(work: Path) -> None:
        with _unchanged(work, look):
            _encode_data(keys, store, work, progress)

    folder = make_growing(store, "prepare", keys.prepare, keys.prepare_ingredients, fill)
    if keys.augmented:
        augmented(keys, store, progress)
    return Prepared(folder)


def augmented(keys: RunKeys, store: Store, progress: Callable[[str], None]) -> Encoded:
    """Makes the augmented forms of a prepared data set, or finds them; goes on as ``prepare`` does.

    Only where ``keys.augmented`` is not None. The forms are the same for all seeds; training draws one
    for each image, anew in each epoch::

        forms = randomness.integers(variants, (len(rows),), seed, epoch, number, "form")
        mean, std = encoded.mean[rows, forms], encoded.std[rows, forms]
        images = to_model(encoded.images[rows, forms])
    """
    assert keys.augmented, "no augmentation.variants"

    def fill(work: Path) -> None:
        with _unchanged(work, lambda: refuse_other_parts(keys, store, "vae")):
            _encode_forms(keys, Prepared(store.fetched("prepare", keys.prepare)), work, progress)

    return Encoded(make_growing(store, "augmented", keys.augmented, keys.augmented_ingredients, fill))


@contextmanager
def _unchanged(work: Path, look: Callable[[], None]) -> Iterator[None]:
    """Looks at what the block reads, before and after it, also if it ends in an error."""
    look()
    try:
        yield
    finally:
        try:
            look()
        except UserError:
            shutil.rmtree(work)  # nobody knows what of it was read before the change, and what after
            raise


def _encode_data(keys: RunKeys, store: Store, work: Path, progress: Callable[[str], None]) -> None:
    config, size = keys.config, keys.config.data.size
    read = partial(_read, wanted=config.data)
    device = devices.setup(config.compute)
    root = place_of(config.data.path).folder(store, keys.data, progress)
    progress("reading the data set")
    data = captions.read(root)
    train, prompts = data.train, data.prompts
    paths = [image.path for image in train]
    references = {prompt.image_name: prompt.reference for prompt in prompts if prompt.reference}
    per_image = [
        [caption(image, description) for description in range(len(image.descriptions))] for image in train
    ]
    texts = list(dict.fromkeys(["", *(t for some in per_image for t in some), *(p.text for p in prompts)]))

    def images_from(first: int) -> Iterator[Arrays]:
        vae = VaePart(config.components.vae).load(str(device))
        for images in read(paths[first:]):
            mean, std = _moments(vae, torch.from_numpy(images), device)
            yield {"images": images, "mean": mean, "std": std}

    def references_from(first: int) -> Iterator[Arrays]:
        for images in read(list(references.values())[first:]):
            yield {"references": images}

    def states_from(first: int) -> Iterator[Arrays]:
        for states in text_states(texts[first:], config.components, device):
            yield {"states": states.numpy()}

    grow(work, "encoding images", len(paths), images_from, progress)
    grow(work, "reading test images", len(references), references_from, progress)
    grow(work, "encoding captions", len(texts), states_from, progress)
    if not references:
        np.save(work / "references.npy", np.zeros((0, size, size, 3), np.uint8))

    row = {text: number for number, text in enumerate(texts)}
    reference_row = {name: number for number, name in enumerate(references)}
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
    (work / "prepared.json").write_text(json.dumps(index))


def _encode_forms(keys: RunKeys, prepared: Prepared, work: Path, progress: Callable[[str], None]) -> None:
    config, augmentation = keys.config, keys.config.augmentation
    device = devices.setup(config.compute)
    images, count = prepared.images, augmentation.variants or 1
    step = batch_size(config.data.size) * max(1, CHUNK // count)

    def forms_from(first: int) -> Iterator[Arrays]:
        vae = VaePart(config.components.vae).load(str(device))
        for start in range(first, len(images), step):
            chunk = to_model(images[start : start + step].to(device))
            forms = []
            for number in range(count):
                rows = enumerate(chunk, start)
                some = [augmentation.form(image[None], number, row) for row, image in rows]
                forms.append(to_uint8(torch.cat(some)))
            # Encoded as stored, with 8 bits: the latents are those of the images.
            means, stds = zip(*(_moments(vae, some, device) for some in forms), strict=True)
            yield {"images": np.stack(forms, 1), "mean": np.stack(means, 1), "std": np.stack(stds, 1)}

    grow(work, "encoding augmented images", len(images), forms_from, progress)


# ── encoding ─────────────────────────────────────────────────────────────────────────────────────


def batch_size(size: int) -> int:
    """Images of ``size`` px that the VAE encodes at once."""
    return max(1, min(BATCH, PIXELS // size**2))


def _read(paths: Sequence[Path], wanted: Data) -> Iterator[NDArray[np.uint8]]:
    """The images in chunks, uint8 [≤ chunk, S, S, 3], decoded ahead where there are several chunks."""
    chunk = CHUNK * batch_size(wanted.size)
    workers = READERS if len(paths) > chunk else 0
    return load_images(
        paths, wanted.size, fit=wanted.fit, background=wanted.background, workers=workers, chunk=chunk
    )


@torch.no_grad()
def _moments(vae: Any, images: Tensor, device: torch.device) -> tuple[NDArray[Any], NDArray[Any]]:
    """uint8 [N, S, S, 3] → mean and standard deviation [N, C, h, w] of their scaled latents."""
    means, stds = [], []
    for batch in images.split(batch_size(images.shape[1])):
        posterior = vae.encode(to_model(batch.to(device))).latent_dist
        means.append((posterior.mean * vae.config.scaling_factor).cpu())
        stds.append((posterior.std * vae.config.scaling_factor).cpu())
        refuse_infinite(torch.stack([means[-1], stds[-1]], 1), "images", "components.vae")
    return torch.cat(means).numpy(), torch.cat(stds).numpy()


def encode_texts(texts: Sequence[str], parts: Components, device: torch.device) -> Tensor:
    """The text encoder's last hidden states [N, L, D] on the CPU, padded to the tokenizer's length."""
    return torch.cat(list(text_states(texts, parts, device)))


@torch.no_grad()
def text_states(texts: Sequence[str], parts: Components, device: torch.device) -> Iterator[Tensor]:
    """``encode_texts`` batch by batch."""
    tokenizer, encoder = load_text(parts.text_encoder, parts.tokenizer, str(device))
    for start in range(0, len(texts), TEXTS):
        tokens = tokenizer(
            list(texts[start : start + TEXTS]),
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        states = encoder(tokens.input_ids.to(device)).last_hidden_state.cpu()
        refuse_infinite(states, "texts", "components.text_encoder")
        yield states


def to_model(images: Tensor) -> Tensor:
    """uint8 [B, S, S, 3] → float32 [B, 3, S, S] in [−1, 1]."""
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_uint8(images: Tensor) -> Tensor:
    """Float [B, 3, S, S] in [−1, 1] (clamped) → uint8 [B, S, S, 3] on the CPU."""
    return ((images.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).contiguous().cpu()
