"""Ablate from Python: what the page on it shows works, and gives what the commands give."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import ablate as package
from ablate.dotted import varied
from ablate.errors import UserError
from ablate.looking.table import levels

if TYPE_CHECKING:
    from tests.conftest import Ablate

PAGE = Path(__file__).parents[1] / "docs" / "python.md"


@pytest.fixture
def study(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the finished experiment, as the current folder."""
    folder = tmp_path / "study"
    shutil.copytree(finished, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    return folder


@pytest.mark.usefixtures("blank_figures")
def test_what_the_page_shows_works(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = re.search(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert found
    code = found[1].replace("my.yaml", "tiny.yaml")
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(code, names)
    outcome, table = names["outcome"], names["table"]
    assert (outcome.finished, outcome.failed, outcome.runs) == ([], {}, 4)
    assert outcome.report == Path("reports/tiny.md") and outcome.report.is_file()
    assert list(zip(table["variant"], table["seed"], strict=True)) == [
        ("plain", 0),
        ("plain", 1),
        ("late", 0),
        ("late", 1),
    ]
    assert "plain 3 None" in capsys.readouterr().out


def test_a_table_has_the_fields_in_which_variants_differ_and_the_figures(study: Path, ablate: Ablate) -> None:
    table = package.read("tiny").set_index(["variant", "seed"])
    assert table["ema.decay"].dropna().unique().tolist() == [0.9]
    assert "train.epochs" not in table
    shown = ablate("show", "tiny/late/1", "--json", folder=study)
    assert f'"fid": {float(table["fid"]["late", 1])!r}' in shown.out
    assert set(package.read("tiny/late")["variant"]) == {"late"}


@pytest.mark.usefixtures("blank_figures")
def test_the_command_does_the_same_and_says_how_to_go_on(study: Path, ablate: Ablate) -> None:
    done = ablate("run", "tiny.yaml", folder=study)
    assert "0 runs finished, 4 were already there, 0 failed. Report: reports/tiny.md" in done.out
    assert "ablate open tiny.yaml" in done.out and "ablate next tiny.yaml" in done.out
    done = ablate("run", "tiny.yaml", "--reports", "pages", folder=study)
    assert "Report: pages/tiny.md" in done.out and "ablate open" not in done.out


def test_levels_of_a_factorial_are_columns() -> None:
    factors = {"lpips": {"off": {}, "on": {}}, "ema": {"off": {}, "on": {}}}
    assert levels(factors)["lpips-on.ema-off"] == {"lpips": "on", "ema": "off"}
    assert len(levels(factors)) == 4


def test_what_a_variant_does_not_have_is_none() -> None:
    configs = {"a": {"losses": {"kl": None}, "x": 1}, "b": {"losses": {"kl": {"weight": 0.1}}, "x": 1}}
    assert varied(configs) == {"a": {"losses.kl.weight": None}, "b": {"losses.kl.weight": 0.1}}


def test_what_is_not_recorded_is_an_error_in_words(study: Path) -> None:
    with pytest.raises(UserError, match="MLflow has no experiment"):
        package.read("nothing")
    with pytest.raises(AttributeError, match="nothing"):
        _ = package.nothing  # type: ignore[attr-defined]
