"""Contracts of metrics and feature spaces."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ablate.metrics.base import Measured

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ablate.metrics.base import Metric
    from ablate.metrics.spaces.base import FeatureSpace

N = 40
WORDS = ("red", "blue", "bat", "crab")
LABELS = {"colour": {"red": "red", "blue": "blue"}, "body": {"bat": "bat", "crab": "crab"}}
ARRAYS = ("images", "embeddings", "prompt_embeddings", "real_embeddings", "features", "reference_features")


class Words:
    """An evaluator whose embedding of a text is which of a few words it holds."""

    labels = LABELS

    def encode_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """Unit vectors [N, 4]."""
        return unit(np.array([[float(word in text.split()) for word in WORDS] for text in texts]) + 1e-3)


@dataclass(frozen=True)
class Spaces:
    """What a run was measured in."""

    feature_space: str = "some features"
    evaluator: str = "some evaluator"


def unit(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows of length 1."""
    vectors: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return vectors


def perfect() -> Measured:
    """Samples that are the real images of their prompts, which look as their prompts say."""
    prompts = [f"a {'red' if n % 2 else 'blue'} {'bat' if n % 3 else 'crab'}" for n in range(N)]
    rng = np.random.default_rng(0)
    embeddings = Words().encode_texts(prompts)
    features = rng.normal(size=(N, 8)).astype(np.float32)
    return Measured(
        images=rng.integers(0, 256, (N, 8, 8, 3), dtype=np.uint8),
        prompts=prompts,
        evaluator=Words(),
        embeddings=embeddings,
        prompt_embeddings=embeddings,
        real_embeddings=embeddings,
        real_rows=np.arange(N),
        features=features,
        reference_features=features,
    )


def blurred(measured: Measured, amount: float) -> Measured:
    """Samples that are the less like the real ones the larger ``amount`` is, in both spaces."""
    other = np.roll(measured.embeddings, 1, axis=0)
    rng = np.random.default_rng(1)
    return replace(
        measured,
        embeddings=unit((1 - amount) * measured.embeddings + amount * other),
        features=measured.features + amount * (1 + rng.normal(size=(N, 8))).astype(np.float32),
    )


def figure_of(metric: Metric, measured: Measured) -> float:
    """The figure, where there must be one."""
    result = metric.measure(measured)
    assert result, "40 samples with all that they can be compared with must give a figure"
    return result.figure


class MetricContract:
    """For a fixture ``metric``: an object of the class."""

    def test_it_has_a_name_a_label_a_direction_and_a_space(self, metric: Metric) -> None:
        assert metric.key and metric.label.strip()
        assert isinstance(metric.lower_is_better, bool)
        assert metric.space(Spaces()) in {"some features", "some evaluator", None}

    def test_the_figure_is_finite_and_the_mean_of_the_scores_if_there_are_any(self, metric: Metric) -> None:
        result = metric.measure(blurred(perfect(), 0.3))
        assert result
        assert isinstance(result.figure, float) and math.isfinite(result.figure)
        if result.scores is not None:
            assert result.scores.shape == (N,)
            assert math.isclose(result.figure, float(np.nanmean(result.scores)), rel_tol=1e-6)

    def test_the_order_of_the_images_does_not_matter(self, metric: Metric) -> None:
        measured = blurred(perfect(), 0.3)
        order = np.random.default_rng(2).permutation(N)
        shuffled = replace(
            measured,
            images=measured.images[order],
            prompts=[measured.prompts[n] for n in order],
            embeddings=measured.embeddings[order],
            prompt_embeddings=measured.prompt_embeddings[order],
            real_rows=measured.real_rows[order],
            features=measured.features[order],
        )
        pair = figure_of(metric, shuffled), figure_of(metric, measured)
        assert math.isclose(*pair, rel_tol=1e-6, abs_tol=1e-9)

    def test_it_says_the_same_again_and_leaves_its_arrays_and_numpys_generator_alone(
        self, metric: Metric
    ) -> None:
        measured = blurred(perfect(), 0.3)
        before = {name: getattr(measured, name).copy() for name in ARRAYS}
        np.random.seed(7)
        expected = np.random.random()
        np.random.seed(7)
        first = figure_of(metric, measured)
        assert np.random.random() == expected, "it draws from NumPy's global generator"
        assert figure_of(metric, measured) == first
        for name, array in before.items():
            np.testing.assert_array_equal(getattr(measured, name), array)

    def test_where_nothing_is_known_of_real_images_it_has_a_finite_figure_or_none(
        self, metric: Metric
    ) -> None:
        alone = replace(
            perfect(),
            real_embeddings=np.zeros((0, 1), np.float32),
            real_rows=np.full(N, -1),
            reference_features=np.zeros((0, 1), np.float32),
        )
        result = metric.measure(alone)
        assert result is None or math.isfinite(result.figure)


class SpaceContract:
    """For a fixture ``space``: an object of the class, with its network."""

    def images(self) -> NDArray[np.uint8]:
        """[5, 32, 32, 3]."""
        return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)

    def test_each_image_has_a_finite_row(self, space: FeatureSpace) -> None:
        features = space.features(self.images())
        assert features.dtype == np.float32
        assert features.ndim == 2 and len(features) == 5
        assert np.isfinite(features).all()

    def test_a_row_depends_on_its_image_only(self, space: FeatureSpace) -> None:
        images = self.images()
        features = space.features(images)
        turned = np.ascontiguousarray(images[::-1])
        np.testing.assert_allclose(space.features(turned), features[::-1], atol=1e-4)
        np.testing.assert_allclose(space.features(images[2:3]), features[2:3], atol=1e-4)
        assert not np.allclose(features[0], features[1])

    def test_tables_have_a_name_for_it(self, space: FeatureSpace) -> None:
        assert space.name.strip()
