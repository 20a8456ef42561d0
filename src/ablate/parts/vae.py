"""The VAE: images to latents and back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ablate.parts.base import PretrainedPart, refuse_gaps, refuse_infinite

if TYPE_CHECKING:
    from diffusers import AutoencoderKL


class VaePart(PretrainedPart):
    """A diffusers ``AutoencoderKL``."""

    field = "vae"
    title = "VAE"
    file_sets = (("config.json", "diffusion_pytorch_model.safetensors"),)

    def load(self, device: str = "cpu") -> AutoencoderKL:
        """Images [N, 3, H, W] in [−1, 1] ↔ latents, not yet scaled by ``config.scaling_factor``.

        Raises ComponentError if there is none.
        """
        folder = self.files()[0].parent
        import torch
        from diffusers import AutoencoderKL

        with self.loading():
            model, report = AutoencoderKL.from_pretrained(
                folder, torch_dtype=torch.float32, use_safetensors=True, output_loading_info=True
            )
            refuse_gaps(report["missing_keys"])
            refuse_infinite(model)
            if not 0 < abs(factor := model.config.scaling_factor) < math.inf:
                raise ValueError(f"its scaling_factor is {factor}: latents are multiplied and divided by it")
        loaded: AutoencoderKL = model.to(device).eval().requires_grad_(False)
        return loaded
