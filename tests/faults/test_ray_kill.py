"""Runs on Ray whose workers, nodes and command are killed: the same command ends with the same result."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import stub_study

from ablate.store import Store
from ablate.store.files import ENTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.conftest import Warm

PATIENCE = 900.0
"""Seconds until a run that takes less than a minute is taken for stuck."""
KILLS = {"worker": 24, "node": 18, "command": 10}
"""What the long campaign kills, how often at least."""


NO_TASK = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent")
"""What Ray calls processes that are at no task."""


class Command:
    """``ablate run tiny.yaml --executor ray`` in a folder, and what it has printed."""

    def __init__(self, warm: Warm, folder: Path, *options: str) -> None:
        self.folder, self.store = folder, folder / ".ablate"
        arguments = ["run", "tiny.yaml", "--executor", "ray", "--no-audit", *options]
        environment = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
        self._process = warm.start(folder, *arguments, environment=environment)

    def printed(self) -> str:
        return self._process.printed()

    def ended(self) -> bool:
        return self._process.ended()

    def wait(self) -> int:
        return self._process.wait()

    def kill(self) -> None:
        self._process.send(signal.SIGKILL)
        self.wait()

    def workers(self) -> dict[str, psutil.Process]:
        """Those of Ray that are at a task of this command."""
        return at_work(self.folder)


def at_work(folder: Path) -> dict[str, psutil.Process]:
    """Ray's processes that are at a task of a command in this folder: name of the task → process."""
    found = {}
    for process in psutil.process_iter():
        try:
            (name, *_) = process.cmdline() or [""]
            at_task = name.startswith("ray::") and name not in NO_TASK
            if at_task and process.cwd() == str(folder):
                found[name] = process
        except psutil.Error:
            continue
    return found


def trained(run: Command) -> int:
    """How many states of trainings are stored."""
    return len(list((run.store / "train").glob(f"*/{ENTRY}")))


def wait_until(condition: Callable[[], object], run: Command) -> bool:
    """Whether the condition came true before the command ended."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if run.ended():
            return False
        assert time.monotonic() < until, run.printed()
        time.sleep(0.01)
    return True


def settled(run: Command, undisturbed: Callable[[Path], None]) -> None:
    """The command has ended well, and all is as if nothing had happened."""
    assert run.wait() == 0, run.printed()
    assert "Traceback" not in run.printed() and "(raylet)" not in run.printed(), run.printed()
    Store(run.store).clear_leftovers()  # what killed workers left half-written goes when the next run begins
    undisturbed(run.folder)


@pytest.mark.faults
def test_on_ray_with_a_worker_killed_the_result_is_that_of_this_machine(
    warm: Warm, undisturbed: Callable[[Path], None], new_workplace: Callable[[], Path]
) -> None:
    run = Command(warm, new_workplace())
    assert wait_until(lambda: trained(run) and run.workers(), run), run.printed()
    next(iter(run.workers().values())).kill()
    settled(run, undisturbed)
    assert "its worker process died" in run.printed() and "it is begun again (2 of 3)" in run.printed()
    assert "the cluster has 1 node, " in run.printed()


class TwoNodes:
    """A cluster of two nodes of one CPU on this machine, the second of which is lost again and again."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster: Any = Cluster(initialize_head=True, head_node_args=self._one())
        self._second = self._cluster.add_node(**self._one())
        self.address: str = self._cluster.address

    def _one(self) -> dict[str, Any]:
        return {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * 2**20}

    def lose_the_second(self) -> None:
        """With SIGKILL; another takes its place."""
        self._cluster.remove_node(self._second, allow_graceful=False)
        self._second = self._cluster.add_node(**self._one())

    def end(self) -> None:
        self._cluster.shutdown()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[TwoNodes]:
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # this machine's own address only
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)  # for the stub's workers
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", False)
    started = TwoNodes()
    yield started
    started.end()


def begin_stub(store: Path, address: str) -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("stub_study.py")
    with (store.parent / "log.txt").open("a") as log:
        return subprocess.Popen(
            [sys.executable, str(script), str(store), address], stdout=log, stderr=subprocess.STDOUT
        )


