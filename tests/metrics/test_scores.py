"""Which images can have a score is said apart from the scores: what is missing is never taken for none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ablate.errors import MeaninglessError
from ablate.metrics.accuracy import accuracies
from ablate.metrics.base import ImageMetric
from ablate.metrics.clip_i import ClipI
from ablate.metrics.fid import Fid
from ablate.testing.metrics import LABELS, N, perfect

if TYPE_CHECKING:
    from ablate.metrics.base import Measured


class Mine(ImageMetric):
    """A metric of somebody's own."""

    key = "mine"
    label = "mine"
    lower_is_better = True

    def __init__(self, scores: Any, scored: Any = None) -> None:
        self._scores = scores
        self._scored = np.ones(N, bool) if scored is None else scored

    def scored(self, measured: Measured) -> Any:
        return self._scored

    def scores(self, measured: Measured) -> Any:
        return self._scores


def with_(value: float, rows: int = 1) -> np.ndarray:
    scores = np.arange(N, dtype=np.float64)
    scores[:rows] = value
    return scores


@pytest.mark.parametrize(
    ("scores", "complaint"),
    [
        (with_(np.nan), "1 of 40 scores are not numbers"),
        (with_(np.nan, N), "40 of 40 scores are not numbers"),
        (with_(-np.inf, 3), "3 of 40 scores are not numbers"),
        (np.zeros(N - 1), r"its scores have the shape \[39\], and there are 40 images"),
        (np.zeros((N, 1)), r"the shape \[40, 1\]"),
        (0.5, r"the shape \[\]"),
    ],
)
def test_scores_that_are_no_numbers_give_no_figure(scores: Any, complaint: str) -> None:
    with pytest.raises(MeaninglessError, match=complaint) as error:
        Mine(scores).measure(perfect())
    assert error.value.where == "metric mine"


def test_an_image_that_can_have_no_score_counts_for_nothing() -> None:
    scored = np.arange(N) >= 2
    result = Mine(with_(np.inf, 2), scored).measure(perfect())
    assert result and result.scores is not None
    assert result.figure == np.arange(2, N).mean()
    assert np.isnan(result.scores[:2]).all() and np.isfinite(result.scores[2:]).all()


def test_where_no_image_can_have_a_score_there_is_no_figure() -> None:
    assert Mine(with_(np.nan, N), np.zeros(N, bool)).measure(perfect()) is None
    assert ClipI().measure(replace(perfect(), real_rows=np.full(N, -1))) is None
    other = replace(perfect(), prompts=["something else"] * N)
    assert [metric.measure(other) for metric in accuracies(LABELS).values()] == [None, None]


def test_real_embeddings_that_are_not_numbers_are_not_taken_for_prompts_without_images() -> None:
    broken = replace(perfect(), real_embeddings=np.full_like(perfect().real_embeddings, np.nan))
    with pytest.raises(MeaninglessError, match="40 of 40 scores"):
        ClipI().measure(broken)


def test_one_image_has_no_spread_and_no_distance() -> None:
    one = replace(perfect(), features=perfect().features[:1])
    assert Fid().measure(one) is None
