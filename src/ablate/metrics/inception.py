"""clean-fid's own Inception features, for FID and KID that compare with the literature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray


def inception_features(
    images: NDArray[np.uint8],
    device: str,
    *,
    model: Callable[[torch.Tensor], torch.Tensor],
    batch: int = 32,
) -> NDArray[np.float32]:
    """Pool features [N, 2048] of uint8 images [N, H, W, 3], resized as clean-fid's ``clean`` mode does.

    ``model`` is what ``InceptionPart.load`` gives.
    """
    import torch
    from cleanfid.resize import build_resizer

    resize = build_resizer("clean")
    features = []
    for first in range(0, len(images), batch):
        chunk = np.stack([resize(image) for image in images[first : first + batch]])
        with torch.no_grad():
            tensor = torch.from_numpy(chunk).permute(0, 3, 1, 2).to(device)
            features.append(model(tensor).float().cpu().numpy())
    return np.concatenate(features)
