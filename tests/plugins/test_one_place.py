"""One file outside the package adds one of each thing, and everything follows: schema, audit, record, report,
and which results an edited line makes stale."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml

from ablate.experiment.load import load_experiment
from ablate.experiment.merge import merge
from ablate.fingerprint import Contents
from ablate.plan import make_plan
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablate.plan import Plan
    from ablate.stages.keys import RunKeys
    from tests.conftest import Done

EXAMPLES = Path(__file__).parents[2] / "examples"
ONSET, EPOCHS = 2, 4
SMALL = {"train": {"epochs": EPOCHS}, "sample": {"steps": 2}, "track": {"preview_every": 0}}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def study(
    make_workplace: Callable[..., Path],
    command: Callable[..., list[str]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder in which the example ran, in the tiny setting."""
    folder = make_workplace(tmp_path_factory.mktemp("own parts"))
    tiny = json.loads((folder / "tiny.yaml").read_text())["config"]
    spec = yaml.safe_load((EXAMPLES / "own-parts.yaml").read_text())
    spec |= {"config": merge(merge(tiny, SMALL), spec["config"]), "seeds": [0]}
    (folder / "own.yaml").write_text(json.dumps(spec))
    shutil.copy(EXAMPLES / "own_parts.py", folder)
    arguments = command("run", "own.yaml", "--workers", "1")  # a second would import for as long as it helps
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def plan_of(folder: Path, plugin: str | None = None) -> Plan:
    """The plan of the study, with another text of the plug-in."""
    if plugin is not None:
        (folder / "own_parts.py").write_text(plugin)
    experiment = load_experiment(folder / "own.yaml")
    return make_plan(experiment, Store(folder / ".ablate"), Contents(folder / "no digests"))


# ── where it shows ───────────────────────────────────────────────────────────────────────────────


def test_its_fields_and_names_are_in_the_schema(ablate: Callable[..., Done]) -> None:
    schema = json.loads(ablate("schema", "--plugin", str(EXAMPLES / "own_parts.py")).out)["$defs"]
    assert schema["Edges"]["properties"]["start"]["description"] == "First epoch with this loss."
    assert "edges" in schema["Losses"]["properties"]
    assert {"power", "kind"} <= schema["Clean"]["properties"].keys()
    assert {"size", "kind"} <= schema["Cutout"]["properties"].keys()
    assert schema["Mean"]["properties"]["kind"]["const"] == "mean"
    assert {"contrast", "shift"} <= set(schema["Claim"]["properties"]["metric"]["enum"])
    assert "pixels" in schema["Evaluate"]["properties"]["fid_features"]["enum"]


class Recorded(NamedTuple):
    """The parent run's files, and one variant's metrics."""

    files: dict[str, str]
    metrics: dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def recorded(study: Path) -> Recorded:
    from ablate.record.read import read_experiment

    record = read_experiment(f"sqlite:///{study / 'mlflow.db'}", plan_of(study))
    assert record
    (place,) = (study / "mlruns").rglob(record.parent_run_id)
    root = place / "artifacts"
    files = {f.relative_to(root).as_posix(): f.read_text() for f in root.rglob("*") if f.is_file()}
    return Recorded(files, {run.variant: {**run.metrics, **_last(run.history)} for run in record.runs})


def _last(history: Any) -> dict[str, float]:
    return {name: points[-1][1] for name, points in history.items()}


def test_the_audit_asks_whether_each_training_choice_acts(recorded: Recorded) -> None:
    findings = json.loads(recorded.files["audit.json"])["findings"]
    acts = {(finding["variant"], finding["about"]): finding["act"] for finding in findings}
    asked = [("edges", "losses.edges"), ("clean", "weighting"), ("cutout", "augmentation"), ("mean", "ema")]
    assert {place: acts[place] for place in asked} == {
        ("edges", "losses.edges"): "active",
        ("clean", "weighting"): "active",
        ("cutout", "augmentation"): "active",
        ("mean", "ema"): "passive",
    }


def test_the_record_keeps_the_source_the_curve_and_the_figures(recorded: Recorded) -> None:
    assert recorded.files["plugins/own_parts.py"] == (EXAMPLES / "own_parts.py").read_text()
    assert "loss_edges" in recorded.metrics["edges"]
    assert "loss_edges" not in recorded.metrics["plain"]
    assert all({"contrast", "shift"} <= metrics.keys() for metrics in recorded.metrics.values())


