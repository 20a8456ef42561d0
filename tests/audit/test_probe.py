"""What remains of a tensor says whether another is equal, and how different it is, in little memory."""

from __future__ import annotations

import gc
import math
import weakref
from typing import TYPE_CHECKING, Any

import pytest
import torch

from ablate.audit.probe import SAMPLED, Moment, Trace, difference, probe
from ablate.stages.prepare import prepare
from ablate.stages.training import Frozen, Training
from ablate.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeKeys


def change(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return difference([Trace.of(ours)], [Trace.of(theirs)])


def test_equal_tensors_have_no_difference_in_whatever_layout() -> None:
    weights = torch.randn(8, 4, 3, 3)
    assert change(weights, weights.clone()) == 0
    assert change(weights.to(memory_format=torch.channels_last), weights) == 0
    assert change(torch.tensor([0.0, 1.0]), torch.tensor([-0.0, 1.0])) == 0


def test_a_difference_in_the_last_bit_of_one_number_is_a_difference() -> None:
    weights = torch.randn(100 * SAMPLED)
    other = weights.clone()
    other[12345] = torch.nextafter(other[12345], torch.tensor(math.inf))
    assert 0 < change(other, weights) <= 1e-30  # smaller than any that is measured


def test_the_size_of_a_difference_is_measured_on_a_sample() -> None:
    weights = torch.randn(100 * SAMPLED)
    assert change(weights * 1.01, weights) == pytest.approx(0.01, rel=1e-3)
    different = torch.randn(100 * SAMPLED)
    assert change(different, weights) == pytest.approx(math.sqrt(2), rel=0.02)


def test_each_tensor_counts_by_its_size() -> None:
    large, small = torch.ones(100 * SAMPLED), torch.ones(SAMPLED)
    ours, theirs = [Trace.of(large), Trace.of(2 * small)], [Trace.of(large), Trace.of(small)]
    assert difference(ours, theirs) == pytest.approx(math.sqrt(1 / 101))


def test_what_is_not_finite_equals_nothing() -> None:
    broken = torch.tensor([1.0, math.nan])
    assert change(broken, broken) == 1.0


def test_other_shapes_are_different() -> None:
    assert change(torch.zeros(2, 3), torch.zeros(3, 2)) == 1.0


@pytest.mark.parametrize("tensor", [torch.arange(5), torch.ones(4, dtype=torch.bfloat16), torch.tensor(3.0)])
def test_numbers_of_any_type_have_a_trace(tensor: torch.Tensor) -> None:
    assert change(tensor, tensor.clone()) == 0
    assert change(tensor + 1, tensor) > 0


def test_little_is_kept_of_a_large_tensor() -> None:
    assert Trace.of(torch.zeros(100 * SAMPLED)).sample.untyped_storage().nbytes() <= 8 * SAMPLED


def test_frozen_parts_are_loaded_once_for_all_probes_in_each_layout(make_keys: MakeKeys) -> None:
    parts: dict[Any, Any] = {}

    def frozen(**train: Any) -> Frozen:
        return Frozen(make_keys({"train": train}).config, torch.device("cpu"), parts)

    one, other, last = frozen(), frozen(learning_rate=0.1), frozen(channels_last=True)
    assert one.vae is other.vae is not last.vae
    assert one.part("perceptual") is other.part("perceptual") is last.part("perceptual")
    assert len(parts) == 3


def test_a_training_that_was_looked_at_is_gone_at_once(
    make_keys: MakeKeys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, store, trainings = make_keys(), Store(tmp_path / "store"), []
    prepare(keys, store, lambda text: None)
    probe(keys, Moment(epoch=0, start=0), store, {})  # the first one imports, which leaves cycles of its own
    begin = Training.at

    def watched(*arguments: Any) -> Training:
        training = begin(*arguments)
        trainings.append(weakref.ref(training.unet))
        return training

    monkeypatch.setattr(Training, "at", watched)
    gc.disable()  # at full size, waiting for it would fill the memory
    try:
        probe(keys, Moment(epoch=0, start=0), store, {})
        assert [training() for training in trainings] == [None]
    finally:
        gc.enable()
