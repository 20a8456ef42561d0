"""The command line: fast to start, errors without a traceback, exit codes that say whose fault it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ablate import cli
from ablate.errors import RunError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Ablate


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import json, sys; from ablate.cli import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "numpy", "pandas", "mlflow", "optuna", "pydantic", "yaml", "PIL", "diffusers"}
    assert not heavy & set(json.loads(done.stdout.splitlines()[-1]))
    assert {module for module in json.loads(done.stdout.splitlines()[-1]) if module.startswith("ablate")} == {
        "ablate",
        "ablate.cli",
        "ablate.cli.data",
        "ablate.cli.experiment",
        "ablate.cli.keeping",
        "ablate.cli.kit",
        "ablate.cli.looking",
        "ablate.cli.options",
        "ablate.cli.parts",
        "ablate.cli.results",
        "ablate.cli.serving",
        "ablate.cli.starting",
        "ablate.errors",
        "ablate.text",
    }


@pytest.mark.parametrize(
    "name",
    [
        "init",
        "examples",
        "run",
        "plan",
        "report",
        "sample",
        "ui",
        "schema",
        "status",
        "gc",
        "rm",
        "export",
        "import",
        "show",
        "compare",
        "open",
        "mcp",
    ],
)
def test_every_command_explains_itself(ablate: Ablate, name: str) -> None:
    done = ablate(name, "--help")
    assert done.code == 0
    assert f"ablate {name}" in done.shown


def test_no_command_shows_the_help(ablate: Ablate) -> None:
    done = ablate()
    assert done.code == 2
    assert "Usage" in done.shown


@pytest.mark.parametrize("name", ["run", "plan", "report"])
def test_a_missing_spec_is_named(ablate: Ablate, name: str) -> None:
    done = ablate(name, "nowhere.yaml")
    assert done.code == 2
    assert "nowhere.yaml" in done.shown


def test_a_missing_data_folder_is_named(
    ablate: Ablate, write_spec: Callable[..., Path], tmp_path: Path
) -> None:
    done = ablate("run", str(write_spec(tmp_path)), "--set", "data.path=./no-data")
    assert done.code == 2
    assert "no-data" in done.shown


def test_a_missing_kit_is_named_with_what_to_do(
    ablate: Ablate, write_spec: Callable[..., Path], tmp_path: Path
) -> None:
    done = ablate("run", str(write_spec(tmp_path)), "--set", "components=./no-kit")
    assert done.code == 2
    assert "no-kit" in done.shown
    assert "ablate kit build" in done.shown


def test_an_unknown_variant_is_named_with_those_there_are(
    ablate: Ablate, write_spec: Callable[..., Path], tmp_path: Path
) -> None:
    done = ablate("sample", str(write_spec(tmp_path)), "nobody", "--prompt", "A red slime.")
    assert done.code == 2
    assert "nobody" in done.shown
    assert "plain, late" in done.shown


def test_a_variant_that_is_not_trained_is_named_with_what_to_do(
    ablate: Ablate, write_spec: Callable[..., Path], tmp_path: Path
) -> None:
    done = ablate("sample", str(write_spec(tmp_path)), "plain", "--prompt", "A red slime.")
    assert done.code == 2
    assert "ablate run" in done.shown


def test_a_field_that_does_not_exist_is_named(
    ablate: Ablate, write_spec: Callable[..., Path], tmp_path: Path
) -> None:
    done = ablate("plan", str(write_spec(tmp_path)), "--set", "train.epoch=3")
    assert done.code == 2
    assert "train.epoch" in done.shown
    assert "epochs" in done.shown


@pytest.mark.parametrize("seeds", ["a", "3-1", "-1"])
def test_seeds_that_are_no_seeds_are_named(
    ablate: Ablate, write_spec: Callable[..., Path], tmp_path: Path, seeds: str
) -> None:
    done = ablate("plan", str(write_spec(tmp_path)), f"--seeds={seeds}")
    assert done.code == 2
    assert "--seeds" in done.shown


def test_a_failure_of_the_run_exits_with_1_and_no_traceback(
    ablate: Ablate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RunError("the worker died", where="here", fix="Try again.")

    monkeypatch.setattr(cli.experiment, "plan_of", fail)
    done = ablate("plan", "any.yaml")
    assert done.code == 1
    assert done.shown == "error: here: the worker died\n  Try again.\n"


def test_a_data_set_is_never_written_over_something(ablate: Ablate, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    done = ablate("data", "sprites", "--out", "taken", folder=tmp_path)
    assert done.code == 2
    assert "taken" in done.shown


def test_the_schema_is_json(ablate: Ablate) -> None:
    done = ablate("schema")
    assert done.code == 0
    assert "variants" in json.loads(done.shown)["properties"]


def test_a_data_set_of_the_hub_that_is_not_here_is_named_with_what_fetches_it(
    ablate: Ablate, tmp_path: Path
) -> None:
    spec = Path(__file__).parents[2] / "experiments" / "ema.yaml"
    store = str(tmp_path / "store")
    arguments = ("--store", store, "--set", "data.path=hub:owner/name")
    done = ablate("plan", str(spec), *arguments)
    assert done.code == 2
    assert "ablate data fetch hub:owner/name" in done.shown
    done = ablate("data", "fetch", "owner/name", "--store", store)
    assert done.code == 2 and "hub:owner/name" in done.shown


def test_an_executor_that_does_not_exist_is_refused_before_anything_runs(
    ablate: Ablate, make_workplace: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_workplace(tmp_path)
    done = ablate("run", "tiny.yaml", "--executor", "cloud", folder=folder)
    assert done.code == 2
    assert "--executor cloud: there is no such executor\n  There are: local." in done.err
    assert not (folder / ".ablate" / "prepare").exists()
