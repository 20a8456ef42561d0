"""Images mirrored, moved, turned, scaled and of other colours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ablate.factors.augmentation import Augmentation, flip

if TYPE_CHECKING:
    from torch import Tensor


class Strong(Augmentation):
    """Flip, shift, rotation, scale and colour."""

    kind: Literal["strong"] = "strong"

    def apply(self, images: Tensor, *address: int | str) -> Tensor:
        """Every image changed."""
        return strong(images, *address)


def strong(images: Tensor, *address: int | str) -> Tensor:
    """Flip, rotation ±15°, scale 0.8–1.2, shift ±10 %, brightness, contrast and saturation ±20 %.

    Images [B, 3, H, W] in [−1, 1]; what comes in at the borders is white.
    """
    import torch
    import torch.nn.functional as F

    from ablate.diffusion import randomness

    images = flip(images, *address)
    n, device = len(images), images.device
    draw = (2 * randomness.uniform((7, n), *address, "strong") - 1).to(device)
    angle, scale = draw[0] * torch.pi / 12, 1 + 0.2 * draw[1]
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    shift_x, shift_y = 0.2 * draw[2], 0.2 * draw[3]  # the grid spans 2, so 0.2 is 10 % of the edge
    affine = torch.stack([torch.stack([cos, -sin, shift_x], -1), torch.stack([sin, cos, shift_y], -1)], 1)
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    # Sampling 1 − image pads with zeros, that is with white.
    images = 1 - F.grid_sample(1 - images, grid, padding_mode="zeros", align_corners=False)
    brightness, contrast, saturation = (0.2 * row.view(-1, 1, 1, 1) for row in draw[4:7])
    grey = images.mean(1, keepdim=True)
    images = grey + (1 + saturation) * (images - grey)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = mean + (1 + contrast) * (images - mean) + brightness
    return images.clamp(-1, 1)
