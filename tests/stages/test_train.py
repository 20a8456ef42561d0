"""Training: the same weights, bit for bit, however the work was split, shared or interrupted."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from ablate.errors import RunError
from ablate.plan import Run, stretches
from ablate.stages.train import epoch_batches, initial_unet, train
from ablate.store import file_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ablate.keys import Observer, RunKeys
    from ablate.stages.train import Training
    from ablate.store import Store
    from tests.conftest import MakeKeys

EPOCHS = 4
BASE: dict[str, Any] = {"train": {"epochs": EPOCHS}}
LATE: dict[str, Any] = {
    "losses": {"lpips": {"weight": 0.1, "start": 2}, "kl": {"weight": 0.01, "start": 3}},
    "augmentation": {"kind": "strong", "start": 2},
}
EARLY_EMA: dict[str, Any] = {"ema": {"decay": 0.8, "start": 1}}
LATE_EMA: dict[str, Any] = {"ema": {"decay": 0.8, "start": 3}}
STALE_EMA: dict[str, Any] = {"ema": {"decay": 0.8, "start": 3, "shadow": "initial"}}

Digests = dict[str, str]


class Interrupted(Exception):  # noqa: N818 – it is not an error
    """Stands for whatever ends a process."""


def walk(
    keys: RunKeys,
    store: Store,
    *observers: Observer | None,
    begin: int = 0,
    end: int = EPOCHS,
    stop_after: int | None = None,
) -> None:
    """Trains a stretch; ``stop_after`` interrupts it after that epoch was stored."""

    def on_epoch(training: Training) -> None:
        if training.epoch == stop_after:
            raise Interrupted

    train(keys, [observer for observer in observers if observer], begin, end, store, on_epoch)


def digests(keys: RunKeys, store: Store, *observers: Observer | None) -> Digests:
    """SHA-256 of all weights at the end of a chain: the U-Net's, the optimizer's, the averages'."""
    folder = store.path("train", keys.chain[-1])
    found = {name: file_digest(folder / f"{name}.safetensors") for name in ("unet", "optimizer")}
    for observer in observers:
        if observer:
            shadow = store.path("ema", observer.key(keys.chain[-1])) / "shadow.safetensors"
            found[str(observer)] = file_digest(shadow)
    return found


def states(store: Store) -> list[int]:
    return sorted(ingredients["epochs"] for _, ingredients in store.entries("train"))


@pytest.fixture
def run_together(make_keys: MakeKeys) -> Callable[..., None]:
    """Trains variants of one seed as a plan would: each stretch once, with the observers of all."""

    def run(store: Store, variants: Sequence[RunKeys]) -> None:
        for stretch in stretches([Run(str(n), keys.seed, keys) for n, keys in enumerate(variants)]):
            walk(stretch.keys, store, *stretch.observers, begin=stretch.begin, end=stretch.end)

    return run


# ── the central promise ──────────────────────────────────────────────────────────────────────────


def test_variants_trained_from_a_shared_trunk_equal_each_trained_from_scratch(
    make_keys: MakeKeys, new_store: Callable[[str], Store], run_together: Callable[..., None]
) -> None:
    variants = [
        make_keys(BASE),
        make_keys(BASE, EARLY_EMA),
        make_keys(BASE, LATE),
        make_keys(BASE, LATE, LATE_EMA),
        make_keys(BASE, LATE, STALE_EMA),
    ]
    shared = new_store("shared")
    run_together(shared, variants)
    assert states(shared) == [2, EPOCHS, EPOCHS]  # the trunk's end and two branches' ends
    for number, keys in enumerate(variants):
        alone = new_store(f"alone {number}")
        walk(keys, alone, keys.observer)
        assert digests(keys, alone, keys.observer) == digests(keys, shared, keys.observer)


@pytest.mark.parametrize("epoch", range(1, EPOCHS))
def test_a_training_that_is_interrupted_after_any_epoch_ends_with_the_same_weights(
    make_keys: MakeKeys, new_store: Callable[[str], Store], epoch: int
) -> None:
    keys = make_keys(BASE, LATE, EARLY_EMA)
    undisturbed, interrupted = new_store("undisturbed"), new_store("interrupted")
    walk(keys, undisturbed, keys.observer)
    with pytest.raises(Interrupted):
        walk(keys, interrupted, keys.observer, stop_after=epoch)
    walk(keys, interrupted, keys.observer)
    assert digests(keys, interrupted, keys.observer) == digests(keys, undisturbed, keys.observer)
    assert states(interrupted) == [EPOCHS]


