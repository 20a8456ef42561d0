"""A small decoder for the LPIPS loss: an AutoencoderTiny that decodes latents as a VAE's own decoder does.

Its teacher is the VAE: latents are drawn from the posteriors of a data set's images, and what the VAE
decodes from them is the target. Its form is that of TAESD (github.com/madebyollin/taesd).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from ablate.data.captions import load_images, read_train
from ablate.errors import DataError, UserError
from ablate.kit.dataset import to_unit
from ablate.kit.training import Tell, optimize, seeded
from ablate.parts.perceptual import PerceptualPart
from ablate.parts.vae import VaePart
from ablate.stages import device as devices

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from diffusers import AutoencoderKL, AutoencoderTiny
    from lpips import LPIPS
    from torch import Tensor

    from ablate.spec.config import Config

STEPS = 5000
BATCH = 16
LPIPS_WEIGHT = 0.05
"""Beside the squared error of pixels in [−1, 1]."""
IMAGES = 2048
"""Images that it learns from, at most: a decoder sees little of an image at once, and many such parts."""
HELD_OUT = 20
"""The last one of so many images is held out: monsters of their own, but for one at the border."""
MEASURED = 256
"""Held-out images that are measured, at most."""


NOISE = 0.3
"""Standard deviation of the noise on the latents, which have 1, where gradients are compared."""


@dataclass(frozen=True)
class Distilled:
    """How near the small decoder comes to the VAE's, on held-out images."""

    psnr: float
    """Peak signal-to-noise ratio in dB against what the VAE decodes, averaged over images."""
    gradient: float
    """Cosine between the gradients of LPIPS through both decoders, averaged over images."""
    images: int
    weights: int
    """Of the decoder alone, as ``vae_weights``."""
    vae_weights: int


def distill_decoder(
    config: Config,
    data: Path,
    out: Path,
    *,
    effort: float = 1.0,
    seed: int = 0,
    tell: Tell = lambda step, steps, loss: None,
) -> Distilled:
    """Trains a small decoder on the images in ``data``, measures it, and writes it to ``out``.

    The same data, parts, size, effort and seed on the same machine give the same weights.

    Args:
        config: names the VAE, the LPIPS backbone, which helps in the training, and the images' size.
        effort: scales the training steps.

    Raises:
        UserError: there is something in ``out`` already.
        DataError: the data set is not as it should be, or has a single image.
        ComponentError: there is no such VAE or backbone.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError("there is something there already", where=str(out), fix="Give a new folder.")
    device = str(devices.setup(config.compute))
    teacher = VaePart(config.components.vae).load(device)
    distance = PerceptualPart(config.components.perceptual).load(device)
    rng = np.random.default_rng(seed)
    learned, measured = split([image.path for image in read_train(data)], rng)
    if not learned:
        raise DataError("has a single image", where=str(data), fix="Give a data set of two or more.")
    size, steps = config.data.size, max(2, round(STEPS * effort))

    student = small_decoder(teacher, seed).to(device, memory_format=torch.channels_last)
    latents, targets = decoded(teacher, learned, size, seed)

    def loss_at(step: int) -> Tensor:
        rows = rng.integers(0, len(latents), BATCH)
        images, target = student.decode(latents[rows].to(device)).sample, targets[rows].to(device).float()
        loss: Tensor = F.mse_loss(images, target) + LPIPS_WEIGHT * distance(images, target).mean()
        return loss

    optimize(loss_at, list(student.decoder.parameters()), steps, lr=3e-3, tell=tell)
    held_out = decoded(teacher, measured, size, seed)
    psnr, gradient = psnr_of(student, *held_out), agreement(student, teacher, distance, *held_out)
    student.to(memory_format=torch.contiguous_format).save_pretrained(out)
    return Distilled(psnr, gradient, len(measured), _weights(student), _weights(teacher))


def split(paths: Sequence[Path], rng: np.random.Generator) -> tuple[list[Path], list[Path]]:
    """Images to learn from, at random, and images that are held out, the data set's last."""
    held_out = max(1, len(paths) // HELD_OUT)
    rest = rng.permutation(len(paths) - held_out)
    return [paths[row] for row in rest[:IMAGES]], list(paths[-held_out:][:MEASURED])


def small_decoder(vae: AutoencoderKL, seed: int) -> AutoencoderTiny:
    """An untrained AutoencoderTiny that takes the VAE's latents, scaled to unit variance.

    It has the VAE's number of upsamplings and is as wide as TAESD, or as the VAE at full resolution where
    that is narrower. Its encoder is there because the class has one, as small as can be, and is never used.
    """
    from diffusers import AutoencoderTiny

    levels, width = len(vae.config.block_out_channels), min(64, vae.config.block_out_channels[0])
    with seeded(seed):
        return AutoencoderTiny(
            latent_channels=vae.config.latent_channels,
            decoder_block_out_channels=(width,) * levels,
            num_decoder_blocks=(*(3,) * (levels - 1), 1),
            encoder_block_out_channels=(4,) * levels,
            num_encoder_blocks=(1,) * levels,
        )


@torch.no_grad()
def decoded(vae: AutoencoderKL, paths: Sequence[Path], size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Latents [N, C, h, w] drawn from the images' posteriors, scaled to unit variance, and what the VAE
    decodes from them, float16 [N, 3, S, S]; both on the CPU.
    """
    noise = torch.Generator(vae.device).manual_seed(seed)
    latents, images = [], []
    for pixels in load_images(paths, size, chunk=BATCH):
        drawn = vae.encode(to_unit(pixels).to(vae.device)).latent_dist.sample(noise)
        latents.append((drawn * vae.config.scaling_factor).cpu())
        images.append(vae.decode(drawn).sample.half().cpu())
    return torch.cat(latents), torch.cat(images)


@torch.no_grad()
def psnr_of(decoder: AutoencoderTiny, latents: Tensor, images: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of what is decoded from ``latents`` against ``images`` in [−1, 1]."""
    decoded = [decoder.decode(some.to(decoder.device)).sample.cpu() for some in latents.split(BATCH)]
    error = torch.cat(decoded).clamp(-1, 1) - images.float().clamp(-1, 1)
    return float((10 * torch.log10(4 / error.square().mean((1, 2, 3)).clamp(min=1e-9))).mean())


def agreement(
    decoder: AutoencoderTiny, vae: AutoencoderKL, distance: LPIPS, latents: Tensor, images: Tensor
) -> float:
    """Mean cosine between the gradients of LPIPS by the latents, through the small decoder and the VAE's.

    That is what the small decoder is for. Noise is added to the latents [N, C, h, w] first: where a decoder
    meets them in training, they are a prediction that is not exact. ``images`` [N, 3, S, S] are the target.
    """
    noise = NOISE * torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    cosines = []
    for some, target in zip((latents + noise).split(BATCH), images.split(BATCH), strict=True):
        gradients = []
        for each in (decoder, vae):
            x = some.to(vae.device).requires_grad_()
            decoded = each.decode(x / each.config.scaling_factor).sample
            loss = distance(decoded, target.to(vae.device).float()).sum()
            gradients.append(torch.autograd.grad(loss, x)[0].flatten(1))
        cosines.append(torch.cosine_similarity(*gradients))
    return float(torch.cat(cosines).mean())


def _weights(autoencoder: AutoencoderKL | AutoencoderTiny) -> int:
    return sum(weight.numel() for weight in autoencoder.decoder.parameters())
