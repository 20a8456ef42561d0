"""What a configuration says against itself, seen without training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ablate import factors
from ablate.diffusion.samplers import build_scheduler
from ablate.diffusion.schedule import ForwardProcess
from ablate.records import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ablate.experiment.config import Config

LOOKED_AT = (0.1, 0.5, 0.9)
"""Shares of the timesteps at which noise schedules are compared in words."""


def late_onsets(variant: str, config: Config) -> Iterator[Finding]:
    """What begins after the last epoch, and so never."""
    epochs = config.train.epochs
    for factor in factors.switched_on(config).values():
        if (first := factor.first_epoch(epochs)) >= epochs:
            reason = f"it begins in epoch {first} and the last epoch is {epochs - 1}"
            yield Finding(variant, factor.field, "inert", layer="batch", reason=reason)


def noise_mismatch(variant: str, config: Config) -> Iterator[Finding]:
    """Training and sampling that disagree about how much noise a timestep has, or what is predicted."""
    scheduler = build_scheduler(config.sample.scheduler, config.sampling_noise, config.sample.options)
    training, sampling = ForwardProcess(**config.noise.model_dump()).alpha_bar, scheduler.alphas_cumprod
    if len(training) != len(sampling):
        reason = f"training has {len(training)} timesteps and sampling {len(sampling)}"
        yield Finding(variant, "noise", "warning", "images", reason)
    elif float((training - sampling).abs().max()) > 1e-6:
        steps = [int(share * len(training)) for share in LOOKED_AT]
        shown = [f"{float(training[t]):.3f} and {float(sampling[t]):.3f} at t = {t}" for t in steps]
        reason = f"noise schedules of training and sampling differ: ᾱ is {', '.join(shown)}"
        yield Finding(variant, "noise", "warning", "images", reason)
    if scheduler.config.prediction_type != config.noise.prediction:
        reason = f"training predicts {config.noise.prediction}, sampling {scheduler.config.prediction_type}"
        yield Finding(variant, "noise", "warning", "images", reason)


def clipped_latents(variant: str, config: Config) -> Iterator[Finding]:
    """Bounds that are meant for pixels."""
    scheduler = build_scheduler(config.sample.scheduler, config.sampling_noise, config.sample.options)
    bound = scheduler.config.get("clip_sample_range", 1.0)
    if scheduler.config.get("clip_sample"):
        reason = (
            f"clip_sample bounds the predicted latents by ±{bound:g}, which is meant for pixels: of latents "
            f"of unit variance {math.erfc(bound / math.sqrt(2)):.0%} lie beyond"
        )
        yield Finding(variant, "sample.options", "warning", "images", reason)
    if scheduler.config.get("thresholding"):
        reason = "thresholding bounds the predicted latents; it is meant for pixels (Saharia et al. 2022)"
        yield Finding(variant, "sample.options", "warning", "images", reason)


def guidance_without_dropout(variant: str, config: Config) -> Iterator[Finding]:
    """Classifier-free guidance by a prediction that was never trained."""
    if config.sample.guidance != 1 and config.train.caption_dropout == 0:
        reason = (
            f"guidance {config.sample.guidance:g} needs a prediction without caption, and none is trained: "
            "train.caption_dropout is 0"
        )
        yield Finding(variant, "sample.guidance", "warning", reason=reason)


CHECKS = (late_onsets, noise_mismatch, clipped_latents, guidance_without_dropout)
