"""``python stub_study.py STORE ADDRESS``: a study on Ray whose tasks compute next to nothing, so that it can
be killed often. Chains of entries in a store take the place of training, a file that of the record.
"""

from __future__ import annotations

import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.environment import environment
from ablate.experiment.config import Compute
from ablate.fingerprint import numerics
from ablate.runner.executors import cluster
from ablate.runner.executors.cluster import Share
from ablate.runner.executors.home import Home
from ablate.runner.executors.on_ray import RayExecutor
from ablate.runner.graph import Task, walk
from ablate.runner.tasks import Note, show
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ablate.records import Cluster
    from ablate.runner.tasks import Emit, Event

SEEDS, BRANCHES, EPOCHS, PAUSE = range(3), ("a", "b", "c"), 8, 0.15
RECORD = "record.txt"


def key_of(seed: int, branch: str, epoch: int) -> str:
    """Of the state at the end of an epoch: up to the middle all branches have the same."""
    return sha256(f"{seed} {branch if epoch >= EPOCHS // 2 else ''} {epoch}".encode()).hexdigest()[:32]


def train(seed: int, branch: str, begin: int, end: int, root: str, task: str, emit: Emit) -> str:
    """Each state is a digest of the one before. Gives what a run's result is."""
    store, state = Store(root), f"{seed}"
    for epoch in range(end):
        key = key_of(seed, branch, epoch)

        def fill(folder: Path, before: str = state, epoch: int = epoch) -> None:
            for part in ("first", "second"):
                time.sleep(PAUSE / 2)
                (folder / part).write_text(sha256(f"{before} {epoch} {part}".encode()).hexdigest())
            emit(Note(task, f"epoch {epoch}"))

        folder = store.make("train", key, {"seed": seed, "epoch": epoch}, fill)
        state = "".join((folder / part).read_text() for part in ("first", "second"))
    return state


def tasks() -> Iterator[Task]:
    """A trunk and its branches for each seed."""
    half = EPOCHS // 2
    for turn, seed in enumerate(SEEDS):
        trunk = f"trunk {seed}"
        yield Task(trunk, (), train, (seed, "", 0, half), (), half, turn)
        for branch in BRANCHES:
            name = f"{branch} {seed}"
            yield Task(name, (trunk,), train, (seed, branch, half, EPOCHS), (name,), half, turn)


class Printed:
    """A progress of which only what lasts is printed."""

    def say(self, text: str) -> None:
        print(text, flush=True)

    def note(self, task: str, text: str) -> None:
        pass

    def cluster(self, seen: Cluster) -> None:
        print(seen, flush=True)


def main() -> None:
    root, address = Path(sys.argv[1]), sys.argv[2]
    root.mkdir(exist_ok=True)
    Store(root).clear_leftovers()
    compute = Compute(device="cpu")
    joined = cluster.connect(address, threads=1)
    home = Home(str(root), str(root), environment(), compute, numerics(compute))
    record = root / RECORD
    done = record.read_text().splitlines() if record.exists() else []
    todo = [task for task in tasks() if task.name not in done]
    names = {task.name for task in todo}
    todo = [
        Task(t.name, tuple(n for n in t.needs if n in names), t.function, t.arguments, t.runs) for t in todo
    ]

    def on_event(event: Event) -> None:
        show(event, Printed())  # type: ignore[arg-type]

    def on_end(task: Task, reason: str) -> None:
        if reason:
            sys.exit(reason)
        with record.open("a") as file:
            file.write(f"{task.name}\n")

    with RayExecutor(home, Share(cpus=1), None, joined=joined) as executor:
        executor.greet()
        walk(todo, executor, on_event, on_end)


if __name__ == "__main__":
    from stub_study import main as importable  # so that workers find its functions by the file's name

    importable()
