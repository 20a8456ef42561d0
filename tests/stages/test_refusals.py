"""What is not a number, or the same for everything, becomes no figure; what can happen honestly does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ablate.errors import MeaninglessError
from ablate.metrics.base import Result
from ablate.stages.refusals import (
    refuse_blank,
    refuse_features,
    refuse_infinite,
    refuse_infinite_weights,
    refuse_result,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def noise(count: int = 4) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(1, 255, (count, 8, 8, 3), dtype=np.uint8)


def rows(count: int = 4) -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(count, 5)).astype(np.float32)


def flat(*colours: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.array([np.full((8, 8, 3), colour) for colour in colours], np.uint8)


# ── images ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("images", "what"),
    [
        (flat((0, 0, 0), (0, 0, 0)), "all 2 images are of a single colour"),
        (flat((9, 8, 7), (7, 8, 9)), "all 2 images are of a single colour"),
        (flat((0, 0, 0)), "all 1 images are of a single colour"),
        (np.repeat(noise(1), 4, axis=0), "all 4 images are the same"),
        (np.where(noise() < 128, 0, 255).astype(np.uint8), "all 4 images are clipped"),
    ],
    ids=["black", "flat in several colours", "one, flat", "the same", "clipped"],
)
def test_a_set_that_shows_nothing_is_refused(images: NDArray[np.uint8], what: str) -> None:
    with pytest.raises(MeaninglessError, match=what):
        refuse_blank(images)


@pytest.mark.parametrize(
    "images",
    [
        noise(),
        noise(1),
        np.concatenate([noise(3), flat((255, 255, 255))]),
        np.concatenate([noise(2), noise(2)[::-1]]),
        np.concatenate([noise(1), np.where(noise(1) < 128, 0, 255)]).astype(np.uint8),
    ],
    ids=["noise", "one image", "one of four is white", "some are the same", "one of two is clipped"],
)
def test_what_a_hardly_trained_network_draws_is_measured(images: NDArray[np.uint8]) -> None:
    refuse_blank(images)


# ── features ─────────────────────────────────────────────────────────────────────────────────────


@given(row=st.integers(0, 3), column=st.integers(0, 4), value=st.sampled_from([np.nan, np.inf, -np.inf]))
def test_one_number_that_is_none_is_enough(row: int, column: int, value: float) -> None:
    features = rows()
    features[row, column] = value
    with pytest.raises(MeaninglessError, match="features of 1 of 4 samples are not numbers"):
        refuse_features(features, 4, "samples", "somewhere")


@pytest.mark.parametrize(
    "features",
    [np.tile(rows(1), (4, 1)), np.tile(rows(1), (4, 1)) + 1e-8, np.zeros((4, 5), np.float32)],
    ids=["equal", "equal but for rounding", "nought"],
)
def test_a_network_that_sees_no_difference_is_refused(features: NDArray[np.float32]) -> None:
    with pytest.raises(MeaninglessError, match="features of all 4 samples are the same"):
        refuse_features(features, 4, "samples", "somewhere")
    refuse_features(features, 4, "prompts", "somewhere", distinct=False)


@pytest.mark.parametrize(
    "features",
    [rows(3), rows().ravel(), rows()[..., None], rows()[:, :0], rows().astype(int), rows().tolist(), None],
    ids=["a row too few", "one axis", "three axes", "no column", "whole numbers", "a list", "nothing"],
)
def test_features_of_another_form_are_refused(features: Any) -> None:
    with pytest.raises(MeaninglessError, match="features of 4 samples"):
        refuse_features(features, 4, "samples", "somewhere")


@pytest.mark.parametrize("count", [0, 1])
def test_no_image_or_one_has_no_spread_and_is_not_refused_for_it(count: int) -> None:
    refuse_features(rows(count), count, "reference images", "somewhere")


# ── results ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("result", "what"),
    [
        (Result(float("nan")), "its figure is nan"),
        (Result(float("inf")), "its figure is inf"),
        (Result("0.5"), "its figure is '0.5'"),  # type: ignore[arg-type]
        (0.5, "it returned a float"),
        (Result(0.5, np.zeros(3)), r"shape \[3\], and there are 4 images"),
        (Result(0.5, np.zeros((4, 1))), r"shape \[4, 1\]"),
        (Result(0.5, np.array([0, 1, np.inf, 0])), "1 of 4 scores are infinite"),
    ],
)
def test_what_a_metric_says_that_is_no_figure_is_refused(result: Any, what: str) -> None:
    with pytest.raises(MeaninglessError, match=what) as failure:
        refuse_result("mine", result, 4)
    assert failure.value.where == "metric mine" and failure.value.fix


def test_a_figure_with_scores_where_there_can_be_some_is_one() -> None:
    refuse_result("clip_i", Result(0.5, np.array([0.5, np.nan, 0.5, 0.5])), 4)
    refuse_result("fid", Result(np.float64(3)), 4)


# ── weights, latents, states ─────────────────────────────────────────────────────────────────────


def test_weights_and_encodings_are_numbers() -> None:
    weights = {"a": torch.ones(2), "b": torch.tensor([1.0, float("nan")])}
    with pytest.raises(MeaninglessError, match="1 of 2 weights are not numbers, b among them"):
        refuse_infinite_weights(weights, "the averaged weights")
    with pytest.raises(MeaninglessError, match="encodes 1 of 2 images"):
        refuse_infinite(torch.stack([torch.ones(3, 2), torch.full((3, 2), torch.inf)]), "images", "the VAE")
