"""FID and KID between two sets of features, by clean-fid."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def fid(samples: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Fréchet distance (Heusel et al. 2017) of features [N, D] and [M, D]; 0 and up, lower is better.

    Biased upward for few images; with N below D the covariance is singular.
    """
    from cleanfid.fid import fid_from_feats

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # clean-fid still passes sqrtm's `disp`
        warnings.filterwarnings("ignore", message="Matrix is singular")  # reports say so where N < D
        return float(fid_from_feats(samples.astype(np.float64), reference.astype(np.float64)))


def kid(samples: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Kernel distance (Bińkowski et al. 2018) of features [N, D] and [M, D]; unbiased, can be below 0.

    clean-fid draws subsets from NumPy's global generator, which is seeded here and put back.
    """
    from cleanfid.fid import kernel_distance

    state = np.random.get_state()
    np.random.seed(0)
    try:
        return float(kernel_distance(samples.astype(np.float64), reference.astype(np.float64)))
    finally:
        np.random.set_state(state)
