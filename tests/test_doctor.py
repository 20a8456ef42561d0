"""``ablate doctor``: what would keep a profile from running here is wrong, and has a remedy."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hubs import NOWHERE

from ablate import doctor
from ablate.doctor import Answer, diagnose
from ablate.errors import UserError
from ablate.experiment.load import load_config
from ablate.parts.base import EMBEDDED_KIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hubs import Caches

    from tests.conftest import Ablate


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    return shutil.copytree(EMBEDDED_KIT, tmp_path / "kit")


def look(tmp_path: Path, *sets: str, uri: str = "") -> Iterator[Answer]:
    """What is found about the profile ``sprites`` with overrides, without what is found of the machine."""
    config = load_config("sprites", ["compute.device=cpu", *sets])
    answers = diagnose(config, "sprites", tmp_path / "store", uri or f"sqlite:///{tmp_path}/mlflow.db")
    return (answer for answer in answers if answer.about not in ("libraries", "processor"))


def wrong(answers: Iterator[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.state == "wrong"]


def test_the_embedded_profile_can_run_and_nothing_is_changed(ablate: Ablate, tmp_path: Path) -> None:
    done = ablate("doctor", "--set", "compute.device=cpu")
    lines = done.shown.splitlines()
    assert done.code == 0
    assert all(line.startswith("ok ") for line in lines), done.shown
    assert sum(": embedded" in line for line in lines) == 6
    assert "torch 2" in done.shown and "diffusers" in done.shown and "Python 3" in done.shown
    assert not any(Path.cwd().iterdir())


def test_a_profile_without_its_parts_and_data_cannot_run(ablate: Ablate, caches: Caches) -> None:
    done = ablate("doctor", "--profile", "maplestory")
    assert done.code == 1
    assert f"wrong VAE CompVis/stable-diffusion-v1-4/vae: missing in {caches.hub}" in done.shown
    assert "wrong Inception network of clean-fid: missing in" in done.shown
    # The tokenizer is made of what open_clip brings.
    assert done.shown.count("→ ablate fetch --profile maplestory\n") == 5
    assert "wrong data: there is no folder data/maplestory" in done.shown


def test_a_missing_part_that_no_run_uses_is_worth_a_note(tmp_path: Path, caches: Caches) -> None:
    answers = list(look(tmp_path, "components.perceptual=alex"))
    [note] = [answer for answer in answers if answer.state != "ok"]
    assert (note.about, note.state) == ("LPIPS network alex", "note")
    assert note.mend == "ablate fetch --profile sprites --set components.perceptual=alex"


def test_a_weights_file_that_is_cut_off_is_broken(tmp_path: Path, kit: Path) -> None:
    file = kit / "vae" / "diffusion_pytorch_model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    [answer] = wrong(look(tmp_path, f"components={kit}"))
    assert answer.found == f"broken: {file}"
    assert answer.mend.startswith("delete it")


def test_a_folder_that_does_not_exist_and_one_that_lacks_a_file_are_wrong(tmp_path: Path, kit: Path) -> None:
    (kit / "perceptual" / "config.json").unlink()
    shutil.rmtree(kit / "vae")
    sets = (f"components={kit}", "losses.lpips={weight: 0.1}")
    assert [(answer.about, answer.mend) for answer in wrong(look(tmp_path, *sets))] == [
        (f"VAE {kit}/vae", "Check the path, or train a kit there with `ablate kit build`."),
        (f"LPIPS network {kit}/perceptual", f"put config.json into {kit}/perceptual"),
    ]


def test_the_disk_must_hold_two_states_of_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk(free: float) -> Answer:
        usage = shutil.disk_usage(tmp_path)._replace(free=int(free))
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
        config = load_config("maplestory", ["compute.device=cpu"])
        answers = diagnose(config, "maplestory", tmp_path / "store", f"sqlite:///{tmp_path}/mlflow.db")
        return next(answer for answer in answers if answer.about == "disk")

    assert disk(6e9).state == "ok"
    assert "6.0 GB free" in disk(6e9).found
    assert "the state of a training run takes 2.7" in disk(6e9).found  # 3 × 4 bytes of 224.6 M parameters
    assert disk(5e9).state == "wrong"


def test_a_driver_that_fails_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(device: str) -> str:
        raise UserError("the NVIDIA driver fails with code 803", fix="Mend it.")

    monkeypatch.setattr(doctor, "device_kind", failing)
    assert wrong(look(tmp_path)) == [
        Answer("GPU", "wrong", "the NVIDIA driver fails with code 803", "Mend it.")
    ]


def test_mlflow_is_asked_where_it_is(tmp_path: Path, databases: Path) -> None:
    def mlflow(uri: str) -> Answer:
        return next(answer for answer in look(tmp_path, uri=uri) if answer.about == f"MLflow {uri}")

    assert mlflow(f"sqlite:///{tmp_path}/none.db").found == "the first run will create this database"
    assert mlflow(f"sqlite:///{databases}/mlflow.db") == Answer(
        f"MLflow sqlite:///{databases}/mlflow.db", "ok", "1 experiment"
    )
    assert mlflow(NOWHERE).found == "cannot be reached (Connection refused)"
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("create table other (name text)")
    assert mlflow(f"sqlite:///{tmp_path}/other.db").found == (
        "this database is damaged, or belongs to another program (no such table: experiments)"
    )


def test_a_record_on_a_network_file_system_is_wrong(tmp_path: Path, nfs: Path) -> None:
    [answer] = wrong(look(tmp_path, uri=f"sqlite:///{nfs}/mlflow.db"))
    assert answer.found.startswith("an SQLite file on a network file system (nfs4) breaks")
    assert "--tracking-uri sqlite:////" in answer.mend


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("", "works on cpu"),
        ("raise SystemExit('no compiler')", "fails on cpu: no compiler"),
        ("import time; time.sleep(60)", "fails on cpu: no result in 1 s"),
    ],
)
def test_compiling_is_tried_where_it_is_wanted_and_given_up_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, found: str
) -> None:
    monkeypatch.setattr(doctor, "COMPILE", code)
    monkeypatch.setattr(doctor, "COMPILE_SECONDS", 1)
    [answer] = [a for a in look(tmp_path, "train.compile=true") if a.about == "torch.compile"]
    assert answer.found == found
    assert answer.state == ("wrong" if code else "ok")
