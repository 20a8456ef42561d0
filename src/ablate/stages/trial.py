"""A trial of what comes after the training, for real and small: a failure there would cost all of it.

Each trial is a function in ``TRIALS``: (configuration, device) → what is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from ablate.diffusion.randomness import generator, normal
from ablate.diffusion.samplers import build_scheduler, sample_latents
from ablate.errors import AblateError, MeaninglessError, SpecError
from ablate.parts.evaluator import EvaluatorPart
from ablate.parts.vae import VaePart
from ablate.plugins import blamed
from ablate.stages import device as devices
from ablate.stages.evaluate import feature_space, metrics_of
from ablate.stages.prepare import encode_texts, to_uint8
from ablate.stages.refusals import refuse_features
from ablate.stages.training import weights_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from ablate.experiment.config import Config, Part

IMAGES = 2
"""Images that are drawn and measured. They must differ."""
EDGE = 8
"""Edge of the latents: what a scheduler does is the same at each place."""
FEW = 20
"""Steps that every scheduler can do."""
TEXTS = ["A red monster.", "A blue monster."]


class Trouble(NamedTuple):
    """Something that would fail."""

    field: tuple[str, ...]
    """The field of the configuration that it is due to."""
    what: str
    fix: str


@dataclass
class Tried:
    """What trials have found."""

    troubles: dict[str, list[Trouble]] = field(default_factory=dict)
    """Variant → what is wrong with it. What several share is said of the first."""
    weights: dict[str, int] = field(default_factory=dict)
    """Variant → bytes of its U-Net's weights."""


def try_out(configs: Mapping[str, Config], progress: Callable[[str], None]) -> Tried:
    """Tries each variant's sampling and measuring; what is configured alike, once.

    Raises:
        ComponentError: a part cannot be loaded.
    """
    tried, done = Tried(), set()
    for variant, config in configs.items():
        device = devices.setup(config.compute)
        tried.weights[variant] = weights_size(config)
        for trial, looks_at in TRIALS.items():
            key = (trial, str(looks_at(config)))
            if key not in done:
                done.add(key)
                progress(f"{trial.__name__} of {variant}")
                tried.troubles.setdefault(variant, []).extend(trial(config, device))
    return tried


# ── sampling ─────────────────────────────────────────────────────────────────────────────────────


def sampling(config: Config, device: torch.device) -> Iterator[Trouble]:
    """All steps of the scheduler, with noise in the place of what the U-Net predicts."""
    if not (failure := _failure(config)):
        return
    # Due to the first field without which it would work.
    taken_back: dict[str, Any] = {"options": {}, "guidance": 1.0, "steps": min(config.sample.steps, FEW)}
    for name, value in taken_back.items():
        if getattr(config.sample, name) != value and not _failure(_with(config, name, value)):
            yield failure._replace(field=("sample", name))
            return
    yield failure


def _failure(config: Config) -> Trouble | None:
    """Why images cannot be drawn as ``config`` says; None if they can."""
    sample, at = config.sample, ("sample", "scheduler")
    try:
        scheduler = build_scheduler(sample.scheduler, config.sampling_noise, sample.options)
        sample_latents(
            _Noise(),
            scheduler,
            torch.zeros(IMAGES, 1, 1),
            torch.zeros(1, 1, 1),
            steps=sample.steps,
            guidance=sample.guidance,
            shape=(config.unet.latent_channels, EDGE, EDGE),
            generators=[generator("trial", number) for number in range(IMAGES)],
        )
        return _wrong_timesteps(scheduler, config)
    except AblateError as error:
        where = f" ({error.where})" if isinstance(error, MeaninglessError) else ""
        return Trouble(at, f"{error.what}{where}", error.fix)
    except Exception as error:
        # Options reach arithmetic that was never meant for them: a scheduler raises nearly everything.
        what = f"{sample.scheduler} fails with these options in {sample.steps} steps: {_said(error)}"
        return Trouble(at, what, "Change sample.options, sample.steps or the scheduler.")


def _wrong_timesteps(scheduler: Any, config: Config) -> Trouble | None:
    """Timesteps that do not exist, go up, or stand still: numbers come of them all the same."""
    steps, known = scheduler.timesteps.double(), scheduler.config.num_train_timesteps
    at, fix = ("sample", "steps"), f"There are {known} timesteps, and sample.options say which are taken."
    if not steps.isfinite().all() or steps.min() < 0 or steps.max() > known - 1:
        low, high = float(steps.min()), float(steps.max())
        return Trouble(at, f"it samples timesteps {low:g} to {high:g}, and there are 0 to {known - 1}", fix)
    if 2 * len(steps.unique()) < config.sample.steps or steps[0] < steps[-1]:
        shown = f"{len(steps.unique())} timesteps, from {float(steps[0]):g} to {float(steps[-1]):g}"
        return Trouble(
            at, f"{config.sample.steps} steps of {config.sample.scheduler} visit only {shown}", fix
        )
    return None


