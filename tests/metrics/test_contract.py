"""What every metric promises: of a set, of single images, or a cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest

from ablate.metrics import COSTS, METRICS
from ablate.metrics.accuracy import accuracies
from ablate.metrics.base import Figure, Measured, Metric

N, WORDS = 40, ("red", "blue", "bat", "crab")
LABELS = {"colour": {"red": "red", "blue": "blue"}, "body": {"bat": "bat", "crab": "crab"}}
EVERY: dict[str, Metric] = METRICS | accuracies(LABELS)
FIGURES: dict[str, Figure] = METRICS | COSTS

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Matrix is singular"),
]
each_metric = pytest.mark.parametrize("metric", EVERY.values(), ids=EVERY)
each_figure = pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)


class Words:
    """An evaluator whose embedding of a text is which of a few words it holds."""

    labels = LABELS

    def encode_texts(self, texts: list[str]) -> np.ndarray:
        return unit(np.array([[float(word in text.split()) for word in WORDS] for text in texts]) + 1e-3)


@dataclass(frozen=True)
class Run:
    feature_space: str = "some features"
    evaluator: str = "some evaluator"


def unit(rows: np.ndarray) -> np.ndarray:
    vectors: np.ndarray = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return vectors


@pytest.fixture
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


def blurred(perfect: Measured, amount: float) -> Measured:
    """Samples that are the less like the real ones the larger ``amount`` is, in both spaces."""
    other = np.roll(perfect.embeddings, 1, axis=0)
    rng = np.random.default_rng(1)
    return replace(
        perfect,
        embeddings=unit((1 - amount) * perfect.embeddings + amount * other),
        features=perfect.features + amount * (1 + rng.normal(size=(N, 8))).astype(np.float32),
    )


def figure_of(metric: Metric, measured: Measured) -> float:
    result = metric.measure(measured)
    assert result
    return result.figure


@pytest.mark.parametrize("kind", [METRICS, COSTS, EVERY], ids=["metrics", "costs", "accuracies too"])
def test_each_key_is_that_of_its_figure(kind: dict[str, Figure]) -> None:
    assert list(kind) == [figure.key for figure in kind.values()]


def test_no_two_figures_share_a_key_or_a_label() -> None:
    assert len(FIGURES) == len(METRICS) + len(COSTS)
    assert len({figure.label for figure in FIGURES.values()}) == len(FIGURES)


@each_figure
def test_it_has_a_label_a_direction_and_a_space_of_the_run_or_none(figure: Figure) -> None:
    assert figure.label.strip()
    assert isinstance(figure.lower_is_better, bool)
    assert figure.space(Run()) in {"some features", "some evaluator", None}


def test_only_costs_have_no_space() -> None:
    assert {key for key, figure in FIGURES.items() if figure.space(Run()) is None} == set(COSTS)


@each_metric
def test_the_figure_is_finite_and_the_mean_of_the_scores_if_there_are_any(
    metric: Metric, perfect: Measured
) -> None:
    result = metric.measure(blurred(perfect, 0.3))
    assert result
    assert isinstance(result.figure, float)
    assert math.isfinite(result.figure)
    if result.scores is not None:
        assert result.scores.shape == (N,)
        assert result.figure == pytest.approx(np.nanmean(result.scores))


@each_metric
def test_what_is_the_same_as_the_real_images_is_better_than_what_is_not(
    metric: Metric, perfect: Measured
) -> None:
    best, worse = (figure_of(metric, measured) for measured in (perfect, blurred(perfect, 0.9)))
    assert (best < worse) if metric.lower_is_better else (best > worse)


@each_metric
def test_the_order_of_the_images_does_not_matter(metric: Metric, perfect: Measured) -> None:
    measured = blurred(perfect, 0.3)
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
    assert figure_of(metric, shuffled) == pytest.approx(figure_of(metric, measured), rel=1e-6)


@each_metric
def test_it_says_the_same_again_and_leaves_its_arrays_and_numpys_generator_alone(
    metric: Metric, perfect: Measured
) -> None:
    measured = blurred(perfect, 0.3)
    names = ("images", "embeddings", "prompt_embeddings", "real_embeddings", "features", "reference_features")
    before = {name: getattr(measured, name).copy() for name in names}
    np.random.seed(7)
    expected = np.random.random()
    np.random.seed(7)
    first = figure_of(metric, measured)
    assert np.random.random() == expected
    assert figure_of(metric, measured) == first
    for name, array in before.items():
        np.testing.assert_array_equal(getattr(measured, name), array)


@each_metric
def test_where_nothing_is_known_of_real_images_it_has_a_finite_figure_or_none(
    metric: Metric, perfect: Measured
) -> None:
    alone = replace(
        perfect,
        real_embeddings=np.zeros((0, 1), np.float32),
        real_rows=np.full(N, -1),
        reference_features=np.zeros((0, 1), np.float32),
    )
    result = metric.measure(alone)
    assert result is None or math.isfinite(result.figure)
