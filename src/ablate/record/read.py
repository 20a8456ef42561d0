"""MLflow → the records that a report is made from. Reading makes and changes nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.record import names
from ablate.record.client import connect, database_of
from ablate.record.provenance import spec_key
from ablate.records import ExperimentRecord, Finding, RunRecord, Verification

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

    from ablate.plan import Plan

CURVES = ("loss", "gradient_norm", "epoch_")
"""How the names of metrics begin that have a value for each epoch."""


@dataclass(frozen=True)
class Child:
    """A child run as it lies in MLflow, without its files."""

    run_id: str
    name: str
    variant: str
    seed: int
    key: str
    status: str
    """MLflow's: FINISHED, FAILED, RUNNING or KILLED."""
    started: int
    """Milliseconds since 1970."""
    superseded: bool
    reason: str
    metrics: Mapping[str, float]
    """The newest value of each metric."""
    params: Mapping[str, str]


def find_experiment(uri: str, name: str) -> Reader | None:
    """A reader of an experiment; None where there is none, or a deleted one. Raises as ``connect``."""
    database = database_of(uri)
    if database and not database.exists():
        return None
    client = connect(uri)
    found = client.get_experiment_by_name(name)
    if found is None or found.lifecycle_stage == "deleted":
        return None
    return Reader(client, str(found.experiment_id))


def read_experiment(uri: str, plan: Plan) -> ExperimentRecord | None:
    """What MLflow knows of a plan's experiment with its settings; None if that has never run. Raises as
    ``connect``."""
    found = find_settings(uri, plan)
    return found[0].read(found[1]) if found else None


def find_settings(uri: str, plan: Plan) -> tuple[Reader, str] | None:
    """A reader of a plan's experiment, and the parent run with its settings; None if that has never run."""
    reader = find_experiment(uri, plan.experiment.name)
    parent = reader.find_parent(spec_key(plan)) if reader else None
    return (reader, parent) if reader and parent else None


class Reader:
    """Reads the runs of one experiment in one MLflow store."""

    def __init__(self, client: MlflowClient, experiment_id: str) -> None:
        self.client = client
        self.experiment_id = experiment_id

    def find_parent(self, key: str) -> str | None:
        """The parent run of the resolved spec with this key."""
        runs = self._search(f"tags.`{names.KEY}` = '{key}' and tags.`{names.KIND}` = 'experiment'")
        return str(runs[0].info.run_id) if runs else None

    def children(self, parent: str) -> list[Child]:
        """The child runs of a parent that count, oldest first."""
        return [child for child in self.all_children(parent) if not child.superseded]

    def all_children(self, parent: str) -> list[Child]:
        """The child runs of a parent with those that are superseded, oldest first."""
        children = [_child(run) for run in self._search(f"tags.`{names.PARENT}` = '{parent}'")]
        return sorted(children, key=lambda child: child.started)

    def status(self, run_id: str) -> str:
        """A run's status: FINISHED, FAILED, RUNNING or KILLED."""
        return str(self.client.get_run(run_id).info.status)

    def epochs_logged(self, run_id: str) -> int:
        """How many epochs a run's curves hold already."""
        return len({point.step for point in self.client.get_metric_history(run_id, "epoch_seconds")})

    def read(self, parent: str) -> ExperimentRecord:
        """The experiment as MLflow knows it: all that a report is made from."""
        spec = self._json(parent, names.SPEC)
        order = {name: number for number, name in enumerate(spec["spec"]["variants"])}
        runs = [self._run_record(child) for child in self.children(parent)]
        logged = {file.path for file in self.client.list_artifacts(parent)}
        audited, verified = names.AUDIT in logged, names.VERIFIED in logged
        findings = self._json(parent, names.AUDIT)["findings"] if audited else ()
        return ExperimentRecord(
            name=spec["name"],
            spec=spec["spec"],
            configs=spec["configs"],
            parent_run_id=parent,
            experiment_id=self.experiment_id,
            runs=sorted(runs, key=lambda run: (order.get(run.variant, len(order)), run.seed)),
            provenance=self._json(parent, names.PROVENANCE),
            findings=[Finding(**finding) for finding in findings] if audited else None,
            verified=Verification(**self._json(parent, names.VERIFIED)) if verified else None,
        )

    def _run_record(self, child: Child) -> RunRecord:
        run = RunRecord(child.variant, child.seed, child.run_id, child.status, child.reason, child.params)
        if child.status != "FINISHED":
            return run
        record = self._json(child.run_id, names.RUN)
        scores = self._json(child.run_id, names.SCORES)
        curves = [name for name in child.metrics if name.startswith(CURVES)]
        return replace(
            run,
            metrics={name: value for name, value in child.metrics.items() if name not in curves},
            history={name: self._curve(child.run_id, name) for name in curves},
            links=record["links"],
            steps_per_epoch=record["steps_per_epoch"],
            feature_space=record["feature_space"],
            evaluator=record["evaluator"],
            samples=self._path(child.run_id, names.SAMPLES),
            prompts={row["image_name"]: row["prompt"] for row in scores},
        )

    def _curve(self, run_id: str, name: str) -> list[tuple[int, float]]:
        points = self.client.get_metric_history(run_id, name)
        return sorted({point.step: point.value for point in points}.items())

    def _json(self, run_id: str, artifact: str) -> Any:
        return json.loads(self._path(run_id, artifact).read_text())

    def _path(self, run_id: str, artifact: str) -> Path:
        """A local path of an artifact; one that lies on this machine is not copied."""
        return Path(self.client.download_artifacts(run_id, artifact))

    def _search(self, query: str) -> list[MlflowRun]:
        found: list[MlflowRun] = []
        token = None
        while True:
            page = self.client.search_runs([self.experiment_id], query, max_results=1000, page_token=token)
            found += page
            if not (token := page.token):
                return found


def _child(run: MlflowRun) -> Child:
    tags = run.data.tags
    return Child(
        run_id=str(run.info.run_id),
        name=run.info.run_name,
        variant=tags[names.VARIANT],
        seed=int(tags[names.SEED]),
        key=tags[names.KEY],
        status=run.info.status,
        started=run.info.start_time,
        superseded=names.SUPERSEDED in tags,
        reason=tags.get(names.REASON, ""),
        metrics=dict(run.data.metrics),
        params=dict(run.data.params),
    )
