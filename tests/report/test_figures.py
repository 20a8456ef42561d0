"""Figures: drawn where their numbers exist, the same bytes for the same record, no trace left."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image
from synthetic import gathered

from ablate.report.blocks import figures
from ablate.report.drawing import png
from ablate.report.sections import page
from ablate.report.sections.samples import DPI, choose_grid

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import MakeRecord

    from ablate.records import ExperimentRecord


pytestmark = pytest.mark.usefixtures("coarse_figures")

FACTORIAL, FRONTIER = {"main-effects", "interactions"}, {"frontier"}


def drawn(record: ExperimentRecord, folder: Path, *only: str) -> set[str]:
    """Draws all figures of a record, or some of them, into a folder; which there are of these."""
    folder.mkdir(exist_ok=True)
    there = [figure for figure in figures(page(gathered(record))) if not only or figure.name in only]
    drawn = {figure.name: png(figure.draw) for figure in there}
    for name, picture in drawn.items():
        (folder / f"{name}.png").write_bytes(picture)
    return set(drawn)


@pytest.mark.parametrize(
    ("name", "added"),
    [("record", {"samples"}), ("factorial_record", FACTORIAL), ("scheduler_record", FRONTIER)],
)
def test_same_record_gives_the_same_bytes_and_leaves_the_style_alone(
    name: str, added: set[str], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    record, before = request.getfixturevalue(name), dict(mpl.rcParams)
    expected = {"metrics", "differences", "losses", *added}
    for folder in ("one", "two"):
        assert drawn(record, tmp_path / folder) == expected
    for name in expected:
        one, two = ((tmp_path / folder / f"{name}.png").read_bytes() for folder in ("one", "two"))
        assert one == two
        assert b"Software" not in one
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    ("seeds", "variants", "expected"),
    [
        ([3], ["none", "from-start"], {"metrics", "differences", "samples", "losses"}),
        ([0, 1], ["none"], {"metrics", "samples", "losses"}),
    ],
)
def test_small_experiments_have_the_figures_they_can(
    make_record: MakeRecord, tmp_path: Path, seeds: list[int], variants: list[str], expected: set[str]
) -> None:
    assert drawn(make_record(seeds=seeds, variants=variants), tmp_path / "out") == expected


def test_without_history_and_samples_those_figures_are_left_out(
    make_record: MakeRecord, tmp_path: Path
) -> None:
    record = make_record(samples=False, seeds=[0, 1])
    record = replace(record, runs=[replace(run, history={}) for run in record.runs])
    assert drawn(record, tmp_path / "out") == {"metrics", "differences"}


def test_without_a_finished_run_there_is_no_figure(record: ExperimentRecord, tmp_path: Path) -> None:
    record = replace(record, runs=[replace(run, status="FAILED") for run in record.runs])
    assert drawn(record, tmp_path / "out") == set()


def test_losses_that_are_not_finite_are_left_out(make_record: MakeRecord, tmp_path: Path) -> None:
    record = make_record(variants=["none"], seeds=[0])
    history = {"loss": [(0, 1.0), (1, float("nan")), (2, float("inf"))]}
    record = replace(record, runs=[replace(record.runs[0], history=history)])
    assert drawn(record, tmp_path / "out", "losses") == {"losses"}


def test_grid_shows_every_pixel_as_a_square_of_one_colour(
    make_record: MakeRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablate.report.drawing.DPI", DPI)
    record = make_record(variants=["none"], seeds=[0])
    drawn(record, tmp_path / "out", "samples")
    folder = record.runs[0].samples
    grid = choose_grid(gathered(record))
    assert folder is not None
    assert grid is not None
    with Image.open(folder / grid.prompts[-1][0]) as image:
        enlarged = image.resize((192, 192), Image.Resampling.NEAREST)
    with Image.open(tmp_path / "out" / "samples.png") as figure:
        cell = figure.convert("RGB").crop(
            (figure.width - 204, figure.height - 204, figure.width, figure.height)
        )
    inner = np.asarray(enlarged)[8:-8, 8:-8]
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(cell), inner.shape)
    assert (windows == inner).all(axis=(3, 4, 5)).any()


def test_samples_are_png_files_whatever_the_ending_of_their_prompts(
    make_record: MakeRecord, tmp_path: Path
) -> None:
    record = make_record(variants=["none"], seeds=[0])
    prompts = {name.replace(".png", ".jpg"): text for name, text in record.runs[0].prompts.items()}
    record = replace(record, runs=[replace(record.runs[0], prompts=prompts)])
    assert drawn(record, tmp_path / "out", "samples") == {"samples"}


def test_a_missing_image_leaves_an_empty_cell(make_record: MakeRecord, tmp_path: Path) -> None:
    record = make_record(variants=["none"], seeds=[0])
    grid = choose_grid(gathered(record))
    assert grid is not None
    (grid.folders["none"] / grid.prompts[0][0]).unlink()
    assert drawn(record, tmp_path / "out", "samples") == {"samples"}


def test_prompts_with_dollar_signs_are_no_formulas(make_record: MakeRecord, tmp_path: Path) -> None:
    record = make_record(variants=["none"], seeds=[0])
    prompts = dict.fromkeys(record.runs[0].prompts, r"costs $1 and \frac$")
    record = replace(record, runs=[replace(record.runs[0], prompts=prompts)])
    assert drawn(record, tmp_path / "out", "samples") == {"samples"}
