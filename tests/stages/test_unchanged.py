"""A part that is replaced while a command runs is refused by whoever loads it then."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from ablate.errors import ComponentError
from ablate.fingerprint import Contents
from ablate.parts.base import EMBEDDED_KIT
from ablate.stages.evaluate import evaluate
from ablate.stages.keys import RunKeys
from ablate.stages.prepare import augmented, prepare
from ablate.stages.sample import sample, sample_prompts
from ablate.stages.train import train
from ablate.stages.unchanged import refuse_other_parts
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import MakeConfig

    Replaced = Callable[..., RunKeys]

# Some schedulers hand torch tensors to NumPy in an old way.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def quiet(_: object) -> None:
    """Progress that nobody wants to see."""


@pytest.fixture
def replaced(make_config: MakeConfig, tmp_path: Path) -> Replaced:
    """The keys of a run with a copy of a part of the kit, in whose place there is another one by now."""

    def make(name: str, **overrides: Any) -> RunKeys:
        part = shutil.copytree(EMBEDDED_KIT / name, tmp_path / name)
        components = {"components": {name: {"source": str(part)}}}
        config = make_config({"train": {"epochs": 1}}, components, overrides)
        keys = RunKeys(config, 0, Contents(tmp_path / "digests.json"))
        assert keys.evaluate
        file = next(part.glob("*config.json"))
        file.write_text(f"{file.read_text()}\n")
        return keys

    return make


def test_no_loss_is_computed_with_it(replaced: Replaced, store: Store) -> None:
    keys = replaced("perceptual", losses={"lpips": {"weight": 0.1, "start": 0, "images": 2}})
    with pytest.raises(ComponentError, match="the LPIPS network was changed while the command was running"):
        train(keys, [], 0, 1, store, quiet, quiet)
    assert not store.has("train", keys.chain[1])


def test_nothing_is_drawn_with_it(replaced: Replaced, store: Store) -> None:
    keys = replaced("vae")
    train(keys, [], 0, 1, store, quiet, quiet)
    with pytest.raises(ComponentError, match="the VAE was changed") as error:
        sample(keys, store, quiet)
    assert error.value.where.startswith("components.vae: ")
    assert not store.has("sample", keys.sample)
    with pytest.raises(ComponentError, match="the VAE was changed"):
        next(sample_prompts(keys, store, [("a", "A red monster.")]))


def test_no_prompt_is_encoded_with_it(replaced: Replaced, store: Store) -> None:
    keys = replaced("text_encoder")
    train(keys, [], 0, 1, store, quiet, quiet)
    with pytest.raises(ComponentError, match="the text encoder was changed"):
        next(sample_prompts(keys, store, [("a", "A red monster.")]))


def test_nothing_is_measured_with_it(replaced: Replaced, store: Store) -> None:
    keys = replaced("evaluator")
    train(keys, [], 0, 1, store, quiet, quiet)
    sample(keys, store, quiet)
    with pytest.raises(ComponentError, match="the evaluator was changed"):
        evaluate(keys, store, quiet)
    assert not store.has("evaluate", keys.evaluate)


@pytest.mark.parametrize("part", ["vae", "text_encoder", "tokenizer"])
def test_no_data_are_prepared_with_it(replaced: Replaced, tmp_path: Path, part: str) -> None:
    keys, store = replaced(part), Store(tmp_path / "store")
    with pytest.raises(ComponentError, match="was changed"):
        prepare(keys, store, quiet)
    assert not store.has("prepare", keys.prepare)


def test_no_augmented_forms_are_prepared_with_it(replaced: Replaced, store: Store) -> None:
    keys = replaced("vae", augmentation={"kind": "flip", "variants": 2})
    assert keys.augmented
    with pytest.raises(ComponentError, match="the VAE was changed"):
        augmented(keys, store, quiet)
    assert not store.has("augmented", keys.augmented)


def test_a_network_of_a_feature_space_counts_by_its_file(
    make_config: MakeConfig, tmp_path: Path, store: Store
) -> None:
    file = tmp_path / "inception-2015-12-05.pt"
    file.write_text("one")
    overrides = {"components": {"inception": {"source": str(tmp_path)}}}
    config = make_config({**overrides, "evaluate": {"fid_features": "inception"}})
    keys = RunKeys(config, 0, Contents(tmp_path / "digests.json"))
    assert keys.evaluate
    (tmp_path / "beside it").touch()
    refuse_other_parts(keys, store, "inception")
    file.write_text("other")
    with pytest.raises(ComponentError, match="the Inception network was changed"):
        refuse_other_parts(keys, store, "inception")


def test_a_part_that_no_field_names_cannot_be_replaced(make_config: MakeConfig, store: Store) -> None:
    config = make_config({"evaluate": {"fid_features": "inception"}})
    refuse_other_parts(RunKeys(config, 0, Contents(store.root / "digests.json")), store, "inception")
