"""Training: the same weights, bit for bit, however the work was split, shared or interrupted."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from ablate.diffusion import randomness
from ablate.errors import MeaninglessError, RunError
from ablate.factors.lpips import lpips
from ablate.plan import Run, segments
from ablate.stages.batch import draw_batch
from ablate.stages.prepare import prepare, to_model
from ablate.stages.sample import preview
from ablate.stages.step import batch_losses, forward, optimizer_step, weighted_sum
from ablate.stages.train import epoch_batches, train
from ablate.stages.trained import observer_key
from ablate.stages.training import Training, initial_unet
from ablate.store import Store
from ablate.store.files import file_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from ablate.factors.observer import Observer
    from ablate.stages.batch import Batch
    from ablate.stages.keys import RunKeys
    from tests.conftest import MakeKeys

EPOCHS = 4
BASE: dict[str, Any] = {"train": {"epochs": EPOCHS}}
LATE: dict[str, Any] = {
    "losses": {"lpips": {"weight": 0.1, "start": 2, "images": 2}, "kl": {"weight": 0.01, "start": 3}},
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
    """Trains a segment; ``stop_after`` interrupts it after that epoch was stored."""

    def on_epoch(training: Training) -> None:
        if training.epoch == stop_after:
            raise Interrupted

    watching = [observer for observer in observers if observer]
    train(keys, watching, begin, end, store, on_epoch, lambda text: None)


def digests(keys: RunKeys, store: Store, *observers: Observer | None) -> Digests:
    """SHA-256 of all weights at the end of a chain: the U-Net's, the optimizer's, the averages'."""
    stored = {"unet": "train", "optimizer": "moments"}
    found = {
        name: file_digest(store.path(stage, keys.chain[-1]) / f"{name}.safetensors")
        for name, stage in stored.items()
    }
    for observer in observers:
        if observer:
            shadow = store.path("ema", observer_key(observer, keys.chain[-1])) / "shadow.safetensors"
            found[str(observer)] = file_digest(shadow)
    return found


@pytest.fixture(scope="module")
def undisturbed(
    prepared_store: Store, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[RunKeys], Digests]:
    """The digests of a run that is trained alone, from its beginning to its end: once, for all tests."""
    trained: dict[tuple[str, str], Digests] = {}

    def digests_of(keys: RunKeys) -> Digests:
        run = (keys.chain[-1], str(keys.observer))
        if run not in trained:
            root = tmp_path_factory.mktemp("undisturbed") / "store"
            store = Store(shutil.copytree(prepared_store.root, root))
            walk(keys, store, keys.observer, end=len(keys.timeline))
            trained[run] = digests(keys, store, keys.observer)
        return trained[run]

    return digests_of


def states(store: Store) -> list[int]:
    return sorted(ingredients["epochs"] for _, ingredients in store.entries("train"))


@pytest.fixture
def run_together(make_keys: MakeKeys) -> Callable[..., None]:
    """Trains variants of one seed as a plan would: each segment once, with the observers of all."""

    def run(store: Store, variants: Sequence[RunKeys]) -> None:
        for segment in segments([Run(str(n), keys.seed, keys) for n, keys in enumerate(variants)]):
            walk(segment.keys, store, *segment.observers, begin=segment.begin, end=segment.end)

    return run


# ── the central promise ──────────────────────────────────────────────────────────────────────────


def test_variants_trained_from_a_shared_trunk_equal_each_trained_from_scratch(
    make_keys: MakeKeys,
    store: Store,
    undisturbed: Callable[[RunKeys], Digests],
    run_together: Callable[..., None],
) -> None:
    variants = [
        make_keys(BASE),
        make_keys(BASE, EARLY_EMA),
        make_keys(BASE, LATE),
        make_keys(BASE, LATE, LATE_EMA),
        make_keys(BASE, LATE, STALE_EMA),
    ]
    run_together(store, variants)
    assert states(store) == [2, EPOCHS, EPOCHS]  # the trunk's end and two branches' ends
    for keys in variants:
        assert digests(keys, store, keys.observer) == undisturbed(keys)


@pytest.mark.parametrize("epoch", range(1, EPOCHS))
def test_a_training_that_is_interrupted_after_any_epoch_ends_with_the_same_weights(
    make_keys: MakeKeys, store: Store, undisturbed: Callable[[RunKeys], Digests], epoch: int
) -> None:
    keys = make_keys(BASE, LATE, EARLY_EMA)
    with pytest.raises(Interrupted):
        walk(keys, store, keys.observer, stop_after=epoch)
    walk(keys, store, keys.observer)
    assert digests(keys, store, keys.observer) == undisturbed(keys)
    assert states(store) == [EPOCHS]


