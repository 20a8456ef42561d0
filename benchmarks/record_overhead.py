"""What recording costs: ``python benchmarks/record_overhead.py``.

Runs of nothing but a record (10 epochs of 3 curves, a preview, 6 samples, scores, features) are written by
ablate and, in turns within the same second, by a plain ``MlflowClient`` that logs the same; then the means of
each variant, over ten seeds. Both are gone on with and read back. Printed for 100 to 1000 runs: milliseconds
a run and their ratios, and disk a run. Ratios below 1 are in ablate's favour. ``--alone`` writes with ablate
only, and prints this process's memory.

Takes about a quarter of an hour and 100 MB of disk below ``--folder``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from PIL import Image

from ablate.experiment.load import load_experiment
from ablate.fingerprint import Contents
from ablate.plan import make_plan
from ablate.record.client import connect
from ablate.record.images import sheet, tiles
from ablate.record.provenance import spec_key
from ablate.record.recorder import Recorder, run_record, training_costs
from ablate.record.write import flatten, open_experiment
from ablate.stages import evaluated, sampled
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow import MlflowClient

    from ablate.plan import Plan, Run

EPOCHS, IMAGES, SEEDS = 10, 6, 10
CURVES = ("loss", "gradient_norm", "epoch_seconds")
HISTORY = [dict.fromkeys(CURVES, epoch + 0.5) for epoch in range(EPOCHS)]
SPEC = {
    "question": "What does recording cost?",
    "profile": "sprites",
    "baseline": "plain",
    "config": {"train": {"epochs": EPOCHS}, "track": {"preview_every": EPOCHS}},
}


def main() -> None:
    """Measures experiments of growing size, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--folder", type=Path, help="an empty folder; a temporary one if none is given")
    parser.add_argument("--alone", action="store_true", help="without the plain client: memory")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="record-overhead-"))
    if arguments.alone:
        print("| runs recorded | MB |\n| --: | --: |")
    else:
        print("| runs | | ablate | plain client | ratio |\n| --: | :-- | --: | --: | --: |")
    try:
        for runs in arguments.runs:
            for line in (memory if arguments.alone else measure)(folder / str(runs), runs):
                print(line, flush=True)
    finally:
        if not arguments.folder:
            shutil.rmtree(folder)


