"""What would end a run after hours ends it before: nothing is trained, and the message says what to do."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from here import Here

from ablate.errors import UserError
from ablate.experiment.load import load_experiment
from ablate.fingerprint import Contents
from ablate.plan import make_plan
from ablate.runner.disk_space import bytes_of_store
from ablate.runner.preflight import Asked, names_fit, there_is_room
from ablate.runner.writable import refuse_long
from ablate.stages.training import weights_size
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.plan import Plan
    from tests.conftest import Ablate

# Some schedulers hand torch tensors to NumPy in an old way.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ZERO_SNR = {
    "scheduler": "DDIMScheduler",
    "options": {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"},
}


class Quiet:
    """Progress that nobody wants to see."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


def plan_of(spec: Path, store: Path) -> Plan:
    return make_plan(load_experiment(spec), Store(store), Contents(store.with_name("digests.json")))


def asked(spec: Path, reports: Path | None = None) -> Asked:
    plan = plan_of(spec, spec.parent / ".ablate")
    plan.store.root.mkdir()
    uri = f"sqlite:///{spec.parent / 'mlflow.db'}"
    progress: Any = Quiet()
    return Asked(plan, plan, plan.runs, uri, reports, 1, Here(str(plan.store.root), 1, 1), progress)


def nothing_was_trained(folder: Path) -> bool:
    return not any((folder / ".ablate").glob("train/*")) and not (folder / "reports").is_dir()


# ── sampling ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("audit", ["--audit", "--no-audit"])
def test_a_scheduler_that_breaks_in_a_step_is_named_with_its_line(
    ablate: Ablate, make_workplace: Callable[..., Path], tmp_path: Path, audit: str
) -> None:
    folder = make_workplace(
        tmp_path, variants={"plain": {}, "zero": {"sample": ZERO_SNR}}, claims=[], seeds=[0]
    )
    done = ablate("run", "tiny.yaml", audit, folder=folder)
    assert done.code == 2
    line = 1 + next(
        number
        for number, text in enumerate((folder / "tiny.yaml").read_text().splitlines())
        if '"options"' in text
    )
    assert f"tiny.yaml:{line}:" in done.err
    assert "variants.zero.sample.options: DDIMScheduler turns 2 of 2 images into something" in done.err
    assert "v_prediction" in done.err and "Traceback" not in done.err
    assert not any((folder / ".ablate").glob("train/*"))


def test_what_is_set_on_the_command_line_is_named_there(
    ablate: Ablate, make_workplace: Callable[..., Path], tmp_path: Path
) -> None:
    done = ablate("audit", "tiny.yaml", "--set", "sample.steps=1000", folder=make_workplace(tmp_path))
    assert done.code == 2
    assert "--set sample.steps=1000: sample.steps: DPMSolverMultistepScheduler turns" in done.err


SPACE = """
import numpy as np
from ablate.metrics.spaces.base import FeatureSpace


class Mine(FeatureSpace):
    name = "mine"

    def features(self, images):
        return {features}


SPACES = {{"mine": Mine}}
"""


@pytest.mark.parametrize(
    ("features", "complaint"),
    [
        ("np.full((len(images), 3), np.nan, np.float32)", "the features of 2 of 2 images are not numbers"),
        ("np.ones((len(images), 3), np.float32)", "the features of all 2 images are the same"),
        ("np.ones(3, np.float32)", "have the shape [3]"),
        ("images.no_such_thing", "mine.py:10"),
    ],
)
def test_a_feature_space_of_ones_own_is_tried_on_two_images(
    ablate: Ablate, make_workplace: Callable[..., Path], tmp_path: Path, features: str, complaint: str
) -> None:
    folder = make_workplace(tmp_path, plugins=["mine.py"])
    (folder / "mine.py").write_text(SPACE.format(features=features))
    done = ablate("audit", "tiny.yaml", "--set", "evaluate.fid_features=mine", folder=folder)
    assert done.code == 2
    assert "evaluate.fid_features" in done.err and complaint in done.err and "Traceback" not in done.err


# ── names ────────────────────────────────────────────────────────────────────────────────────────


