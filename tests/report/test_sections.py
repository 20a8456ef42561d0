"""The sections that some reports have: audit, costs, frontier, effects, published figures, variance."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from statistics import fmean
from typing import TYPE_CHECKING, Any

import pytest
from synthetic import changed, gathered

from ablate.records import LAYERS, Call, Finding
from ablate.report.formats.markdown import render
from ablate.report.sections import audit, costs, factorial, page, published, variance
from ablate.report.sections.frontier import frontier
from ablate.report.sections.variants import same_noise
from ablate.stats import effects, variance_split

if TYPE_CHECKING:
    from ablate.records import ExperimentRecord

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def rendered(record: ExperimentRecord) -> str:
    return render(page(gathered(record, NOON)), record.name)


def test_runs_of_several_classes_of_device_are_told_on_top(record: ExperimentRecord) -> None:
    def on(*devices: str) -> str:
        runs = [replace(run, device=devices[n % len(devices)]) for n, run in enumerate(record.runs)]
        return rendered(replace(record, runs=runs))

    assert "classes of device" not in on("CPU, x86_64 AVX2")
    assert "Runs were computed on 2 classes of device: CPU, x86_64 AVX2; NVIDIA H100." in on(
        "NVIDIA H100", "CPU, x86_64 AVX2"
    )


# ── audit ────────────────────────────────────────────────────────────────────────────────────────


def test_what_does_nothing_and_what_is_warned_of_stands_on_top(record: ExperimentRecord) -> None:
    assert audit.notes(gathered(record)) == [
        "Something in **as-published** does nothing, as expected: see [Audit](#audit).",
        "The audit warns of **none**: see [Audit](#audit).",
    ]
    surprise = Finding("lpips-late", "losses.lpips", "inert", "loss", "no weight")
    assert audit.notes(gathered(replace(record, findings=[surprise]))) == [
        "Something in **lpips-late** was meant to act and does not: see [Audit](#audit)."
    ]


def test_an_experiment_without_an_audit_says_so(record: ExperimentRecord) -> None:
    text = rendered(replace(record, findings=None))
    assert "> **Note.** This experiment ran without an audit." in text
    assert "## Audit" not in text


def test_an_audit_that_had_nothing_to_look_at_is_no_missing_audit(record: ExperimentRecord) -> None:
    text = rendered(replace(record, findings=[]))
    assert "without an audit" not in text
    assert "## Audit" not in text


def test_findings_say_what_acts_where_it_dies_and_why(record: ExperimentRecord) -> None:
    rows = {(row[0], row[1]): row[2:] for row in audit.findings_table(gathered(record)).rows}
    assert rows["from-start", "`ema`"] == ["passive by design", "–", "–"]
    assert rows["as-published", "difference to none"][:2] == ["**inert** (expected)", "gradient"]


def test_changes_have_a_column_for_each_layer(record: ExperimentRecord) -> None:
    table = audit.changes_table(gathered(record))
    assert table.head == ["variant", "epoch", *LAYERS]
    assert table.rows[0] == ["from-start", "0", "0", "0", "–", "–", "0", "1.2e-03", "1.1e-04", "–"]


# ── costs ────────────────────────────────────────────────────────────────────────────────────────


def test_ratios_are_paired_by_seed(record: ExperimentRecord) -> None:
    _, epochs = gathered(record).costs
    ratio = epochs.ratio("lpips-late", "none")
    assert ratio is not None
    logs = [
        math.log(epochs.values["lpips-late"][seed] / epochs.values["none"][seed])
        for seed in epochs.values["none"]
    ]
    assert ratio.mean == pytest.approx(math.exp(sum(logs) / len(logs)))
    assert ratio.low < 2.45 < ratio.high


def test_a_ratio_needs_values_above_zero(record: ExperimentRecord) -> None:
    results = gathered(changed(record, "none", 0, metrics={"kid": -0.01}))
    assert results.metrics[1].ratio("from-start", "none") is None


def test_variants_on_one_training_are_not_said_to_take_as_long(record: ExperimentRecord) -> None:
    rows = {row[0]: row for row in costs.times_table(gathered(record)).rows}
    assert rows["from-start"][4] == "one measurement"
    assert rows["lpips-late"][4].startswith("×2.45")
    assert rows["lpips-late"][-1] == "24"


def test_times_without_a_seed_in_common_have_no_ratio(record: ExperimentRecord) -> None:
    runs = [run for run in record.runs if (run.variant == "none") == (run.seed == 0)]
    rows = {row[0]: row for row in costs.times_table(gathered(replace(record, runs=runs))).rows}
    assert rows["from-start"][4] == rows["lpips-late"][4] == "–"


def test_records_without_times_have_no_table_of_times(record: ExperimentRecord) -> None:
    runs = [replace(run, metrics={"fid": 1.0}) for run in record.runs]
    assert costs.times_table(gathered(replace(record, runs=runs))).rows == []


def test_what_a_call_took_stands_beside_what_was_expected(record: ExperimentRecord) -> None:
    known, unknown = Call(8, "GPU", 7200.0, 15.0, 7500.0, 15.5), Call(8, "GPU", None, None, 60.0, 0.1)
    assert "what was expected" not in rendered(replace(record, calls=[unknown]))
    page = rendered(replace(record, calls=[unknown, known]))
    assert "| 8 | 2 h 00 min | 2 h 05 min | 15.00 GPU-hours | 15.50 GPU-hours |" in page
    assert "| 8 | – | 1 min 00 s | – | 0.10 GPU-hours |" in page


def test_verification_is_told_in_a_sentence(record: ExperimentRecord) -> None:
    assert "so separate training takes 3.01 times as long" in rendered(record)
    assert "equal to the last bit in 5 of 5." in rendered(record)
    assert "ablate verify" not in rendered(replace(record, verified=None))


# ── quality and time ─────────────────────────────────────────────────────────────────────────────


def test_the_frontier_joins_what_differs_in_steps_and_finds_what_no_other_beats(
    scheduler_record: ExperimentRecord,
) -> None:
    front = frontier(gathered(scheduler_record))
    assert front is not None
    assert front.lines == (
        ("dpm-6", "dpm-12", "dpm-25"),
        ("ddim-6", "ddim-12", "ddim-25"),
        ("ddpm-12", "ddpm-50"),
    )
    # ddim-6 is a little faster than dpm-6 by its mean, but not measurably, and much worse.
    assert front.optimal["fid"] == ("dpm-6", "dpm-12", "dpm-25")


def test_a_variant_with_another_training_is_not_on_the_frontier(scheduler_record: ExperimentRecord) -> None:
    configs = dict(scheduler_record.configs)
    configs["ddim-6"] = {**configs["ddim-6"], "train": {"epochs": 99}}
    front = frontier(gathered(replace(scheduler_record, configs=configs)))
    assert front is not None
    assert "ddim-6" not in front.steps


@pytest.mark.parametrize("name", ["record", "noise_record"])
def test_fewer_than_three_ways_of_sampling_are_no_frontier(name: str, request: pytest.FixtureRequest) -> None:
    assert frontier(gathered(request.getfixturevalue(name))) is None


# ── factorial designs ────────────────────────────────────────────────────────────────────────────


def test_effects_are_those_of_the_statistics(factorial_record: ExperimentRecord) -> None:
    results = gathered(factorial_record)
    design, fid = factorial.design(results), results.metrics[0]
    assert design is not None
    by_levels = {
        (lpips, ema, guidance): fid.values[f"lpips-{lpips}.ema-{ema}.guidance-{guidance}"]
        for lpips in ("off", "on")
        for ema in ("off", "late", "early")
        for guidance in ("1.5", "3")
    }
    assert list(design.metrics[0].effects.values()) == effects(by_levels, design.factors)
    early, off = (fmean(design.metrics[0].by_seed((("ema", level),))) for level in ("early", "off"))
    assert early - off == pytest.approx(design.metrics[0].effects[("ema", "early"),].difference.mean)
    assert [row[0] for row in factorial.effects_table(design, "", design.cells(1)).rows[:2]] == [
        "lpips: on − off",
        "ema: late − off",
    ]
    assert factorial.effects_table(design, "", design.cells(2)).rows[1][0] == "lpips: on × ema: early"


def test_a_combination_that_is_missing_leaves_its_metric_without_effects(
    factorial_record: ExperimentRecord,
) -> None:
    name = "lpips-on.ema-off.guidance-3"
    record = changed(factorial_record, name, metrics={"kid": math.nan})
    text = rendered(record)
    assert "Without effects, since a combination of levels lacks it" in text
    assert ": KID (sprites-clip)." in text
    assert "| ema: early − off |" in text
    failed = rendered(changed(factorial_record, name, status="FAILED"))
    assert "| ema: early − off |" not in failed
    assert "There is nothing to compare" not in failed
    assert "**lpips-off.ema-early.guidance-1.5 − lpips-off.ema-off.guidance-1.5**: FID" in failed
    assert "Differences are variant − baseline" in failed


def test_a_report_begins_with_what_failed_and_why(record: ExperimentRecord) -> None:
    failed = changed(record, "lpips-late", 3, status="FAILED", reason="train: the loss became nan\nmore")
    note = rendered(failed).split("> **Note.** ")[1]
    assert note.startswith("**lpips-late** failed with seed 3: train: the loss became nan")
    assert "The same command tries what failed again, and keeps what has finished." in note


def test_of_many_failures_the_first_are_told_and_all_are_listed(record: ExperimentRecord) -> None:
    text = rendered(changed(record, "lpips-late", status="FAILED", reason="the same"))
    assert text.count("**lpips-late** failed with seed") == 3
    assert "8 runs failed, listed below." in text
    assert text.count("| FAILED | the same |") == 8


def test_a_report_on_the_way_says_how_many_seeds_are_complete(record: ExperimentRecord) -> None:
    on_the_way = record
    for seed in (6, 7):
        on_the_way = changed(on_the_way, "none", seed, status="RUNNING", metrics={})
    text = rendered(on_the_way)
    assert "> **Note.** 6 of 8 seeds complete; other seeds count where their runs have finished." in text
    assert "| none | 6 | RUNNING | not finished yet |" in text
    assert "seeds complete" not in rendered(record)


def test_the_spec_is_printed_as_it_can_run_again(factorial_record: ExperimentRecord) -> None:
    spec = rendered(factorial_record).split("```yaml\n")[1].split("```")[0]
    assert "factors:" in spec
    assert "variants:" not in spec
    assert "baseline:" not in spec


# ── published figures ────────────────────────────────────────────────────────────────────────────


def test_published_figures_stand_beside_measured_ones_each_with_its_setting(
    record: ExperimentRecord,
) -> None:
    text = rendered(record)
    assert "- **Published** (a README): 256 px game monsters" in text
    assert "- **Measured here**: profile `sprites`, 32 px, 12 epochs, 512 images a run, 8 seeds" in text
    assert "must not be compared with each other" in text
    fid = published.published_table(gathered(record)).rows[0]
    assert fid[:5] == ["FID", "82.6531", "90", "FID (sprites-clip)", "lpips-late"]


def test_two_published_times_are_compared_by_their_ratio(record: ExperimentRecord) -> None:
    (line,) = published.ratio_lines(gathered(record))
    assert "published 11 min 00 s → 27 min 00 s, ×2.45; measured 9.987 s → 24.461 s, ×2.4" in line


def test_a_published_time_below_a_minute_keeps_its_digits(record: ExperimentRecord) -> None:
    figure = {"metric": "seconds_per_image", "value": 0.04, "variant": "none", "baseline": 90.0}
    published_figures = {**record.spec["published"], "results": [figure]}
    results = gathered(replace(record, spec={**record.spec, "published": published_figures}))
    assert published.published_table(results).rows[0][1:3] == ["0.04 s", "1 min 30 s"]


def test_published_figures_without_a_measured_one_stay(record: ExperimentRecord) -> None:
    results = gathered(replace(record, runs=[]))
    assert published.published_table(results).rows[0][3:] == ["–", "lpips-late", "–", "–"]
    assert published.ratio_lines(results)[0].endswith("×2.45; not measured here.")


# ── variance ─────────────────────────────────────────────────────────────────────────────────────


def test_the_spread_is_split_where_each_training_is_sampled_with_the_same_noises(
    noise_record: ExperimentRecord,
) -> None:
    results = gathered(noise_record)
    (group,) = variance.crossed(results)
    assert (group.variants, group.trainings) == (("noise-0", "noise-1", "noise-2"), 4)
    values = results.metrics[0].values
    crossed = {(seed, noise): values[f"noise-{noise}"][seed] for seed in range(4) for noise in range(3)}
    assert group.splits["fid"] == variance_split(crossed)


@pytest.mark.parametrize("own", [None, 0])
def test_without_two_noises_there_is_no_split(noise_record: ExperimentRecord, own: Any) -> None:
    configs = {
        name: {**config, "sample": {**config["sample"], "seed": own}}
        for name, config in noise_record.configs.items()
    }
    assert variance.crossed(gathered(replace(noise_record, configs=configs))) == ()


def test_samples_of_different_noises_are_not_said_to_share_it(noise_record: ExperimentRecord) -> None:
    assert not same_noise(gathered(noise_record))
    assert "initial weights, data order and training noise, so" in rendered(noise_record)
