"""The shipped kit holds its targets, and the command that makes kits works on any data set."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from schemas import validate

from ablate.cli.printing.checks import print_qualities
from ablate.errors import ComponentError, DataError, RunError
from ablate.experiment.config import Part
from ablate.kit import build
from ablate.kit.build import TRAININGS, Job, build_kit, folder_hash, train_part
from ablate.kit.check import (
    PARTS,
    KitQualities,
    check_kit,
    perceptual_features,
)
from ablate.kit.dataset import load, to_unit
from ablate.kit.tokenizer import END, START, train_tokenizer
from ablate.kit.training import seeded
from ablate.parts.base import EMBEDDED_KIT
from ablate.parts.perceptual import PerceptualPart
from ablate.store.files import file_digest

if TYPE_CHECKING:
    from tests.conftest import Ablate

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def shipped(generated: Path) -> KitQualities:
    return check_kit(EMBEDDED_KIT, generated)


def small_dataset(folder: Path) -> Path:
    """Six plain squares with captions that name none of the generator's attributes."""
    (folder / "train").mkdir(parents=True)
    (folder / "test").mkdir()
    train, test = {}, {}
    for i in range(6):
        Image.new("RGB", (40, 40), (40 * i, 90, 250 - 40 * i)).save(folder / "train" / f"{i}_main_0.png")
        train[f"{i}_main"] = {"given_description": [f"Square {i}."], "action_description": ""}
    for i in range(2):
        Image.new("RGB", (40, 40), (40 * i, 90, 230)).save(folder / "test" / f"{i}_main.png")
        test[f"{i}_main"] = {"image_name": f"{i}_main.png", "text_prompt": f"Square {i}."}
    (folder / "train_info.json").write_text(json.dumps(train))
    (folder / "test.json").write_text(json.dumps(test))
    return folder


def test_what_kit_check_prints_as_json_is_what_its_schema_says(shipped: KitQualities) -> None:
    validate(shipped.to_json(), "kit check")


def test_the_shipped_vae_reconstructs_held_out_monsters_at_28_db(shipped: KitQualities) -> None:
    assert shipped.vae_psnr >= 28


TEXT_FEATURE = pytest.param(
    "text_encoder", "feature", marks=pytest.mark.xfail(reason="89.8 %: its image encoder is small")
)
TOLD_APART = [
    *(("evaluator", attribute) for attribute in ("body", "colour", "feature", "action")),
    *(("text_encoder", attribute) for attribute in ("body", "colour", "action")),
    TEXT_FEATURE,
]


@pytest.mark.parametrize(("part", "attribute"), TOLD_APART)
def test_the_shipped_models_tell_held_out_attributes_apart(
    shipped: KitQualities, part: str, attribute: str
) -> None:
    assert getattr(shipped, part).zero_shot[attribute] >= 0.95


def test_the_shipped_models_find_a_held_out_images_own_prompt(shipped: KitQualities) -> None:
    assert shipped.evaluator.top1 >= 0.95
    assert shipped.text_encoder.top1 >= 0.95


def test_the_shipped_perceptual_distance_is_smaller_within_a_monster(shipped: KitQualities) -> None:
    assert shipped.perceptual.same_monster is not None
    assert shipped.perceptual.same_monster >= 0.8


def test_the_shipped_kit_is_at_most_8_megabytes(shipped: KitQualities) -> None:
    assert sum(shipped.bytes.values()) <= 8e6


def test_the_manifest_of_the_shipped_kit_is_true(shipped: KitQualities) -> None:
    manifest = json.loads((EMBEDDED_KIT / "kit.json").read_text())
    assert {part: folder_hash(EMBEDDED_KIT / part) for part in PARTS} == {
        part: entry["sha256"] for part, entry in manifest["parts"].items()
    }
    measured = shipped.to_json()
    assert manifest["qualities"]["vae_psnr"] == pytest.approx(measured["vae_psnr"], abs=0.05)
    assert manifest["qualities"]["evaluator"]["top1"] == pytest.approx(
        measured["evaluator"]["top1"], abs=0.02
    )


