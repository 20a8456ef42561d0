"""Experiments → MLflow: parents, children, curves, images.

Only ``MlflowClient`` is used, no fluent global state. Everything written here can be written twice:
runs are found again by their key, and only points that are missing are logged.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ablate.data.place import place_of
from ablate.record import names
from ablate.record.client import artifact_folder, connect, database_of
from ablate.record.images import sheet, tiles
from ablate.record.provenance import git_commit, provenance, spec_record
from ablate.record.read import Reader, find_settings

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from ablate.plan import Plan, Run
    from ablate.record.read import Child
    from ablate.records import EpochRow, Finding, Verification
    from ablate.stages.evaluated import Evaluated

MARK = " (superseded)"
"""Ends the name of a child run that no longer counts."""


def open_experiment(uri: str, name: str) -> Writer:
    """A writer of an experiment, which is made if it is not there, and restored if it was deleted. Raises
    as ``connect``."""
    client = connect(uri)
    found = client.get_experiment_by_name(name)
    if found is None:
        database = database_of(uri)
        location = (artifact_folder(database) / name).as_uri() if database else None
        return Writer(client, str(client.create_experiment(name, artifact_location=location)))
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return Writer(client, str(found.experiment_id))


def record_verification(uri: str, plan: Plan, verification: Verification) -> None:
    """Logs what ``ablate verify`` measured, if the experiment has run. Raises as ``connect``."""
    if found := find_settings(uri, plan):
        reader, parent = found
        reader.client.log_dict(parent, asdict(verification), names.VERIFIED)


class Writer(Reader):
    """Reads and writes the runs of one experiment in one MLflow store."""

    # ── the parent ───────────────────────────────────────────────────────────────────────────────

    def begin_parent(self, plan: Plan, key: str) -> str:
        """The parent run of this resolved spec: the one that exists goes on, or a new one begins."""
        if run_id := self.find_parent(key):
            self.client.update_run(run_id, status="RUNNING")
        else:
            tags = {
                names.KEY: key,
                names.KIND: "experiment",
                "mlflow.note.content": plan.experiment.spec.question,
                "mlflow.source.name": f"ablate run {plan.experiment.name}",
                "mlflow.source.type": "LOCAL",
            }
            run_id = self._create(plan.experiment.name, tags)
        # Also for a run that exists: what created it may have been killed before it got here.
        self.client.log_dict(run_id, spec_record(plan), names.SPEC)
        self.client.log_dict(run_id, provenance(plan), names.PROVENANCE)
        for plugin in plan.experiment.vocabulary.plugins:
            self.client.log_text(run_id, plugin.source, f"{names.PLUGINS}/{plugin.name}")
        return run_id

    def log_findings(self, parent: str, findings: Sequence[Finding] | None) -> None:
        """What the audit found, in the parent run; None where the run goes on without an audit."""
        if findings is not None:
            self.client.log_dict(parent, {"findings": [asdict(finding) for finding in findings]}, names.AUDIT)

    def end_parent(self, run_id: str, *, failed: bool) -> None:
        """Ends the parent run, unless it has ended so already."""
        status = "FAILED" if failed else "FINISHED"
        if self.status(run_id) != status:
            self.client.set_terminated(run_id, status)

    # ── its children ─────────────────────────────────────────────────────────────────────────────

    def keep_current(self, parent: str, keys: Collection[str]) -> set[tuple[str, str]]:
        """Marks the children whose key is not among ``keys`` as superseded: results of other code or
        data under the same spec. Returns (variant, key) of the others that are complete."""
        complete = set()
        for child in self.all_children(parent):
            current = child.key in keys
            if not current and not child.superseded:
                self.client.set_tag(child.run_id, names.SUPERSEDED, "true")
                self.client.update_run(child.run_id, name=f"{child.name}{MARK}")
            if current and child.superseded:
                self.client.delete_tag(child.run_id, names.SUPERSEDED)
                self.client.update_run(child.run_id, name=child.name.removesuffix(MARK))
            if current and child.status == "FINISHED":
                complete.add((child.variant, child.key))
        return complete

    def begin_child(self, parent: str, run: Run, existing: Sequence[Child]) -> str:
        """The child run of this run, RUNNING: the one among ``existing`` with its key, or a new one."""
        # The variant too: two variants of equal configurations have equal keys.
        wanted = (run.variant, run.seed, run.keys.evaluate)
        same = (child for child in existing if (child.variant, child.seed, child.key) == wanted)
        if child := next(same, None):
            run_id = child.run_id
            self.client.update_run(run_id, status="RUNNING")
            if child.reason:
                self.client.delete_tag(run_id, names.REASON)
        else:
            tags = {
                names.PARENT: parent,
                names.KEY: run.keys.evaluate,
                names.KIND: "run",
                names.VARIANT: run.variant,
                names.SEED: str(run.seed),
                names.COMMIT: git_commit(),
            }
            run_id = self._create(run.name, tags)
        self._describe(run_id, run)
        return run_id

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        return str(self.client.create_run(self.experiment_id, run_name=name, tags=tags).info.run_id)

    def _describe(self, run_id: str, run: Run) -> None:
        """Logs what a run is made of. Doing it twice changes nothing."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        # A digest of at most 36 characters is all that MLflow keeps.
        dataset = Dataset(place_of(run.keys.config.data.path).name, run.keys.data[-32:], "local", "{}")
        context = [InputTag("mlflow.data.context", "training")]
        self.client.log_inputs(run_id, [DatasetInput(dataset, context)])
        config = run.keys.config.model_dump(mode="json")
        parameters = flatten(config) | {"variant": run.variant, "seed": run.seed}
        self.client.log_batch(run_id, params=[Param(k, str(v)[:6000]) for k, v in parameters.items()])
        self.client.log_dict(run_id, config, names.CONFIG)

    def log_epochs(self, run_id: str, history: Sequence[EpochRow], known: int) -> None:
        """Logs the epochs of ``history`` from number ``known`` on."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        new = list(enumerate(history))[known:]
        points = [Metric(name, value, now, epoch) for epoch, row in new for name, value in row.items()]
        for first in range(0, len(points), 1000):
            self.client.log_batch(run_id, metrics=points[first : first + 1000])

    def log_preview(self, run_id: str, image: Path, epoch: int) -> None:
        """Shows a preview at its epoch in the UI's image grid, unless it is there already."""
        # The grid finds images by file names that MLflow makes; the tag says which exist.
        tag = f"{names.PREVIEW}.{epoch}"
        if tag in self.client.get_run(run_id).data.tags:
            return
        self.client.log_image(run_id, sheet(tiles(image), columns=4), key="preview", step=epoch)
        self.client.set_tag(run_id, tag, "logged")

    def finish_child(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        record: Mapping[str, Any],
        evaluated: Evaluated,
        images: Path,
    ) -> None:
        """Logs the final figures, what the report needs beside them (``record``), scores, features and the
        folder of samples, and ends the run."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        logged = self.client.get_run(run_id).data.metrics
        new = [Metric(name, value, now, 0) for name, value in metrics.items() if name not in logged]
        self.client.log_batch(run_id, metrics=new)
        self.client.log_dict(run_id, dict(record), names.RUN)
        for file in (evaluated.scores_file, evaluated.features_file):
            self.client.log_artifact(run_id, str(file))
        self.client.log_artifacts(run_id, str(images), names.SAMPLES)
        if first := sorted(images.glob("*.png"))[:32]:
            page = sheet([tile for file in first for tile in tiles(file)], columns=8)
            self.client.log_image(run_id, page, artifact_file="samples.png")
        self.client.set_terminated(run_id, "FINISHED")

    def fail_child(self, run_id: str, reason: str) -> None:
        """Ends a run as FAILED with its reason."""
        self.client.set_tag(run_id, names.REASON, reason[:7900])
        self.client.set_terminated(run_id, "FAILED")


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` → ``{"a.b": 1}``."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
