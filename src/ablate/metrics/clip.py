"""CLIP-I and CLIP-T: cosine similarities of open_clip embeddings, one figure an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Row-wise cosine of two sets of L2-normalized embeddings [N, D]; [N] in [−1, 1].

    CLIP-I: samples against the real images of their prompts. CLIP-T: samples against their prompts
    (Hessel et al. 2021, without the factor 2.5 and without clipping at 0).
    """
    cosines: NDArray[np.float64] = np.einsum("nd,nd->n", a.astype(np.float64), b.astype(np.float64))
    return cosines
