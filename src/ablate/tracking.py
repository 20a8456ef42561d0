"""MLflow, the record: parents, children, curves, images; and back again for the report.

Only ``MlflowClient`` is used, no fluent global state. Everything written here can be written twice:
runs are found again by their key, and only points that are missing are logged.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from ablate import fingerprint
from ablate.data.place import place_of
from ablate.errors import UserError
from ablate.records import ExperimentRecord, Finding, RunRecord, Verification
from ablate.store import key_of

# MLflow reads these when it is imported: nothing is sent anywhere unless the user turns it on, and
# a server that does not answer is an error after seconds, not after four minutes.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
# `ablate ui` would otherwise start seven more processes, for services that nothing here uses.
os.environ.setdefault("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false")

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun
    from numpy.typing import NDArray

    from ablate.plan import Plan, Run
    from ablate.records import EpochRow
    from ablate.stages.evaluated import Evaluated

PARENT = "mlflow.parentRunId"
KEY = "ablate.key"
SUPERSEDED = "ablate.superseded"
REASON = "ablate.reason"
PACKAGES = ("torch", "diffusers", "transformers", "lpips", "open_clip_torch", "clean-fid", "mlflow", "optuna")
SQLITE = "sqlite:///"
AUDIT, VERIFIED = "audit.json", "verified.json"


def default_uri() -> str:
    """``MLFLOW_TRACKING_URI``, or ``mlflow.db`` in the current folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"


