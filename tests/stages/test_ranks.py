"""Several processes train one network: with the loss curve of one, and what ends one of them ends all."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from leaving import die, fail
from pydantic import ValidationError
from safetensors.torch import load_file

from ablate.environment import environment
from ablate.errors import RunError
from ablate.stages.ranks import Ranks, together
from ablate.stages.train import train
from ablate.stages.trained import Trained, observer_key
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from ablate.stages.keys import RunKeys
    from ablate.stages.training import Training
    from tests.conftest import MakeKeys

EVERYTHING: dict[str, Any] = {
    "train": {"epochs": 2, "batch": 8, "accumulation": 2, "gradient_clip": 0.5},
    "losses": {"lpips": {"weight": 0.1, "start": 1, "images": 3}, "kl": {"weight": 0.01}},
    "augmentation": {"kind": "flip", "start": 1},
    "ema": {"decay": 0.8, "start": 0},
}
"""LPIPS looks at three images of a batch, which no two processes share evenly; KL looks at whole batches."""


def walk(keys: RunKeys, store: Store, on_epoch: Callable[[Training], None] = lambda training: None) -> None:
    observers = [keys.watching] if keys.watching else []
    train(keys, observers, 0, 2, store, on_epoch, lambda text: None)


def weights(keys: RunKeys, store: Store) -> dict[str, Tensor]:
    return load_file(Trained(store.path("train", keys.chain[-1])).weights)


def test_two_processes_train_as_one_does_and_go_on_to_the_same_bits(
    make_keys: MakeKeys, new_store: Callable[[str], Store], tmp_path: Path
) -> None:
    one, two = make_keys(EVERYTHING), make_keys(EVERYTHING, {"train": {"devices": 2}})
    assert not set(one.chain) & set(two.chain)
    alone, both, again = new_store("alone"), new_store("both"), Store(tmp_path / "again")

    def keep_the_first(training: Training) -> None:
        if training.epoch == 1:
            shutil.copytree(both.root, again.root)

    walk(one, alone)
    walk(two, both, keep_the_first)

    curves = [
        Trained(store.path("train", keys.chain[-1])).history for keys, store in ((one, alone), (two, both))
    ]
    for name in ("loss", "loss_mse", "loss_lpips", "loss_kl", "gradient_norm"):
        expected, found = ([row[name] for row in curve if name in row] for curve in curves)
        assert found == pytest.approx(expected, rel=2e-4), name
    theirs = weights(two, both)
    for name, expected_weights in weights(one, alone).items():
        torch.testing.assert_close(theirs[name], expected_weights, rtol=0, atol=3e-4)
    assert two.watching
    assert both.has("ema", observer_key(two.watching, two.chain[-1]))

    assert again.has("train", two.chain[1]) and not again.has("train", two.chain[2])
    walk(two, again)
    resumed = weights(two, again)
    assert all(torch.equal(resumed[name], weight) for name, weight in theirs.items())


@pytest.mark.parametrize(
    ("follow", "reason"), [(fail, "failed: ValueError: the network cable"), (die, "died with exit code 7")]
)
def test_if_one_of_them_ends_the_training_fails_with_its_reason(
    follow: Callable[[Ranks, Iterator[int]], None], reason: str
) -> None:
    with (
        pytest.raises(RunError, match=f"process 1 of those that train together {reason}"),
        together(2, "cpu", follow) as others,
    ):
        for _ in range(2):
            others.ranks.gathered(torch.zeros(1))
    assert not torch.distributed.is_initialized()


def test_a_process_that_loads_other_code_ends_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {**environment(), "stages/step.py": "as it was"}
    monkeypatch.setattr("ablate.stages.ranks.environment", lambda: before)
    reason = r"process 1 of those that train together failed: .* other code .*: stages/step\.py differs"
    with pytest.raises(RunError, match=reason), together(2, "cpu", fail) as others:
        others.ranks.gathered(torch.zeros(1))


def test_fewer_gpus_than_asked_for_are_named() -> None:
    with (
        pytest.raises(RunError, match="it takes 64 GPUs, and this process sees"),
        together(64, "cuda", fail),
    ):
        pass


def test_a_batch_that_cannot_be_shared_evenly_is_refused(make_keys: MakeKeys) -> None:
    with pytest.raises(ValidationError, match="batch 16 is not a multiple of devices 3"):
        make_keys({"train": {"devices": 3}})
    with pytest.raises(RunError, match="a batch of 5 images cannot be shared evenly by 2 processes"):
        Ranks(0, 2).part(5)