def test_a_training_that_is_continued_to_more_epochs_equals_one_of_that_length(
    make_keys: MakeKeys, new_store: Callable[[str], Store]
) -> None:
    short, longer = make_keys({"train": {"epochs": 2}}), make_keys(BASE)
    continued, at_once = new_store("continued"), new_store("at once")
    walk(short, continued, end=2)
    walk(longer, continued)
    walk(longer, at_once)
    assert digests(longer, continued) == digests(longer, at_once)
    assert states(continued) == [2, EPOCHS]


def test_seeds_give_different_weights(make_keys: MakeKeys, store: Store) -> None:
    one, other = make_keys({"train": {"epochs": 1}}), make_keys({"train": {"epochs": 1}}, seed=1)
    walk(one, store, end=1)
    walk(other, store, end=1)
    assert digests(one, store)["unet"] != digests(other, store)["unet"]


# ── observers ────────────────────────────────────────────────────────────────────────────────────


def test_an_observer_never_changes_the_weights(
    make_keys: MakeKeys, new_store: Callable[[str], Store]
) -> None:
    keys = make_keys(BASE)
    watchers = [make_keys(BASE, ema).observer for ema in (EARLY_EMA, LATE_EMA, STALE_EMA)]
    watched, unwatched = new_store("watched"), new_store("unwatched")
    walk(keys, watched, *watchers)
    walk(keys, unwatched)
    assert digests(keys, watched) == digests(keys, unwatched)


def test_a_trunk_is_walked_again_for_an_observer_that_was_not_there(
    make_keys: MakeKeys, new_store: Callable[[str], Store]
) -> None:
    keys = make_keys(BASE, EARLY_EMA)
    late, scratch = new_store("late"), new_store("scratch")
    walk(keys, late)
    before = digests(keys, late)
    walk(keys, late, keys.observer)
    walk(keys, scratch, keys.observer)
    assert digests(keys, late) == before
    assert digests(keys, late, keys.observer) == digests(keys, scratch, keys.observer)


def test_an_average_differs_from_the_weights_and_by_where_it_began(make_keys: MakeKeys, store: Store) -> None:
    keys = make_keys(BASE)
    observers = [make_keys(BASE, ema).observer for ema in (EARLY_EMA, LATE_EMA, STALE_EMA)]
    walk(keys, store, *observers)
    weights, *shadows = (
        value for name, value in digests(keys, store, *observers).items() if name != "optimizer"
    )
    assert len({weights, *shadows}) == 4


def test_a_stale_average_is_the_formula_from_the_initial_weights(make_keys: MakeKeys, store: Store) -> None:
    # One epoch of one step after the start: shadow = decay·initial + (1 − decay)·weights.
    keys = make_keys({"train": {"epochs": 2, "batch": 32}, "ema": {**STALE_EMA["ema"], "start": 1}})
    assert keys.observer
    walk(keys, store, keys.observer, end=2)
    weights = load_file(store.path("train", keys.chain[-1]) / "unet.safetensors")
    shadow = load_file(store.path("ema", keys.observer.key(keys.chain[-1])) / "shadow.safetensors")
    for name, initial in initial_unet(keys.config, keys.seed).named_parameters():
        torch.testing.assert_close(shadow[name], 0.8 * initial.detach() + 0.2 * weights[name])


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────


def test_states_on_the_way_are_forgotten_with_their_averages_and_the_end_is_kept(
    make_keys: MakeKeys, store: Store
) -> None:
    keys = make_keys(BASE, EARLY_EMA)
    assert keys.observer
    walk(keys, store, keys.observer)
    assert [key for key, _ in store.entries("train")] == [keys.chain[-1]]
    assert [key for key, _ in store.entries("ema")] == [keys.observer.key(keys.chain[-1])]


