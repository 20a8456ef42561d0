"""The means of a variant in MLflow: right to the digit, one for each, never taken for the run of a seed."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from mlflow.entities import Metric
from PIL import Image

from ablate.experiment.load import load_experiment
from ablate.experiment.trials import Proposal, grown
from ablate.plan import make_plan
from ablate.record.aggregates import Aggregates, ground_of
from ablate.record.images import encoded
from ablate.record.read import Child, find_runs
from ablate.record.transfer import children_in, pack
from ablate.record.write import as_json
from ablate.report.results import gather
from ablate.store import Store
from ablate.vocabulary import OWN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ablate.fingerprint import Contents
    from ablate.plan import Plan, Run
    from ablate.record.runs import Row
    from ablate.record.write import Writer
    from ablate.report.metrics import Metric as Reported

    Finish = Callable[..., str]
    Keep = Callable[..., dict[str, Row]]

SIDE = 4
"""Of a sample, in pixels."""


@pytest.fixture
def plan(write_spec: Callable[..., Path], contents: Contents, tmp_path: Path) -> Plan:
    """``plain``, the baseline, and two others; three seeds."""
    variants = {"plain": {}, "large": {"train": {"batch": 8}}, "other": {"sample": {"guidance": 2.0}}}
    spec = write_spec(tmp_path, variants=variants, seeds=[0, 1, 2], claims=[])
    return make_plan(load_experiment(spec), Store(tmp_path / "store"), contents)


@pytest.fixture
def finish(writer: Writer, parent: str) -> Finish:
    """Records a run as finished, with figures that are drawn unless they are given."""

    def record(run: Run, space: str = "sprites-clip", **given: float) -> str:
        known = {(child.variant, child.seed, child.key): child for child in writer.children(parent)}
        run_id = writer.begin_child(parent, run, known.get((run.variant, run.seed, run.keys.evaluate)))
        draw = random.Random(run.name)
        figures = ("fid", "kid", "clip_i", "clip_t", "seconds_per_image", "seconds_per_epoch")
        values = {name: draw.random() for name in figures} | given
        points = [Metric(name, value, 1, 0) for name, value in values.items()]
        writer.client.log_batch(run_id, metrics=points)
        page = np.full((SIDE, 8 * SIDE, 3), run.seed, dtype=np.uint8)
        described = {"links": [], "steps_per_epoch": 2, "feature_space": space, "evaluator": "sprites"}
        files = {"scores.json": b"[]", "samples/0.png": b"", "samples.png": encoded(page, "PNG")}
        writer.save(run_id, files | {"run.json": as_json(described)})
        writer.client.set_terminated(run_id, "FINISHED")
        return run_id

    return record


@pytest.fixture
def keep(writer: Writer, parent: str, plan: Plan) -> Keep:
    """Keeps the means of a variant, or of all, and gives all that there are."""

    def call(variant: str | None = None) -> dict[str, Row]:
        Aggregates(writer, parent).keep(plan, variant)
        return writer.aggregates(parent)

    return call


def of(plan: Plan, variant: str) -> list[Run]:
    return [run for run in plan.runs if run.variant == variant]


def everything(database: Path) -> list[tuple[Any, ...]]:
    """All rows of all that MLflow has of runs."""
    tables = ("runs", "tags", "params", "metrics", "latest_metrics")
    with closing(sqlite3.connect(database)) as connection:
        return [row for table in tables for row in connection.execute(f"select * from {table}")]


# ── what they say ────────────────────────────────────────────────────────────────────────────────


def said(metric: Reported, variant: str) -> dict[str, float]:
    """What the report has of a metric of a variant."""
    key, interval = metric.key, metric.intervals[variant]
    found = {key: interval.mean, f"{key}.lower": interval.low, f"{key}.upper": interval.high}
    if difference := metric.differences.get(variant):
        name = f"{key}.difference"
        found |= {name: difference.mean, f"{name}.lower": difference.low, f"{name}.upper": difference.high}
    return found


def test_they_are_those_of_the_report_to_the_last_digit(
    writer: Writer, plan: Plan, parent: str, finish: Finish, keep: Keep
) -> None:
    for run in reversed(plan.runs):
        finish(run)
    found = keep()
    results = gather(writer.read(parent), OWN)
    assert len(results.metrics) == 4 and len(results.costs) == 2
    for variant in plan.experiment.variants:
        expected = {"seeds": 3.0}
        for metric in (*results.metrics, *results.costs):
            expected |= said(metric, variant)
        assert dict(found[variant].metrics) == expected
    assert len(found["plain"].metrics) == 1 + 6 * 3
    assert len(found["large"].metrics) == 1 + 6 * 6


def test_a_run_says_what_it_is_of(
    writer: Writer, plan: Plan, parent: str, finish: Finish, keep: Keep
) -> None:
    for run in plan.runs:
        finish(run)
    large = keep()["large"]
    assert (large.name, large.status) == ("large", "FINISHED")
    assert large.params == {"variant": "large", "train.batch": "8", "sample.guidance": "3.0"}
    assert large.tags["ablate.seeds"] == "0, 1, 2"
    assert "to plain, paired over seeds" in large.tags["mlflow.note.content"]
    assert large.tags["ablate.parent"] == parent
    assert "mlflow.parentRunId" not in large.tags, "MLflow's table would hide it below its parent"


def test_the_sheet_has_a_row_for_each_seed(writer: Writer, plan: Plan, finish: Finish, keep: Keep) -> None:
    for run in plan.runs:
        finish(run)
    large = keep()["large"]
    assert large.tags["mlflow.loggedImages"] == "True"
    folder = writer.all_files(large.run_id)
    assert folder
    (page,) = folder.rglob("samples+step+0+*.png")
    with Image.open(page) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (3 * SIDE, 8 * SIDE, 3)
    assert pixels[::SIDE, 0, 0].tolist() == [0, 1, 2]
    page.unlink()
    keep()
    assert page.exists(), "what was deleted is there again"


def test_runs_of_two_feature_spaces_have_means_and_no_difference(
    plan: Plan, finish: Finish, keep: Keep
) -> None:
    for run in plan.runs:
        finish(run, space="inception" if run.variant == "other" else "sprites-clip")
    metrics = keep()["other"].metrics
    assert {"fid", "fid.lower", "clip_t.difference"} <= metrics.keys()
    assert "fid.difference" not in metrics


def test_of_one_seed_there_is_a_mean_and_no_interval(
    plan: Plan, finish: Finish, keep: Keep, writer: Writer, parent: str
) -> None:
    for run in plan.runs:
        if run.seed == 1:
            finish(run, fid=2.0 if run.variant == "large" else 1.5)
        else:
            writer.fail_child(writer.begin_child(parent, run, None), "no reason")
    metrics = keep()["large"].metrics
    assert {name: value for name, value in metrics.items() if name.startswith("fid")} == {
        "fid": 2.0,
        "fid.difference": 0.5,
    }
    assert metrics["seeds"] == 1


# ── when there are any ───────────────────────────────────────────────────────────────────────────


def test_there_are_none_until_all_seeds_have_ended_and_those_of_the_baseline(
    plan: Plan, finish: Finish, keep: Keep
) -> None:
    for run in of(plan, "large")[:2]:
        finish(run)
    assert keep("large") == {}
    finish(of(plan, "large")[2])
    assert keep("large") == {}, "of the baseline nothing has ended"
    for run in of(plan, "plain"):
        finish(run)
    assert keep("plain").keys() == {"plain", "large"}
    assert keep("other").keys() == {"plain", "large"}


def test_a_seed_that_failed_is_left_out_and_comes_in_when_it_is_made_again(
    writer: Writer, plan: Plan, parent: str, finish: Finish, keep: Keep
) -> None:
    *most, last = plan.runs
    for run in most:
        finish(run)
    writer.fail_child(writer.begin_child(parent, last, None), "no reason")
    before = keep()["other"]
    assert (before.metrics["seeds"], before.tags["ablate.seeds"]) == (2, "0, 1")
    finish(last, fid=1000.0)
    after = keep()["other"]
    assert (after.metrics["seeds"], after.tags["ablate.seeds"]) == (3, "0, 1, 2")
    assert after.run_id == before.run_id
    metric = gather(writer.read(parent), OWN).find("fid")
    assert metric and metric.intervals["other"].mean == after.metrics["fid"] > 300


def test_what_can_no_longer_be_said_is_no_number(
    writer: Writer, plan: Plan, parent: str, finish: Finish, keep: Keep
) -> None:
    for run in plan.runs:
        finish(run)
    assert keep()["other"].metrics["fid.difference"]
    for child in writer.children(parent):
        if child.variant == "plain":
            writer.fail_child(child.run_id, "broken since")
    metrics = keep()["other"].metrics
    assert np.isnan(metrics["fid.difference"]) and metrics["fid"] > 0
    points = writer.client.get_metric_history(writer.aggregates(parent)["other"].run_id, "fid")
    assert len(points) == 1, "what is the same is not written again"


def test_those_of_other_code_are_marked_and_come_back_with_it(
    writer: Writer, plan: Plan, parent: str, finish: Finish, keep: Keep
) -> None:
    for run in plan.runs:
        finish(run)
    assert {row.name for row in keep().values()} == {"plain", "large", "other"}
    writer.keep_current(parent, {run.keys.evaluate for run in plan.runs if run.variant != "large"})
    found = keep()
    assert {row.name for row in found.values()} == {"plain", "large (superseded)", "other"}
    assert {name for name, row in found.items() if "ablate.superseded" in row.tags} == {"large"}
    writer.keep_current(parent, {run.keys.evaluate for run in plan.runs})
    found = keep()
    assert {row.name for row in found.values()} == {"plain", "large", "other"}
    assert not [row for row in found.values() if "ablate.superseded" in row.tags]


def test_what_says_so_already_is_not_written(plan: Plan, finish: Finish, keep: Keep, tmp_path: Path) -> None:
    for run in plan.runs:
        finish(run)
    keep()
    before = everything(tmp_path / "mlflow.db")
    images = {file: file.stat().st_mtime_ns for file in (tmp_path / "mlruns").rglob("*")}
    keep()
    keep("large")
    assert everything(tmp_path / "mlflow.db") == before
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "mlruns").rglob("*")} == images


@pytest.mark.parametrize("moment", ["begin_aggregate", "_show", "client.log_batch"])
def test_whenever_it_is_cut_off_the_next_time_there_is_one_of_each(
    writer: Writer,
    plan: Plan,
    parent: str,
    finish: Finish,
    keep: Keep,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    moment: str,
) -> None:
    for run in plan.runs:
        finish(run)
    owner = writer.client if moment.startswith("client.") else writer
    name = moment.removeprefix("client.")
    done = getattr(owner, name)

    def and_no_more(*given: object, **named: object) -> None:
        done(*given, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, and_no_more, raising=False)
        with pytest.raises(KeyboardInterrupt):
            keep()
    assert {row.status for row in keep().values()} == {"FINISHED"}
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        query = "select value, count(*) from tags where key = 'ablate.kind' group by value order by value"
        assert database.execute(query).fetchall() == [("experiment", 1), ("run", 9), ("variant", 3)]
        twice = "select key, step from metrics group by run_uuid, key, step having count(*) > 1"
        assert database.execute(twice).fetchall() == []


# ── beside the seeds' runs ───────────────────────────────────────────────────────────────────────


def test_they_are_no_runs_of_seeds_and_go_where_their_experiment_goes(
    writer: Writer, uri: str, plan: Plan, parent: str, finish: Finish, keep: Keep
) -> None:
    ids = {finish(run) for run in plan.runs}
    means = {row.run_id for row in keep().values()}
    assert {child.run_id for child in writer.all_children(parent)} == ids
    assert {run.run_id for run in writer.read(parent).runs} == ids
    assert set(writer.below(parent)) == ids | means
    packed = pack(writer, parent)
    assert {run["id"] for run in packed["runs"]} == {parent} | ids | means
    assert children_in(packed) == 9
    for run_id in means:
        (found,) = find_runs(uri, run_id)
        assert (found.parent, found.run_id) == (parent, run_id) and found.variant
    assert [found.variant for run_id in (parent, *ids) for found in find_runs(uri, run_id)] == [""] * 10


# ── which seeds a search has ─────────────────────────────────────────────────────────────────────

SEARCH = """
question: Which guidance is best?
search:
  fields: {sample.guidance: {low: 1, high: 6}}
  objectives: [fid]
  trials: 2
  confirm: {best: 1, seeds: [7, 8]}
