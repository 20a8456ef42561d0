"""The evaluator's own embeddings as a feature space."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.metrics.spaces.base import FeatureSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class EvaluatorSpace(FeatureSpace):
    """The unit vectors that CLIP-I and CLIP-T compare."""

    @property
    def name(self) -> str:
        """The evaluator's: ``sprites-clip``."""
        return str(self.network.name)

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 [N, H, W, 3] → unit vectors [N, D]."""
        features: NDArray[np.float32] = self.network.encode_images(images)
        return features

    def features_of(
        self,
        images: NDArray[np.uint8],
        embeddings: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        """The embeddings themselves: no image is encoded twice."""
        return embeddings