def test_a_training_that_is_continued_to_more_epochs_equals_one_of_that_length(
    make_keys: MakeKeys, store: Store, undisturbed: Callable[[RunKeys], Digests]
) -> None:
    short, longer = make_keys({"train": {"epochs": 2}}), make_keys(BASE)
    walk(short, store, end=2)
    walk(longer, store)
    assert digests(longer, store) == undisturbed(longer)
    assert states(store) == [2, EPOCHS]


def test_seeds_give_different_weights(make_keys: MakeKeys, store: Store) -> None:
    one, other = make_keys({"train": {"epochs": 1}}), make_keys({"train": {"epochs": 1}}, seed=1)
    walk(one, store, end=1)
    walk(other, store, end=1)
    assert digests(one, store)["unet"] != digests(other, store)["unet"]


# ── observers ────────────────────────────────────────────────────────────────────────────────────


def test_an_observer_never_changes_the_weights(
    make_keys: MakeKeys, store: Store, undisturbed: Callable[[RunKeys], Digests]
) -> None:
    keys = make_keys(BASE)
    watchers = [make_keys(BASE, ema).observer for ema in (EARLY_EMA, LATE_EMA, STALE_EMA)]
    walk(keys, store, *watchers)
    assert digests(keys, store) == undisturbed(keys)


def test_a_trunk_is_walked_again_for_an_observer_that_was_not_there(
    make_keys: MakeKeys, store: Store, undisturbed: Callable[[RunKeys], Digests]
) -> None:
    keys = make_keys(BASE, EARLY_EMA)
    walk(keys, store)
    before = digests(keys, store)
    walk(keys, store, keys.observer)
    assert digests(keys, store) == before
    assert digests(keys, store, keys.observer) == undisturbed(keys)


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
    shadow = load_file(store.path("ema", keys.weights[1]) / "shadow.safetensors")
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
    assert [key for key, _ in store.entries("ema")] == [keys.weights[1]]


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


@pytest.mark.parametrize(("weight", "what"), [(1e39, "loss"), (1e30, "gradient's norm")])
def test_what_is_no_longer_finite_ends_the_run_and_stores_nothing(
    make_keys: MakeKeys, store: Store, weight: float, what: str
) -> None:
    keys = make_keys(BASE, {"losses": {"kl": {"weight": weight, "start": 1}}})
    with pytest.raises(RunError, match=rf"{what} of seed 0 became (inf|nan) in epoch 1"):
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
        moments = load_file(store.path("moments", keys.chain[-1]) / "optimizer.safetensors")
        weights.append(sum(float(v.sum()) for name, v in moments.items() if name.endswith("exp_avg_sq")))
    unclipped, clipped = weights
    assert clipped <= 1e-8 < unclipped


def test_accumulated_batches_make_one_step(make_keys: MakeKeys, store: Store) -> None:
    keys = make_keys({"train": {"epochs": 1, "batch": 8, "accumulation": 3}})
    walk(keys, store, end=1)
    moments = load_file(store.path("moments", keys.chain[-1]) / "optimizer.safetensors")
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


# ── the same training by faster ways ─────────────────────────────────────────────────────────────

LPIPS: dict[str, Any] = {"losses": {"lpips": {"weight": 0.1}}}
STEPS = 10
"""More than an epoch of eight."""

Overrides = dict[str, Any]


def as_made(training: Training) -> None:
    pass


def as_drawn(training: Training, batch: Batch, rows: Tensor, draw: tuple[int, ...]) -> Batch:
    return batch


class LossCurve(Protocol):
    def __call__(
        self,
        *overrides: Overrides,
        begin: Callable[[Training], None] = as_made,
        change: Callable[..., Batch] = as_drawn,
    ) -> Tensor: ...