def ui_command(uri: str | None, host: str, port: int) -> list[str]:
    """The command that serves the MLflow UI on a tracking address."""
    address = uri or default_uri()
    if not address.startswith(SQLITE) or not _database(address).exists():
        raise UserError(
            "there is no MLflow database there",
            where=address,
            fix="Run an experiment first. A tracking server has its own UI: open its address in a browser.",
        )
    artifacts = (_database(address).parent / "mlruns").as_uri()
    options = ["--host", host, "--port", str(port), "--workers", "1", "--default-artifact-root", artifacts]
    return [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", address, *options]


class Tracking:
    """One experiment's runs in one MLflow store."""

    def __init__(self, uri: str, experiment: str) -> None:
        self.uri = uri
        self.client = _client(uri)
        self.experiment_id = self._experiment(experiment)

    def _experiment(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is None:
            # Beside SQLite, artifacts would land in the folder that the command runs in.
            location = (
                (_database(self.uri).parent / "mlruns" / name).absolute().as_uri()
                if self.uri.startswith(SQLITE)
                else None
            )
            return str(self.client.create_experiment(name, artifact_location=location))
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    # ── finding ──────────────────────────────────────────────────────────────────────────────────

    def find_parent(self, key: str) -> str | None:
        """The parent run of the resolved spec with this key."""
        runs = self._search(f"tags.`{KEY}` = '{key}' and tags.`ablate.kind` = 'experiment'")
        return str(runs[0].info.run_id) if runs else None

    def children(self, parent: str) -> list[MlflowRun]:
        """The child runs of a parent that count, oldest first."""
        return [run for run in self._all_children(parent) if SUPERSEDED not in run.data.tags]

    def _all_children(self, parent: str) -> list[MlflowRun]:
        runs = self._search(f"tags.`{PARENT}` = '{parent}'")
        return sorted(runs, key=lambda run: run.info.start_time)

    def keep_current(self, parent: str, keys: Collection[str]) -> set[tuple[str, str]]:
        """Marks the children whose key is not among ``keys`` as superseded: results of other code or
        data under the same spec. Returns (variant, key) of the others that are complete."""
        complete = set()
        for run in self._all_children(parent):
            run_id, key, marked = run.info.run_id, run.data.tags[KEY], SUPERSEDED in run.data.tags
            if key not in keys and not marked:
                self.client.set_tag(run_id, SUPERSEDED, "true")
                self.client.update_run(run_id, name=f"{run.info.run_name} (superseded)")
            if key in keys and marked:
                self.client.delete_tag(run_id, SUPERSEDED)
                self.client.update_run(run_id, name=run.info.run_name.removesuffix(" (superseded)"))
            if key in keys and run.info.status == "FINISHED":
                complete.add((run.data.tags["ablate.variant"], key))
        return complete

    def _search(self, query: str) -> list[MlflowRun]:
        found: list[MlflowRun] = []
        token: str | None = None
        while True:
            page = self.client.search_runs([self.experiment_id], query, max_results=1000, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    # ── writing ──────────────────────────────────────────────────────────────────────────────────

    def begin_parent(self, plan: Plan, key: str) -> str:
        """The parent run of this resolved spec: the one that exists goes on, or a new one begins."""
        run_id = self.find_parent(key)
        if run_id:
            self.client.update_run(run_id, status="RUNNING")
        else:
            experiment = plan.experiment
            tags = {
                KEY: key,
                "ablate.kind": "experiment",
                "mlflow.note.content": experiment.spec.question,
                "mlflow.source.name": f"ablate run {experiment.name}",
                "mlflow.source.type": "LOCAL",
            }
            run = self.client.create_run(self.experiment_id, run_name=experiment.name, tags=tags)
            run_id = str(run.info.run_id)
        # Also for a run that exists: what created it may have been killed before it got here.
        self.client.log_dict(run_id, spec_record(plan), "spec.json")
        self.client.log_dict(run_id, provenance(plan), "provenance.json")
        return run_id

    def log_findings(self, parent: str, findings: Sequence[Finding] | None) -> None:
        """What the audit found, in the parent run; None where the run goes on without an audit."""
        if findings is not None:
            self.client.log_dict(parent, {"findings": [asdict(finding) for finding in findings]}, AUDIT)

    def log_verification(self, parent: str, verification: Verification) -> None:
        """What ``ablate verify`` measured, in the parent run."""
        self.client.log_dict(parent, asdict(verification), VERIFIED)

    def begin_child(self, parent: str, run: Run, existing: Sequence[MlflowRun]) -> str:
        """The child run of this run, RUNNING: the one among ``existing`` with its key, or a new one."""
        tags = {
            PARENT: parent,
            KEY: run.keys.evaluate,
            "ablate.kind": "run",
            "ablate.variant": run.variant,
            "ablate.seed": str(run.seed),
        }
        # The variant too: two variants of equal configurations have equal keys.
        same = next((child for child in existing if tags.items() <= child.data.tags.items()), None)
        if same:
            run_id = str(same.info.run_id)
            self.client.update_run(run_id, status="RUNNING")
            if REASON in same.data.tags:
                self.client.delete_tag(run_id, REASON)
        else:
            tags["ablate.commit"] = git_commit()
            created = self.client.create_run(self.experiment_id, run_name=run.name, tags=tags)
            run_id = str(created.info.run_id)
        self._describe(run_id, run)
        return run_id

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
        self.client.log_dict(run_id, config, "config.json")

    def log_epochs(self, run_id: str, history: Sequence[EpochRow], known: int) -> None:
        """Logs the epochs of ``history`` from number ``known`` on."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [
            Metric(name, value, now, epoch)
            for epoch, row in enumerate(history)
            if epoch >= known
            for name, value in row.items()
        ]
        for first in range(0, len(points), 1000):
            self.client.log_batch(run_id, metrics=points[first : first + 1000])

    def epochs_logged(self, run_id: str) -> int:
        """How many epochs a run's curves hold already."""
        return len({point.step for point in self.client.get_metric_history(run_id, "epoch_seconds")})

    def log_preview(self, run_id: str, image: Path, epoch: int) -> None:
        """Shows a preview at its epoch in the UI's image grid, unless it is there already."""
        # The UI's image grid finds images by file names that MLflow makes; the tag says which exist.
        tag = f"ablate.preview.{epoch}"
        if tag in self.client.get_run(run_id).data.tags:
            return
        self.client.log_image(run_id, sheet(tiles(image), columns=4), key="preview", step=epoch)
        self.client.set_tag(run_id, tag, "logged")

    def finish_child(
        self,
        run_id: str,
        run: Run,
        evaluated: Evaluated,
        samples: Path,
        history: Sequence[EpochRow],
        steps: int,
    ) -> None:
        """Logs the final figures, the scores, features and images, and ends the run."""
        from mlflow.entities import Metric

        result = evaluated.figures
        seconds = [row["epoch_seconds"] for row in history]
        acting = run.keys.timeline
        last = [time for time, what in zip(seconds, acting, strict=True) if what == acting[-1]]
        metrics = dict(result.metrics) | {"train_seconds": sum(seconds), "seconds_per_epoch": fmean(last)}
        now = int(time.time() * 1000)
        logged = self.client.get_run(run_id).data.metrics
        self.client.log_batch(
            run_id,
            metrics=[Metric(name, value, now, 0) for name, value in metrics.items() if name not in logged],
        )
        keys = run.keys
        record = {
            "links": keys.chain[1:],
            "steps_per_epoch": steps,
            "feature_space": result.feature_space,
            "evaluator": result.evaluator,
            "weights": result.weights,
            "keys": {
                "prepare": keys.prepare,
                "train": keys.chain[-1],
                "ema": keys.observer.key(keys.chain[-1]) if keys.observer else None,
                "sample": keys.sample,
                "evaluate": keys.evaluate,
            },
        }
        self.client.log_dict(run_id, record, "run.json")
        for file in (evaluated.scores_file, evaluated.features_file):
            self.client.log_artifact(run_id, str(file))
        self.client.log_artifacts(run_id, str(samples / "images"), "samples")
        first = sorted((samples / "images").glob("*.png"))[:32]
        if first:
            page = sheet([tile for file in first for tile in tiles(file)], columns=8)
            self.client.log_image(run_id, page, artifact_file="samples.png")
        self.client.set_terminated(run_id, "FINISHED")

    def fail_child(self, run_id: str, reason: str) -> None:
        """Ends a run as FAILED with its reason."""
        self.client.set_tag(run_id, REASON, reason[:7900])
        self.client.set_terminated(run_id, "FAILED")

    def end_parent(self, run_id: str, *, failed: bool) -> None:
        """Ends the parent run, unless it has ended so already."""
        status = "FAILED" if failed else "FINISHED"
        if self.client.get_run(run_id).info.status != status:
            self.client.set_terminated(run_id, status)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────

    def read(self, parent: str) -> ExperimentRecord:
        """The experiment as MLflow knows it: all that a report is made from."""
        spec = self._json(parent, "spec.json")
        order = {name: number for number, name in enumerate(spec["spec"]["variants"])}
        runs = [self._run_record(run) for run in self.children(parent)]
        logged = {file.path for file in self.client.list_artifacts(parent)}
        found = self._json(parent, AUDIT)["findings"] if AUDIT in logged else None
        verified = Verification(**self._json(parent, VERIFIED)) if VERIFIED in logged else None
        return ExperimentRecord(
            name=spec["name"],
            spec=spec["spec"],
            configs=spec["configs"],
            parent_run_id=parent,
            experiment_id=self.experiment_id,
            runs=sorted(runs, key=lambda run: (order.get(run.variant, len(order)), run.seed)),
            provenance=self._json(parent, "provenance.json"),
            findings=None if found is None else [Finding(**finding) for finding in found],
            verified=verified,
        )

    def _run_record(self, run: MlflowRun) -> RunRecord:
        run_id, tags = run.info.run_id, run.data.tags
        base = RunRecord(
            variant=tags["ablate.variant"],
            seed=int(tags["ablate.seed"]),
            run_id=run_id,
            status=run.info.status,
            reason=tags.get(REASON, ""),
            params=dict(run.data.params),
        )
        if run.info.status != "FINISHED":
            return base
        record = self._json(run_id, "run.json")
        scores = self._json(run_id, "scores.json")
        curves = [name for name in run.data.metrics if name.startswith(("loss", "gradient_norm", "epoch_"))]
        return RunRecord(
            **{
                **vars(base),
                "metrics": {name: value for name, value in run.data.metrics.items() if name not in curves},
                "history": {
                    name: sorted(
                        {p.step: p.value for p in self.client.get_metric_history(run_id, name)}.items()
                    )
                    for name in curves
                },
                "links": record["links"],
                "steps_per_epoch": record["steps_per_epoch"],
                "feature_space": record["feature_space"],
                "evaluator": record["evaluator"],
                "samples": self._folder(run_id, "samples"),
                "prompts": {row["image_name"]: row["prompt"] for row in scores},
            }
        )

    def _json(self, run_id: str, artifact: str) -> Any:
        return json.loads(self._folder(run_id, artifact).read_text())

    def _folder(self, run_id: str, artifact: str) -> Path:
        """A local path of an artifact; one that lies on this machine is not copied."""
        return Path(self.client.download_artifacts(run_id, artifact))


def spec_record(plan: Plan) -> dict[str, Any]:
    """The resolved spec and each variant's whole configuration, as they go into the parent run."""
    experiment = plan.experiment
    return {
        "name": experiment.name,
        "spec": experiment.spec.model_dump(mode="json"),
        "configs": {name: config.model_dump(mode="json") for name, config in experiment.variants.items()},
    }


def spec_key(plan: Plan) -> str:
    """The identity of a resolved spec: what its parent run is found again by."""
    return key_of(spec_record(plan))


def provenance(plan: Plan) -> dict[str, str]:
    """Commit, Python, platform, device and the packages' versions."""
    compute = next(iter(plan.experiment.variants.values())).compute
    return {
        "ablate": version("ablate"),
        "commit": git_commit(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": fingerprint.device_kind(compute.device),
        **{package: version(package) for package in PACKAGES},
    }


def git_commit() -> str:
    """The commit of the working folder, ``+`` if files differ from it; empty outside a repository."""
    try:
        commit = _git("rev-parse", "HEAD")
        return commit + "+" * bool(_git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()


def flatten(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """``{"a": {"b": 1}}`` → ``{"a.b": 1}``."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def tiles(image: Path) -> list[NDArray[np.uint8]]:
    """The square images that lie side by side in a file."""
    import numpy as np
    from PIL import Image

    with Image.open(image, formats=["PNG"]) as file:
        strip = np.asarray(file.convert("RGB"))
    return np.split(strip, strip.shape[1] // strip.shape[0], axis=1)


def sheet(images: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Images of one size in rows of ``columns``, small ones enlarged to 64 pixels; empty places are white."""
    import numpy as np

    scale = max(1, 64 // images[0].shape[0])
    edge = images[0].shape[0] * scale
    rows = -(-len(images) // columns)
    page = np.full((rows * edge, columns * edge, 3), 255, np.uint8)
    for number, image in enumerate(images):
        top, left = edge * (number // columns), edge * (number % columns)
        page[top : top + edge, left : left + edge] = image.repeat(scale, axis=0).repeat(scale, axis=1)
    return page


def _database(uri: str) -> Path:
    return Path(uri.removeprefix(SQLITE)).absolute()


def _client(uri: str) -> MlflowClient:
    """A client on ``uri``. Two processes that make the same new database would race: one at a time."""
    import logging

    for noisy in ("alembic", "mlflow.store.db.utils"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        if not uri.startswith(SQLITE):
            client = MlflowClient(uri)
            client.search_experiments(max_results=1)
            return client
        database = _database(uri)
        database.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{database}.lock"):
            return MlflowClient(uri)
    except MlflowException as error:
        raise UserError(
            f"MLflow cannot use this tracking address: {str(error).splitlines()[0]}",
            where=uri,
            fix="Check MLFLOW_TRACKING_URI or --tracking-uri, and that the server runs.",
        ) from error
