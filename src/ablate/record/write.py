"""Experiments → MLflow: parents, children, curves, images.

Only ``MlflowClient`` is used, no fluent global state. Everything written here can be written twice:
runs are found again by their key, only points that are missing are logged, and files replace themselves.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ablate.data.place import place_of
from ablate.dotted import flatten
from ablate.hardware import words
from ablate.patience import Note, log
from ablate.record import identity, names
from ablate.record.client import connect
from ablate.record.databases import address_of
from ablate.record.identity import Parent
from ablate.record.images import encoded, sheet, tiles
from ablate.record.provenance import git_commit, provenance, spec_record
from ablate.record.read import Reader, find_settings
from ablate.record.runs import Experiment, query_of, runs_of
from ablate.records import AT_MARK, FINISHED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun
    from numpy.typing import NDArray

    from ablate.plan import Plan, Run
    from ablate.record.read import Child
    from ablate.record.runs import Row
    from ablate.records import Call, EpochRow, Finding, Verification
    from ablate.stages.evaluated import Evaluated

MARK = " (superseded)"
"""Ends the name of a child run that no longer counts."""


POINTS = 1000
"""How many points of curves MLflow takes at once."""


def open_experiment(uri: str, name: str, note: Note = log) -> Writer:
    """A writer of an experiment, which is made if it is not there, and restored if it was deleted. Raises
    as ``connect``."""
    client = connect(uri, note, to_write=True)

    def find(mlflow: MlflowClient) -> Any:
        return mlflow.get_experiment_by_name(name)

    def make(mlflow: MlflowClient) -> Any:
        location = address_of(client.database, name) if client.database else None
        return mlflow.get_experiment(mlflow.create_experiment(name, artifact_location=location))

    found = runs_of(client).experiment(name)
    if found is None:
        found = Experiment(str(client.create(make, find).experiment_id), deleted=False)
    if found.deleted:
        client.restore_experiment(found.number)
    return Writer(client, found.number, name)


def record_verification(uri: str, plan: Plan, verification: Verification, note: Note = log) -> None:
    """Logs what ``ablate verify`` measured, if the experiment has run. Raises as ``connect``."""
    if found := find_settings(uri, plan, note):
        writer = open_experiment(uri, plan.experiment.name, note)
        writer.save(found[1].run_id, {names.VERIFIED: as_json(asdict(verification))})


class Writer(Reader):
    """Reads and writes the runs of one experiment in one MLflow store."""

    # ── the parent ───────────────────────────────────────────────────────────────────────────────

    def own_parent(self, plan: Plan, key: str) -> Parent | None:
        """The parent run that a run of this plan goes on in; None where it begins one."""

        def keys_of(parent: str) -> set[str]:
            return {child.key for child in self.children(parent)}

        database = self.client.database
        alone = database is not None  # an SQLite file is locked for an experiment: ``runner/exclusive.py``
        return identity.own(plan, self.parents(key), identity.here(plan, database), keys_of, alone=alone)

    def begin_parent(self, plan: Plan, key: str, before: Parent | None) -> Parent:
        """The parent run of this resolved spec: ``before``, which ``own_parent`` has found, goes on, or a new
        one begins."""
        if parent := before:
            self.client.update_run(parent.run_id, status="RUNNING")
            if parent.store != plan.store.identity:
                self.client.set_tag(parent.run_id, names.STORE, plan.store.identity)
        else:
            tags = {
                names.NOTE: plan.experiment.spec.question,
                "mlflow.source.name": f"ablate run {plan.experiment.name}",
                "mlflow.source.type": "LOCAL",
            }
            which = identity.identity_tags(plan, self.client.database)
            unique = {names.KEY: key, names.KIND: "experiment", names.PLACE: which[names.PLACE]}
            run_id = self._create(plan.experiment.name, unique, tags | which)
            parent = Parent.of_tags(run_id, unique | which, running=True)
        # Also for a run that exists: what created it may have been killed before it got here.
        self.describe_parent(parent.run_id, plan)
        return parent

    def mend_parent(self, run_id: str, plan: Plan) -> None:
        """Writes what the parent run says of its spec once more, if its files were deleted."""
        files = self._files(run_id)
        if files.lost(names.SPEC) or files.lost(names.PROVENANCE):
            self.describe_parent(run_id, plan)

    def describe_parent(self, run_id: str, plan: Plan) -> None:
        """Writes what the parent run says of its spec, and of what a search has proposed so far."""
        plugins = {
            f"{names.PLUGINS}/{plugin.name}": plugin.source.encode()
            for plugin in plan.experiment.vocabulary.plugins
        }
        described = {
            names.SPEC: as_json(spec_record(plan)),
            names.PROVENANCE: as_json(provenance(plan)),
        }
        self.save(run_id, described | plugins)

    def log_findings(self, parent: str, findings: Sequence[Finding] | None) -> None:
        """What the audit found, in the parent run; None where the run goes on without an audit."""
        if findings is not None:
            found = {"findings": [asdict(finding) for finding in findings]}
            self.save(parent, {names.AUDIT: as_json(found)})

    def log_call(self, parent: str, call: Call) -> None:
        """Adds to the parent run what a call of ``ablate run`` took."""
        calls = [*self.calls(parent), call]
        self.save(parent, {names.CALLS: as_json({"calls": [asdict(each) for each in calls]})})

    def end_parent(self, run_id: str, *, failed: bool) -> None:
        """Ends the parent run, unless it has ended so already."""
        status = "FAILED" if failed else FINISHED
        if self.status(run_id) != status:
            self.client.set_terminated(run_id, status)

    # ── its children ─────────────────────────────────────────────────────────────────────────────

    def keep_content(self, parent: Parent, plan: Plan) -> None:
        """Records on a parent run of which data and code its results are, also one of an older version."""
        for name, value in identity.changed(parent, identity.content_tags(plan)).items():
            self.client.set_tag(parent.run_id, name, value)

    def keep_current(self, parent: str, keys: Collection[str]) -> set[tuple[str, str]]:
        """Marks the children whose key is not among ``keys`` as superseded: results of other code or
        data under the same spec. Returns (variant, key) of the others that are complete, files included."""
        complete = set()
        for child in self.all_children(parent):
            current = child.key in keys
            if not current and not child.superseded:
                self.supersede(child.run_id, child.name)
            if current and child.superseded:
                self.restore(child.run_id, child.name)
            if current and self.is_whole(child):
                complete.add((child.variant, child.key))
        return complete

    def supersede(self, run_id: str, name: str) -> None:
        """Marks a run of this name as one that no longer counts."""
        self.client.set_tag(run_id, names.SUPERSEDED, "true")
        self.client.update_run(run_id, name=f"{name.removesuffix(MARK)}{MARK}")

    def restore(self, run_id: str, name: str) -> None:
        """Takes the mark from a run of this name that counts again."""
        self.client.delete_tag(run_id, names.SUPERSEDED)
        self.client.update_run(run_id, name=name.removesuffix(MARK))

    def begin_child(self, parent: str, run: Run, existing: Child | None) -> str:
        """The child run of this run, RUNNING: the one that exists, or a new one. It counts from now on."""
        if existing is None:
            # The variant too: two variants of equal configurations have equal keys.
            identity = {
                names.PARENT: parent,
                names.KEY: run.keys.whole.evaluate,
                names.VARIANT: run.variant,
                names.SEED: str(run.seed),
            }
            tags = {names.KIND: "run", names.COMMIT: self._commit}
            tags[names.DEVICE] = words(run.keys.numerics)
            if run.keys.config.track.preview_every:
                tags[names.IMAGES] = "True"
            run_id = self._create(run.name, identity, tags)
        else:
            run_id = existing.run_id
            if existing.status != "RUNNING":
                self.client.update_run(run_id, status="RUNNING")
            if existing.reason:
                self.client.delete_tag(run_id, names.REASON)
            if existing.pruned:
                self.client.delete_tag(run_id, names.PRUNED)
            if existing.superseded:
                self.restore(run_id, existing.name)
        parameters = flatten(run.keys.config.model_dump(mode="json"))
        parameters |= {"variant": run.variant, "seed": run.seed}
        # All are logged in one transaction, unless they are more than MLflow takes at once.
        if existing is None or len(existing.params) < len(parameters):
            self._describe(run_id, run, parameters)
        return run_id

    @cached_property
    def _commit(self) -> str:
        return git_commit()

    def _create(self, name: str, identity: Mapping[str, str], tags: Mapping[str, str]) -> str:
        """A new run, which ``identity`` tells from all others."""

        def make(mlflow: MlflowClient) -> MlflowRun:
            return mlflow.create_run(self.experiment_id, run_name=name, tags={**identity, **tags})

        def find(mlflow: MlflowClient) -> MlflowRun | None:
            return next(iter(mlflow.search_runs([self.experiment_id], query_of(identity))), None)

        info = self.client.create(make, find).info
        self._addresses[info.run_id] = info.artifact_uri
        return str(info.run_id)

    def _describe(self, run_id: str, run: Run, parameters: Mapping[str, Any]) -> None:
        """Logs what a run is made of. Doing it twice changes nothing."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        # A digest of at most 36 characters is all that MLflow keeps.
        dataset = Dataset(place_of(run.keys.config.data.path).name, run.keys.data[-32:], "local", "{}")
        context = [InputTag("mlflow.data.context", "training")]
        self.client.log_inputs(run_id, [DatasetInput(dataset, context)])
        self.client.log_batch(run_id, params=[Param(k, str(v)[:6000]) for k, v in parameters.items()])

    def log_epochs(self, run_id: str, history: Sequence[EpochRow], known: int, now: int) -> None:
        """Logs the epochs of ``history`` from number ``known`` on; ``now`` in milliseconds since 1970."""
        from mlflow.entities import Metric

        points: list[Metric] = []
        for epoch, row in list(enumerate(history))[known:]:
            if len(points) + len(row) > POINTS:  # an epoch is logged as a whole, or it would be half known
                self.client.log_batch(run_id, metrics=points)
                points = []
            points += [Metric(name, value, now, epoch) for name, value in row.items()]
        self.client.log_batch(run_id, metrics=points)

    def log_preview(self, run_id: str, image: Path, epoch: int) -> None:
        """Shows a preview at its epoch in the UI's image grid, unless it is there already."""
        files = _grid_files(run_id, "preview", epoch)
        if not self._files(run_id).find(files[-1]):
            self._show(run_id, files, sheet(tiles(image), columns=4))

    def _show(self, run_id: str, files: tuple[str, str], page: NDArray[np.uint8]) -> None:
        contents = (encoded(page, "PNG"), encoded(page, "WEBP", longest=256))
        self.save(run_id, dict(zip(files, contents, strict=True)))

    def finish_child(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        record: Mapping[str, Any],
        evaluated: Evaluated,
        images: Path,
        now: int,
    ) -> None:
        """Logs the final figures, what the report needs beside them (``record``), scores, features and the
        folder of samples, and ends the run."""
        from mlflow.entities import Metric

        self.client.log_batch(run_id, metrics=[Metric(k, v, now, 0) for k, v in metrics.items()])
        samples = sorted(images.glob("*.png"))
        contents: dict[str, bytes | Path] = {f"{names.SAMPLES}/{image.name}": image for image in samples}
        contents |= {file.name: file for file in (evaluated.scores_file, evaluated.features_file)}
        if samples:
            page = sheet([tile for file in samples[:32] for tile in tiles(file)], names.COLUMNS)
            contents[names.SHEET] = encoded(page, "PNG")
        self.save(run_id, contents | {names.RUN: as_json(record)})
        self.client.set_terminated(run_id, FINISHED)

    def log_mark(self, run_id: str, epoch: int, metrics: Mapping[str, float], now: int) -> None:
        """Logs figures of a run that goes on, as it stood after ``epoch`` epochs."""
        from mlflow.entities import Metric

        points = [Metric(f"{AT_MARK}{name}", value, now, epoch) for name, value in metrics.items()]
        self.client.log_batch(run_id, metrics=points)

    def prune_child(self, child: Child, after: str) -> None:
        """Says of a run that its trial was pruned, and ends it as KILLED if it has not finished.

        Args:
            after: how much of the trial had run: ``3 epochs``.
        """
        if not child.pruned:
            self.client.set_tag(child.run_id, names.PRUNED, after)
            self.client.set_tag(child.run_id, names.REASON, f"pruned after {after}")
        if child.status != FINISHED:
            self.client.set_terminated(child.run_id, "KILLED")

    def fail_child(self, run_id: str, reason: str) -> None:
        """Ends a run as FAILED with its reason."""
        self.client.set_tag(run_id, names.REASON, reason[:7900])
        self.client.set_terminated(run_id, "FAILED")

    # ── the means of its variants ────────────────────────────────────────────────────────────────

    def begin_aggregate(self, parent: str, variant: str) -> str:
        """A new run for the means of a variant, which has none yet."""
        identity = {names.MEANS_OF: parent, names.KIND: "variant", names.VARIANT: variant}
        return self._create(variant, identity, {})

    def lacks_page(self, run: Row) -> bool:
        """Whether the sheet of samples that belongs to the means of a variant was deleted."""
        return names.IMAGES in run.tags and self._files(run.run_id).lost(_page_of(run.run_id)[0])

    def finish_aggregate(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        params: Mapping[str, Any],
        tags: Mapping[str, str],
        page: NDArray[np.uint8] | None,
        now: int,
    ) -> None:
        """Logs the means of a variant and a sheet of its samples, and ends the run. Doing it twice changes
        nothing."""
        from mlflow.entities import Metric, Param, RunTag

        if page is not None:
            self._show(run_id, _page_of(run_id), page)
            tags = {**tags, names.IMAGES: "True"}
        self.client.log_batch(
            run_id,
            metrics=[Metric(name, value, now, 0) for name, value in metrics.items()],
            params=[Param(name, str(value)[:6000]) for name, value in params.items()],
            tags=[RunTag(name, value) for name, value in tags.items()],
        )
        self.client.set_terminated(run_id, FINISHED)

    def save(self, run_id: str, contents: Mapping[str, bytes | Path]) -> None:
        """Writes files of a run: name → its bytes, or a file to copy."""
        self._files(run_id).save(contents)


def _grid_files(run_id: str, key: str, step: int) -> tuple[str, str]:
    """The image and its small copy for the UI's grid, which reads key, step and time from the names. A time
    of MLflow's own would make it another image each time."""
    name = f"images/{key}+step+{step}+timestamp+{step}+{run_id}"
    return f"{name}.png", f"{name}+compressed.webp"


def _page_of(run_id: str) -> tuple[str, str]:
    """The files of the sheet of a variant."""
    return _grid_files(run_id, "samples", 0)


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return int(time.time() * 1000)


def as_json(content: Mapping[str, Any]) -> bytes:
    """What is written into a JSON file of a run."""
    return json.dumps(content, indent=2).encode()
