"""The first stage: an AutoencoderKL from 32×32×3 to 8×8×4 and back (arXiv:2112.10752, section 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from ablate.kit.dataset import SIZE, KitData, shifted, to_unit
from ablate.kit.training import Course, optimize, seeded
from ablate.stages.prepare import to_uint8

if TYPE_CHECKING:
    from pathlib import Path

    from diffusers import AutoencoderKL
    from numpy.typing import NDArray

STEPS = 5000
BATCH = 16
KL_WEIGHT = 3e-4
"""On the mean over latent values. Just enough to keep latents bounded and close codes close."""


def train_vae(data: KitData, out: Path, course: Course) -> None:
    """Write ``vae/`` below ``out``. Its ``scaling_factor`` gives scaled latents unit std."""
    from diffusers import AutoencoderKL

    with seeded(course.seed):
        vae = AutoencoderKL(
            sample_size=SIZE,
            latent_channels=4,
            block_out_channels=(24, 48, 64),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            layers_per_block=1,
            norm_num_groups=8,
        )
    vae = vae.to(memory_format=torch.channels_last)
    rng = np.random.default_rng(course.seed)
    noise = torch.Generator().manual_seed(course.seed)

    def next_loss() -> torch.Tensor:
        chosen = rng.integers(0, len(data.images), size=BATCH)
        x = to_unit(shifted(data.images[chosen], rng)).contiguous(memory_format=torch.channels_last)
        posterior = vae.encode(x).latent_dist
        decoded = vae.decode(posterior.sample(generator=noise)).sample
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        # The absolute error keeps outlines sharp; the squared one is what PSNR counts.
        loss: torch.Tensor = F.l1_loss(decoded, x) + 2.0 * F.mse_loss(decoded, x) + KL_WEIGHT * kl
        return loss

    optimize(next_loss, list(vae.parameters()), course, lr=2e-3)
    vae = vae.to(memory_format=torch.contiguous_format).eval().requires_grad_(False)
    vae.register_to_config(scaling_factor=float(f"{1.0 / latents(vae, data.images[::4]).std().item():.5g}"))
    vae.half().save_pretrained(out / "vae")


@torch.no_grad()
def latents(vae: AutoencoderKL, images: NDArray[np.uint8]) -> torch.Tensor:
    """Posterior means without scaling, float32 [N, 4, 8, 8]."""
    parts = [vae.encode(to_unit(images[i : i + 64])).latent_dist.mean for i in range(0, len(images), 64)]
    return torch.cat(parts)


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Images after encoding to the posterior mean and decoding, uint8 [N, 32, 32, 3]."""
    parts = [vae.decode(z).sample for z in torch.split(latents(vae, images), 64)]
    return to_uint8(torch.cat(parts)).numpy()


def psnr(images: NDArray[np.uint8], reconstructions: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio in dB, averaged over images. Both uint8 [N, H, W, 3]."""
    error = (images.astype(np.float64) - reconstructions) ** 2
    return float((10.0 * np.log10(255.0**2 / error.mean(axis=(1, 2, 3)).clip(1e-3))).mean())