def test_the_table_the_verdicts_and_the_report_have_them(study: Path) -> None:
    page = (study / "reports" / "own.md").read_text()
    assert "shift (pixels) ↓" in page
    assert "contrast (sprites-clip) ↑" in page
    assert "FID (pixels)" in page
    assert "edges higher than plain" in page
    assert "## Winners" in page
    assert page.index("## Winners") < page.index("## Where the numbers come from")


# ── what an edited line makes stale ──────────────────────────────────────────────────────────────


def stale(before: RunKeys, after: RunKeys) -> str:
    """What has to run again: an epoch to train from, ``sample``, ``evaluate`` or nothing."""
    pairs = zip(before.chain, after.chain, strict=True)
    if epochs := [epoch for epoch, (a, b) in enumerate(pairs) if a != b]:
        return f"train from {epochs[0] - 1}"
    if before.sample != after.sample:
        return "sample"
    return "evaluate" if before.evaluate != after.evaluate else "nothing"


ALL = ("plain", "edges", "clean", "cutout", "mean")
EVERYTHING = {**dict.fromkeys(ALL, "evaluate"), "edges": f"train from {ONSET}", "clean": "train from 0"}
EVERYTHING |= {"cutout": f"train from {ONSET}", "mean": "sample"}
EDITS: dict[str, tuple[str, str, dict[str, str]]] = {
    "a loss": (
        "(step.predicted_x0.diff(dim=-1)",
        "(1.5 * step.predicted_x0.diff(dim=-1)",
        {"edges": f"train from {ONSET}"},
    ),
    "a weighting": ("(1 + process.alpha_bar[t])", "(2 + process.alpha_bar[t])", {"clean": "train from 0"}),
    "an augmentation": ("x : x + edge] = 0", "x : x + edge] = 1", {"cutout": f"train from {ONSET}"}),
    "an observer": ('state["seen"] += 1', 'state["seen"] += 2', {"mean": "sample"}),
    "a metric of images": (".std((1, 2, 3))", ".var((1, 2, 3))", dict.fromkeys(ALL, "evaluate")),
    "a metric of sets": ("norm(samples.mean(0)", "norm(2 * samples.mean(0)", dict.fromkeys(ALL, "evaluate")),
    "a feature space": ("adaptive_avg_pool2d(", "adaptive_max_pool2d(", dict.fromkeys(ALL, "evaluate")),
    "a section of the report": ('Heading("Winners")', 'Heading("The winners")', {}),
    "an import, which all may use": ("import torch\n", "import torch as torch\n", EVERYTHING),
    "a comment between classes": ("class Clean(", "# More weight.\nclass Clean(", {}),
}
"""What is edited → the old text, the new one, and variant → what has to run again."""


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_line_makes_stale_what_it_decides_and_nothing_else(
    edit: str, study: Path, tmp_path: Path
) -> None:
    old, new, expected = EDITS[edit]
    for name in ("own.yaml", "own_parts.py"):
        shutil.copy(study / name, tmp_path / name)
    source = (tmp_path / "own_parts.py").read_text()
    assert source.count(old) == 1
    before, after = plan_of(tmp_path), plan_of(tmp_path, source.replace(old, new))
    found = {a.variant: stale(a.keys, b.keys) for a, b in zip(before.runs, after.runs, strict=True)}
    assert found == {**dict.fromkeys(ALL, "nothing"), **expected}


@pytest.mark.usefixtures("blank_figures")
def test_an_edited_loss_is_trained_again_from_its_onset_and_no_other_variant_is(
    study: Path, tmp_path: Path, ablate: Callable[..., Done], recorded: Recorded
) -> None:
    # A copied database leads to the artifacts of the original, so these are read before.
    shutil.copytree(study, tmp_path / "copy")
    source = (tmp_path / "copy" / "own_parts.py").read_text()
    old, new, _ = EDITS["a loss"]
    plan = plan_of(tmp_path / "copy", source.replace(old, new))
    assert sum(plan.epochs_to_train().values()) == EPOCHS - ONSET
    assert [run.variant for run in plan.to_sample] == ["edges"]
    done = ablate("run", "own.yaml", "--no-audit", folder=tmp_path / "copy")
    assert done.code == 0, done.out + done.err
    assert f"{EPOCHS - ONSET} epochs to train, 1 run to finish" in done.out
