"""Which parts runs need, which of them are missing, and that a run without them is refused in seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from hubs import NOWHERE

from ablate.errors import ComponentError
from ablate.experiment.load import load_config
from ablate.parts import PARTS, inception, perceptual
from ablate.parts.missing import missing_parts, named_parts, needed_parts, require_parts
from ablate.parts.sources import Folder, HubFiles, TorchFile

if TYPE_CHECKING:
    from pathlib import Path

    from hubs import Caches

    from ablate.parts.base import PretrainedPart

PUBLISHED = ["vae", "text_encoder", "tokenizer", "evaluator", "perceptual", "inception"]


@pytest.fixture
def empty(caches: Caches, monkeypatch: pytest.MonkeyPatch) -> Caches:
    """A machine without a network on which nothing has been fetched."""
    monkeypatch.setattr(perceptual, "TRUNKS", {"alex": TorchFile(f"{NOWHERE}/alex.pth")})
    monkeypatch.setattr(inception, "DOWNLOAD", TorchFile(f"{NOWHERE}/{inception.INCEPTION_FILE}"))
    return caches


def fill(caches: Caches, name: str) -> None:
    """Puts files with the names of a published part's into the cache, unless they can be made here."""
    part = PARTS[name].named(load_config("maplestory"))
    assert part
    source = part.source()
    if isinstance(source, Folder):
        return
    folder = caches.checkpoints
    if isinstance(source, HubFiles):
        folder = caches.repository(source.repository, source.revision) / source.subfolder
    folder.mkdir(exist_ok=True)
    for file in source.needed[0]:
        (folder / file).touch()


def fields(parts: list[PretrainedPart]) -> list[str]:
    return [part.field for part in parts]


def test_the_published_setting_names_all_parts_and_needs_those_that_its_losses_and_metrics_use() -> None:
    config = load_config("maplestory")
    assert fields(named_parts(config)) == fields(needed_parts(config)) == PUBLISHED
    plain = load_config("maplestory", ["losses.lpips=null", "evaluate.fid_features=evaluator"])
    assert fields(named_parts(plain)) == PUBLISHED[:5]
    assert fields(needed_parts(plain)) == PUBLISHED[:4]


def test_nothing_of_the_embedded_kit_is_missing(empty: Caches) -> None:
    assert missing_parts([load_config("sprites")]) == []
    require_parts([load_config("sprites")], "sprites")


def test_without_a_network_all_that_is_missing_is_said_at_once_with_its_place_and_the_remedy(
    empty: Caches,
) -> None:
    fill(empty, "text_encoder")
    start = time.monotonic()
    with pytest.raises(ComponentError) as caught:
        require_parts(
            [load_config("maplestory"), load_config("maplestory", ["train.epochs=1"])], "maplestory"
        )
    assert time.monotonic() - start < 5
    assert caught.value.exit_code == 2
    lines = str(caught.value).splitlines()
    silence = "and 127.0.0.1 cannot be reached (Connection refused)"
    assert lines == [
        "profile maplestory: pretrained parts are missing and cannot be downloaded now:",
        f"  VAE CompVis/stable-diffusion-v1-4/vae: not in {empty.hub}, {silence}",
        f"  evaluator ViT-B-32:openai: not in {empty.hub}, {silence}",
        f"  LPIPS network alex: not in {empty.checkpoints}, {silence}",
        f"  Inception network of clean-fid: not in {empty.checkpoints}, {silence}",
        "  What to do, on a machine with a network:",
        "  ablate fetch --profile maplestory",
    ]


def test_what_has_been_fetched_is_not_missing(empty: Caches) -> None:
    for name in PUBLISHED:
        fill(empty, name)
    require_parts([load_config("maplestory")], "maplestory")


def test_the_remedy_names_a_part_that_is_not_the_profile_s(empty: Caches) -> None:
    sets = ["components.vae={source: owner/name, subfolder: inner}", "components.evaluator=ViT-B-16:openai"]
    with pytest.raises(ComponentError) as caught:
        require_parts([load_config("sprites", sets)], "sprites")
    assert caught.value.fix.splitlines()[1:] == [
        "  ablate fetch --profile sprites --set 'components.vae={source: owner/name, subfolder: inner}'",
        "  ablate fetch --profile sprites --set components.evaluator=ViT-B-16:openai",
    ]
    # What the command sets is what was missing.
    assert load_config("sprites", sets[:1]).components.vae.subfolder == "inner"


def test_the_remedy_for_clean_fid_s_inception_asks_for_its_features(empty: Caches) -> None:
    with pytest.raises(ComponentError) as caught:
        require_parts([load_config("sprites", ["evaluate.fid_features=inception"])], "sprites")
    assert caught.value.fix.splitlines()[1:] == [
        "  ablate fetch --profile sprites --set evaluate.fid_features=inception"
    ]


def test_a_folder_that_is_not_complete_says_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    config = load_config("sprites", [f"components.vae={tmp_path}"])
    with pytest.raises(
        ComponentError, match=f"{tmp_path} lacks diffusion_pytorch_model.safetensors"
    ) as caught:
        require_parts([config], "sprites")
    assert f"put diffusion_pytorch_model.safetensors into {tmp_path}" in caught.value.fix


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="the folder does not exist"):
        missing_parts([load_config("sprites", [f"components.vae={tmp_path}/none"])])