seeds: [0, 1]
"""


def children(pairs: Sequence[tuple[str, int]]) -> Mapping[tuple[str, int], Child]:
    rest = {"key": "", "status": "FINISHED", "started": 0, "superseded": False, "reason": "", "device": ""}
    return {
        (variant, seed): Child(f"{variant} {seed}", "", variant, seed, metrics={}, params={}, **rest)  # type: ignore[arg-type]
        for variant, seed in pairs
    }


def test_a_trial_has_those_it_was_tried_with_until_it_is_confirmed(tmp_path: Path) -> None:
    (tmp_path / "search.yaml").write_text(SEARCH)
    proposals = [Proposal(f"trial-000{n}", {"sample.guidance": 2.0 + n}) for n in (0, 1)]
    tried = grown(load_experiment(tmp_path / "search.yaml"), proposals)
    confirming = grown(tried, proposals, ["trial-0001"])
    runs = children([(variant, seed) for variant in tried.variants for seed in (0, 1)])
    for experiment in (tried, confirming):
        for variant in tried.variants:
            ground = ground_of(experiment, variant, set(experiment.runs), runs, runs.keys())
            assert [child.seed for child in ground.ours] == [0, 1] and ground.complete
    runs = runs | children([(variant, seed) for variant in ("baseline", "trial-0001") for seed in (7, 8)])
    seeds = {}
    for variant in tried.variants:
        ground = ground_of(confirming, variant, set(confirming.runs), runs, runs.keys())
        seeds[variant] = [child.seed for child in ground.ours]
        if variant != "baseline":
            assert [(child.variant, child.seed) for child in ground.theirs] == [
                ("baseline", seed) for seed in seeds[variant]
            ]
    assert seeds == {"baseline": [7, 8], "trial-0000": [0, 1], "trial-0001": [7, 8]}
