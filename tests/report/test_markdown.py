"""The report as text: a golden file, the line with the time, and the edges."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from ablate.report import gather, numbers, write_report
from ablate.report.markdown import render
from ablate.report.markdown.summary import headlines
from ablate.report.markdown.text import line, listed, table
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
    golden(file, write_report(record, tmp_path / "out", now=NOON).read_text("utf-8"))


def test_two_reports_differ_in_the_line_with_the_time_only(record: ExperimentRecord) -> None:
    texts = [render(gather(record), {}, now).splitlines() for now in (NOON, NOON.replace(year=2031))]
    differing = [pair for pair in zip(*texts, strict=True) if len(set(pair)) > 1]
    assert differing == [("Generated 2026-01-02 12:00 UTC", "Generated 2031-01-02 12:00 UTC")]


def test_headlines_say_in_words_what_the_intervals_say(record: ExperimentRecord) -> None:
    start, stale, lpips, published = headlines(gather(record))
    assert start.startswith("**from-start − none**: FID (sprites-clip) −")
    assert "better (in 8 of 8 seeds)" in start
    assert "worse (in 8 of 8 seeds); KID, CLIP-I, CLIP-T worse." in stale
    assert "not told apart" in lpips
    assert "FID (sprites-clip) 0, equal in every seed; KID, CLIP-I, CLIP-T equal in every seed." in published


def test_headlines_of_a_factorial_design_are_its_main_effects(factorial_record: ExperimentRecord) -> None:
    found = headlines(gather(factorial_record))
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
    assert numbers.ratio(Interval(2.447, 2.31, 2.6, 6)) == "×2.45 [2.31, 2.60]"
    assert numbers.ratio(Interval(2.447, NAN, NAN, 1)) == "×2.447"


def test_a_difference_that_is_zero_in_every_seed_has_no_interval() -> None:
    assert numbers.difference(Interval(0.0, 0.0, 0.0, 6), 1) == "0"


def test_changes_have_two_digits_and_none_is_zero() -> None:
    assert [numbers.change(x) for x in (0.0, 0.00013, 1e-30)] == ["0", "1.3e-04", "1.0e-30"]


def test_measured_times_keep_their_decimals_below_a_minute() -> None:
    assert [numbers.seconds(x, 2) for x in (9.874, 59.9, 61.2)] == ["9.87 s", "59.90 s", "1 min 01 s"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.21, "3.2 s"), (48.2, "48 s"), (750, "12 min 30 s"), (11_100, "3 h 05 min")]
)
def test_duration(seconds: float, text: str) -> None:
    assert numbers.duration(seconds) == text


def test_p_value_has_two_digits() -> None:
    assert [numbers.p_value(p) for p in (1.0, 0.03125, 2**-15)] == ["1", "0.031", "< 0.0001"]


def test_table_and_line_keep_to_one_line() -> None:
    assert table([["a", "b"], ["x|y", "1"]]) == "| a | b |\n| :-- | :-: |\n| x\\|y | 1 |"
    assert table([["a", "b"]], words=2) == "| a | b |\n| :-- | :-- |"
    assert line(" a\n  <b>") == "a &lt;b>"
    assert [listed(x) for x in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