@pytest.fixture(scope="module")
def loss_curve(
    make_keys: MakeKeys, prepared_store: Store, tmp_path_factory: pytest.TempPathFactory
) -> LossCurve:
    """The loss at each of the first steps of a training.

    ``begin`` alters the training, ``change`` what the batches hold.

    The learning rate is small: LPIPS has kinks and AdamW's first steps go by the gradient's signs, so in
    large steps a difference in the last bit grows by itself. The same question is answered once.
    """
    store = Store(shutil.copytree(prepared_store.root, tmp_path_factory.mktemp("curves") / "store"))

    @cache
    def values(asked: str, begin: Callable[[Training], None], change: Callable[..., Batch]) -> Tensor:
        keys = make_keys({"train": {"epochs": 3, "batch": 4, "learning_rate": 1e-4}}, *json.loads(asked))
        training, acting, losses = Training.at(0, keys, (), store), keys.acting(0), []
        begin(training)
        for step in range(STEPS):
            epoch, number = divmod(step, 8)
            rows = epoch_batches(32, 4, keys.seed, epoch)[number]
            batch = draw_batch(training, rows, epoch, number, acting)
            batch = change(training, batch, rows, (keys.seed, epoch, number))
            loss = weighted_sum(batch_losses(training, forward(training, batch), acting), acting)
            loss.backward()
            optimizer_step(training, acting, epoch)
            losses.append(loss.detach())
        return torch.stack(losses)

    def curve(
        *overrides: Overrides,
        begin: Callable[[Training], None] = as_made,
        change: Callable[..., Batch] = as_drawn,
    ) -> Tensor:
        return values(json.dumps([override for override in overrides if override]), begin, change)

    return curve


