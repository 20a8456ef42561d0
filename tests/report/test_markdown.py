"""The report as text: a golden file, the line with the time, and the edges."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ablate.report import numbers, write_report
from ablate.report.facts import gather
from ablate.report.markdown import headlines, line, render, table
from ablate.stats import Interval

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import MakeRecord

    from ablate.records import ExperimentRecord

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
NAN = float("nan")


def rendered(record: ExperimentRecord) -> str:
    return render(gather(record), {}, NOON)


def test_report_is_as_the_golden_file(
    record: ExperimentRecord, tmp_path: Path, golden: Callable[[str, str], None]
) -> None:
    golden("report.md", write_report(record, tmp_path / "out", now=NOON).read_text("utf-8"))


def test_two_reports_differ_in_the_line_with_the_time_only(record: ExperimentRecord) -> None:
    texts = [render(gather(record), {}, now).splitlines() for now in (NOON, NOON.replace(year=2031))]
    differing = [pair for pair in zip(*texts, strict=True) if len(set(pair)) > 1]
    assert differing == [("Generated 2026-01-02 12:00 UTC", "Generated 2031-01-02 12:00 UTC")]


def test_headlines_say_in_words_what_the_intervals_say(record: ExperimentRecord) -> None:
    start, stale, lpips = headlines(gather(record))
    assert start.startswith("**from-start − none**: FID (sprites-clip) −")
    assert "better (in 6 of 6 seeds)" in start
    assert "worse (in 6 of 6 seeds); KID, CLIP-I, CLIP-T worse." in stale
    assert "not told apart" in lpips


def test_equal_results_are_called_equal(record: ExperimentRecord) -> None:
    results = {run.seed: run.metrics for run in record.runs if run.variant == "none"}
    runs = [
        replace(run, metrics=results[run.seed]) if run.variant == "from-start" else run for run in record.runs
    ]
    assert (
        "equal in every seed; KID, CLIP-I, CLIP-T equal" in headlines(gather(replace(record, runs=runs)))[0]
    )


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
    assert text.count("no run was recorded") == 24
    assert "measured: nothing" in text


def test_missing_metrics_leave_an_empty_cell(record: ExperimentRecord) -> None:
    runs = [replace(r, metrics={"clip_t": 0.3}) if r.variant == "from-start" else r for r in record.runs]
    row = next(
        x for x in rendered(replace(record, runs=runs)).splitlines() if x.startswith("| from-start | 0–6")
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


def test_a_claim_of_equality_prints_its_margin(record: ExperimentRecord) -> None:
    claim = {**record.spec["claims"][0], "direction": "equal", "margin": 0.5}
    text = rendered(replace(record, spec={**record.spec, "claims": [claim]}))
    assert "claimed: FID (sprites-clip) of mid-way-stale is equal within ±0.5 to that of none" in text


@pytest.mark.parametrize(
    ("value", "places", "sign", "text"),
    [
        (12.345, 1, True, "+12.3"),
        (-0.04, 1, False, "0.0"),
        (-1.5, 1, False, "−1.5"),
        (13824, 0, False, "13\u202f824"),
        (0.0, 2, True, "+0.00"),
    ],
)
def test_number(value: float, places: int, sign: bool, text: str) -> None:
    assert numbers.number(value, places, sign=sign) == text


def test_intervals_are_left_out_where_there_is_none() -> None:
    assert numbers.mean(Interval(1.0, 0.5, 1.5, 6), 2) == "1.00 ± 0.50"
    assert numbers.mean(Interval(1.0, NAN, NAN, 1), 2) == "1.00"
    assert numbers.difference(Interval(1.0, -0.5, 2.5, 6), 1) == "+1.0 [−0.5, +2.5]"
    assert numbers.difference(Interval(1.0, NAN, NAN, 1), 1) == "+1.0"


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.21, "3.2 s"), (48.2, "48 s"), (750, "12 min 30 s"), (11_100, "3 h 05 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_p_value_has_two_digits() -> None:
    assert [numbers.p_value(p) for p in (1.0, 0.03125, 2**-15)] == ["1", "0.031", "< 0.0001"]


def test_table_and_line_keep_to_one_line() -> None:
    assert table([["a", "b"], ["x|y", "1"]]) == "| a | b |\n| :-- | :-: |\n| x\\|y | 1 |"
    assert line(" a\n  <b>") == "a &lt;b>"