def test_a_state_that_a_killed_process_had_no_time_to_forget_is_forgotten_by_the_next(
    make_keys: MakeKeys, store: Store, tmp_path: Path
) -> None:
    keys = make_keys(BASE)
    with pytest.raises(Interrupted):
        walk(keys, store, stop_after=1)
    first = store.path("train", keys.chain[1])
    shutil.copytree(first, tmp_path / "first")
    with pytest.raises(Interrupted):
        walk(keys, store, stop_after=2)
    (tmp_path / "first").rename(first)
    assert states(store) == [1, 2]
    walk(keys, store)
    assert states(store) == [EPOCHS]


def test_a_state_that_an_earlier_experiment_ended_at_is_kept_by_one_that_walks_past_it(
    make_keys: MakeKeys, store: Store
) -> None:
    walk(make_keys({"train": {"epochs": 2}}), store, end=2)
    keys = make_keys(BASE, EARLY_EMA)
    walk(keys, store, keys.observer)
    assert states(store) == [2, EPOCHS]


def test_the_state_that_a_branch_leaves_its_trunk_at_is_kept(make_keys: MakeKeys, store: Store) -> None:
    trunk, branch = make_keys(BASE), make_keys(BASE, LATE)
    walk(trunk, store, end=2)
    walk(branch, store, begin=2)
    assert states(store) == [2, EPOCHS]


def test_nothing_is_trained_again_that_is_stored(make_keys: MakeKeys, store: Store) -> None:
    keys = make_keys(BASE)
    walk(keys, store)
    walk(keys, store, stop_after=1)  # would raise if an epoch were trained


# ── what is measured ─────────────────────────────────────────────────────────────────────────────


def history(keys: RunKeys, store: Store) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = json.loads(
        (store.path("train", keys.chain[-1]) / "state.json").read_text()
    )["history"]
    return rows


def test_each_epoch_measures_the_losses_that_act_in_it(make_keys: MakeKeys, store: Store) -> None:
    keys = make_keys(BASE, LATE)
    walk(keys, store)
    rows = history(keys, store)
    always = {"loss", "loss_mse", "gradient_norm", "epoch_seconds"}
    assert [set(row) - always for row in rows] == [
        set(),
        set(),
        {"loss_lpips"},
        {"loss_lpips", "loss_kl"},
    ]
    last = rows[-1]
    assert last["loss"] == pytest.approx(
        last["loss_mse"] + 0.1 * last["loss_lpips"] + 0.01 * last["loss_kl"], rel=1e-5
    )


def test_a_loss_that_is_no_longer_finite_ends_the_run_and_stores_nothing(
    make_keys: MakeKeys, store: Store
) -> None:
    keys = make_keys(BASE, {"losses": {"kl": {"weight": 1e39, "start": 1}}})
    with pytest.raises(RunError, match=r"loss of seed 0 became (inf|nan) in epoch 1"):
        walk(keys, store)
    assert states(store) == [1]


def test_gradient_clipping_acts_before_the_step(
    make_keys: MakeKeys, new_store: Callable[[str], Store]
) -> None:
    weights = []
    for clip in (None, 1e-4):
        keys = make_keys({"train": {"epochs": 1, "gradient_clip": clip, "weight_decay": 0.0}})
        store = new_store(str(clip))
        walk(keys, store, end=1)
        moments = load_file(store.path("train", keys.chain[-1]) / "optimizer.safetensors")
        weights.append(sum(float(v.sum()) for name, v in moments.items() if name.endswith("exp_avg_sq")))
    unclipped, clipped = weights
    assert clipped <= 1e-8 < unclipped


def test_accumulated_batches_make_one_step(make_keys: MakeKeys, store: Store) -> None:
    keys = make_keys({"train": {"epochs": 1, "batch": 8, "accumulation": 3}})
    walk(keys, store, end=1)
    moments = load_file(store.path("train", keys.chain[-1]) / "optimizer.safetensors")
    assert {int(value) for name, value in moments.items() if name.endswith("|step")} == {2}


@pytest.mark.parametrize(
    ("images", "batch", "sizes"), [(32, 16, [16, 16]), (35, 16, [16, 16]), (10, 16, [10])]
)
def test_an_epoch_shows_each_image_at_most_once_in_full_batches(
    images: int, batch: int, sizes: list[int]
) -> None:
    batches = epoch_batches(images, batch, 0, 0)
    assert [len(rows) for rows in batches] == sizes
    rows = torch.cat(batches).tolist()
    assert len(set(rows)) == len(rows)
    assert rows != torch.cat(epoch_batches(images, batch, 0, 1)).tolist()
