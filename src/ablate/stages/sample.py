"""Stage sample: trained weights and prompts → one PNG for each prompt. ``sampled.py`` reads them."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from safetensors.torch import load_file

from ablate.diffusion.randomness import generator
from ablate.diffusion.samplers import build_scheduler, sample_latents
from ablate.errors import MeaninglessError
from ablate.parts.vae import VaePart
from ablate.stages import device as devices
from ablate.stages.prepare import text_states, to_uint8
from ablate.stages.prepared import Prepared
from ablate.stages.refusals import refuse_infinite_weights
from ablate.stages.sampled import PREVIEW, SAMPLED, Sampled, preview_ingredients
from ablate.stages.trained import Trained, weights_file
from ablate.stages.training import initial_unet
from ablate.stages.unchanged import refuse_other_parts
from ablate.store.files import file_digest, key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from torch import Tensor

    from ablate.experiment.config import Config
    from ablate.stages.keys import RunKeys
    from ablate.stages.training import Training
    from ablate.store import Store

WRITERS = 4
"""Threads that write PNGs; compression leaves the interpreter free."""


def sample(keys: RunKeys, store: Store, progress: Callable[[str], None]) -> Path:
    """Draws an image for each test prompt, or finds them. Returns the entry's folder.

    Raises MeaninglessError if weights, latents or images are not numbers, ComponentError if the VAE has
    changed since the keys were made.
    """

    def fill(folder: Path) -> None:
        _sample(keys, store, folder, progress)

    return store.make("sample", keys.sample, keys.sample_ingredients, fill)


def _sample(keys: RunKeys, store: Store, folder: Path, progress: Callable[[str], None]) -> None:
    config = keys.config
    device = devices.setup(config.compute)
    unet = load_unet(keys, store, device)
    prepared = Prepared(store.fetched("prepare", keys.prepare))
    vae = _vae(keys, store, device)
    prompts, size = prepared.prompts, config.sample.batch
    evaluations = 0
    started = time.perf_counter()
    sampled = Sampled(folder)
    sampled.images.mkdir()
    with ThreadPoolExecutor(WRITERS) as writers:  # files are written while the next batch is drawn
        written = []
        for first in range(0, len(prompts), size):
            progress(f"{first}/{len(prompts)} images")
            batch = prompts[first : first + size]
            names = [prompt["image_name"] for prompt in batch]
            states = prepared.states[[prompt["state"] for prompt in batch]]
            images, n = sample_images(config, unet, vae, states, prepared.states[:1], names, keys.sample_seed)
            evaluations += n * len(batch)
            # PNG whatever the name says: a lossy format would change the scores.
            files = [sampled.image(name) for name in names]
            written += [writers.submit(_save, *pair) for pair in zip(images, files, strict=True)]
    for file in written:
        file.result()  # raises what writing has raised
    record = {
        "seconds": time.perf_counter() - started,
        "evaluations_per_image": evaluations / max(len(prompts), 1),
        "weights": file_digest(weights_file(keys, store)),
        "history": Trained(store.sound_path("train", keys.chain[-1])).history,
    }
    (folder / SAMPLED).write_text(json.dumps(record))


def sample_prompts(keys: RunKeys, store: Store, prompts: Sequence[tuple[str, str]]) -> Iterator[Tensor]:
    """Draws free prompts (name, text) from a trained run: for each an image, uint8 [S, S, 3].

    The name is what the noise is drawn from. Raises MeaninglessError as ``sample``.
    """
    config = keys.config
    device = devices.setup(config.compute)
    unet = load_unet(keys, store, device)
    vae = _vae(keys, store, device)
    size = config.sample.batch
    encoded = text_states(["", *(text for _, text in prompts)], config.components, device)
    rows = (row for states in encoded for row in states)  # thousands of prompts need no more memory
    empty = next(rows)[None]
    refuse_other_parts(keys, store, "text_encoder", "tokenizer")  # they are loaded by now
    for first in range(0, len(prompts), size):
        names = [name for name, _ in prompts[first : first + size]]
        states = torch.stack(list(islice(rows, len(names))))
        yield from sample_images(config, unet, vae, states, empty, names, keys.sample_seed)[0]


def sample_images(
    config: Config, unet: Any, vae: Any, states: Tensor, empty: Tensor, names: Sequence[str], seed: int
) -> tuple[Tensor, int]:
    """Images uint8 [B, S, S, 3] for text states [B, L, D], and U-Net evaluations per image.

    The noise of an image comes from the seed and its name alone: it is the same for all variants,
    and in whatever batch the image falls.
    """
    images, evaluations = decoded(config, unet, vae, states, empty, names, seed)
    return to_uint8(images), evaluations


@torch.no_grad()
def decoded(
    config: Config, unet: Any, vae: Any, states: Tensor, empty: Tensor, names: Sequence[str], seed: int
) -> tuple[Tensor, int]:
    """What ``sample_images`` makes its images from: float [B, 3, S, S], about in [−1, 1].

    Raises MeaninglessError if a latent or an image is not a number.
    """
    device, bf16 = unet.device, config.sample.precision == "bf16"
    latents, evaluations = sample_latents(
        unet,
        build_scheduler(config.sample.scheduler, config.sampling_noise, config.sample.options),
        states.to(device),
        empty.to(device),
        steps=config.sample.steps,
        guidance=config.sample.guidance,
        shape=(config.unet.latent_channels, config.unet.sample_size, config.unet.sample_size),
        generators=[generator(seed, name, "sample") for name in names],
        bf16=bf16,
    )
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        images = vae.decode(latents / vae.config.scaling_factor).sample.float()
    finite = images.isfinite().flatten(1).all(1)
    if not finite.all():
        raise MeaninglessError(
            f"the VAE decodes {int((~finite).sum())} of {len(finite)} latents to what is not a number",
            where="sampling, after the last step",
            fix="Compute with sample.precision=fp32."
            if bf16
            else "Try the VAE with other latents, or another.",
        )
    return images, evaluations


def preview(training: Training, store: Store) -> str:
    """Draws the first prompts with the weights of this moment; the key of ``preview/<key>/preview.png``.

    Raises MeaninglessError as ``decoded``.
    """
    config = training.config
    ingredients = preview_ingredients(training.keys, training.epoch)

    def fill(folder: Path) -> None:
        prompts = training.data.prompts[: config.track.preview_prompts]
        states = training.data.states[[prompt["state"] for prompt in prompts]]
        names = [prompt["image_name"] for prompt in prompts]
        unet, vae, empty = training.unet.eval(), training.frozen.vae, training.data.states[:1]
        try:
            images, _ = sample_images(config, unet, vae, states, empty, names, training.seed)
        finally:
            unet.train()
        Image.fromarray(torch.cat(list(images), dim=1).numpy()).save(folder / PREVIEW)

    key = key_of(ingredients)
    store.make("preview", key, ingredients, fill)
    return key


def load_unet(keys: RunKeys, store: Store, device: torch.device) -> Any:
    """The U-Net with the weights that a run samples from, ready to sample.

    Raises MeaninglessError if one of them is not a number.
    """
    config = keys.config
    unet = initial_unet(config, seed=0)
    stored = load_file(weights_file(keys, store))
    weights = keys.observer.sampled(stored) if keys.observer else stored
    refuse_infinite_weights(weights, "the averaged weights" if keys.observer else "the trained weights")
    unet.load_state_dict(weights)
    return sampling_unet(unet, config, device)


def _vae(keys: RunKeys, store: Store, device: torch.device) -> Any:
    """The VAE. Raises ComponentError if it is not the one that the keys are made of."""
    vae = VaePart(keys.config.components.vae).load(str(device))
    refuse_other_parts(keys, store, "vae")
    return vae


def sampling_unet(unet: Any, config: Config, device: torch.device) -> Any:
    """A U-Net on the device, ready to sample: compiled, where the configuration asks for it."""
    unet = unet.to(device).eval()
    # On a GPU the whole evaluation becomes one graph: a step of a small batch is bound by launches.
    mode = "reduce-overhead" if device.type == "cuda" else "default"
    return torch.compile(unet, mode=mode) if config.sample.compile else unet


def _save(image: Tensor, file: Path) -> None:
    Image.fromarray(image.numpy()).save(file)
