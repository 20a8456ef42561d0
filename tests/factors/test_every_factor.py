"""What every factor keeps: it says where it is, when it begins, what it adds to a key, how it goes out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import torch

from ablate import fingerprint
from ablate.audit.compare import replaced
from ablate.diffusion.schedule import ForwardProcess
from ablate.factors import ACTING, FACTORS, LOSSES, acting, switched_on
from ablate.factors.base import Factor, Loss, Step
from ablate.factors.lpips import Lpips
from ablate.parts import PARTS
from ablate.records import LAYERS

if TYPE_CHECKING:
    from tests.conftest import MakeConfig, MakeKeys

EVERYTHING: dict[str, Any] = {
    "train": {"epochs": 4, "gradient_clip": 1.0},
    "losses": {"lpips": {"weight": 0.1, "start": 1}, "kl": {"weight": 0.01, "start": "50%"}},
    "augmentation": {"kind": "flip", "start": 3},
    "ema": {"decay": 0.9, "start": 2},
}
"""A configuration with each factor, most of them late."""
BEGINS = {"lpips": 1, "kl": 2, "augmentation": 3, "ema": 2}

factors = pytest.mark.parametrize("kind", FACTORS.values(), ids=list(FACTORS))


@factors
def test_a_factor_is_listed_by_its_name_and_says_where_a_spec_has_it(
    kind: type[Factor], make_config: MakeConfig
) -> None:
    assert FACTORS[kind.name] is kind
    place: Any = make_config(EVERYTHING)
    for name in kind.field.split(".") if kind.field else ():
        place = getattr(place, name)
    assert place
    assert kind.title.startswith("the ") or kind.title == "clipping"
    assert kind.enters in LAYERS
    assert set(kind.parts) <= set(PARTS)
    assert set(kind.reasons) <= set(LAYERS)


@factors
def test_a_factor_that_is_taken_out_is_off(kind: type[Factor], make_config: MakeConfig) -> None:
    config = make_config(EVERYTHING)
    assert kind.of(config)
    if (off := kind.off()) is not None:
        assert kind.of(replaced(config, off)) is None
        assert kind.name not in switched_on(replaced(config, off))


@factors
def test_a_factor_begins_in_its_first_epoch(kind: type[Factor], make_config: MakeConfig) -> None:
    config = make_config(EVERYTHING)
    factor = kind.of(config)
    assert factor
    first = BEGINS.get(kind.name, 0)
    assert factor.first_epoch(4) == first
    epochs = [epoch for epoch in range(4) if kind.name in {f.name for f in acting(config, epoch)}]
    assert epochs == (list(range(first, 4)) if kind.name in ACTING else [])


@factors
def test_a_contribution_is_plain_data_without_the_onset(kind: type[Factor], make_config: MakeConfig) -> None:
    factor = kind.of(make_config(EVERYTHING))
    assert factor
    assert "start" not in factor.contribution()
    assert json.loads(json.dumps(factor.contribution())) == factor.contribution()


@factors
def test_the_key_holds_the_factor_s_own_file_and_those_of_its_parts(kind: type[Factor]) -> None:
    own = {name for name in fingerprint.of_factor(kind) if name.startswith("factors/")}
    assert own == {f"factors/{kind.__module__.rsplit('.', 1)[1]}.py"}
    parts = {name for name in fingerprint.of_factor(kind) if name.startswith("parts/")}
    assert len(parts) == len(kind.parts)


def test_an_edited_factor_keeps_the_trunk_before_its_onset(
    make_keys: MakeKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = make_keys(EVERYTHING).chain
    of_factor = fingerprint.of_factor
    edited = {"factors/lpips.py": "other text"}
    monkeypatch.setattr(fingerprint, "of_factor", lambda kind: edited if kind is Lpips else of_factor(kind))
    after = make_keys(EVERYTHING).chain
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, True, False, False, False]
    without = {**EVERYTHING, "losses": {"lpips": None, "kl": None}}
    monkeypatch.undo()
    plain = make_keys(without).chain
    monkeypatch.setattr(fingerprint, "of_factor", lambda kind: edited if kind is Lpips else of_factor(kind))
    assert make_keys(without).chain == plain


class Frozen:
    """Parts that need no files: latents are images, and a distance that can be followed by hand."""

    def part(self, name: str) -> Any:
        assert name == "perceptual"
        return lambda ours, theirs: (ours - theirs).square().mean((1, 2, 3), keepdim=True)

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        return latents[:, :3]


@pytest.mark.parametrize("kind", LOSSES.values(), ids=list(LOSSES))
@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction"])
def test_a_loss_is_finite_and_its_gradient_reaches_the_prediction(kind: type[Loss], predicts: str) -> None:
    shape, draw = (4, 4, 8, 8), torch.Generator().manual_seed(0)
    x0, noise = (torch.randn(shape, generator=draw) for _ in range(2))
    t, process = (
        torch.tensor([10, 200, 500, 900]),
        ForwardProcess(1000, "scaled_linear", 1e-3, 0.012, predicts),
    )
    prediction = torch.randn(shape, generator=draw).requires_grad_()
    loss = kind()
    compared = loss.compared(t, 1000, 0, 0, 0)
    assert (compared is not None) == kind.looks_at_images
    rows = {} if compared is None else {loss.name: compared}
    images = {name: x0[some, :3] for name, some in rows.items()}
    x_t = process.noised(x0, noise, t)
    std = torch.ones_like(x0)
    step = Step(process, x0, noise, t, x_t, prediction, x0, std, compared=rows, images=images)
    value = loss.loss(step, Frozen())  # type: ignore[arg-type]
    assert value.dtype == torch.float32
    assert value.ndim == 0 or len(value) == len(x0)
    assert bool(value.isfinite().all())
    value.mean().backward()
    assert prediction.grad is not None
    assert float(prediction.grad.abs().sum()) > 0
