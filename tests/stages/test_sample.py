"""Sampling: an image is its own, whatever it is drawn with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from ablate.stages.sample import sample, sample_prompts
from ablate.stages.sampled import Sampled, png_name
from ablate.stages.train import train
from ablate.store.files import file_digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.stages.keys import RunKeys
    from ablate.store import Store
    from tests.conftest import MakeKeys

ONE_EPOCH: dict[str, Any] = {"train": {"epochs": 1}}
EMA: dict[str, Any] = {"ema": {"decay": 0.5, "start": 0}}

# Some schedulers hand torch tensors to NumPy in an old way.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def quiet(_: object) -> None:
    """Progress that nobody wants to see."""


def images(folder: Path) -> dict[str, np.ndarray]:
    return {file.name: np.asarray(Image.open(file)).astype(int) for file in sorted(folder.iterdir())}


def largest_difference(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> int:
    assert set(one) == set(other)
    return max(int(abs(one[name] - other[name]).max()) for name in one)


@pytest.fixture
def drawn(store: Store, make_keys: MakeKeys) -> Callable[..., dict[str, np.ndarray]]:
    """The images of a run that was trained for one epoch, with sampling overrides."""

    def draw(*overrides: dict[str, Any], seed: int = 0) -> dict[str, np.ndarray]:
        keys = make_keys(ONE_EPOCH, *overrides, seed=seed)
        train(keys, [keys.observer] if keys.observer else [], 0, 1, store, quiet, quiet)
        return images(sample(keys, store, quiet) / "images")

    return draw


@pytest.fixture
def trained(store: Store, make_keys: MakeKeys) -> RunKeys:
    keys = make_keys(ONE_EPOCH)
    train(keys, [], 0, 1, store, quiet, quiet)
    return keys


def test_there_is_one_image_for_each_prompt_by_its_name(
    drawn: Callable[..., dict[str, np.ndarray]], data_folder: Path
) -> None:
    found = drawn()
    assert set(found) == {
        entry["image_name"] for entry in json.loads((data_folder / "test.json").read_text()).values()
    }
    assert all(image.shape == (32, 32, 3) for image in found.values())


@pytest.mark.parametrize("scheduler", ["DPMSolverMultistepScheduler", "DDPMScheduler"])
def test_images_do_not_depend_on_the_batch_size(
    drawn: Callable[..., dict[str, np.ndarray]], scheduler: str
) -> None:
    sizes = [drawn({"sample": {"batch": batch, "scheduler": scheduler}}) for batch in (1, 4, 6)]
    assert largest_difference(sizes[0], sizes[1]) <= 1
    assert largest_difference(sizes[0], sizes[2]) <= 1


def test_seeds_and_averages_draw_different_images(drawn: Callable[..., dict[str, np.ndarray]]) -> None:
    assert largest_difference(drawn(), drawn(seed=1)) > 1
    assert largest_difference(drawn(), drawn(EMA)) > 0


def test_another_noise_schedule_in_sampling_draws_other_images(
    drawn: Callable[..., dict[str, np.ndarray]],
) -> None:
    mismatch = {"sample": {"noise": {"schedule": "linear", "beta_start": 1e-4, "beta_end": 0.02}}}
    assert largest_difference(drawn(), drawn(mismatch)) > 1


def test_samples_are_not_drawn_twice(trained: RunKeys, store: Store) -> None:
    folder = sample(trained, store, quiet)
    written = (folder / "sampled.json").stat().st_mtime_ns
    assert (sample(trained, store, quiet) / "sampled.json").stat().st_mtime_ns == written


def test_the_samples_say_what_they_were_drawn_with(trained: RunKeys, store: Store) -> None:
    sampled = Sampled(sample(trained, store, quiet))
    weights = store.path("train", trained.chain[-1]) / "unet.safetensors"
    assert sampled.weights == file_digest(weights)
    assert sampled.evaluations_per_image == 6
    assert sampled.seconds > 0
    assert len(sampled.history) == 1


def free(keys: RunKeys, store: Store, prompts: dict[str, str]) -> dict[str, np.ndarray]:
    """The images of free prompts, by their names."""
    drawn = sample_prompts(keys, store, list(prompts.items()))
    return {name: image.numpy().astype(int) for name, image in zip(prompts, drawn, strict=True)}


def test_a_free_prompt_draws_what_the_test_prompt_of_the_same_name_and_text_drew(
    trained: RunKeys, store: Store, data_folder: Path
) -> None:
    of_the_test = images(sample(trained, store, quiet) / "images")
    entries = list(json.loads((data_folder / "test.json").read_text()).values())
    prompts = {entry["image_name"]: entry["text_prompt"] for entry in entries[2:4]}
    drawn = free(trained, store, prompts)
    assert largest_difference(drawn, {name: of_the_test[name] for name in prompts}) <= 1


def test_an_image_does_not_depend_on_the_other_prompts(trained: RunKeys, store: Store) -> None:
    prompts = {f"{number}.png": f"A {colour} slime." for number, colour in enumerate(("red", "blue", "grey"))}
    drawn = free(trained, store, prompts)
    one = free(trained, store, {"1.png": "A blue slime."})
    assert largest_difference(one, {"1.png": drawn["1.png"]}) <= 1


def test_prompts_of_several_batches_and_files_of_texts_keep_their_order(
    trained: RunKeys, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = {f"{number}.png": f"A slime, number {number}." for number in range(7)}
    at_once = free(trained, store, prompts)
    monkeypatch.setattr("ablate.stages.prepare.TEXTS", 3)
    assert largest_difference(free(trained, store, prompts), at_once) <= 1


def test_a_sample_is_a_png_whatever_its_image_was() -> None:
    assert png_name("0_main.jpg") == "0_main.png"
    assert png_name("0_main") == "0_main.png"


def test_half_precision_draws_nearly_the_same_images(drawn: Callable[..., dict[str, np.ndarray]]) -> None:
    exact, half = drawn(), drawn({"sample": {"precision": "bf16"}})
    assert 0 < largest_difference(exact, half) < 64
    assert max(abs(exact[name] - half[name]).mean() for name in exact) < 4


def test_the_sampling_seed_draws_other_noise_from_the_same_weights(
    drawn: Callable[..., dict[str, np.ndarray]], make_keys: MakeKeys
) -> None:
    assert largest_difference(drawn(), drawn({"sample": {"seed": 7}})) > 1
    assert largest_difference(drawn({"sample": {"seed": 0}}), drawn()) == 0
    assert make_keys({"sample": {"seed": 0}}).sample == make_keys().sample
