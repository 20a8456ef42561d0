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


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Calls ``ablate`` in an empty folder; gives the exit code and all that was printed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["ablate", *arguments])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return run


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
        "ablate.cli.kit",
        "ablate.cli.options",
        "ablate.cli.parts",
        "ablate.cli.results",
        "ablate.errors",
    }


@pytest.mark.parametrize("name", ["run", "plan", "report", "sample", "ui", "schema"])
def test_every_command_explains_itself(call: Callable[..., tuple[int, str]], name: str) -> None:
    code, shown = call(name, "--help")
    assert code == 0
    assert f"ablate {name}" in shown


def test_no_command_shows_the_help(call: Callable[..., tuple[int, str]]) -> None:
    code, shown = call()
    assert code == 2
    assert "Usage" in shown


@pytest.mark.parametrize("name", ["run", "plan", "report"])
def test_a_missing_spec_is_named(call: Callable[..., tuple[int, str]], name: str) -> None:
    code, shown = call(name, "nowhere.yaml")
    assert code == 2
    assert "nowhere.yaml" in shown


def test_a_missing_data_folder_is_named(
    call: Callable[..., tuple[int, str]], write_spec: Callable[..., Path], tmp_path: Path
) -> None:
    code, shown = call("run", str(write_spec(tmp_path)), "--set", "data.path=./no-data")
    assert code == 2
    assert "no-data" in shown


def test_a_missing_kit_is_named_with_what_to_do(
    call: Callable[..., tuple[int, str]], write_spec: Callable[..., Path], tmp_path: Path
) -> None:
    code, shown = call("run", str(write_spec(tmp_path)), "--set", "components=./no-kit")
    assert code == 2
    assert "no-kit" in shown
    assert "ablate kit build" in shown


def test_an_unknown_variant_is_named_with_those_there_are(
    call: Callable[..., tuple[int, str]], write_spec: Callable[..., Path], tmp_path: Path
) -> None:
    code, shown = call("sample", str(write_spec(tmp_path)), "nobody", "--prompt", "A red slime.")
    assert code == 2
    assert "nobody" in shown
    assert "plain, late" in shown


def test_a_variant_that_is_not_trained_is_named_with_what_to_do(
    call: Callable[..., tuple[int, str]], write_spec: Callable[..., Path], tmp_path: Path
) -> None:
    code, shown = call("sample", str(write_spec(tmp_path)), "plain", "--prompt", "A red slime.")
    assert code == 2
    assert "ablate run" in shown


def test_a_field_that_does_not_exist_is_named(
    call: Callable[..., tuple[int, str]], write_spec: Callable[..., Path], tmp_path: Path
) -> None:
    code, shown = call("plan", str(write_spec(tmp_path)), "--set", "train.epoch=3")
    assert code == 2
    assert "train.epoch" in shown
    assert "epochs" in shown


@pytest.mark.parametrize("seeds", ["a", "3-1", "-1"])
def test_seeds_that_are_no_seeds_are_named(
    call: Callable[..., tuple[int, str]], write_spec: Callable[..., Path], tmp_path: Path, seeds: str
) -> None:
    code, shown = call("plan", str(write_spec(tmp_path)), f"--seeds={seeds}")
    assert code == 2
    assert "--seeds" in shown


def test_a_failure_of_the_run_exits_with_1_and_no_traceback(
    call: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RunError("the worker died", where="here", fix="Try again.")

    monkeypatch.setattr(cli.experiment, "plan_of", fail)
    code, shown = call("plan", "any.yaml")
    assert code == 1
    assert shown == "error: here: the worker died\n  Try again.\n"


def test_a_data_set_is_never_written_over_something(
    call: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    code, shown = call("data", "sprites", "--out", "taken")
    assert code == 2
    assert "taken" in shown


def test_the_schema_is_json(call: Callable[..., tuple[int, str]]) -> None:
    code, shown = call("schema")
    assert code == 0
    assert "variants" in json.loads(shown)["properties"]


def test_a_data_set_of_the_hub_that_is_not_here_is_named_with_what_fetches_it(
    call: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    spec = Path(__file__).parents[2] / "experiments" / "ema.yaml"
    arguments = ("--store", str(tmp_path), "--set", "data.path=hub:owner/name")
    code, shown = call("plan", str(spec), *arguments)
    assert code == 2
    assert "ablate data fetch hub:owner/name" in shown
    code, shown = call("data", "fetch", "owner/name", "--store", str(tmp_path))
    assert code == 2 and "hub:owner/name" in shown
