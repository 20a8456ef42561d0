"""The cosine similarity behind CLIP-I and CLIP-T."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Row-wise cosine of two sets of L2-normalized embeddings [N, E]; [N] in [−1, 1]."""
    import numpy as np

    cosines: NDArray[np.float64] = np.einsum("nd,nd->n", a.astype(np.float64), b.astype(np.float64))
    return cosines
