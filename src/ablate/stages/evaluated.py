"""What stage evaluate writes and reads again, and what its keys are made of. No torch.

``evaluate/<key>/`` holds
    metrics.json   the run's figures, and what they were taken with
    scores.json    one row an image: image_name, prompt, and its score of each image metric
    features.npz   the features behind FID and KID, and the embeddings (no pickles)
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ablate import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from ablate.stages.keys import RunKeys

SOURCES = (
    *(f"stages/{name}.py" for name in ("evaluate", "evaluated", "refusals", "sampled", "device")),
    *("metrics", "parts/evaluator.py", "parts/inception.py"),
)
"""Beside that of the feature space, and those of metrics from plug-ins."""
LIBRARIES = ("torch", "open_clip_torch", "clean-fid", "scipy", "numpy")

METRICS, SCORES, FEATURES = "metrics.json", "scores.json", "features.npz"


def ingredients(keys: RunKeys) -> dict[str, Any]:
    """The samples, the networks that look at them and the real images they are compared with."""
    metrics = fingerprint.of_added_metrics(keys.config.vocabulary.plugins)
    return {"sample": keys.sample, **_view(keys), "code": fingerprint.of_files(SOURCES, LIBRARIES) | metrics}


def reference_ingredients(keys: RunKeys) -> dict[str, Any]:
    """The real images and the networks that look at them, whatever the metrics."""
    return {"prepare": keys.prepare, **_view(keys), "code": fingerprint.of_files(SOURCES, LIBRARIES)}


def _view(keys: RunKeys) -> dict[str, Any]:
    """The evaluator, which images are the real ones, and the feature space: its network by the content of a
    file that the user names; without one it is what the code says."""
    config = keys.config
    space = config.vocabulary.spaces[config.evaluate.fid_features]
    named = space.part and getattr(config.components, space.part)
    return {
        "evaluator": keys.part("evaluator"),
        "space": fingerprint.of_class(space),
        **({space.part: keys.part(space.part)} if named else {}),
        "evaluate": config.evaluate.model_dump(mode="json"),
    }


@dataclass(frozen=True)
class Figures:
    """A run's figures, and what they were taken with."""

    metrics: Mapping[str, float]
    """Key → figure: the metrics, and the counts and times that tables need."""
    feature_space: str
    """Name of the space of FID and KID."""
    evaluator: str
    """Name of the model behind CLIP-I and CLIP-T."""
    weights: str
    """Digest of the weights that the samples were drawn from."""


class Evaluated:
    """The entry of an evaluated run: figures, scores and features."""

    def __init__(self, folder: Path) -> None:
        self.scores_file = folder / SCORES
        self.features_file = folder / FEATURES
        self._metrics_file = folder / METRICS

    @cached_property
    def figures(self) -> Figures:
        """The run's figures, and what they were taken with."""
        return Figures(**json.loads(self._metrics_file.read_text()))

    @cached_property
    def scores(self) -> list[dict[str, Any]]:
        """A row for each image in the order of the prompts: ``image_name``, ``prompt``, then metric → score,
        None where the image has none."""
        rows: list[dict[str, Any]] = json.loads(self.scores_file.read_text())
        return rows

    @property
    def features(self) -> NDArray[np.float32]:
        """[N, D], in the feature space of FID and KID."""
        return self._array("features")

    @property
    def embeddings(self) -> NDArray[np.float32]:
        """[N, E], the evaluator's unit vectors."""
        return self._array("embeddings")

    def _array(self, name: str) -> NDArray[np.float32]:
        import numpy as np

        with np.load(self.features_file, allow_pickle=False) as arrays:
            array: NDArray[np.float32] = arrays[name]
        return array


def write(
    folder: Path,
    figures: Figures,
    prompts: Sequence[Mapping[str, Any]],
    scores: Mapping[str, NDArray[np.float64]],
    *,
    features: NDArray[np.float32],
    embeddings: NDArray[np.float32],
) -> None:
    """Writes what ``Evaluated`` reads. ``scores`` are [N], NaN where an image has none; ``prompts`` are N
    with ``image_name`` and ``text``."""
    import numpy as np

    rows = [
        {"image_name": prompt["image_name"], "prompt": prompt["text"]}
        | {name: _number(values[row]) for name, values in scores.items()}
        for row, prompt in enumerate(prompts)
    ]
    (folder / METRICS).write_text(json.dumps(asdict(figures), indent=1, allow_nan=False))
    (folder / SCORES).write_text(json.dumps(rows, indent=1, allow_nan=False))
    np.savez_compressed(folder / FEATURES, features=features, embeddings=embeddings)


def _number(value: float) -> float | None:
    """JSON has no NaN: a score that an image does not have is null."""
    return None if math.isnan(value) else float(value)
