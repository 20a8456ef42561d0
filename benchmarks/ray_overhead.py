"""What a task that does nothing costs on Ray, beside worker processes of our own:

    python benchmarks/ray_overhead.py

Two workers each, in turns, so that both see the same machine. ``cluster_study.py`` measures a whole study.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from ablate.experiment.load import load_experiment
from ablate.fingerprint import Contents
from ablate.plan import make_plan
from ablate.runner import executors
from ablate.runner.graph import Task, ask, walk
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ablate.plan import Plan
    from ablate.runner.graph import Executor
    from ablate.runner.tasks import Emit

TASKS, TURNS = 200, 5


def nothing(root: str, task: str, emit: Emit) -> None:
    """A task without any work."""


def main() -> None:
    """Prints what it measures."""
    # Workers import the function above.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # this machine's own address only
    with tempfile.TemporaryDirectory() as folder, two_nodes() as address:
        overhead(Path(folder), address)


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
    experiment = load_experiment(Path("experiments/ema.yaml"), seeds=[0])
    plan = make_plan(experiment, Store(folder / "store"), Contents(folder / "digests.json"))
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


if __name__ == "__main__":
    from ray_overhead import main as importable  # so that workers find its functions by the file's name

    importable()
