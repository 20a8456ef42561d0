"""clean-fid's own Inception features, for FID and KID that compare with the literature."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.metrics.spaces.base import FeatureSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH = 32
"""Images per forward pass."""


class InceptionSpace(FeatureSpace):
    """Inception's pool features. Images are resized as clean-fid's ``clean`` mode does."""

    part = "inception"

    @property
    def name(self) -> str:
        """``inception``, whichever file holds it."""
        return "inception"

    def features(self, images: NDArray[np.uint8], batch: int = BATCH) -> NDArray[np.float32]:
        """uint8 [N, H, W, 3] → [N, 2048]."""
        import numpy as np
        import torch
        from cleanfid.resize import build_resizer

        resize = build_resizer("clean")
        features = []
        for first in range(0, len(images), batch):
            chunk = np.stack([resize(image) for image in images[first : first + batch]])
            with torch.no_grad():
                tensor = torch.from_numpy(chunk).permute(0, 3, 1, 2).to(self.device)
                features.append(self.network(tensor).float().cpu().numpy())
        return np.concatenate(features)
