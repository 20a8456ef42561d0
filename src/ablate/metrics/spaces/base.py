"""What a feature space is: a network that turns images into the features that set metrics compare."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class FeatureSpace(ABC):
    """A feature space, ready to compute on ``device``.

    ``network`` is what ``part`` was loaded as, or the evaluator where no part is named.
    """

    part: ClassVar[str] = ""
    """Field of ``components`` that holds its network; "" for the evaluator, which every run has."""

    def __init__(self, network: Any, device: str) -> None:
        self.network = network
        self.device = device

    @property
    @abstractmethod
    def name(self) -> str:
        """Stands in every table beside a metric taken in this space."""

    @abstractmethod
    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """uint8 [N, H, W, 3] in [0, 255] → [N, D], a row for each image."""

    def features_of(self, images: NDArray[np.uint8], embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """``features(images)`` where the evaluator's ``embeddings`` [N, E] of the same images are at hand."""
        return self.features(images)
