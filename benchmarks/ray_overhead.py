"""What Ray costs beside worker processes of our own: a task that does nothing, and a study on two nodes.

    python benchmarks/ray_overhead.py tasks
    python benchmarks/ray_overhead.py study experiments/readme.yaml --seeds 0 --set train.epochs=2

Both take turns, so that each sees the same machine. ``study`` compares two Ray nodes of one CPU each on this
machine with ``--workers 2``: wall time of the walk without the starts, hashes, and epochs trained.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ablate.experiment.load import load_experiment, parse_seeds
from ablate.fingerprint import Contents
from ablate.plan import make_plan
from ablate.runner import executors
from ablate.runner.graph import Task, ask, walk
from ablate.runner.tasks import EpochDone, tasks_of, try_out
from ablate.stages.trained import weights_file
from ablate.store import Store
from ablate.store.files import file_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ablate.plan import Plan
    from ablate.runner.graph import Executor
    from ablate.runner.tasks import Emit, Event

TASKS, TURNS = 200, 5


def nothing(root: str, task: str, emit: Emit) -> None:
    """A task without any work."""


def main() -> None:
    """Prints what it measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("tasks", "study"))
    parser.add_argument("spec", nargs="?", default="experiments/readme.yaml")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--set", action="append", default=[], dest="sets")
    parser.add_argument("--turns", type=int, default=2)
    asked = parser.parse_args()
    # Workers import the function above.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # this machine's own address only
    with tempfile.TemporaryDirectory() as folder, two_nodes() as address:
        if asked.what == "tasks":
            overhead(Path(folder), address)
        else:
            study(Path(folder), address, asked)


@contextmanager
def two_nodes() -> Iterator[str]:
    """The address of a Ray cluster of two nodes with one CPU each."""
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    cluster.add_node(**node)
    try:
        yield cluster.address
    finally:
        cluster.shutdown()


def plan_in(folder: Path, spec: str, seeds: str, sets: list[str]) -> Plan:
    """An experiment with an empty store."""
    experiment = load_experiment(Path(spec), sets=sets, seeds=parse_seeds(seeds))
    return make_plan(experiment, Store(folder / "store"), Contents(folder / "digests.json"))


@contextmanager
def started(name: str, address: str, plan: Plan, task: Task) -> Iterator[Executor]:
    """An executor with two workers that have done ``task`` once, and imported what it needs."""
    with executors.EXECUTORS[name](address if name == "ray" else None)(plan, 2) as executor:
        for number in range(2):
            executor.submit(replace(task, name=f"start {number}"))
        while executor.free < 2:
            list(executor.wait())
        yield executor


def overhead(folder: Path, address: str) -> None:
    """Milliseconds for each of many tasks that do nothing, on two workers."""
    plan = plan_in(folder, "experiments/ema.yaml", "0", [])
    tasks = [Task(f"task {number}", (), nothing, (), ()) for number in range(TASKS)]
    taken: dict[str, list[float]] = {"local": [], "ray": []}
    question = Task("question", (), nothing, (), ())
    with started("local", address, plan, question) as local, started("ray", address, plan, question) as ray:
        for _ in range(TURNS):
            for name, executor in (("local", local), ("ray", ray)):
                begun = time.perf_counter()
                walk(tasks, executor, lambda event: None, lambda task, reason: None)
                taken[name].append(1000 * (time.perf_counter() - begun) / TASKS)
        for name, executor in (("local", local), ("ray", ray)):
            alone = []
            for _ in range(TURNS * 10):
                begun = time.perf_counter()
                ask(question, executor)
                alone.append(1000 * (time.perf_counter() - begun))
            print(f"{name}: {median(taken[name]):.1f} ms a task of {TASKS}, {median(alone):.1f} ms alone")


def study(folder: Path, address: str, asked: argparse.Namespace) -> None:
    """Seconds, epochs trained and digests of the weights of a study, in turns."""
    found: dict[str, list[Mapping[str, Any]]] = {"local": [], "ray": []}
    for turn in range(asked.turns):
        for name in ("local", "ray") if turn % 2 == 0 else ("ray", "local"):
            plan = plan_in(folder / f"{turn} {name}", asked.spec, asked.seeds, asked.sets)
            with started(name, address, plan, Task("start", (), try_out, ({},), ())) as executor:
                found[name].append(walked(plan, executor))
            print(json.dumps({"executor": name, **found[name][-1]}), flush=True)
    seconds = {name: median(one["seconds"] for one in some) for name, some in found.items()}
    equal = len({one["weights"] for some in found.values() for one in some}) == 1
    print(f"ray / local: {seconds['ray'] / seconds['local']:.2f}; the same weights: {equal}")


def walked(plan: Plan, executor: Executor) -> dict[str, Any]:
    """What a walk over all tasks of a plan took and made."""
    epochs, failed = [], []
    asked_for = sum(plan.epochs_to_train().values())

    def on_event(event: Event) -> None:
        if isinstance(event, EpochDone):
            epochs.append(event)

    begun = time.perf_counter()
    tasks = list(tasks_of(plan, plan.runs))
    walk(tasks, executor, on_event, lambda task, reason: failed.append(reason) if reason else None)
    seconds = time.perf_counter() - begun
    if failed:
        sys.exit(failed[0])
    weights = "".join(file_digest(weights_file(run.keys, plan.store)) for run in plan.runs)
    return {
        "seconds": round(seconds, 1),
        "tasks": len(tasks),
        "epochs": len(epochs),
        "unique epochs": asked_for,
        "weights": hashlib.sha256(weights.encode()).hexdigest()[:16],
    }


if __name__ == "__main__":
    from ray_overhead import main as importable  # so that workers find its functions by the file's name

    importable()
