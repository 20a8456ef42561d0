"""The small decoder: latents to images, cheaper than the VAE's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.base import PretrainedPart, refuse_gaps

if TYPE_CHECKING:
    from diffusers import AutoencoderTiny

    from ablate.spec.config import Config


class SmallDecoderPart(PretrainedPart):
    """A diffusers ``AutoencoderTiny``."""

    field = "small_decoder"
    title = "small decoder"
    file_sets = (("config.json", "diffusion_pytorch_model.safetensors"),)

    @classmethod
    def needed(cls, config: Config) -> bool:
        """Only by an LPIPS loss that decodes with it."""
        return config.losses.lpips is not None and config.losses.lpips.decoder == "small"

    def load(self, device: str = "cpu") -> AutoencoderTiny:
        """Latents of unit variance → images [N, 3, H, W] in [−1, 1]. Raises ComponentError."""
        folder = self.files()[0].parent
        import torch
        from diffusers import AutoencoderTiny

        with self.loading():
            model, report = AutoencoderTiny.from_pretrained(
                folder, torch_dtype=torch.float32, use_safetensors=True, output_loading_info=True
            )
            refuse_gaps(report["missing_keys"])
        loaded: AutoencoderTiny = model.to(device).eval().requires_grad_(False)
        return loaded