def measure(folder: Path, runs: int) -> Iterator[str]:
    """Lines of the table for an experiment of so many runs."""
    plan = make_study(folder, runs)
    took: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])

    def timed(what: str, who: int, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        took[what][who] += time.perf_counter() - began
        return result

    (folder / "ours").mkdir()
    (folder / "plain").mkdir()
    uri, other = f"sqlite:///{folder / 'ours' / 'mlflow.db'}", f"sqlite:///{folder / 'plain' / 'mlflow.db'}"
    writer = open_experiment(uri, plan.experiment.name)
    plain = Plain(other, plan, folder / "plain" / "mlruns")
    parent = writer.begin_parent(plan, spec_key(plan), None).run_id
    plain_parent = plain.begin_parent()
    half = plan.runs[: runs // 2]

    # Fresh: all runs begin, then each brings its epochs and its results.
    with Recorder(plan, writer, parent) as recorder:
        timed("write, fresh", 0, lambda: recorder.begin(plan.runs))
        for run in plan.runs:
            timed("write, fresh", 1, lambda run=run: plain.begin(run, plain_parent))
            timed("write, fresh", 0, lambda run=run: epochs(recorder, run))
            timed("write, fresh", 1, lambda run=run: plain.epochs(run))
            if run in half:
                timed("write, fresh", 0, lambda run=run: finish(recorder, run))
                timed("write, fresh", 1, lambda run=run: plain.finish(run))
    # The command was killed when half were finished, and is given again.
    again = open_experiment(uri, plan.experiment.name)
    left = plan.runs[runs // 2 :]
    timed("resume", 0, lambda: again.keep_current(parent, {run.keys.evaluate for run in plan.runs}))
    with Recorder(plan, again, parent) as recorder:
        timed("resume", 0, lambda: recorder.begin(left))
        timed("resume", 1, lambda: plain.resume(plain_parent))
        for run in left:
            timed("write, fresh", 0, lambda run=run: finish(recorder, run))
            timed("write, fresh", 1, lambda run=run: plain.finish(run))
        for variant in plan.experiment.variants:
            timed("means", 0, lambda variant=variant: sum_up(recorder, plan, variant))
            timed("means", 1, lambda variant=variant: plain.means(variant, plain_parent))
    for _ in range(3):
        record = timed("read", 0, lambda: again.read(parent))
        read = timed("read", 1, lambda: plain.read(plain_parent))
        assert len(record.runs) == len(read) == runs
        assert {run.status for run in record.runs} == {"FINISHED"}
        assert all(len(run.history["loss"]) == EPOCHS for run in record.runs)
    took["read"] = [seconds / 3 for seconds in took["read"]]
    for what, (ours, theirs) in took.items():
        yield row(runs, f"{what}, ms a run", 1000 * ours / runs, 1000 * theirs / runs)
    yield row(runs, "disk, kB a run", *(disk(folder / who) / runs / 1000 for who in ("ours", "plain")))


def memory(folder: Path, runs: int) -> Iterator[str]:
    """Lines of the table of memory: what this process holds after each tenth of the runs."""
    plan = make_study(folder, runs)
    (folder / "ours").mkdir()
    writer = open_experiment(f"sqlite:///{folder / 'ours' / 'mlflow.db'}", plan.experiment.name)
    parent = writer.begin_parent(plan, spec_key(plan), None).run_id
    with Recorder(plan, writer, parent) as recorder:
        recorder.begin(plan.runs)
        recorder.flush()
        yield f"| none of {runs} | {resident():.0f} |"
        for number, run in enumerate(plan.runs, start=1):
            epochs(recorder, run)
            finish(recorder, run)
            if number % (runs // 10) == 0:
                yield f"| {number} | {resident():.0f} |"


def resident() -> float:
    """Memory of this process in MB."""
    return float(psutil.Process().memory_info().rss) / 1e6


def row(runs: int, what: str, ours: float, theirs: float) -> str:
    """A line of the table."""
    return f"| {runs} | {what} | {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |"


def epochs(recorder: Recorder, run: Run) -> None:
    """Half of the epochs, and then the rest with a preview."""
    (preview,) = [key for _, key in run.keys.previews()]
    recorder.epoch([run.name], HISTORY[: EPOCHS // 2], None)
    recorder.epoch([run.name], HISTORY, preview)
    recorder.flush()


def finish(recorder: Recorder, run: Run) -> None:
    """The results of a run."""
    recorder.finish(run.name)
    recorder.flush()


def sum_up(recorder: Recorder, plan: Plan, variant: str) -> None:
    """The means of a variant."""
    recorder.sum_up(plan, variant)
    recorder.flush()


def disk(folder: Path) -> int:
    """Bytes of all files."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


class Plain:
    """What anyone would write who logs the same with MLflow's client."""

    def __init__(self, uri: str, plan: Plan, artifacts: Path) -> None:
        connect(uri, to_write=True)  # makes the database
        from mlflow import MlflowClient

        self.plan = plan
        self.client: MlflowClient = MlflowClient(uri)
        self.experiment = self.client.create_experiment("plain", artifact_location=artifacts.as_uri())
        self.ids: dict[str, str] = {}

    def begin_parent(self) -> str:
        """The parent run."""
        return str(self.client.create_run(self.experiment, run_name="parent").info.run_id)

    def begin(self, run: Run, parent: str) -> None:
        """A child run with its parameters and data set."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        tags = {"mlflow.parentRunId": parent, "variant": run.variant, "seed": str(run.seed), "key": run.name}
        created = self.client.create_run(self.experiment, run_name=run.name, tags=tags)
        run_id = self.ids[run.name] = created.info.run_id
        dataset = Dataset("data", run.keys.data[-32:], "local", "{}")
        context = [InputTag("mlflow.data.context", "training")]
        self.client.log_inputs(run_id, [DatasetInput(dataset, context)])
        parameters = flatten(run.keys.config.model_dump(mode="json"))
        self.client.log_batch(run_id, params=[Param(k, str(v)) for k, v in parameters.items()])

    def epochs(self, run: Run) -> None:
        """Curves in two calls, and a preview."""
        self._points(run, HISTORY[: EPOCHS // 2], 0)
        self._points(run, HISTORY[EPOCHS // 2 :], EPOCHS // 2)
        ((_, preview),) = run.keys.previews()
        page = sheet(tiles(sampled.preview_image(self.plan.store, preview)), columns=4)
        self.client.log_image(self.ids[run.name], page, key="preview", step=EPOCHS)

    def _points(self, run: Run, rows: list[dict[str, float]], first: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        points = [Metric(name, row[name], now, first + n) for n, row in enumerate(rows) for name in row]
        self.client.log_batch(self.ids[run.name], metrics=points)

    def finish(self, run: Run) -> None:
        """Final figures and files."""
        from mlflow.entities import Metric

        run_id, store = self.ids[run.name], self.plan.store
        samples = sampled.Sampled(store.path("sample", run.keys.sample))
        results = evaluated.Evaluated(store.path("evaluate", run.keys.evaluate))
        now = int(time.time() * 1000)
        costs = training_costs(run.keys.timeline, samples.history)
        metrics = {**results.figures.metrics, **costs}
        self.client.log_batch(run_id, metrics=[Metric(k, v, now, 0) for k, v in metrics.items()])
        described = run_record(run, results.figures, self.plan.steps_per_epoch(run))
        self.client.log_dict(run_id, described, "run.json")
        self.client.log_artifact(run_id, str(results.scores_file))
        self.client.log_artifact(run_id, str(results.features_file))
        self.client.log_artifacts(run_id, str(samples.images), "samples")
        images = sorted(samples.images.glob("*.png"))
        page = sheet([tile for file in images for tile in tiles(file)], columns=8)
        self.client.log_image(run_id, page, artifact_file="samples.png")
        self.client.set_terminated(run_id, "FINISHED")

    def means(self, variant: str, parent: str) -> None:
        """A run with the means of a variant, and its sheet of samples."""
        from mlflow.entities import Metric, Param

        query = f"tags.`mlflow.parentRunId` = '{parent}' and tags.variant = '{variant}'"
        children = self.client.search_runs([self.experiment], query, max_results=1000)
        run_id = self.client.create_run(self.experiment, run_name=variant).info.run_id
        names = [name for name in children[0].data.metrics if name not in CURVES]
        now = int(time.time() * 1000)
        values = {name: fmean(child.data.metrics[name] for child in children) for name in names}
        metrics = [Metric(name, value, now, 0) for name, value in values.items()]
        self.client.log_batch(run_id, metrics, [Param("variant", variant)])
        sheets = [self.client.download_artifacts(child.info.run_id, "samples.png") for child in children[:4]]
        rows = [np.asarray(Image.open(file))[:64] for file in sheets]
        self.client.log_image(run_id, np.vstack(rows), key="samples", step=0)
        self.client.set_terminated(run_id, "FINISHED")

    def resume(self, parent: str) -> dict[str, int]:
        """How many epochs each run has."""
        return {
            run.info.run_id: len(self.client.get_metric_history(run.info.run_id, "epoch_seconds"))
            for run in self._children(parent)
        }

    def read(self, parent: str) -> list[Any]:
        """Parameters, figures, curves and files of all runs."""
        return [self._read(run) for run in self._children(parent)]

    def _children(self, parent: str) -> list[Any]:
        query = f"tags.`mlflow.parentRunId` = '{parent}'"
        return list(self.client.search_runs([self.experiment], query, max_results=1000))

    def _read(self, run: Any) -> Any:
        run_id = run.info.run_id
        history = {name: self.client.get_metric_history(run_id, name) for name in CURVES}
        files = [Path(self.client.download_artifacts(run_id, name)) for name in ("run.json", "scores.json")]
        described = [json.loads(file.read_text()) for file in files]
        return run.data, history, described, self.client.download_artifacts(run_id, "samples")


def make_study(folder: Path, runs: int) -> Plan:
    """An experiment of so many runs, ten of each variant, and a store with a stub of each run's results."""
    folder.mkdir(parents=True)
    others = {f"variant-{n}": {"sample": {"guidance": 2.0 + n}} for n in range(1, runs // SEEDS)}
    spec = {**SPEC, "variants": {"plain": {}} | others, "seeds": list(range(SEEDS))}
    (folder / "overhead.yaml").write_text(json.dumps(spec))
    experiment = load_experiment(folder / "overhead.yaml")
    plan = make_plan(experiment, Store(folder / "store"), Contents(folder / "digests.json"))
    strip = np.random.default_rng(0).integers(0, 256, (32, 4 * 32, 3), dtype=np.uint8)
    for run in plan.runs:
        keys, ingredients = run.keys, {"benchmark": run.name}
        plan.store.make("sample", keys.sample, ingredients, lambda entry: _samples(entry, strip))
        plan.store.make("evaluate", keys.evaluate, ingredients, _results)
        for _, key in keys.previews():
            plan.store.make("preview", key, ingredients, lambda entry: _save(strip, entry / sampled.PREVIEW))
    return plan


def _samples(folder: Path, strip: np.ndarray) -> None:
    (folder / "images").mkdir()
    for number in range(IMAGES):
        _save(strip[:, :32], folder / "images" / f"{number}.png")
    content = {"seconds": 1.0, "evaluations_per_image": 4.0, "weights": "0" * 64, "history": HISTORY}
    (folder / sampled.SAMPLED).write_text(json.dumps(content))


def _results(folder: Path) -> None:
    named = ("fid", "kid", "clip_i", "clip_t", "seconds_per_image")
    metrics = {name: number + 0.5 for number, name in enumerate(named)}
    metrics |= {f"metric_{number}": number + 0.5 for number in range(len(named), 12)}
    figures = evaluated.Figures(metrics, "sprites-clip", "sprites", "0" * 64)
    prompts = [{"image_name": f"{number}.png", "text": f"a monster {number}"} for number in range(IMAGES)]
    scores = {"clip_t": np.full(IMAGES, 0.5)}
    features = np.zeros((IMAGES, 64), dtype=np.float32)
    evaluated.write(folder, figures, prompts, scores, features=features, embeddings=features)


def _save(image: np.ndarray, file: Path) -> None:
    Image.fromarray(image).save(file)


if __name__ == "__main__":
    main()
