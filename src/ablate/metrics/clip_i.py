"""CLIP-I: samples against the real images of their prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.metrics.base import ImageMetric
from ablate.metrics.cosine import cosine

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ablate.metrics.base import Measured


class ClipI(ImageMetric):
    """Cosine of a sample's embedding and that of its prompt's real image, in [−1, 1]."""

    key = "clip_i"
    label = "CLIP-I"
    lower_is_better = False

    def scored(self, measured: Measured) -> NDArray[np.bool_]:
        """[N]: the prompts with a real image."""
        paired: NDArray[np.bool_] = measured.real_rows >= 0
        return paired

    def scores(self, measured: Measured) -> NDArray[np.float64]:
        """[N]; NaN for a prompt without a real image."""
        import numpy as np

        scores = np.full(len(measured.images), np.nan)
        paired = self.scored(measured)
        real = measured.real_embeddings[measured.real_rows[paired]]
        if len(real):
            scores[paired] = cosine(measured.embeddings[paired], real)
        return scores