class _Noise:
    """Stands in for a U-Net: predicts noise."""

    def __init__(self) -> None:
        self._draws = generator("trial", "prediction")

    def __call__(self, x: Tensor, t: Tensor, encoder_hidden_states: Tensor) -> Any:
        return SimpleNamespace(sample=torch.randn(x.shape, generator=self._draws))


def _with(config: Config, name: str, value: Any) -> Config:
    return config.model_copy(update={"sample": config.sample.model_copy(update={name: value})})


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


# ── the frozen parts ─────────────────────────────────────────────────────────────────────────────


def conditioning(config: Config, device: torch.device) -> Iterator[Trouble]:
    """Two texts, and whether the text encoder tells them apart and goes with the U-Net."""
    try:
        states = encode_texts(TEXTS, config.components, device)
        if (width := states.shape[-1]) != config.unet.cross_attention_dim:
            what = f"is {config.unet.cross_attention_dim}, and the text encoder's states are {width} wide"
            yield Trouble(("unet", "cross_attention_dim"), what, f"Write {width}, or choose another encoder.")
        refuse_features(states.flatten(1).numpy(), IMAGES, "texts", "the text encoder")
    except MeaninglessError as error:
        yield Trouble(("components", "text_encoder"), error.what, error.fix)


@torch.no_grad()
def decoding(config: Config, device: torch.device) -> Iterator[Trouble]:
    """Two latents, and whether the VAE goes with the U-Net and makes two images of them."""
    vae = VaePart(config.components.vae).load(str(device))
    if (channels := vae.config.latent_channels) != config.unet.latent_channels:
        what = f"is {config.unet.latent_channels}, and the VAE's latents have {channels}"
        yield Trouble(("unet", "latent_channels"), what, f"Write {channels}, or choose another VAE.")
        return
    shape = (IMAGES, config.unet.latent_channels, config.unet.sample_size, config.unet.sample_size)
    with torch.autocast(device.type, torch.bfloat16, enabled=config.sample.precision == "bf16"):
        latents = normal(shape, "trial", "latents").to(device)
        images = vae.decode(latents / vae.config.scaling_factor).sample.float()
    if (edge := images.shape[-1]) != config.data.size:
        what = f"is {config.unet.sample_size}, and the VAE makes images of {edge} px of such latents"
        fix = f"For images of {config.data.size} px the edge of the latents is "
        fix += f"{config.data.size * config.unet.sample_size / edge:g}."
        yield Trouble(("unet", "sample_size"), what, fix)
    at = ("components", "vae")
    try:
        refuse_features(images.flatten(1).cpu().numpy(), IMAGES, "latents", "the VAE")
    except MeaninglessError as error:
        yield Trouble(at, f"decoded, {error.what}", error.fix)
    else:
        pixels = to_uint8(images)
        if (pixels == pixels[:, :1, :1]).all():
            yield Trouble(at, "it decodes noise to images of a single colour", "Its weights are broken.")


def measuring(config: Config, device: torch.device) -> Iterator[Trouble]:
    """Two images and two texts, and whether the evaluator and the feature space tell them apart."""
    edge, at = config.data.size, ("components", "evaluator")
    noise = np.random.default_rng(0).integers(0, 256, (edge, edge, 3))
    images = np.stack([noise, np.full_like(noise, 255)]).astype(np.uint8)
    try:
        evaluator = EvaluatorPart(config.components.evaluator).load(str(device))
        refuse_features(evaluator.encode_images(images), IMAGES, "images", "the evaluator")
        refuse_features(evaluator.encode_texts(TEXTS), IMAGES, "texts", "the evaluator")
        metrics_of(config.vocabulary, evaluator)
        at = ("evaluate", "fid_features")
        space = feature_space(config, evaluator, str(device))
        refuse_features(space.features(images), IMAGES, "images", f"the feature space {space.name}")
    except (MeaninglessError, SpecError) as error:
        yield Trouble(at, error.what, error.fix)
    except Exception as error:
        if not (where := blamed(error)):
            raise
        yield Trouble(at, f"fails on two images: {_said(error)}", f"Correct {where}.")


def _network(config: Config) -> Part | None:
    """That of the feature space, if it is one of ``components``."""
    part = config.vocabulary.spaces[config.evaluate.fid_features].part
    return getattr(config.components, part) if part else None


TRIALS: dict[Callable[[Config, torch.device], Iterator[Trouble]], Callable[[Config], Any]] = {
    sampling: lambda config: (
        config.sample.model_dump(include={"scheduler", "options", "steps", "guidance"}),
        config.sampling_noise,
        config.unet.latent_channels,
    ),
    conditioning: lambda config: (
        config.components.text_encoder,
        config.components.tokenizer,
        config.unet.cross_attention_dim,
    ),
    decoding: lambda config: (
        config.components.vae,
        config.data.size,
        config.sample.precision,
        config.unet.latent_channels,
        config.unet.sample_size,
    ),
    measuring: lambda config: (
        config.components.evaluator,
        config.evaluate.fid_features,
        _network(config),
        config.data.size,
    ),
}
"""Each trial, and what of a configuration it depends on."""