def test_the_shipped_kit_holds_safetensors_and_nothing_pickled() -> None:
    suffixes = {path.suffix for path in EMBEDDED_KIT.rglob("*") if path.is_file()}
    assert suffixes <= {".safetensors", ".json", ".txt", ".md"}


def test_feature_vectors_have_the_distances_of_lpips(generated: Path) -> None:
    metric = PerceptualPart(Part(source=str(EMBEDDED_KIT), subfolder="perceptual")).load()
    images = np.stack([np.asarray(Image.open(p)) for p in sorted((generated / "test").iterdir())[:4]])
    features = perceptual_features(metric, images)
    x = to_unit(images)
    with torch.no_grad():
        assert torch.allclose(
            (features[0] - features[1:]).square().sum(dim=1),
            metric(x[:1].expand(3, -1, -1, -1), x[1:]).flatten(),
            rtol=1e-3,
        )


def test_a_kit_is_built_and_checked_on_data_without_known_attributes(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data")
    seen: set[str] = set()
    built = build_kit(
        data, tmp_path / "kit", effort=0.002, workers=1, progress=lambda name, *_: seen.add(name)
    )
    assert seen == {"vae", "evaluator", "text_encoder", "perceptual"}
    assert built.evaluator.zero_shot == {}
    assert 0 <= built.evaluator.top1 <= built.evaluator.top5 <= 1
    assert built.perceptual.same_monster is None
    assert check_kit(tmp_path / "kit", data).to_json() == built.to_json()
    assert sorted(path.name for path in (tmp_path / "kit").iterdir()) == sorted([*PARTS, "kit.json"])
    assert not list(tmp_path.glob(".kit-*"))


@pytest.mark.parametrize("training", TRAININGS)
def test_a_training_gives_the_same_weights_again(training: str, tmp_path: Path) -> None:
    content = load(small_dataset(tmp_path / "data"))
    digests = set()
    for out in (tmp_path / "first", tmp_path / "second"):
        job = Job(tmp_path / "data", out, "kit", effort=0.0, seed=0)
        train_part(training, content, job, lambda *_: None)
        torch.rand(1)  # what the process did before must not matter
        # Not the tokenizer's files: the BPE trainer orders merges of equal frequency at random.
        digests.add(tuple(file_digest(file) for file in sorted(out.rglob("*.safetensors"))))
    assert len(digests) == 1
    assert digests != {()}


def test_a_folder_of_something_else_is_never_written_to(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data")
    with pytest.raises(ComponentError, match="is not a kit"):
        build_kit(data, data, effort=0.001)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Instead of training, the shipped kit's parts are put where a job's go."""
    jobs: list[Job] = []

    def train(job: Job, *_: object) -> None:
        jobs.append(job)
        for part in PARTS:
            shutil.copytree(EMBEDDED_KIT / part, job.out / part)

    monkeypatch.setattr(build, "_train_all", train)
    return jobs


@pytest.mark.parametrize("other", [(), ("notes.txt",)])
@pytest.mark.usefixtures("trained")
def test_a_new_kit_replaces_an_old_one_and_nothing_else(tmp_path: Path, other: tuple[str, ...]) -> None:
    data, kit = small_dataset(tmp_path / "data"), tmp_path / "kit"
    build_kit(data, kit)
    for name in other:
        (kit / name).write_text("mine")
    build_kit(data, kit, seed=1)
    assert json.loads((kit / "kit.json").read_text())["seed"] == 1
    assert {path.name for path in kit.iterdir()} == {*PARTS, "kit.json", *other}
    assert not list(tmp_path.glob(".kit-*"))


@pytest.mark.usefixtures("trained")
def test_an_old_kit_stays_whole_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, kit = small_dataset(tmp_path / "data"), tmp_path / "kit"
    build_kit(data, kit)
    before = folder_hash(kit)
    replace = Path.replace

    def stopped(self: Path, target: Path) -> Path:
        if self.name == "kit" and target == kit:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        build_kit(data, kit, seed=1)
    assert folder_hash(kit) == before


def test_what_a_link_leads_to_is_not_replaced_and_that_is_said_before_the_training(
    tmp_path: Path, trained: list[Job]
) -> None:
    data, kit = small_dataset(tmp_path / "data"), tmp_path / "kit"
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    with pytest.raises(ComponentError, match="leads nowhere"):
        build_kit(data, tmp_path / "nowhere")
    shutil.copytree(EMBEDDED_KIT, kit)
    (kit / "vae").rename(tmp_path / "vae")
    (kit / "vae").symlink_to(tmp_path / "vae")
    with pytest.raises(ComponentError, match="is a link, and would be replaced"):
        build_kit(data, kit)
    assert not trained


def test_a_kit_behind_a_link_is_replaced_where_it_is(tmp_path: Path, trained: list[Job]) -> None:
    data = small_dataset(tmp_path / "data")
    build_kit(data, tmp_path / "far" / "kit")
    (tmp_path / "near").symlink_to(tmp_path / "far" / "kit")
    build_kit(data, tmp_path / "near", seed=1)
    assert (tmp_path / "near").is_symlink() and len(trained) == 2
    assert json.loads((tmp_path / "far" / "kit" / "kit.json").read_text())["seed"] == 1


def test_a_training_that_was_killed_is_an_error_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_train_in_worker", killed)
    with pytest.raises(RunError, match="a process that trains a part of the kit died"):
        build_kit(small_dataset(tmp_path / "data"), tmp_path / "kit", workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def killed(training: str, job: Job) -> None:
    """As a worker is that takes too much memory."""
    os._exit(9)


@pytest.mark.parametrize(
    ("option", "value"),
    [("--effort", "nan"), ("--effort", "inf"), ("--effort", "0"), ("--seed", "100000000000000000000")],
)
def test_an_effort_or_a_seed_that_cannot_be_is_refused(
    ablate: Ablate, tmp_path: Path, option: str, value: str
) -> None:
    done = ablate("kit", "build", "--data", "data", "--out", "kit", option, value, folder=tmp_path)
    assert done.code == 2 and option in done.err


def test_files_whose_names_are_not_utf_8_are_hashed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"w\xff")).write_bytes(b"weights")
    assert len(folder_hash(tmp_path)) == 64


def test_data_without_test_images_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    data = small_dataset(tmp_path / "data")
    shutil.rmtree(data / "test")
    with pytest.raises(DataError, match="no test prompt has an image"):
        build_kit(data, tmp_path / "kit")
    assert not (tmp_path / "kit").exists()


def test_a_kit_that_lacks_a_part_is_refused(tmp_path: Path, generated: Path) -> None:
    kit = shutil.copytree(EMBEDDED_KIT, tmp_path / "kit")
    shutil.rmtree(kit / "image_encoder")
    with pytest.raises(ComponentError, match="image encoder"):
        check_kit(kit, generated)


def test_a_part_that_is_cut_off_is_refused_in_words(tmp_path: Path, generated: Path) -> None:
    kit = shutil.copytree(EMBEDDED_KIT, tmp_path / "kit")
    file = kit / "image_encoder" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ComponentError, match="image encoder"):
        check_kit(kit, generated)


def test_the_qualities_are_printed_as_a_table(shipped: KitQualities) -> None:
    console = Console(width=100, record=True, quiet=False, file=None)
    with console.capture() as captured:
        print_qualities(shipped, console)
    text = captured.get()
    assert "PSNR" in text
    assert "zero-shot colour" in text
    assert "MB" in text


def test_a_tokenizer_learned_from_captions_keeps_their_words_whole() -> None:
    tokenizer = train_tokenizer(["A red mushroom monster.", "A red crab."])
    assert tokenizer.tokenize("A red crab") == ["a</w>", "red</w>", "c", "r", "a", "b</w>"]
    ids = tokenizer(["A red crab."], padding="max_length").input_ids[0]
    assert len(ids) == tokenizer.model_max_length <= 77
    assert tokenizer.convert_tokens_to_ids(END) == len(tokenizer) - 1 == max(ids)
    assert ids[0] == tokenizer.convert_tokens_to_ids(START)


def test_seeding_is_undone_afterwards() -> None:
    before = torch.get_rng_state()
    with seeded(3):
        first = torch.rand(2)
    with seeded(3):
        assert torch.equal(first, torch.rand(2))
    assert torch.equal(before, torch.get_rng_state())
