"""What every feature space promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from torch.nn import functional as F

from ablate.experiment.config import Components, Part
from ablate.metrics.spaces import SPACES
from ablate.parts import PARTS
from ablate.parts.evaluator import EvaluatorPart

if TYPE_CHECKING:
    import torch

    from ablate.metrics.spaces.base import FeatureSpace


def pooled(images: torch.Tensor) -> torch.Tensor:
    """Takes Inception's place, of which only its shapes matter: [N, 3, 299, 299] → [N, 2048]."""
    assert images.shape[1:] == (3, 299, 299)
    return F.adaptive_avg_pool2d(images, 32).flatten(1)[:, :2048]


@pytest.fixture(scope="module")
def networks() -> dict[str, Any]:
    """Value of ``evaluate.fid_features`` → a network that its space can use."""
    return {
        "evaluator": EvaluatorPart(Part(source="sprites", subfolder="evaluator")).load(),
        "inception": pooled,
    }


@pytest.fixture(params=SPACES)
def space(request: pytest.FixtureRequest, networks: dict[str, Any]) -> FeatureSpace:
    return SPACES[request.param](networks[request.param], "cpu")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


def test_each_image_has_a_finite_row(space: FeatureSpace, images: np.ndarray) -> None:
    features = space.features(images)
    assert features.dtype == np.float32
    assert features.ndim == 2
    assert len(features) == len(images)
    assert np.isfinite(features).all()


def test_a_row_depends_on_its_image_only(space: FeatureSpace, images: np.ndarray) -> None:
    features = space.features(images)
    np.testing.assert_allclose(space.features(images[::-1]), features[::-1], atol=1e-4)
    np.testing.assert_allclose(space.features(images[2:3]), features[2:3], atol=1e-4)
    assert not np.allclose(features[0], features[1])


def test_embeddings_at_hand_change_nothing(
    space: FeatureSpace, images: np.ndarray, networks: dict[str, Any]
) -> None:
    embeddings = networks["evaluator"].encode_images(images)
    np.testing.assert_array_equal(space.features_of(images, embeddings), space.features(images))


def test_tables_have_a_name_for_it(space: FeatureSpace) -> None:
    assert space.name.strip()


@pytest.mark.parametrize("key", SPACES)
def test_its_network_is_a_part_that_the_stage_can_load(key: str) -> None:
    part = SPACES[key].part
    assert not part or (part in Components.model_fields and part in PARTS)
