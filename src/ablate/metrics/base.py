"""What a metric is: of a set of images, of single images, or a cost.

Light to import: the configuration names the metrics, so NumPy and all libraries are imported where
they are used.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ablate.errors import MeaninglessError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray


class TextScorer(Protocol):
    """What a metric needs of an evaluator."""

    @property
    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """Attribute → {name: its phrase, as it stands in captions}; {} if the model has none."""

    def encode_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """Unit vectors [len(texts), E]."""


@dataclass(frozen=True)
class Measured:
    """The samples of a run and all that they can be compared with.

    N samples, M reference images, R real images of prompts. Features have the D dimensions of the chosen
    feature space, embeddings the E of the evaluator.
    """

    images: NDArray[np.uint8]
    """[N, S, S, 3], one for each prompt."""
    prompts: Sequence[str]
    """[N]"""
    evaluator: TextScorer
    embeddings: NDArray[np.float32]
    """[N, E], unit vectors of the images."""
    prompt_embeddings: NDArray[np.float32]
    """[N, E], unit vectors of the prompts."""
    real_embeddings: NDArray[np.float32]
    """[R, E], unit vectors of the real images that belong to prompts."""
    real_rows: NDArray[np.int64]
    """[N], the row of each prompt's real image in ``real_embeddings``; −1 where there is none."""
    features: NDArray[np.float32]
    """[N, D]"""
    reference_features: NDArray[np.float32]
    """[M, D], of the real images that the whole set is compared with."""


@dataclass(frozen=True)
class Result:
    """What a metric says of a run."""

    figure: float
    scores: NDArray[np.float64] | None = None
    """[N], one for each image, NaN where an image can have none; None for a metric of the whole set."""


class MeasuredIn(Protocol):
    """A run's record of the spaces that it was measured in; "" where that was not recorded."""

    @property
    def feature_space(self) -> str:
        """Name of the space of the set metrics."""

    @property
    def evaluator(self) -> str:
        """Name of the model behind the image metrics."""


class Figure(ABC):
    """A figure that a run has and that a claim can be about."""

    key: str
    """Its name in a spec, in ``metrics.json`` and in MLflow."""
    label: str
    """How tables write it."""
    lower_is_better: bool

    @abstractmethod
    def space(self, run: MeasuredIn) -> str | None:
        """The space that ``run`` has this figure in: figures of two spaces are not comparable. None where
        there is no such thing."""


class Metric(Figure):
    """A figure of quality."""

    @abstractmethod
    def measure(self, measured: Measured) -> Result | None:
        """What it says of the samples; None where they lack what it needs."""


class SetMetric(Metric):
    """A metric that compares the features of all samples with those of real images."""

    def space(self, run: MeasuredIn) -> str:
        """The chosen feature space."""
        return run.feature_space

    def measure(self, measured: Measured) -> Result | None:
        """The figure; None for fewer than two images on either side, which have no spread."""
        samples, reference = measured.features, measured.reference_features
        if len(samples) < 2 or len(reference) < 2:
            return None
        return Result(self.compute(samples, reference))

    @abstractmethod
    def compute(self, samples: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
        """The figure of features [N, D] and [M, D], with N and M of at least 2."""


class ImageMetric(Metric):
    """A metric that each image has for itself; the run's figure is the mean of those that can have one."""

    def space(self, run: MeasuredIn) -> str:
        """The evaluator's embeddings."""
        return run.evaluator

    def measure(self, measured: Measured) -> Result | None:
        """Scores, and the mean of those that an image can have; None where no image can have one.

        Raises MeaninglessError if an image that can have a score has none, or no finite one.
        """
        import numpy as np

        known, count = np.asarray(self.scored(measured), bool), len(measured.prompts)
        scores = np.array(self.scores(measured), np.float64)
        if scores.shape != (count,) or known.shape != (count,):
            what = f"its scores have the shape {list(scores.shape)}, and there are {count} images"
            fix = "`scores` and `scored` give a value for each image."
            raise MeaninglessError(what, where=f"metric {self.key}", fix=fix)
        if wrong := int((~np.isfinite(scores[known])).sum()):
            raise MeaninglessError(
                f"{wrong} of {int(known.sum())} scores are not numbers",
                where=f"metric {self.key}",
                fix="Look at the images and at `scores`. `scored` says which images can have none.",
            )
        scores[~known] = np.nan
        return Result(float(scores[known].mean()), scores) if known.any() else None

    def scored(self, measured: Measured) -> NDArray[np.bool_]:
        """[N]: which images can have a score; all of them, unless a metric says otherwise."""
        import numpy as np

        return np.ones(len(measured.prompts), bool)

    @abstractmethod
    def scores(self, measured: Measured) -> NDArray[np.float64]:
        """[N], one for each image; anything where ``scored`` says that an image can have none."""


class Cost(Figure):
    """What a run took, measured beside whatever else the machine did. Less is better."""

    lower_is_better = True

    def __init__(self, key: str, label: str) -> None:
        self.key = key
        self.label = label

    def space(self, run: MeasuredIn) -> None:
        """None: a second is a second."""
        return
