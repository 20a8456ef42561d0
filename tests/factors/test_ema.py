"""An average of the weights follows its formula, and a stale shadow stays stale."""

from __future__ import annotations

import pytest
import torch
from diffusers.training_utils import EMAModel
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.factors.ema import Ema

Weights = dict[str, torch.Tensor]


def walk(steps: int) -> list[Weights]:
    """Weights of a training of so many steps, the initial ones first."""
    generator = torch.Generator().manual_seed(0)
    return [
        {name: torch.randn(3, 2, dtype=torch.float64, generator=generator) for name in ("a", "b")}
        for _ in range(steps + 1)
    ]


def averaged(ema: Ema, first: Weights, *later: Weights) -> Weights:
    """The average after it began with ``first`` and saw the others, one step each."""
    state = ema.begin(first, lambda: first)
    for weights in later:
        ema.update(state, weights)
    return state


@settings(deadline=None)
@given(decay=st.floats(0.01, 0.9999), steps=st.integers(1, 12))
def test_the_average_has_its_closed_form(decay: float, steps: int) -> None:
    weights = walk(steps)
    for name, shadow in averaged(Ema(decay=decay), *weights).items():
        expected = decay**steps * weights[0][name] + (1 - decay) * sum(
            decay ** (steps - k) * weights[k][name] for k in range(1, steps + 1)
        )
        torch.testing.assert_close(shadow, expected)


def test_it_agrees_with_diffusers_at_a_constant_decay() -> None:
    weights, decay = walk(10), 0.9
    parameters = [torch.nn.Parameter(weight.clone()) for weight in weights[0].values()]
    theirs = EMAModel(parameters, decay=decay, min_decay=decay)
    for step in weights[1:]:
        for parameter, weight in zip(parameters, step.values(), strict=True):
            parameter.data.copy_(weight)
        theirs.step(parameters)
    # The first step of theirs has decay 0: it only copies.
    ours = averaged(Ema(decay=decay), *weights[1:])
    for mine, other in zip(ours.values(), theirs.shadow_params, strict=True):
        torch.testing.assert_close(mine, other)


def test_it_begins_with_the_weights_that_its_shadow_names() -> None:
    initial, later = walk(1)
    for shadow, expected in (("current", later), ("initial", initial)):
        state = Ema(decay=0.9, start=3, shadow=shadow).begin(later, lambda: initial)
        assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_a_start_after_the_last_epoch_never_begins() -> None:
    assert Ema(decay=0.9, start=5).resolved(5) is None
    assert Ema(decay=0.9, start="100%").resolved(5) is None
    assert Ema(decay=0.9, start="60%").resolved(5) == Ema(decay=0.9, start=3).resolved(5)


def test_a_stale_shadow_still_holds_its_share_of_the_initial_weights() -> None:
    decay, steps = 0.99, 20
    zeros, ones = {"w": torch.zeros(1)}, {"w": torch.ones(1)}
    ema = Ema(decay=decay)
    assert float(averaged(ema, ones, *[ones] * steps)["w"]) == 1
    stale = averaged(ema, zeros, *[ones] * steps)  # the initial weights, long after the training left them
    assert float(stale["w"]) == pytest.approx(1 - decay**steps)


def test_the_average_lies_in_memory_as_the_weights_do() -> None:
    weight = torch.arange(32.0).reshape(2, 4, 2, 2).to(memory_format=torch.channels_last)
    shadow = averaged(Ema(decay=0.75), {"w": torch.zeros_like(weight)}, {"w": weight})["w"]
    assert shadow.stride() == weight.stride() != (16, 4, 2, 1)
    torch.testing.assert_close(shadow, weight / 4)
