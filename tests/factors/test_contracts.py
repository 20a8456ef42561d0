"""The package's own losses, weightings, augmentations and observers keep the contracts that plug-ins keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ablate.factors import AUGMENTATIONS, LOSSES, OBSERVERS, WEIGHTINGS
from ablate.factors.ema import Ema
from ablate.testing import AugmentationContract, LossContract, ObserverContract, WeightingContract

if TYPE_CHECKING:
    from ablate.factors.augmentation import Augmentation
    from ablate.factors.base import Loss
    from ablate.factors.observer import Observer
    from ablate.factors.weighting import Weighting


class TestLosses(LossContract):
    @pytest.fixture(params=LOSSES.values(), ids=list(LOSSES))
    def loss(self, request: pytest.FixtureRequest) -> Loss:
        return request.param()


class TestWeightings(WeightingContract):
    @pytest.fixture(params=WEIGHTINGS.values(), ids=list(WEIGHTINGS))
    def weighting(self, request: pytest.FixtureRequest) -> Weighting:
        return request.param()


class TestAugmentations(AugmentationContract):
    @pytest.fixture(params=AUGMENTATIONS.values(), ids=list(AUGMENTATIONS))
    def augmentation(self, request: pytest.FixtureRequest) -> Augmentation:
        return request.param()


OBSERVED = {"ema": Ema(decay=0.9, start=2), "ema, stale": Ema(decay=0.9, start="50%", shadow="initial")}


class TestObservers(ObserverContract):
    @pytest.fixture(params=OBSERVED.values(), ids=list(OBSERVED))
    def observer(self, request: pytest.FixtureRequest) -> Observer:
        return request.param


def test_every_observer_is_tested() -> None:
    assert {type(observer) for observer in OBSERVED.values()} == set(OBSERVERS.values())
