"""What all sections compute from, and what each adds: compared with what, counted once, left out."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from synthetic import changed, gathered

from ablate.report.sections import SECTIONS
from ablate.report.sections.costs import count_sharing, distinct_trainings
from ablate.report.sections.gaps import MISSING, find_gaps
from ablate.report.sections.results import image_counts
from ablate.report.sections.samples import accuracies, choose_grid
from ablate.report.sections.variants import changes, config_changes
from ablate.stats import mean_interval, paired_difference

if TYPE_CHECKING:
    from pathlib import Path

    from ablate.records import ExperimentRecord


def test_metrics_are_means_over_seeds_and_differences_are_paired(record: ExperimentRecord) -> None:
    fid = gathered(record).metrics[0]
    values = {v: {r.seed: r.metrics["fid"] for r in record.runs if r.variant == v} for v in record.configs}
    assert fid.values == values
    assert fid.intervals["none"] == mean_interval(list(values["none"].values()))
    assert fid.differences["from-start"] == paired_difference(values["from-start"], values["none"])
    assert "none" not in fid.differences


def test_labels_carry_the_space(record: ExperimentRecord) -> None:
    runs = [replace(run, feature_space="inception", evaluator="ViT-B-32") for run in record.runs]
    labels = [metric.label for metric in gathered(replace(record, runs=runs)).metrics]
    assert labels == ["FID (inception)", "KID (inception)", "CLIP-I (ViT-B-32)", "CLIP-T (ViT-B-32)"]


def test_a_space_that_was_not_recorded_is_not_left_out_of_the_label(record: ExperimentRecord) -> None:
    runs = [replace(run, feature_space="") for run in record.runs]
    assert gathered(replace(record, runs=runs)).metrics[0].label == "FID (space not recorded)"


def test_variants_in_different_spaces_are_not_compared(record: ExperimentRecord) -> None:
    results = gathered(changed(record, "mid-way-stale", feature_space="inception"))
    fid, _, clip_i, _ = results.metrics
    assert fid.mixed_spaces
    assert fid.label == "FID (inception, sprites-clip)"
    assert set(fid.differences) == {"from-start", "lpips-late", "as-published"}
    assert "mid-way-stale" in clip_i.differences
    assert results.claims[0].judgement.difference is None


def test_two_networks_of_one_name_are_two_spaces(record: ExperimentRecord) -> None:
    def with_networks(of_stale: str, of_others: str) -> ExperimentRecord:
        runs = [
            replace(run, networks={"sprites-clip": of_stale if run.variant == "mid-way-stale" else of_others})
            for run in record.runs
        ]
        return replace(record, runs=runs)

    results = gathered(with_networks("content:" + "b" * 32, "content:" + "a" * 32))
    fid = results.metrics[0]
    assert fid.label == "FID (sprites-clip aaaaaaaa, sprites-clip bbbbbbbb)"
    assert set(fid.differences) == {"from-start", "lpips-late", "as-published"}
    assert results.claims[0].judgement.difference is None
    hub = gathered(with_networks("stabilityai/sd-vae-ft-mse", "stabilityai/sdxl-vae")).metrics[0]
    assert hub.mixed_spaces
    assert hub.label == "FID (sprites-clip stabilityai/sd-vae-ft-mse, sprites-clip stabilityai/sdxl-vae)"
    for pair in [("content:" + "a" * 32,) * 2, ("", "content:" + "a" * 32)]:  # older records do not say
        fid = gathered(with_networks(*pair)).metrics[0]
        assert fid.label == "FID (sprites-clip)"
        assert "mid-way-stale" in fid.differences


def test_gains_are_positive_where_better_whatever_the_metric(record: ExperimentRecord) -> None:
    fid, _, clip_i, _ = gathered(record).metrics
    assert all(gain < 0 for gain in fid.gains("mid-way-stale", "none").values())
    assert all(gain > 0 for gain in fid.gains("none", "mid-way-stale").values())
    assert all(gain > 0 for gain in clip_i.gains("none", "mid-way-stale").values())


def test_baseline_comes_first_whatever_its_place_in_the_spec(record: ExperimentRecord) -> None:
    results = gathered(replace(record, spec={**record.spec, "baseline": "mid-way-stale"}))
    assert results.variants == ("mid-way-stale", "none", "from-start", "lpips-late", "as-published")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_a_gap_and_enters_no_mean(record: ExperimentRecord, bad: float) -> None:
    results = gathered(changed(record, "from-start", 2, metrics={"fid": bad}))
    fid = results.metrics[0]
    assert fid.intervals["from-start"].n == fid.differences["from-start"].n == 7
    assert [(g.variant, g.seed, g.reason) for g in find_gaps(results)] == [("from-start", 2, "no FID")]


def test_failed_and_missing_runs_are_gaps_with_their_reason(record: ExperimentRecord) -> None:
    record = changed(record, "from-start", 1, status="FAILED", reason="loss is NaN")
    results = gathered(replace(record, runs=[r for r in record.runs if (r.variant, r.seed) != ("none", 0)]))
    assert [(g.variant, g.seed, g.status) for g in find_gaps(results)] == [
        ("none", 0, MISSING),
        ("from-start", 1, "FAILED"),
    ]
    assert find_gaps(results)[1].reason == "loss is NaN"
    assert len(results.finished) == 38
    assert results.metrics[0].differences["from-start"].n == 6


def test_a_run_made_again_replaces_the_failed_one(record: ExperimentRecord) -> None:
    failed = replace(record.runs[0], status="FAILED", run_id="old", metrics={})
    for runs in ([failed, *record.runs], [*record.runs, failed]):
        results = gathered(replace(record, runs=runs))
        assert not find_gaps(results)
        assert results.runs["none", 0].run_id != "old"


def test_epochs_on_a_shared_trunk_are_counted_once(record: ExperimentRecord) -> None:
    asked, trained = count_sharing(gathered(record))
    # Eight seeds: 12 epochs of the trunk and 4 of each branch are trained for 5 × 12 asked for.
    assert (asked.epochs, trained.epochs) == (8 * 60, 8 * 20)
    assert (asked.steps, trained.steps) == (8 * 60 * 48, 8 * 20 * 48)
    seconds = {
        link: value
        for run in record.runs
        for link, (_, value) in zip(run.links, run.history["epoch_seconds"], strict=True)
    }
    assert trained.seconds == pytest.approx(sum(seconds.values()))
    assert asked.seconds == pytest.approx(
        sum(value for run in record.runs for _, value in run.history["epoch_seconds"])
    )
    told = str(SECTIONS["costs"].blocks(gathered(record)))
    assert ": 67 % of the epochs asked for were shared." in told
    assert "['sampling time', '–', '14 min 00 s', '–']" in told  # 40 × 21 s


def test_a_failed_run_trained_as_far_as_its_history_goes(record: ExperimentRecord) -> None:
    short = {"epoch_seconds": [(0, 5.0), (1, 5.0), (1, 6.0)]}
    failed = replace(record.runs[0], status="FAILED", history=short)
    asked, trained = count_sharing(gathered(replace(record, runs=[failed])))
    assert (asked.epochs, trained.epochs) == (12, 2)
    assert trained.seconds == 11.0  # of an epoch logged twice the later value stands


def test_each_distinct_training_is_one_curve_and_a_branch_knows_its_fork(record: ExperimentRecord) -> None:
    trunk, branch, _ = distinct_trainings(gathered(record))
    assert (trunk.variants, trunk.fork) == (["none", "from-start", "mid-way-stale"], 0)
    assert (branch.variants, branch.fork) == (["lpips-late"], 8)
    assert list(trunk.epochs("loss_mse")) == list(range(8))


def test_a_failed_seed_does_not_split_a_shared_curve(record: ExperimentRecord) -> None:
    trunk, *_ = distinct_trainings(gathered(changed(record, "from-start", 1, status="FAILED")))
    assert trunk.variants == ["none", "from-start", "mid-way-stale"]


def test_without_links_nothing_counts_as_shared(record: ExperimentRecord) -> None:
    results = gathered(replace(record, runs=[replace(run, links=()) for run in record.runs]))
    assert len(distinct_trainings(results)) == 5
    assert count_sharing(results)[0].epochs == 0
    assert ": 0 % of the epochs asked for were shared." in str(SECTIONS["costs"].blocks(results))


def test_config_changes_are_the_fields_that_differ(record: ExperimentRecord) -> None:
    assert changes(gathered(record)) == {
        "ema.decay": {"from-start": 0.99, "mid-way-stale": 0.99},
        "ema.start": {"from-start": "0%", "mid-way-stale": "50%"},
        "ema.shadow": {"mid-way-stale": "initial"},
        "losses.lpips.weight": {"lpips-late": 0.1, "as-published": 0.1},
        "losses.lpips.start": {"lpips-late": 8, "as-published": 8},
        "losses.lpips.form": {"as-published": "as-published"},
    }


def test_config_changes_compare_lists_whole_and_switches_by_their_fields() -> None:
    one = {"unet": {"widths": [64, 128]}, "sample": {"options": {}, "noise": None}}
    two = {"unet": {"widths": [64, 256]}, "sample": {"options": {"rho": 7}, "noise": None}}
    assert config_changes({"a": one, "b": two}) == {
        "unet.widths": {"a": [64, 128], "b": [64, 256]},
        "sample.options.rho": {"b": 7},
    }
    assert config_changes({"a": one, "b": one}) == {}


def test_chance_is_known_where_the_number_of_labels_is(record: ExperimentRecord) -> None:
    body, colour = accuracies(gathered(record))
    assert (body.attribute, body.chance) == ("body", 1 / 8)
    runs = [
        replace(run, metrics={k: v for k, v in run.metrics.items() if k != "labels_colour"})
        for run in record.runs
    ]
    assert accuracies(gathered(replace(record, runs=runs)))[1].chance is None
    assert colour.intervals["none"].n == 8


def test_few_images_are_flagged_generated_or_real(record: ExperimentRecord) -> None:
    assert not image_counts(gathered(record)).below_dimension
    assert image_counts(gathered(changed(record, "none", metrics={"images": 100.0}))).below_dimension
    assert image_counts(gathered(changed(record, "none", metrics={"reference_images": 65.0}))).below_dimension


def test_grid_shows_the_seed_that_most_variants_have_and_the_same_prompts(record: ExperimentRecord) -> None:
    full = choose_grid(gathered(record))
    assert full is not None
    assert full.seed == 0
    assert (len(full.prompts), full.prompt_count) == (8, 12)
    fewer = choose_grid(gathered(changed(record, "none", 0, samples=None)))
    assert fewer is not None
    assert fewer.seed == 1
    assert fewer.prompts == full.prompts


def test_a_record_without_a_run_has_results_too(record: ExperimentRecord) -> None:
    results = gathered(replace(record, runs=[]))
    assert (results.metrics, distinct_trainings(results), choose_grid(results)) == ((), [], None)
    assert len(find_gaps(results)) == 40


def test_report_imports_neither_torch_nor_mlflow(tmp_path: Path) -> None:
    import subprocess

    code = "import sys, ablate.report.write; print([m for m in ('torch', 'mlflow') if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert found.stdout.strip() == "[]"
