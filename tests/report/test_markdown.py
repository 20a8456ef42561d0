"""The report as text: a golden file, the line with the time, and the edges."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from synthetic import gathered, written

from ablate.report.blocks import Table
from ablate.report.formats.markdown import render, table, words
from ablate.report.sections import page
from ablate.report.sections.summary import headlines
from ablate.report.words import line, listed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import MakeRecord

    from ablate.records import ExperimentRecord

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)

pytestmark = pytest.mark.usefixtures("blank_figures")


def rendered(record: ExperimentRecord) -> str:
    return render(page(gathered(record, NOON)), record.name)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("record", "report.md"),
        ("factorial_record", "report-factorial.md"),
        ("scheduler_record", "report-schedulers.md"),
        ("noise_record", "report-noises.md"),
    ],
)
def test_report_is_as_the_golden_file(
    name: str, file: str, request: pytest.FixtureRequest, tmp_path: Path, golden: Callable[[str, str], None]
) -> None:
    record = request.getfixturevalue(name)
    golden(file, written(record, tmp_path / "out", now=NOON).read_text("utf-8"))


def test_two_reports_differ_in_the_line_with_the_time_only(record: ExperimentRecord) -> None:
    times = (NOON, NOON.replace(year=2031))
    texts = [render(page(gathered(record, now)), record.name).splitlines() for now in times]
    differing = [pair for pair in zip(*texts, strict=True) if len(set(pair)) > 1]
    assert differing == [("Generated 2026-01-02 12:00 UTC", "Generated 2031-01-02 12:00 UTC")]


def test_headlines_say_in_words_what_the_intervals_say(record: ExperimentRecord) -> None:
    start, stale, lpips, published = headlines(gathered(record))
    assert start.startswith("**from-start − none**: FID (sprites-clip) −")
    assert "better (in 8 of 8 seeds)" in start
    assert "worse (in 8 of 8 seeds); KID, CLIP-I, CLIP-T worse." in stale
    assert "not told apart" in lpips
    assert "FID (sprites-clip) 0, equal in every seed; KID, CLIP-I, CLIP-T equal in every seed." in published


def test_headlines_of_a_factorial_design_are_its_main_effects(factorial_record: ExperimentRecord) -> None:
    found = headlines(gathered(factorial_record))
    assert [sentence.split("**")[1] for sentence in found] == [
        "lpips: on − off",
        "ema: late − off",
        "ema: early − off",
        "guidance: 3 − 1.5",
    ]
    assert "CLIP-T better" in found[-1]


def test_one_seed_has_numbers_and_a_warning(make_record: MakeRecord) -> None:
    text = rendered(make_record(seeds=[3]))
    assert "One seed: there are no intervals" in text
    assert "nan" not in text.lower().replace("provenance", "")
    assert "worse in the one seed" in text


def test_one_variant_has_nothing_to_compare_with(make_record: MakeRecord) -> None:
    text = rendered(make_record(variants=["none"]))
    assert "There is nothing to compare with the baseline" in text
    assert "## Variants" not in text


def test_without_any_run_the_report_says_so(record: ExperimentRecord) -> None:
    text = rendered(replace(record, runs=[]))
    assert "No finished run has a metric yet." in text
    assert text.count("no run was recorded") == 40
    assert "Measured: nothing." in text


def test_missing_metrics_leave_an_empty_cell(record: ExperimentRecord) -> None:
    runs = [replace(r, metrics={"clip_t": 0.3}) if r.variant == "from-start" else r for r in record.runs]
    row = next(
        x for x in rendered(replace(record, runs=runs)).splitlines() if x.startswith("| from-start | 0–8")
    )
    assert row.split(" | ")[2:5] == ["–", "–", "–"]


def test_without_history_links_and_samples_the_rest_stands(record: ExperimentRecord) -> None:
    runs = [replace(r, history={}, links=(), samples=None, prompts={}) for r in record.runs]
    text = rendered(replace(record, runs=runs))
    assert "## Results" in text
    assert "training time" not in text


def test_a_reason_with_bars_lines_and_tags_stays_in_its_cell(record: ExperimentRecord) -> None:
    failed = replace(record.runs[0], status="FAILED", reason="bad <b> | a\nnew line " + "x" * 400)
    text = rendered(replace(record, runs=[failed, *record.runs[1:]]))
    row = next(row for row in text.splitlines() if row.startswith("| none | 0 | FAILED"))
    assert "bad &lt;b> \\| a new line xxx" in row
    assert "x… |" in row


def test_few_images_are_flagged(record: ExperimentRecord) -> None:
    assert "Read KID first" not in rendered(record)
    runs = [replace(run, metrics={**run.metrics, "images": 64.0}) for run in record.runs]
    text = rendered(replace(record, runs=runs))
    assert "Fewer images than the feature space has dimensions" in text
    assert "Each run drew 64 images" in text


def test_different_image_counts_are_flagged(record: ExperimentRecord) -> None:
    first = replace(record.runs[0], metrics={**record.runs[0].metrics, "images": 256.0})
    text = rendered(replace(record, runs=[first, *record.runs[1:]]))
    assert "different numbers of images" in text
    assert "256 or 512 images" in text


def test_a_commit_with_changes_can_still_be_checked_out(record: ExperimentRecord) -> None:
    assert "git checkout 0123abc\n" in rendered(record)
    text = rendered(replace(record, provenance={"commit": "0123abc+"}))
    assert "git checkout 0123abc  # and changes that were not committed\n" in text
    assert "git checkout" not in rendered(replace(record, provenance={}))


def test_to_run_it_again_gives_the_options_that_it_ran_with(record: ExperimentRecord) -> None:
    assert "\nablate run experiments/synthetic.yaml\n" in rendered(record)
    text = rendered(replace(record, options=("--seeds", "0-7", "--set", "ema={decay: 0.9}")))
    assert "\nablate run experiments/synthetic.yaml --seeds 0-7 --set 'ema={decay: 0.9}'\n" in text


def test_what_is_drawn_with_a_seed_is_shared_only_where_its_fields_are_the_same(
    record: ExperimentRecord,
) -> None:
    def said(**other: object) -> str:
        configs = {**record.configs, "from-start": {**record.configs["from-start"], **other}}
        return rendered(replace(record, configs=configs))

    shared = "Runs with the same seed share initial weights, data order and noise"
    assert f"{shared}, so variants are compared within seeds." in said(optimizer="another")
    assert f"{shared} where `data.path` is the same, so variants" in said(data={"path": "x", "size": 32})
    both = said(train={"epochs": 12, "learning_rate": 1e-3, "batch": 8}, unet={"layers_per_block": 2})
    assert f"{shared} where `train.batch` and `unet.layers_per_block` are the same, so" in both


def test_variants_that_may_have_been_measured_against_other_images_are_told_on_top(
    record: ExperimentRecord,
) -> None:
    data = {"path": "elsewhere", "size": 64}
    configs = {**record.configs, "from-start": {**record.configs["from-start"], "data": data}}
    note = "> **Note.** Variants differ in `data.path` and `data.size`, so they may have been measured"
    assert note in rendered(replace(record, configs=configs))
    assert "Variants differ in" not in rendered(record)


def test_table_and_line_keep_to_one_line() -> None:
    assert table(Table(["a", "b"], [["x|y", "1"]])) == "| a | b |\n| :-- | :-: |\n| x\\|y | 1 |"
    assert table(Table(["a", "b"], [], words=2)) == "| a | b |\n| :-- | :-- |"
    assert table(Table(["a"], [["1\n2"]])) == "| a |\n| :-- |\n| 1<br>2 |"
    assert words(line(" a\n  <b>")) == "a &lt;b>"
    assert words("p < 0.05") == "p < 0.05"
    assert [listed(x) for x in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
