"""An average of the weights follows its formula, and a stale shadow stays stale."""

from __future__ import annotations

import pytest
import torch
from diffusers.training_utils import EMAModel
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.factors.ema import EmaObserver

Weights = dict[str, torch.Tensor]


def walk(steps: int) -> list[Weights]:
    """Weights of a training of so many steps, the initial ones first."""
    generator = torch.Generator().manual_seed(0)
    return [
        {name: torch.randn(3, 2, dtype=torch.float64, generator=generator) for name in ("a", "b")}
        for _ in range(steps + 1)
    ]


@settings(deadline=None)
@given(decay=st.floats(0.01, 0.9999), steps=st.integers(1, 12))
def test_the_average_has_its_closed_form(decay: float, steps: int) -> None:
    weights = walk(steps)
    observer = EmaObserver(decay, start=0)
    observer.begin(weights[0])
    for step in range(1, steps + 1):
        observer.update(0, weights[step])
    for name, shadow in observer.shadow.items():
        expected = decay**steps * weights[0][name] + (1 - decay) * sum(
            decay ** (steps - k) * weights[k][name] for k in range(1, steps + 1)
        )
        torch.testing.assert_close(shadow, expected)


def test_it_agrees_with_diffusers_at_a_constant_decay() -> None:
    weights, decay = walk(10), 0.9
    parameters = [torch.nn.Parameter(weight.clone()) for weight in weights[0].values()]
    theirs = EMAModel(parameters, decay=decay, min_decay=decay)
    ours = EmaObserver(decay, start=0)
    ours.begin(weights[1])  # the first step of theirs has decay 0: it only copies
    for number, step in enumerate(weights[1:]):
        for parameter, weight in zip(parameters, step.values(), strict=True):
            parameter.data.copy_(weight)
        theirs.step(parameters)
        if number:
            ours.update(0, step)
    for mine, other in zip(ours.shadow.values(), theirs.shadow_params, strict=True):
        torch.testing.assert_close(mine, other)


def test_nothing_is_averaged_before_the_start() -> None:
    initial, later = walk(1)
    observer = EmaObserver(0.5, start=3)
    observer.begin(initial)
    observer.update(2, later)
    assert all(torch.equal(observer.shadow[name], initial[name]) for name in initial)
    observer.update(3, later)
    for name, shadow in observer.shadow.items():
        torch.testing.assert_close(shadow, (initial[name] + later[name]) / 2)


def test_a_shadow_is_a_copy_that_the_training_does_not_move() -> None:
    (weights,) = walk(0)
    observer = EmaObserver(0.9, start=0)
    observer.begin(weights)
    kept = {name: weight.clone() for name, weight in weights.items()}
    for weight in weights.values():
        weight.add_(1)
    assert all(torch.equal(observer.shadow[name], kept[name]) for name in kept)


def test_a_stale_shadow_still_holds_its_share_of_the_initial_weights() -> None:
    decay, steps = 0.99, 20
    zeros, ones = {"w": torch.zeros(1)}, {"w": torch.ones(1)}
    fresh, stale = EmaObserver(decay, start=5), EmaObserver(decay, start=5)
    fresh.begin(ones)
    stale.begin(zeros)  # the initial weights, where the training has long been at one
    for _ in range(steps):
        fresh.update(5, ones)
        stale.update(5, ones)
    assert float(fresh.shadow["w"]) == 1
    assert float(stale.shadow["w"]) == pytest.approx(1 - decay**steps)


def test_updating_leaves_the_weights_and_their_gradients_alone() -> None:
    parameter = torch.nn.Parameter(torch.ones(3))
    observer = EmaObserver(0.9, start=0)
    observer.begin({"w": parameter})
    observer.update(0, {"w": parameter})
    assert torch.equal(parameter, torch.ones(3))
    assert parameter.grad is None
    assert not observer.shadow["w"].requires_grad


def test_the_average_lies_in_memory_as_the_weights_do() -> None:
    weight = torch.arange(32.0).reshape(2, 4, 2, 2).to(memory_format=torch.channels_last)
    observer = EmaObserver(0.75, start=0)
    observer.begin({"w": torch.zeros_like(weight)})
    observer.update(0, {"w": weight})
    assert observer.shadow["w"].stride() == weight.stride() != (16, 4, 2, 1)
    torch.testing.assert_close(observer.shadow["w"], weight / 4)
