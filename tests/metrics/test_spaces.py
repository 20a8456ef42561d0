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
from ablate.testing import SpaceContract

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


class TestSpaces(SpaceContract):
    @pytest.fixture(params=SPACES)
    def space(self, request: pytest.FixtureRequest, networks: dict[str, Any]) -> FeatureSpace:
        return SPACES[request.param](networks[request.param], "cpu")

    def test_embeddings_at_hand_change_nothing(self, space: FeatureSpace, networks: dict[str, Any]) -> None:
        images = self.images()
        embeddings = networks["evaluator"].encode_images(images)
        np.testing.assert_array_equal(space.features_of(images, embeddings), space.features(images))


@pytest.mark.parametrize("key", SPACES)
def test_its_network_is_a_part_that_the_stage_can_load(key: str) -> None:
    part = SPACES[key].part
    assert not part or (part in Components.model_fields and part in PARTS)
