"""``ablate show``, ``compare`` and ``open``."""

from __future__ import annotations

import json
import webbrowser
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Ablate


def test_show_lists_the_runs_of_an_experiment(ablate: Ablate, finished: Path) -> None:
    done = ablate("show", "tiny", folder=finished)
    assert done.code == 0
    assert done.shown.count("FINISHED") == 4


def test_show_of_one_run_says_all_that_is_known(ablate: Ablate, finished: Path) -> None:
    done = ablate("show", "tiny.yaml/late/1", folder=finished)
    assert "tiny, late, seed 1: FINISHED" in done.shown
    assert "losses.lpips.weight" in done.shown
    assert "FID (sprites-clip)" in done.shown


def test_show_gives_the_same_as_json(ablate: Ablate, finished: Path) -> None:
    shown = json.loads(ablate("show", "tiny", "--json", folder=finished).shown)
    assert [(run["variant"], run["seed"]) for run in shown["runs"]] == [
        ("plain", 0),
        ("plain", 1),
        ("late", 0),
        ("late", 1),
    ]
    assert all(run["metrics"]["fid"] > 0 for run in shown["runs"])


def test_compare_shows_settings_training_and_paired_results(ablate: Ablate, finished: Path) -> None:
    done = ablate("compare", "tiny/late", "tiny/plain", folder=finished)
    assert done.code == 0
    assert "late against plain" in done.shown
    assert "Seed 0, 1: the first epoch is the same training, to the last bit." in done.shown
    assert "A − B, paired by seed" in done.shown


def test_compare_gives_the_same_as_json(ablate: Ablate, finished: Path) -> None:
    found = json.loads(ablate("compare", "tiny/late", "tiny/plain", "--json", folder=finished).shown)
    (pair,) = found["pairs"]
    assert pair["settings"]["ema.decay"] == ["0.9", ""]
    assert pair["metrics"]["fid"]["difference"]["n"] == 2


@pytest.mark.parametrize("arguments", [("show", "x"), ("compare", "tiny", "x"), ("open", "x")])
def test_what_is_not_recorded_is_an_error_that_says_how_to_name_it(
    ablate: Ablate, finished: Path, arguments: tuple[str, ...]
) -> None:
    done = ablate(*arguments, folder=finished)
    assert done.code == 2
    assert "no experiment and no run called 'x'" in done.shown
    assert "Name an experiment" in done.shown


def test_open_writes_the_page_and_shows_it_in_a_browser(
    ablate: Ablate, finished: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: not opened.append(url))
    done = ablate("open", "tiny.yaml", "--reports", str(tmp_path), folder=finished)
    assert done.code == 0
    assert opened == [(tmp_path / "tiny.html").as_uri()]
    assert "<html" in (tmp_path / "tiny.html").read_text("utf-8")


def test_open_without_a_browser_says_where_the_page_is(
    ablate: Ablate, finished: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    done = ablate("open", "tiny", "--reports", str(tmp_path), folder=finished)
    assert done.code == 0
    assert "There is no browser here" in done.shown
