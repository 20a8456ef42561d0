"""Draws latents from a trained U-Net with any diffusers scheduler."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import diffusers
import torch

from ablate.errors import MeaninglessError, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from diffusers import UNet2DConditionModel
    from torch import Tensor


# DDPM and DDIM clip predicted pixels to ±1 unless told otherwise. Latents are not bounded.
DEFAULTS: dict[str, Any] = {"clip_sample": False}
"""Options of schedulers that have another default here than in diffusers."""


def build_scheduler(name: str, noise: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """A scheduler of class ``name`` on a noise schedule.

    Args:
        noise: timesteps, schedule, beta_start, beta_end, prediction.
        options: further constructor arguments. ``clip_sample`` is off unless they say otherwise.

    Raises:
        UserError: the class does not exist or refuses an argument.
    """
    kind = getattr(diffusers, name, None)
    if kind is None:
        raise UserError(f"diffusers has no scheduler {name!r}", where="sample.scheduler")
    accepted = set(inspect.signature(kind.__init__).parameters) - {"self"}
    unknown = sorted(set(options) - accepted)
    if unknown:
        # from_config would ignore it silently: the variant would be its own baseline.
        raise UserError(
            f"{name} has no option {unknown[0]!r}",
            where="sample.options",
            fix=f"It has: {', '.join(sorted(accepted))}.",
        )
    arguments = {
        "num_train_timesteps": noise["timesteps"],
        "beta_schedule": noise["schedule"],
        "beta_start": noise["beta_start"],
        "beta_end": noise["beta_end"],
        "prediction_type": noise["prediction"],
    }
    missing = sorted(set(arguments) - accepted)
    arguments |= {option: value for option, value in DEFAULTS.items() if option in accepted}
    if missing:
        raise UserError(
            f"{name} does not sample a discrete noise schedule (it has no {missing[0]})",
            where="sample.scheduler",
        )
    try:
        return kind(**(arguments | dict(options)))
    except (TypeError, ValueError, NotImplementedError, ImportError) as error:
        raise UserError(
            f"{name} cannot be made with these options: {error}", where="sample.options"
        ) from error


@torch.no_grad()
def sample_latents(
    unet: UNet2DConditionModel,
    scheduler: Any,
    states: Tensor,
    empty: Tensor,
    *,
    steps: int,
    guidance: float,
    shape: tuple[int, int, int],
    generators: Sequence[torch.Generator],
    bf16: bool = False,
) -> tuple[Tensor, int]:
    """Latents [B, *shape] for text states [B, L, D], and how often the U-Net is evaluated for each.

    Each image draws from its own CPU generator only, so it does not depend on its batch. Both halves of
    classifier-free guidance (Ho & Salimans 2021) go through the U-Net in one batch, and count as two
    evaluations; the unconditional one uses ``empty`` [1, L, D]. The scheduler computes in float32, also where
    the U-Net does not (``bf16``).

    Raises:
        MeaninglessError: a latent or a prediction is not a number, or the scheduler takes no step.
    """
    device = states.device
    scheduler.set_timesteps(steps, device=device)
    noise = torch.stack([torch.randn(shape, generator=g) for g in generators]).to(device)
    latents = noise * scheduler.init_noise_sigma
    guided = guidance != 1.0
    context = torch.cat([empty.expand_as(states), states]) if guided else states
    draws = (
        {"generator": list(generators)} if "generator" in inspect.signature(scheduler.step).parameters else {}
    )
    finite: list[Tensor] = []
    for t in scheduler.timesteps:
        x = scheduler.scale_model_input(torch.cat([latents, latents]) if guided else latents, t)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            prediction = unet(x, t, encoder_hidden_states=context).sample
        # A copy: a CUDA graph puts each result where the one before lay, and some schedulers keep them.
        prediction = prediction.to(torch.float32, copy=True)
        if guided:
            unconditional, conditional = prediction.chunk(2)
            prediction = unconditional + guidance * (conditional - unconditional)
        latents = scheduler.step(prediction, t, latents, **draws).prev_sample
        # Looked at in the end: to wait for a GPU after each step would cost time.
        finite.append(torch.stack([_are_finite(prediction), _are_finite(latents)]))
    if not finite or latents.shape != noise.shape:
        what = f"gave latents {list(latents.shape)} for {list(noise.shape)}" if finite else "takes no step"
        raise MeaninglessError(f"{type(scheduler).__name__} {what}", where="sample.scheduler")
    _refuse_infinite(torch.stack(finite).cpu(), scheduler, bf16=bf16)
    return latents, len(finite) * (2 if guided else 1)


def _are_finite(images: Tensor) -> Tensor:
    """[B, …] → [B]: which of them hold numbers only."""
    return images.isfinite().flatten(1).all(1)


def _refuse_infinite(finite: Tensor, scheduler: Any, *, bf16: bool) -> None:
    """Raises MeaninglessError at the first step after which one of B latents is not a number; ``finite``
    [steps, 2, B] says so of predictions and latents. Later steps may hide it: clipping makes 1 of infinity.
    """
    if finite.all():
        return
    step = int((~finite).any(2).any(1).nonzero()[0])
    prediction, latents = finite[step]
    where = f"sampling, step {step + 1} of {len(finite)} (t = {float(scheduler.timesteps[step]):g})"
    if not prediction.all():
        half = " Or compute with sample.precision=fp32." if bf16 else ""
        raise MeaninglessError(
            f"the prediction for {_share(~prediction)} images is not a number",
            where=where,
            fix=f"The weights or sample.guidance are too large: see the loss curves, lower either.{half}",
        )
    raise MeaninglessError(
        f"{type(scheduler).__name__} turns {_share(~latents)} images into something that is not a number",
        where=where,
        fix="Its sample.options, sample.steps and the noise schedule do not go together. Where the last "
        "timestep has no signal (rescale_betas_zero_snr), only noise.prediction=v_prediction can start.",
    )


def _share(which: Tensor) -> str:
    return f"{int(which.sum())} of {len(which)}"
