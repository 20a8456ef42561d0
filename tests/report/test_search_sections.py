"""What a report says of a search: its pictures show the trials they name, and its table has all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import synthetic
from synthetic import gathered, written

from ablate.experiment.load import load_experiment
from ablate.report.blocks import Code, Fold, Table, figures
from ablate.report.drawing import INK, png
from ablate.report.sections.mattered import WhatMattered, draw_slices
from ablate.report.sections.provenance import Provenance
from ablate.report.sections.search import ROWS, TheSearch, draw_marks

if TYPE_CHECKING:
    from pathlib import Path

    from ablate.records import ExperimentRecord
    from ablate.report.results import Results
    from ablate.report.search import Searched

pytestmark = pytest.mark.usefixtures("blank_figures", "coarse_figures")


@pytest.fixture
def two_objectives(tmp_path: Path) -> ExperimentRecord:
    return synthetic.search(tmp_path, ["fid", "seconds_per_image"])


def searched_in(results: Results) -> Searched:
    assert results.searched
    return results.searched


def sample_rows(results: Results) -> list[str]:
    """The variants whose samples are shown, from the top."""
    (shown,) = [figure for figure in figures(TheSearch().blocks(results)) if figure.name == "search-samples"]
    assert len(png(shown.draw)) > len(png(shown.frames[0].draw))
    return [frame.label.split()[0] for frame in shown.frames]


def test_samples_stand_along_the_front_from_end_to_end_below_the_baseline(
    two_objectives: ExperimentRecord,
) -> None:
    results = gathered(two_objectives)
    front = [trial.name for trial in searched_in(results).unbeaten]
    rows = sample_rows(results)
    assert len(front) > ROWS
    assert (rows[0], rows[1], rows[-1], len(rows)) == ("none", front[0], front[-1], 1 + ROWS)
    assert sorted(rows[1:], key=front.index) == rows[1:]
    quality = [next(t for t in searched_in(results).trials if t.name == row).values for row in rows[1:]]
    assert [each["fid"] for each in quality] == sorted(each["fid"] for each in quality)
    assert [each["seconds_per_image"] for each in quality] == sorted(
        (each["seconds_per_image"] for each in quality), reverse=True
    )


def test_with_one_objective_the_samples_are_of_the_best_few(search_record: ExperimentRecord) -> None:
    results = gathered(search_record)
    best = [trial.name for trial in searched_in(results).ranked]
    assert sample_rows(results) == ["none", *best[:ROWS]]


def test_without_samples_the_report_of_a_search_has_none() -> None:
    names = [figure.name for figure in figures(TheSearch().blocks(gathered(synthetic.search())))]
    assert names == ["search-history", "search-pruned"]


def test_a_slice_has_a_panel_for_each_field_with_the_trials_that_have_it(
    two_objectives: ExperimentRecord,
) -> None:
    results = gathered(two_objectives)
    searched = searched_in(results)
    names = [figure.name for figure in figures(WhatMattered().blocks(results))]
    assert names == ["search-slices-fid", "search-slices-seconds_per_image"]
    panels = {axes.get_xlabel(): axes for axes in draw_slices(searched, "fid", "FID").axes if axes.axison}
    assert list(panels) == ["lpips", "losses.lpips.weight", "sample.steps", "sample.guidance"]
    for name, axes in panels.items():
        points = [line for line in axes.lines if line.get_marker() == "o" and line.get_color() != INK]
        having = [trial for trial in searched.complete if name in trial.params]
        assert [line.get_ydata()[0] for line in points] == [trial.values["fid"] for trial in having]
    assert [label.get_text() for label in panels["lpips"].get_xticklabels()] == ["off", "on"]
    assert panels["losses.lpips.weight"].get_xscale() == "log"
    low, high = panels["sample.steps"].get_xlim()
    assert low < 4 < 24 < high  # the whole domain, tried or not


def test_a_search_over_options_and_wide_values_is_drawn_too(search_record: ExperimentRecord) -> None:
    assert search_record.search
    proposals = [
        p | {"params": {"sample.scheduler": [None, "DPMSolverMultistepScheduler"][number % 2]}}
        for number, p in enumerate(search_record.search["proposals"])
    ]
    field = {"options": [None, "DPMSolverMultistepScheduler"], "log": False, "low": None, "high": None}
    spec = search_record.spec
    search = spec["search"] | {"factors": {}, "fields": {"sample.scheduler": {**field, "step": None}}}
    record = replace(
        search_record,
        spec={**spec, "search": search},
        search={**search_record.search, "proposals": proposals},
    )
    (axes,) = [a for a in draw_slices(searched_in(gathered(record)), "fid", "FID").axes if a.axison]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["null", "DPMSolverMul…"]


def test_a_pruned_trial_ends_with_a_cross_at_its_mark(search_record: ExperimentRecord) -> None:
    results = gathered(search_record)
    searched = searched_in(results)
    (axes,) = draw_marks(searched, "FID").axes
    crosses = [(line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if line.get_marker() == "x"]
    assert crosses == [(8, trial.marks[8]) for trial in searched.pruned] and len(crosses) == 4
    ends = [
        max(line.get_xdata()) for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata())
    ]
    assert Counter(ends) == {12: len(searched.complete), 8: 4}
    assert axes.get_xlabel() == "epochs"
    (by_seeds,) = draw_marks(replace(searched, pruner="wilcoxon"), "FID").axes
    assert by_seeds.get_xlabel() == "seed of the trial, in turn"
    folds = [block for block in TheSearch().blocks(results) if isinstance(block, Fold)]
    (table,) = [t for fold in folds if fold.title == "Pruned trials" for t in fold.blocks]
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == [trial.name for trial in searched.pruned]


def test_where_marks_are_seeds_a_line_ends_at_the_last_one_that_was_judged(
    search_record: ExperimentRecord,
) -> None:
    searched = replace(searched_in(gathered(search_record)), pruner="wilcoxon")
    (axes,) = draw_marks(searched, "FID").axes
    assert axes.get_xlabel() == "seed of the trial, in turn"
    assert {tuple(line.get_xdata()) for line in axes.lines if line.get_marker() == "o"} == {(4, 8), ()}


@pytest.mark.parametrize("format", ["markdown", "html", "csv"])
def test_every_trial_is_in_a_table_for_your_own_statistics(
    search_record: ExperimentRecord, tmp_path: Path, format: str
) -> None:
    written(search_record, tmp_path / "out", format=format)
    table = pd.read_csv(tmp_path / "out" / "searching" / "trials.csv").set_index("trial")
    assert search_record.search
    proposals = {p["name"]: p for p in search_record.search["proposals"]}
    assert list(table.index) == list(proposals)
    assert dict(Counter(table["state"])) == {"complete": 15, "pruned": 4, "without results": 1}
    assert {name: p["params"]["sample.guidance"] for name, p in proposals.items()} == dict(
        table["params_sample.guidance"]
    )
    searched = searched_in(gathered(search_record))
    best = searched.ranked[0]
    assert table.loc[best.name, "values_fid"] == best.values["fid"] and table.loc[best.name, "unbeaten"]
    assert set(table.index[table["confirmed"]]) == set(searched.confirmed)
    assert set(table.loc[table["state"] == "pruned", "pruned_after"]) == {8}
    assert table.loc["trial-0007", "reason"] == "the loss is not finite"
    recorded = {(run.variant, run.seed): run.run_id for run in search_record.runs}
    assert dict(table["run_ids"]) == {name: recorded[name, 0] for name in proposals}


def test_runs_of_a_search_that_are_gone_leave_a_report_of_the_rest(search_record: ExperimentRecord) -> None:
    (best, second) = search_record.search["confirmed"]  # type: ignore[index]
    runs = [run for run in search_record.runs if (run.variant, run.seed) != (best, 0)]
    (rows,) = [
        block.rows
        for block in TheSearch().blocks(gathered(replace(search_record, runs=runs)))
        if isinstance(block, Table) and "lost since the search" in block.head
    ]
    assert [row[0] for row in rows] == [second]


def test_the_spec_below_the_report_of_a_search_is_that_search_and_runs_again(
    search_record: ExperimentRecord, tmp_path: Path
) -> None:
    (text,) = [
        block.blocks[0].text
        for block in Provenance().blocks(gathered(search_record))
        if isinstance(block, Fold) and "as it ran" in block.title and isinstance(block.blocks[0], Code)
    ]
    (tmp_path / "again.yaml").write_text(text)
    again = load_experiment(tmp_path / "again.yaml").spec
    assert again.search and again.search.pruner
    assert again.seeds == (0,) and list(again.variants) == ["baseline"] and not again.claims
    assert again.search and again.search.confirm and again.search.confirm.seeds == (1, 2, 3)