@pytest.mark.faults
def test_fifty_kills_of_workers_nodes_and_commands(cluster: TwoNodes, tmp_path: Path) -> None:
    """With tasks that compute next to nothing, and hold real locks of a real store."""
    seed = int(os.environ.get("ABLATE_SEED", "1"))
    draw = random.Random(seed)
    kills: Counter[str] = Counter()
    folders = 0
    while any(kills[what] < often for what, often in KILLS.items()):
        folders += 1
        store = tmp_path / f"store-{folders}"
        run, victims = begin_stub(store, cluster.address), Counter[str]()
        while run.poll() is None:
            if not (workers := at_work(store)):
                time.sleep(0.01)
                continue
            time.sleep(draw.uniform(0, 1))
            what = draw.choice([what for what, often in KILLS.items() if kills[what] < often] or [""])
            if what == "worker":
                at_task = {name: one for name, one in workers.items() if victims[name] < 2}
                if not at_task:
                    continue
                name = draw.choice(sorted(at_task))
                if not at_task[name].is_running():
                    continue
                at_task[name].kill()
                victims[name] += 1
            elif what == "node":
                cluster.lose_the_second()
            elif what == "command":
                run.kill()
                run.wait()
                _, alive = psutil.wait_procs(list(at_work(store).values()), timeout=60)
                assert not alive, "tasks go on without their command"
                run, victims = begin_stub(store, cluster.address), Counter()
            else:
                break
            kills[what] += 1
            print(f"folder {folders}, {dict(kills)}", flush=True)
        printed = (tmp_path / "log.txt").read_text()
        assert run.wait(PATIENCE) == 0, printed
        assert "Traceback" not in printed and "(raylet)" not in printed, printed
        record = (store / stub_study.RECORD).read_text().splitlines()
        assert sorted(record) == sorted(task.name for task in stub_study.tasks())
        check_stub(store)
    print(f"{dict(kills)} in {folders} folders, seed {seed}")


def check_stub(root: Path) -> None:
    """Each state is there once, as it would be without any kill."""
    store = Store(root)
    keys = set()
    for task in stub_study.tasks():
        seed, branch, _, end = task.arguments
        state = str(seed)
        for epoch in range(end):
            key = stub_study.key_of(seed, branch, epoch)
            keys.add(key)
            parts = [sha256(f"{state} {epoch} {part}".encode()).hexdigest() for part in ("first", "second")]
            folder = store.path("train", key)
            assert [(folder / part).read_text() for part in ("first", "second")] == parts
            assert not store.damage("train", key)
            state = "".join(parts)
    assert {key for _, key in store.listed()} == keys
    store.clear_leftovers()
    assert not list((root / "tmp").iterdir())


@pytest.mark.faults
def test_workers_nodes_and_commands_are_killed_and_the_same_command_goes_on(
    cluster: TwoNodes,
    warm: Warm,
    undisturbed: Callable[[Path], None],
    new_workplace: Callable[[], Path],
) -> None:
    draw = random.Random(int(os.environ.get("ABLATE_SEED", "1")))
    kills: Counter[str] = Counter()
    folders = 0
    while any(kills[what] < often for what, often in KILLS.items()):
        folder = new_workplace()
        folders += 1
        run = Command(warm, folder, "--address", cluster.address)
        victims: Counter[str] = Counter()
        while wait_until(run.workers, run):
            time.sleep(draw.uniform(0, 3))
            lacking = [what for what, often in KILLS.items() if kills[what] < often]
            if run.ended() or not lacking:
                break
            what = draw.choice(lacking)
            if what == "worker":
                # A task whose workers die three times has failed: that is another test's.
                at_work = {name: one for name, one in run.workers().items() if victims[name] < 2}
                if not at_work:
                    continue
                name = draw.choice(sorted(at_work))
                at_work[name].kill()
                victims[name] += 1
            elif what == "node":
                cluster.lose_the_second()
            else:
                run.kill()
                _, alive = psutil.wait_procs(list(run.workers().values()), timeout=60)
                assert not alive, "tasks go on without their command"
                run = Command(warm, folder, "--address", cluster.address)
                victims.clear()
            kills[what] += 1
            print(f"folder {folders}, {dict(kills)}", flush=True)
        settled(run, undisturbed)
    print(f"{dict(kills)} in {folders} folders")