def assert_same_curve(curve: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(curve, other, rtol=0, atol=1e-5)


COMPILING = pytest.mark.skipif(
    "ABLATE_TEST_COMPILE" not in os.environ,
    reason="compiling takes minutes on a CPU: set ABLATE_TEST_COMPILE",
)


@pytest.mark.parametrize(
    ("base", "faster"),
    [
        pytest.param({}, {"train": {"checkpointing": True}}, id="checkpointing"),
        pytest.param({}, {"train": {"channels_last": True}}, id="channels last"),
        pytest.param(LPIPS, {"train": {"channels_last": True}}, id="channels last with LPIPS"),
        pytest.param({}, {"train": {"compile": True}}, id="compile", marks=COMPILING),
        pytest.param(LPIPS, {"losses": {"lpips": {"micro_batch": 3}}}, id="LPIPS in micro-batches"),
        pytest.param(LPIPS, {"losses": {"lpips": {"images": 4}}}, id="LPIPS of as many as there are"),
    ],
)
def test_a_faster_way_has_the_same_losses(loss_curve: LossCurve, base: Overrides, faster: Overrides) -> None:
    assert_same_curve(loss_curve(base, faster), loss_curve(base))


def test_the_fused_optimizer_has_the_same_losses(loss_curve: LossCurve) -> None:
    def plain(training: Training) -> None:
        decay = training.config.train.weight_decay
        training.optimizer = torch.optim.AdamW(
            training.unet.parameters(), lr=1e-4, weight_decay=decay, foreach=False, fused=False
        )

    assert_same_curve(loss_curve(begin=plain), loss_curve())


def test_cached_latents_have_the_losses_of_images_encoded_at_each_step(loss_curve: LossCurve) -> None:
    def encoded(training: Training, batch: Batch, rows: Tensor, draw: tuple[int, ...]) -> Batch:
        mean, std = training.encode(to_model(training.data.images[rows]))
        posterior = randomness.normal(tuple(mean.shape), *draw, "posterior")
        return replace(batch, mean=mean, std=std, x0=mean + std * posterior)

    assert_same_curve(loss_curve(change=encoded), loss_curve())


@pytest.mark.parametrize(
    "cheaper", [{"images": 2}, {"timesteps": 0.25}, {"images": 8, "timesteps": 0.5}], ids=str
)
def test_lpips_looks_at_the_images_that_it_is_asked_to(
    make_keys: MakeKeys, store: Store, cheaper: Overrides
) -> None:
    keys = make_keys(LPIPS, {"losses": {"lpips": cheaper}})
    training, acting, rows = Training.at(0, keys, (), store), keys.acting(0), torch.arange(16)
    batch = draw_batch(training, rows, 0, 0, acting)
    drawn = cheaper.get("images", 16)
    compared, images = batch.compared["lpips"], batch.images["lpips"]
    assert 0 < len(compared) <= drawn
    assert bool((batch.t[compared] < 1000 * cheaper.get("timesteps", 1)).all())
    assert torch.equal(images, to_model(training.data.images[rows[compared]]))

    found = batch_losses(training, forward(training, batch), acting)
    everything = make_keys(LPIPS).acting(0)

    def of_one(row: Tensor, image: Tensor) -> float:
        """LPIPS of an image alone, which counts as one of 16."""
        single = replace(batch, compared={"lpips": row[None]}, images={"lpips": image[None]})
        return 16 * float(batch_losses(training, forward(training, single), everything)["lpips"].detach())

    alone = [of_one(row, image) for row, image in zip(compared, images, strict=True)]
    assert float(found["lpips"].detach()) == pytest.approx(sum(alone) / drawn, rel=1e-5)
    assert torch.equal(found["mse"], batch_losses(training, forward(training, batch), everything)["mse"])


@pytest.mark.parametrize("rows", [2, 17])
def test_a_loss_that_is_not_of_the_batch_is_refused(
    make_keys: MakeKeys, store: Store, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    keys = make_keys()
    training, acting = Training.at(0, keys, (), store), keys.acting(0)
    batch = draw_batch(training, torch.arange(16), 0, 0, acting)
    step = forward(training, batch)
    for shape in ((), (16,), (16, 4, 2, 2)):
        monkeypatch.setattr(type(acting.losses[0]), "loss", lambda *_, shape=shape: torch.ones(shape))
        assert batch_losses(training, step, acting)["mse"] == 1
    monkeypatch.setattr(type(acting.losses[0]), "loss", lambda *_: torch.ones(rows))
    with pytest.raises(MeaninglessError, match=rf"gives the shape \[{rows}\] for a batch of 16 images"):
        batch_losses(training, step, acting)


def test_half_precision_has_nearly_the_same_losses(loss_curve: LossCurve) -> None:
    exact, half = loss_curve(), loss_curve({"train": {"precision": "bf16"}})
    assert not torch.equal(half, exact)
    torch.testing.assert_close(half, exact, rtol=0, atol=0.02)


def test_half_precision_has_nearly_the_gradient_of_lpips(make_keys: MakeKeys, store: Store) -> None:
    def gradient(precision: str) -> Tensor:
        keys = make_keys(LPIPS, {"train": {"precision": precision}})
        training = Training.at(0, keys, (), store)
        batch = draw_batch(training, torch.arange(4), 0, 0, keys.acting(0))
        x0 = (batch.x0 + 0.3 * batch.noise).requires_grad_()
        lpips(
            x0, batch.images["lpips"], training.frozen.decode, training.frozen.part("perceptual")
        ).backward()
        assert x0.grad is not None
        return x0.grad.flatten()

    exact, half = gradient("fp32"), gradient("bf16")
    assert not torch.equal(half, exact)
    assert float(torch.cosine_similarity(half, exact, dim=0)) > 0.98


@pytest.mark.parametrize("augmentation", ["flip", "strong"])
def test_cached_forms_are_what_latents_and_images_come_from(
    make_keys: MakeKeys, store: Store, augmentation: str
) -> None:
    keys = make_keys(LPIPS, {"augmentation": {"kind": augmentation, "variants": 3}})
    training, rows, acting = Training.at(0, keys, (), store), torch.tensor([5, 0, 9]), keys.acting(0)
    forms = [randomness.integers(3, (3,), 0, epoch, 7, "form") for epoch in range(2)]
    assert not torch.equal(*forms)
    for epoch in range(2):
        batch = draw_batch(training, rows, epoch, 7, acting)
        assert torch.equal(batch.mean, training.cache["augmented mean"][rows, forms[epoch]])
        mean, std = training.encode(batch.images["lpips"])
        torch.testing.assert_close(batch.mean, mean)
        torch.testing.assert_close(batch.std, std)


def test_both_forms_of_a_flip_hold_the_image_and_its_mirror(make_keys: MakeKeys, store: Store) -> None:
    keys = make_keys(LPIPS, {"augmentation": {"kind": "flip", "variants": 2}})
    training, rows = Training.at(0, keys, (), store), torch.arange(16)
    drawn = draw_batch(training, rows, 0, 0, keys.acting(0)).images["lpips"]
    images = to_model(training.data.images[rows])
    mirrored = randomness.integers(2, (16,), 0, 0, 0, "form").bool()
    assert mirrored.any()
    assert not mirrored.all()
    assert torch.equal(drawn[mirrored], images[mirrored].flip(-1))
    assert torch.equal(drawn[~mirrored], images[~mirrored])


FAST: dict[str, Any] = {
    "train": {"epochs": 2, "checkpointing": True, "channels_last": True},
    "losses": {"lpips": {"weight": 0.1, "start": 1, "images": 2, "timesteps": 0.5, "micro_batch": 1}},
    "augmentation": {"kind": "flip", "start": 1, "variants": 2},
    "ema": {"decay": 0.8, "start": 0},
}


def test_all_of_it_goes_on_after_an_interruption_to_the_same_weights(
    make_keys: MakeKeys, store: Store, undisturbed: Callable[[RunKeys], Digests]
) -> None:
    keys = make_keys(FAST)
    with pytest.raises(Interrupted):
        walk(keys, store, keys.observer, end=2, stop_after=1)
    walk(keys, store, keys.observer, end=2)
    assert digests(keys, store, keys.observer) == undisturbed(keys)


def test_a_compiled_training_stores_what_any_training_can_load(
    make_keys: MakeKeys, store: Store, undisturbed: Callable[[RunKeys], Digests]
) -> None:
    plain, compiled = make_keys(FAST), make_keys(FAST, {"train": {"compile": True}})
    with torch.compiler.set_stance("force_eager"):  # all but the compiler
        walk(compiled, store, compiled.observer, end=2)
    assert digests(compiled, store, compiled.observer) == undisturbed(plain)


class NothingWaits(TorchDispatchMode):
    """Refuses what makes the CPU wait for a GPU: reading a number, and shapes that depend on numbers."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert function.overloadpacket not in (
            torch.ops.aten._local_scalar_dense,
            torch.ops.aten.nonzero,
            torch.ops.aten.masked_select,
        ), f"{function} waits"
        return function(*args, **(kwargs or {}))


EVERYTHING = (FAST, {"losses": {"lpips": {"start": 0}, "kl": {"weight": 0.01}}, "augmentation": {"start": 0}})


def step(training: Training, batch: Batch) -> None:
    acting = training.keys.acting(0)
    assert {"lpips", "kl", "augmentation"} <= {factor.name for factor in acting}
    weighted_sum(batch_losses(training, forward(training, batch), acting), acting).backward()
    optimizer_step(training, acting, 0)


def test_what_is_computed_from_a_batch_waits_for_no_number(make_keys: MakeKeys, store: Store) -> None:
    keys = make_keys(*EVERYTHING)
    assert keys.observer
    training = Training.at(0, keys, [keys.observer], store)
    training.begin_observers(0)
    for number in range(3):
        batch = draw_batch(training, torch.arange(16), 0, number, keys.acting(0))
        with NothingWaits() if number else nullcontext():  # the first one loads the frozen parts
            step(training, batch)
    with pytest.raises(AssertionError, match="waits"), NothingWaits():
        float(torch.ones(1))


def test_a_training_that_has_begun_needs_the_files_of_its_data_no_more(
    make_keys: MakeKeys, store: Store
) -> None:
    """A bucket's cache may forget them meanwhile."""
    training = Training.at(0, keys := make_keys(), (), store)
    draw_batch(training, torch.arange(16), 0, 0, keys.acting(0))
    shutil.rmtree(store.path("prepare", keys.prepare))
    draw_batch(training, torch.arange(16), 0, 1, keys.acting(0))
    assert store.has("preview", preview(training, store))


def test_a_training_that_stores_a_state_still_uses_its_data(
    make_keys: MakeKeys, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = make_keys({"augmentation": {"kind": "flip", "variants": 2}})
    training, used = Training.at(0, keys, (), store), set[tuple[str, str]]()
    monkeypatch.setattr(store, "use", lambda *entry: used.add(entry))
    training.save(store)
    assert used == {("prepare", keys.prepare), ("augmented", keys.augmented)}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_on_a_gpu_nothing_in_a_step_waits(make_keys: MakeKeys, store: Store) -> None:
    keys = make_keys(*EVERYTHING, {"compute": {"device": "cuda"}})
    assert keys.observer
    prepare(keys, store, lambda text: None)
    training = Training.at(0, keys, [keys.observer], store)
    training.begin_observers(0)
    assert all(tensor.is_cuda for tensor in training.cache.values())
    try:
        for number in range(4):
            torch.cuda.set_sync_debug_mode("error" if number > 1 else "default")
            step(training, draw_batch(training, torch.arange(16), 0, number, keys.acting(0)))
    finally:
        torch.cuda.set_sync_debug_mode("default")


# ── what is in the chain ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "override",
    [
        {"train": {"checkpointing": True}},
        {"train": {"channels_last": True}},
        {"train": {"compile": True}},
        {"losses": {"lpips": {"images": 2}}},
        {"losses": {"lpips": {"timesteps": 0.5}}},
        {"losses": {"lpips": {"micro_batch": 1}}},
        {"augmentation": {"variants": 2}},
    ],
    ids=str,
)
def test_what_changes_the_last_bits_changes_the_chain(make_keys: MakeKeys, override: Overrides) -> None:
    base = (LPIPS, {"augmentation": {"kind": "flip"}})
    assert make_keys(*base, override).chain[-1] != make_keys(*base).chain[-1]
