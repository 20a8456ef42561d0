"""What was timed once is known for all that takes as long, and for nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ablate.stages.effort import of_preparing, of_results, of_steps

if TYPE_CHECKING:
    from tests.conftest import MakeKeys


def kinds(make_keys: MakeKeys, *overrides: dict[str, Any], seed: int = 0) -> dict[str, str]:
    keys = make_keys(*overrides, seed=seed)
    observers = [keys.watching] if keys.watching else []
    steps = of_steps(keys, epoch=1, observers=observers)
    return {"steps": steps, "results": of_results(keys), "preparing": of_preparing(keys)}


@pytest.mark.parametrize(
    "override",
    [
        {"train": {"learning_rate": 1e-4}},
        {"train": {"gradient_clip": None}},
        {"train": {"epochs": 9}},
        {"losses": {"lpips": {"start": 2}}},
        {"sample": {"seed": 5}},
        {"sample": {"noise": {"schedule": "linear"}}},
        {"noise": {"schedule": "linear"}},
    ],
    ids=str,
)
def test_what_costs_no_time_makes_no_other_kind_of_work(
    make_keys: MakeKeys, override: dict[str, Any]
) -> None:
    assert kinds(make_keys, override, seed=1) == kinds(make_keys)


def test_a_loss_takes_as_long_whatever_its_weight(make_keys: MakeKeys) -> None:
    one, other = ({"losses": {"lpips": {"start": 0, "weight": weight}}} for weight in (0.1, 0.5))
    assert kinds(make_keys, one) == kinds(make_keys, other) != kinds(make_keys)


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ({"train": {"batch": 8}}, {"steps"}),
        ({"train": {"precision": "bf16"}}, {"steps"}),
        ({"losses": {"kl": {"start": 1}}}, {"steps"}),
        ({"ema": {"decay": 0.9}}, {"steps"}),
        ({"sample": {"steps": 9}}, {"results"}),
        ({"evaluate": {"reference": "train"}}, {"results"}),
        ({"augmentation": {"kind": "flip", "variants": 2}}, {"steps", "preparing"}),
        ({"unet": {"layers_per_block": 2}}, {"steps", "results"}),
        ({"compute": {"threads": 2}}, {"steps", "results", "preparing"}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_what_costs_time_makes_another_kind_of_work(
    make_keys: MakeKeys, override: dict[str, Any], changed: set[str]
) -> None:
    new, old = kinds(make_keys, override), kinds(make_keys)
    assert {name for name in old if new[name] != old[name]} == changed
