"""MLflow → the records that a report is made from. Reading makes and changes nothing."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ablate.errors import UserError
from ablate.patience import Note, log
from ablate.record import identity, names
from ablate.record.addresses import database_of
from ablate.record.artifacts import Downloads, files_of
from ablate.record.client import connect
from ablate.record.databases import is_there
from ablate.record.identity import Parent
from ablate.record.provenance import spec_key
from ablate.record.runs import runs_of
from ablate.records import AT_MARK, CURVES, FINISHED, Call, ExperimentRecord, Finding, RunRecord, Verification

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ablate.plan import Plan
    from ablate.record.artifacts import Files
    from ablate.record.client import PatientClient
    from ablate.record.runs import Curves, Row


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
    device: str
    """The class of device that it was computed on, in words; "" if an older version recorded it."""
    metrics: Mapping[str, float]
    """The newest value of each metric."""
    params: Mapping[str, str]
    pruned: bool = False
    """Whether it belongs to a trial that was pruned."""


def find_experiment(uri: str, name: str, note: Note = log) -> Reader | None:
    """A reader of an experiment; None where there is none, or a deleted one. Raises as ``connect``."""
    database = database_of(uri)
    if database and not is_there(database):
        return None
    client = connect(uri, note)
    found = runs_of(client).experiment(name)
    return None if found is None or found.deleted else Reader(client, found.number, name)


@dataclass(frozen=True)
class FoundRun:
    """A run of some experiment."""

    reader: Reader
    parent: str
    """Run id of its parent; its own, if it is one."""
    run_id: str
    variant: str = ""
    """Whose means it has; "" for any other run."""


def find_runs(uri: str, beginning: str, note: Note = log) -> list[FoundRun]:
    """The runs of all experiments whose ids begin so. Raises as ``connect``."""
    database = database_of(uri)
    if database and not is_there(database):
        return []
    client = connect(uri, note)
    runs = runs_of(client)
    return [
        FoundRun(
            Reader(client, number, name),
            row.tags.get(names.PARENT, row.tags.get(names.MEANS_OF, row.run_id)),
            row.run_id,
            row.tags[names.VARIANT] if row.tags[names.KIND] == "variant" else "",
        )
        for name, number in runs.experiments().items()
        for row in runs.tagged(number, {})
        if row.run_id.startswith(beginning) and names.KIND in row.tags
    ]


def read_experiment(uri: str, plan: Plan, note: Note = log) -> ExperimentRecord | None:
    """What MLflow knows of a plan's experiment with its settings; None if that has never run.

    Raises:
        UserError: files of the record are missing; and as ``connect``.
        UnreachableError: as ``connect``.
    """
    found = find_settings(uri, plan, note)
    return found[0].read(found[1].run_id) if found else None


def find_settings(uri: str, plan: Plan, note: Note = log) -> tuple[Reader, Parent] | None:
    """A reader of a plan's experiment, and the parent run with its settings; None if that has never run.

    Raises:
        UserError: it has run only with other data than those that are here; and as ``connect``.
    """
    reader = find_experiment(uri, plan.experiment.name, note)
    parent = reader.find_parent(plan, note) if reader else None
    return (reader, parent) if reader and parent else None


def not_recorded(
    spec: Path | str, advice: str = " (with the same --profile, --set and --seeds)."
) -> UserError:
    """What to say where there is no record of a spec. ``advice`` follows the command that makes one."""
    command = shlex.join(["ablate", "run", str(spec)])
    what = "MLflow has no record of this experiment with these settings"
    return UserError(what, where=str(spec), fix=f"Run it first: {command}{advice}")


class Reader:
    """Reads the runs of one experiment in one MLflow store."""

    def __init__(self, client: PatientClient, experiment_id: str, name: str) -> None:
        self.client = client
        self.runs = runs_of(client)
        self.experiment_id = experiment_id
        self.name = name
        self._addresses: dict[str, str] = {}
        """Run → where MLflow says that its files are."""
        self._downloads = Downloads()

    def find_parent(self, plan: Plan, note: Note = log) -> Parent | None:
        """The parent run that shows what a plan's experiment has found. Raises UserError as ``readable``."""
        parents = self.parents(spec_key(plan))
        return identity.readable(plan, parents, identity.here(plan, self.client.database), note)

    def parents(self, key: str | None = None) -> list[Parent]:
        """The parent runs under this name, newest first; of the resolved spec with a key, or of all."""
        of_key = {} if key is None else {names.KEY: key}
        runs = self._search({names.KIND: "experiment"} | of_key)
        return [Parent.of_tags(run.run_id, run.tags, running=run.status == "RUNNING") for run in runs]

    def children(self, parent: str, variant: str | None = None) -> list[Child]:
        """The child runs of a parent that count, oldest first; of one variant, or of all."""
        return [child for child in self.all_children(parent, variant) if not child.superseded]

    def all_children(self, parent: str, variant: str | None = None) -> list[Child]:
        """The child runs of a parent with those that are superseded, oldest first."""
        of_variant = {} if variant is None else {names.VARIANT: variant}
        found = self._search({names.PARENT: parent, names.KIND: "run"} | of_variant)
        return sorted(map(_child, found), key=lambda child: child.started)

    def aggregates(self, parent: str) -> dict[str, Row]:
        """Variant → the run with the means over its seeds, of the experiment of a parent."""
        # Newest first: of several of one variant, the oldest.
        found = self._search({names.MEANS_OF: parent, names.KIND: "variant"})
        return {run.tags[names.VARIANT]: run for run in found}

    def below(self, parent: str) -> list[str]:
        """The ids of all runs that belong to a parent: its children, and the means of its variants."""
        means = self._search({names.MEANS_OF: parent, names.KIND: "variant"})
        return [*(child.run_id for child in self.all_children(parent)), *(run.run_id for run in means)]

    def done(self, parent: str) -> list[Child]:
        """The child runs of a parent that nothing will be added to: those that are whole, and the pruned."""
        return [child for child in self.children(parent) if child.pruned or self.is_whole(child)]

    def is_whole(self, child: Child) -> bool:
        """Whether a run has finished and its files are there."""
        if child.status != FINISHED:
            return False
        files = self._files(child.run_id)
        return not any(files.lost(name) for name in (names.RUN, names.SCORES, names.SAMPLES))

    def spaces(self, run_id: str) -> dict[str, Any]:
        """The fields of a finished run's ``RunRecord`` that say in which spaces it was measured."""
        return _spaces_of(self._json(run_id, names.RUN))

    def sheet(self, run_id: str) -> Path | None:
        """The first samples of a run side by side; None if it has none."""
        return self._files(run_id).find(names.SHEET)

    def status(self, run_id: str) -> str:
        """A run's status: FINISHED, FAILED, RUNNING or KILLED."""
        return self.runs.status(run_id)

    def epochs_logged(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Run → how many epochs its curves hold already."""
        curves = self.runs.curves({run_id: ["epoch_seconds"] for run_id in run_ids})
        return {run_id: len(curves[run_id].get("epoch_seconds", ())) for run_id in run_ids}

    def at_marks(self, run_ids: Sequence[str], metric: str) -> dict[str, dict[int, float]]:
        """Run → epoch → a metric that was taken on the way, at the marks of a pruner."""
        name = AT_MARK + metric
        curves = self.runs.curves({run_id: [name] for run_id in run_ids})
        return {run_id: dict(curves[run_id].get(name, ())) for run_id in run_ids}

    def searched(self, parent: str) -> dict[str, Any]:
        """What a search has proposed so far, as ``spec_record`` writes it; {} if nothing."""
        described = self._find_json(parent, names.SPEC) or {}
        found: dict[str, Any] = described.get("search", {})
        return found

    def read(self, parent: str) -> ExperimentRecord:
        """The experiment as MLflow knows it: what a report is made from. Raises as ``read_experiment``."""
        spec = self._json(parent, names.SPEC)
        order = {name: number for number, name in enumerate(spec["spec"]["variants"])}
        children = self.children(parent)
        finished = [child for child in children if child.status == FINISHED]
        curves = self.runs.curves({child.run_id: _curves_among(child.metrics) for child in finished})
        runs = [self._run_record(child, curves.get(child.run_id, {})) for child in children]
        findings, verified = self._find_json(parent, names.AUDIT), self._find_json(parent, names.VERIFIED)
        record = ExperimentRecord(
            name=spec["name"],
            spec=spec["spec"],
            configs=spec["configs"],
            parent_run_id=parent,
            experiment_id=self.experiment_id,
            runs=sorted(runs, key=lambda run: (order.get(run.variant, len(order)), run.seed)),
            provenance=self._json(parent, names.PROVENANCE),
            findings=[Finding(**finding) for finding in findings["findings"]] if findings else None,
            verified=Verification(**verified) if verified else None,
            calls=self.calls(parent),
            file=spec.get("file", ""),
            data=next((each.data for each in self.parents() if each.run_id == parent), ""),
            options=spec.get("options", ()),
            search=spec.get("search"),
        )
        self._downloads.keep_for(record)
        return record

    def calls(self, parent: str) -> list[Call]:
        """The calls of ``ablate run`` that came to their end, oldest first."""
        found = self._find_json(parent, names.CALLS) or {"calls": []}
        return [Call(**call) for call in found["calls"]]

    def _run_record(self, child: Child, curves: Curves) -> RunRecord:
        run = RunRecord(child.variant, child.seed, child.run_id, child.status, child.reason, child.params)
        if child.status != FINISHED:
            return run
        record = self._json(child.run_id, names.RUN)
        scores = self._json(child.run_id, names.SCORES)
        return replace(
            run,
            metrics={name: value for name, value in child.metrics.items() if name not in curves},
            history=curves,
            links=record["links"],
            steps_per_epoch=record["steps_per_epoch"],
            **_spaces_of(record),
            device=child.device,
            samples=self._path(child.run_id, names.SAMPLES),
            prompts={row["image_name"]: row["prompt"] for row in scores},
        )

    # ── files ────────────────────────────────────────────────────────────────────────────────────

    def _files(self, run_id: str) -> Files:
        if run_id not in self._addresses:
            self._addresses[run_id] = self.runs.address(run_id)
        return files_of(self.client, self._downloads, self.name, run_id, self._addresses[run_id])

    def all_files(self, run_id: str) -> Path | None:
        """A folder with all files of a run; None if it has none. Kept as long as this reader is."""
        return self._files(run_id).all()

    def _path(self, run_id: str, name: str) -> Path:
        if path := self._files(run_id).find(name):
            return path
        raise UserError(
            f"{name} of MLflow's run {run_id} is missing",
            where=self._addresses[run_id],
            fix="`ablate run` with the same spec records it again from the store.",
        )

    def _json(self, run_id: str, name: str) -> Any:
        path = self._path(run_id, name)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            fix = "Remove this file. `ablate run` with the same spec records it again from the store."
            what = f"{name} of MLflow's run {run_id} is damaged ({error})"
            raise UserError(what, where=str(path), fix=fix) from error

    def _find_json(self, run_id: str, name: str) -> Any:
        """The content of a file; None where a run has none of that name."""
        return self._json(run_id, name) if self._files(run_id).find(name) else None

    # ── runs ─────────────────────────────────────────────────────────────────────────────────────

    def _search(self, tags: Mapping[str, str]) -> list[Row]:
        """All runs with these tags, newest first."""
        found = self.runs.tagged(self.experiment_id, tags)
        self._addresses |= {run.run_id: run.address for run in found}
        return found


def _spaces_of(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("feature_space", "evaluator", "networks") if name in record}


def _curves_among(metrics: Mapping[str, float]) -> list[str]:
    return [name for name in metrics if name.startswith(CURVES)]


def _child(run: Row) -> Child:
    return Child(
        run_id=run.run_id,
        name=run.name,
        variant=run.tags[names.VARIANT],
        seed=int(run.tags[names.SEED]),
        key=run.tags[names.KEY],
        status=run.status,
        started=run.started,
        superseded=names.SUPERSEDED in run.tags,
        reason=run.tags.get(names.REASON, ""),
        device=run.tags.get(names.DEVICE, ""),
        pruned=names.PRUNED in run.tags,
        metrics=run.metrics,
        params=run.params,
    )
