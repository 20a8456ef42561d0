"""KID, by clean-fid."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.metrics.base import SetMetric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Kid(SetMetric):
    """Kernel distance (Bińkowski et al. 2018): unbiased, can be below 0, lower is better."""

    key = "kid"
    label = "KID"
    lower_is_better = True

    def compute(self, samples: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
        """The distance of features [N, D] and [M, D].

        clean-fid draws subsets from NumPy's global generator, which is seeded here and put back.
        """
        import numpy as np
        from cleanfid.fid import kernel_distance

        state = np.random.get_state()
        np.random.seed(0)
        try:
            return float(kernel_distance(samples.astype(np.float64), reference.astype(np.float64)))
        finally:
            np.random.set_state(state)
