"""CLIP-T: samples against their prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.metrics.base import ImageMetric
from ablate.metrics.cosine import cosine

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ablate.metrics.base import Measured


class ClipT(ImageMetric):
    """Cosine of a sample's embedding and its prompt's, in [−1, 1] (Hessel et al. 2021, without the factor
    2.5 and without clipping at 0)."""

    key = "clip_t"
    label = "CLIP-T"
    lower_is_better = False

    def scores(self, measured: Measured) -> NDArray[np.float64]:
        """[N]; every image has one."""
        return cosine(measured.embeddings, measured.prompt_embeddings)
