"""A run whose weights, images or references say nothing fails with its reason, and has no figure."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ablate.errors import MeaninglessError
from ablate.fingerprint import Contents
from ablate.runner import tasks
from ablate.stages.evaluate import evaluate
from ablate.stages.keys import RunKeys
from ablate.stages.prepare import prepare
from ablate.stages.sample import sample
from ablate.stages.train import train
from ablate.stages.trained import AVERAGE, Trained, observer_ingredients
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import MakeConfig, MakeKeys

# Some schedulers hand torch tensors to NumPy in an old way.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ONE_EPOCH: dict[str, Any] = {"train": {"epochs": 1}}
EMA: dict[str, Any] = {"ema": {"decay": 0.5, "start": 0}}
ZERO_SNR: dict[str, Any] = {
    "sample": {
        "scheduler": "DDIMScheduler",
        "options": {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
    }
}


def quiet(_: object) -> None:
    """Progress that nobody wants to see."""


def trained(keys: RunKeys, store: Store) -> None:
    train(keys, [keys.observer] if keys.observer else [], 0, 1, store, quiet, quiet)


# ── sampling ─────────────────────────────────────────────────────────────────────────────────────


def test_latents_that_are_not_numbers_are_no_black_images(store: Store, make_keys: MakeKeys) -> None:
    keys = make_keys(ONE_EPOCH, ZERO_SNR)
    trained(keys, store)
    with pytest.raises(MeaninglessError, match="turns 4 of 4 images into something that") as error:
        sample(keys, store, quiet)
    assert error.value.where == "sampling, step 1 of 3 (t = 999)"
    assert not store.has("sample", keys.sample)


@pytest.mark.parametrize("averaged", [True, False], ids=["an average", "weights"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_numbers_draw_nothing(
    store: Store, make_keys: MakeKeys, averaged: bool, value: float
) -> None:
    keys = make_keys(ONE_EPOCH, EMA if averaged else {})
    trained(keys, store)
    stage, key = keys.weights
    file = store.path(stage, key) / (AVERAGE if averaged else Trained(store.path(stage, key)).weights.name)
    tensors, others = load_file(file), {f.name: f.read_bytes() for f in file.parent.glob("state.json")}
    first = next(name for name in tensors if name.endswith("weight"))
    tensors[first].view(-1)[0] = value
    of = observer_ingredients(keys.observer, keys.chain[-1]) if keys.observer else keys.state_ingredients(1)
    store.remove(stage, key)  # what is there counts: it would not be replaced
    with store.writing(stage, key, of) as folder:
        save_file(tensors, folder / file.name)
        for name, content in others.items():
            (folder / name).write_bytes(content)
    with pytest.raises(MeaninglessError, match=f"1 of .* weights are not numbers, .*{first}") as error:
        sample(keys, store, quiet)
    assert error.value.where == ("the averaged weights" if averaged else "the trained weights")


def test_a_preview_that_cannot_be_drawn_is_said_and_changes_no_training(
    new_store: Callable[[str], Store], make_keys: MakeKeys
) -> None:
    weights = []
    for name, every in (("with", 1), ("without", 0)):
        store = new_store(name)
        keys = make_keys({"train": {"epochs": 2}, "track": {"preview_every": every}}, ZERO_SNR)
        said: list[tasks.Event] = []
        tasks.train(keys, [], 0, 2, str(store.root), "train", said.append)
        assert [event.preview for event in said if isinstance(event, tasks.EpochDone)] == [None, None]
        notes = [event.text for event in said if isinstance(event, tasks.Note) and event.lasting]
        assert len(notes) == 2 * every and all("not a number" in note for note in notes)
        weights.append(load_file(Trained(store.path("train", keys.chain[-1])).weights))
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


# ── evaluation ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def sampled(
    make_keys: MakeKeys, prepared_store: Store, tmp_path_factory: pytest.TempPathFactory
) -> tuple[RunKeys, Store]:
    """A run with its samples, in a store that the tests copy."""
    keys, store = make_keys(ONE_EPOCH), Store(tmp_path_factory.mktemp("sampled") / "store")
    shutil.copytree(prepared_store.root, store.root)
    trained(keys, store)
    sample(keys, store, quiet)
    return keys, store


@pytest.fixture
def measure_images(sampled: tuple[RunKeys, Store], tmp_path: Path) -> Callable[..., Path]:
    """Measures the run with other images in the place of its samples: number → pixels."""

    def measure(draw: Callable[[int], np.ndarray]) -> Path:
        keys, store = sampled[0], Store(shutil.copytree(sampled[1].root, tmp_path / "store"))
        for number, file in enumerate(sorted((store.path("sample", keys.sample) / "images").iterdir())):
            Image.fromarray(draw(number).astype(np.uint8)).save(file)
        return evaluate(keys, store, quiet)

    return measure


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (32, 32, 3))


def flat(shade: int) -> np.ndarray:
    return np.full((32, 32, 3), shade)


@pytest.mark.parametrize(
    ("draw", "reason"),
    [
        (lambda number: flat(0), "all 6 images are of a single colour"),
        (lambda number: flat(40 * number), "all 6 images are of a single colour"),
        (lambda number: noise(0), "all 6 images are the same"),
        (lambda number: 255 * (noise(number) > 128), "all 6 images are clipped"),
    ],
    ids=["black", "flat", "the same for all prompts", "clipped"],
)
def test_samples_that_show_nothing_have_no_figure(
    measure_images: Callable[..., Path], draw: Callable[[int], np.ndarray], reason: str
) -> None:
    with pytest.raises(MeaninglessError, match=reason):
        measure_images(draw)


def test_a_single_flat_image_is_measured_with_the_others(measure_images: Callable[..., Path]) -> None:
    assert measure_images(lambda number: noise(number) if number else flat(255))


def test_real_images_that_are_all_the_same_are_no_reference(
    make_config: MakeConfig, data_folder: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(data_folder, tmp_path / "data")
    first, *others = sorted((data / "test").iterdir())
    for other in others:
        shutil.copy(first, other)
    store, contents = Store(tmp_path / "store"), Contents(tmp_path / "digests.json")
    config = make_config(ONE_EPOCH, {"data": {"path": str(data)}})
    keys = RunKeys(config, 0, contents)
    prepare(keys, store, quiet)
    trained(keys, store)
    sample(keys, store, quiet)
    with pytest.raises(MeaninglessError, match="features of all 6 reference images are the same") as error:
        evaluate(keys, store, quiet)
    assert error.value.where == "evaluate.reference: test, in the feature space sprites-clip"
    of_training = config.model_copy(
        update={"evaluate": config.evaluate.model_copy(update={"reference": "train"})}
    )
    assert evaluate(keys.with_config(of_training), store, quiet)
