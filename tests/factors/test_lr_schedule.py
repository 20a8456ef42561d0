"""Schedules of the learning rate are pure functions of how much of the training has passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from diffusers.optimization import get_cosine_schedule_with_warmup

from ablate.factors import LR_SCHEDULES
from ablate.factors.cosine import Cosine
from ablate.stages.step import learning_rate

if TYPE_CHECKING:
    from tests.conftest import MakeKeys

EPOCHS, STEPS = 6, 5


@pytest.mark.parametrize("kind", LR_SCHEDULES.values(), ids=list(LR_SCHEDULES))
def test_a_share_is_between_0_and_1(kind: type[Cosine]) -> None:
    assert all(0 <= kind().share(step / STEPS, EPOCHS) <= 1 for step in range(EPOCHS * STEPS))


@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.5])
def test_cosine_agrees_with_diffusers_to_1e_12(warmup: float) -> None:
    total = EPOCHS * STEPS
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = get_cosine_schedule_with_warmup(optimizer, round(warmup * total), total)
    for step in range(total):
        assert Cosine(warmup=warmup).share(step / STEPS, EPOCHS) == pytest.approx(
            theirs.get_last_lr()[0], abs=1e-12
        )
        optimizer.step()
        theirs.step()


def test_the_whole_training_may_be_a_warm_up() -> None:
    assert Cosine(warmup=1.0).share(EPOCHS / 2, EPOCHS) == 0.5
    assert Cosine(warmup=1.0).share(EPOCHS, EPOCHS) == 1.0


def test_without_a_schedule_the_learning_rate_is_the_number_itself(make_keys: MakeKeys) -> None:
    acting = make_keys({"train": {"learning_rate": 3e-4}}).acting(0)
    assert learning_rate(acting, 2.5, EPOCHS) == 3e-4


def test_a_schedule_makes_every_epoch_depend_on_how_long_the_training_is(make_keys: MakeKeys) -> None:
    scheduled = {"lr_schedule": {"kind": "cosine"}}
    short, long = (make_keys(scheduled, {"train": {"epochs": epochs}}).chain for epochs in (3, 4))
    assert short[0] == long[0]
    assert not set(short[1:]) & set(long[1:])
    plain = make_keys().chain
    assert plain[0] == short[0]
    assert plain[1] != short[1]