def test_an_experiments_name_that_its_report_cannot_have_is_refused(
    write_spec: Callable[..., Path], tmp_path: Path
) -> None:
    spec = write_spec(tmp_path).rename(tmp_path / f"{'字' * 82}.yaml")
    names_fit(asked(spec))
    shutil.rmtree(tmp_path / ".ablate")
    with pytest.raises(UserError, match=r"the experiment's name .* is too long: .* has 261 bytes"):
        names_fit(asked(spec, tmp_path / "reports"))


@pytest.mark.parametrize(("length", "fits"), [(245, True), (246, False)])
def test_a_prompts_image_that_cannot_be_recorded_is_refused(
    write_spec: Callable[..., Path], data_folder: Path, tmp_path: Path, length: int, fits: bool
) -> None:
    data = shutil.copytree(data_folder, tmp_path / "data")
    entries = json.loads((data / "test.json").read_text())
    next(iter(entries.values()))["image_name"] = f"{'x' * length}.png"
    (data / "test.json").write_text(json.dumps(entries))
    spec = write_spec(tmp_path)
    written = json.loads(spec.read_text())
    written["config"]["data"] = {"path": str(data)}
    spec.write_text(json.dumps(written))
    if fits:
        names_fit(asked(spec))
    else:
        with pytest.raises(UserError, match=r"the name of a prompt's image, x+.*, is too long"):
            names_fit(asked(spec))


def test_a_path_that_leads_too_deep_is_refused(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["x" * 200] * 25)
    with pytest.raises(UserError, match="too long a path"):
        refuse_long(deep, "the name", "Shorten it.")


# ── folders ──────────────────────────────────────────────────────────────────────────────────────


def test_reports_that_cannot_be_written_are_found_before_the_training(
    ablate: Ablate, make_workplace: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_workplace(tmp_path)
    (folder / "mine").write_text("my notes")
    for reports, named in (
        ("mine", "mine: is a file"),
        ("mine/below", "mine: is a file"),
        ("/proc/x", "/proc/x"),
    ):
        done = ablate("run", "tiny.yaml", "--no-audit", "--reports", reports, folder=folder)
        assert done.code == 2
        assert named in done.err
        assert "--reports" in done.err and "Traceback" not in done.err
    assert nothing_was_trained(folder)
    assert (folder / "mine").read_text() == "my notes"


# ── room ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_disk_without_room_is_told_what_it_needs_and_has(
    ablate: Ablate, make_workplace: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_workplace(tmp_path)
    done = ablate(
        *("run", "tiny.yaml", "--no-audit", "--set", "unet.block_out_channels=[1048576]"),
        folder=folder,
    )
    assert done.code == 1
    assert "the disk is too full: this needs" in done.err
    assert "GB are free" in done.err and "--store" in done.err
    assert nothing_was_trained(folder)


def test_what_a_plan_is_said_to_take_is_close_to_what_it_takes(finished: Path, tmp_path: Path) -> None:
    plan = plan_of(finished / "tiny.yaml", tmp_path / "empty")
    weights = {name: weights_size(config) for name, config in plan.experiment.variants.items()}
    stages = ("prepare", "train", "moments", "ema", "augmented")
    files = (file for stage in stages for file in (finished / ".ablate" / stage).rglob("*") if file.is_file())
    taken = sum(file.stat().st_size for file in files)
    assert 0.8 * taken < bytes_of_store(plan, weights, {}, workers=0) <= taken
    one_more = bytes_of_store(plan, weights, {}, workers=1) - bytes_of_store(plan, weights, {}, workers=0)
    assert one_more == 4 * weights["late"]


def test_a_finished_experiment_takes_nothing_more(finished: Path) -> None:
    plan = plan_of(finished / "tiny.yaml", finished / ".ablate")
    weights = {name: weights_size(config) for name, config in plan.experiment.variants.items()}
    assert bytes_of_store(plan, weights, {}, workers=2) == 0


def test_a_store_with_room_is_let_through(write_spec: Callable[..., Path], tmp_path: Path) -> None:
    there_is_room(asked(write_spec(tmp_path)))
