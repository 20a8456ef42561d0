"""FID, by clean-fid."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from ablate.errors import MeaninglessError
from ablate.metrics.base import SetMetric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Fid(SetMetric):
    """Fréchet distance (Heusel et al. 2017): 0 and up, lower is better.

    Biased upward for few images; with N below D the covariance is singular.
    """

    key = "fid"
    label = "FID"
    lower_is_better = True

    def compute(self, samples: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
        """The distance of features [N, D] and [M, D].

        Raises MeaninglessError where the square root of the covariances is not real.
        """
        import numpy as np
        from cleanfid.fid import fid_from_feats

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # clean-fid still passes sqrtm's `disp`
            warnings.filterwarnings("ignore", message="Matrix is singular")  # reports say so where N < D
            try:
                return float(fid_from_feats(samples.astype(np.float64), reference.astype(np.float64)))
            except ValueError as error:
                raise MeaninglessError(
                    f"the Fréchet distance cannot be computed ({error})",
                    where="metric fid",
                    fix="More test prompts, or evaluate.reference=train, give covariances that it can.",
                ) from error
