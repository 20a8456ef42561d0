"""Executor ``ray``: tasks on the machines of a Ray cluster, or on this one without a cluster.

A task is a generator in a Ray worker. What it says while it works comes back as the items of its stream, and
how it ended is the last of them. So words need no channel of their own, and come in their order. Keys and
words pass, no tensors: those are in the store. When the command's process dies, Ray ends its tasks.

A task whose worker dies is begun again from here and not by Ray's ``max_retries``: that does not say so, does
not tell a lost machine from a failure, and gives the second try no more memory than the first had.
"""

from __future__ import annotations

import pickle
import queue
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, Self

from ablate.errors import GO_ON, AblateError, MemoryShortError, RunError, UserError
from ablate.records import Cluster
from ablate.runner.executors import cluster
from ablate.runner.executors.cluster import Share
from ablate.runner.executors.home import Home
from ablate.runner.graph import TRIES, Ended, given_up, perform
from ablate.runner.tasks import Note
from ablate.text import in_one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ablate.plan import Plan
    from ablate.runner.graph import Start, Task
    from ablate.runner.tasks import Event
    from ablate.stages.keys import RunKeys

PAUSE = 0.2
"""Seconds for which nothing is waited for."""
LOOK = 1.0
"""Seconds between two looks at the cluster."""
PATIENCE = 300.0
"""Seconds for which the nodes are waited for when a command begins."""


def at(address: str | None) -> Start:
    """What starts an executor on the cluster at an address; without one, on this machine.

    Raises:
        UserError: Ray is not installed, or nobody is there.
    """
    cluster.ray_module()
    return partial(RayExecutor.of, cluster.address_of(address))


def share_of(keys: RunKeys) -> Share:
    """What a task of an experiment takes: its CPU threads, and of GPUs what the spec says."""
    compute, devices = keys.config.compute, keys.config.train.devices
    return Share(
        float(compute.threads * devices), compute.gpus * devices if keys.numerics["device"] == "cuda" else 0.0
    )


@dataclass
class _Running:
    task: Task
    share: Share
    words: Any
    """Ray's stream of what it says."""


class RayExecutor:
    """At most ``workers`` tasks at once, by default as many as the cluster has room for. A context manager.

    A task whose worker dies is begun again, up to three times; then it has failed. One whose node is lost is
    begun again as often as that happens: it is not a failure. One that lacked memory gets a larger share.
    """

    def __init__(self, home: Home, share: Share, workers: int | None, *, joined: bool) -> None:
        self._home, self._share, self._workers = home, share, workers
        self._joined = joined
        """Whether this process joined the cluster for this executor, which then leaves it."""
        self._running: dict[str, _Running] = {}
        self._deaths: Counter[str] = Counter()
        self._nodes = cluster.nodes()
        self._last_look, self._seen = 0.0, Cluster(0, 0, 0, 0)
        self._ray: Any = cluster.ray_module()

    @classmethod
    def of(cls, address: str, plan: Plan, workers: int | None) -> RayExecutor:
        """On a plan's store, with the CPUs and GPUs that it configures.

        Raises:
            UserError: the cluster cannot be joined, has no room for a task, or a node has other code or does
                not see the store.
        """
        keys = plan.runs[0].keys
        plan.store.root.mkdir(parents=True, exist_ok=True)
        joined = cluster.connect(address, keys.config.compute.threads)
        executor = cls(Home.of(plan), share_of(keys), workers, joined=joined)
        try:
            executor.greet()
        except BaseException as error:
            executor.__exit__(type(error))
            raise
        return executor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        for running in self._running.values():
            self._ray.cancel(running.words, force=True)
        if self._joined:
            self._ray.shutdown()

    def greet(self) -> None:
        """Has each node say whether it has what the command has.

        Raises:
            UserError: one has not, or none has room for a task.
            RunError: none answers.
        """
        able = [node for node in self._nodes if self._share.fits(node.resources)]
        if not able:
            raise UserError(
                f"no node of the cluster has {self._share} for a task",
                where="--executor ray",
                fix="Start a node that has, or set compute.threads, compute.gpus or compute.device.",
            )
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        look = self._ray.remote(num_cpus=0, max_retries=0)(greeted)
        answers = {
            look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.id, soft=False)).remote(
                self._home
            ): node
            for node in able
        }
        said, silent = self._ray.wait(list(answers), num_returns=len(answers), timeout=PATIENCE)
        if not said:
            what = f"none of {len(answers)} nodes has started a worker in {PATIENCE:.0f} s"
            raise RunError(what, where="--executor ray", fix=f"`ray status` may say why. {GO_ON}")
        for answer in silent:  # it may just be going; its workers look again before their first task
            self._ray.cancel(answer, force=True)
        for answer in said:
            try:
                refusal = self._ray.get(answer)
            except (self._ray.exceptions.NodeDiedError, self._ray.exceptions.TaskUnschedulableError):
                continue  # it has just been lost
            except self._ray.exceptions.RayError as error:
                raise _not_here(error, answers[answer].host) from error
            if refusal:
                raise refusal

    @property
    def free(self) -> int:
        """How many tasks it can begin now."""
        places = sum(self._share.fits(node.resources) for node in self._nodes)
        most = places if self._workers is None else min(places, self._workers)
        return max(0, most - len(self._running))

    def submit(self, task: Task) -> None:
        """Gives a task to Ray."""
        self._submit(task, self._share)

    def _submit(self, task: Task, share: Share) -> None:
        run = _remote(share).options(name=task.name)
        self._running[task.name] = _Running(task, share, run.remote(pickle.dumps(task), self._home))

    def wait(self) -> Iterator[Event | Ended]:
        """What was said and what has ended since the last call; waits for a moment if there is nothing.

        Raises:
            AblateError: a task failed in a way in which every other would.
            UserError: a worker has other code, or does not see the store.
        """
        if time.monotonic() - self._last_look > LOOK:
            yield from self._look()
        by_stream = {running.words: running for running in self._running.values()}
        if not by_stream:
            time.sleep(PAUSE)
            return
        # Whoever comes first; then all that is there.
        ready, _ = self._ray.wait(list(by_stream), num_returns=1, timeout=PAUSE, fetch_local=False)
        if ready:
            ready, _ = self._ray.wait(
                list(by_stream), num_returns=len(by_stream), timeout=0, fetch_local=False
            )
        for stream in ready:
            yield from self._heard(by_stream[stream])

    def _heard(self, running: _Running) -> Iterator[Event | Ended]:
        """The next word of a task, or what becomes of it when its worker has died."""
        name = running.task.name
        try:
            said = self._ray.get(next(running.words))
        except (self._ray.exceptions.RayError, StopIteration) as error:
            del self._running[name]
            yield from self._begun_again(running, error)
            return
        if isinstance(said, Ended | AblateError):
            del self._running[name]
        if isinstance(said, AblateError):
            raise said
        short = isinstance(said, Ended) and isinstance(said.error, MemoryShortError)
        if short and (larger := self._larger(running)):
            yield self._again(running, larger, "the GPU had too little memory")
        else:
            yield said

    def _begun_again(self, running: _Running, error: Exception) -> Iterator[Event | Ended]:
        """Another try of a task whose worker is gone, or its failure."""
        failures, name = self._ray.exceptions, running.task.name
        if isinstance(error, failures.NodeDiedError | failures.ObjectLostError):
            yield self._again(running, running.share, "its node was lost, which is not a failure of the task")
            return
        if isinstance(error, failures.LocalRayletDiedError):
            what = "Ray has ended on the machine where the command runs"
            raise RunError(
                what, where="--executor ray", fix=f"Start it there again, if you did before. {GO_ON}"
            )
        if isinstance(error, failures.RayTaskError | failures.RuntimeEnvSetupError):
            raise _not_here(error, "of a worker") from error
        self._deaths[name] += 1
        short = isinstance(error, failures.OutOfMemoryError)
        how = "for lack of memory" if short else f"({type(error).__name__})"
        if self._deaths[name] == TRIES:
            yield given_up(name, how)
        else:
            share = (short and self._larger(running)) or running.share
            yield self._again(running, share, f"its worker process died {how}", self._deaths[name] + 1)

    def _again(self, running: _Running, share: Share, why: str, number: int = 0) -> Note:
        self._submit(running.task, share)
        which = f" ({number} of {TRIES})" if number else ""
        more = f", with {share}" if share != running.share else ""
        return Note(running.task.name, f"{why}; it is begun again{which}{more}", lasting=True)

    def _larger(self, running: _Running) -> Share | None:
        return running.share.larger([node.resources for node in self._nodes])

    def _look(self) -> Iterator[Event]:
        """Looks at the cluster, and says it if something has changed."""
        self._last_look = time.monotonic()
        self._nodes = cluster.nodes()
        cpus, gpus = (
            round(sum(node.resources.get(name, 0.0) for node in self._nodes)) for name in ("CPU", "GPU")
        )
        seen = Cluster(len(self._nodes), cpus, gpus, len(self._running))
        if seen != self._seen:
            self._seen = seen
            yield seen


def _not_here(error: Exception, host: str) -> UserError:
    """What a worker that cannot even begin is called to the user."""
    *_, last = str(error).strip().splitlines() or [""]
    return UserError(
        f"a worker cannot begin: {type(error).__name__}: {last}",
        where=f"node {host}",
        fix="Each node needs the same installation of ablate, in the Python that Ray is started with there.",
    )


@cache
def _remote(share: Share) -> Any:
    """``serve`` for Ray. A process that used a GPU must end with its task, or it keeps the GPU's memory; Ray
    sees to that only if ``num_gpus`` and ``max_calls`` stand in the decorator."""
    ray: Any = cluster.ray_module()
    if share.gpus:
        return ray.remote(num_cpus=share.cpus, num_gpus=share.gpus, max_calls=1, max_retries=0)(serve)
    return ray.remote(num_cpus=share.cpus, max_retries=0)(serve)


# ── in a worker ──────────────────────────────────────────────────────────────────────────────────


def greeted(home: Home) -> UserError | None:
    """Why this node cannot work for a command, if it cannot."""
    try:
        home.refuse_other()
    except UserError as error:
        return error
    return None


def serve(packed: bytes, home: Home) -> Iterator[Event | Ended | AblateError]:
    """Does a task, and gives what it says, when it says it. Last comes how it ended."""
    said: queue.SimpleQueue[Event | Ended | AblateError] = queue.SimpleQueue()

    def work() -> None:
        try:
            _settle(home)
            # From the command itself; Ray pickles what it sends, too. Opened here and not by Ray, so that
            # nothing of a task is loaded before the code is known to be the same.
            said.put(perform(pickle.loads(packed), home.store, said.put))
        except AblateError as error:  # every other task would fail as well
            said.put(error)
        except Exception as error:  # what a task is made of cannot be imported here
            said.put(_not_here(error, socket.gethostname()))
        except BaseException as error:  # a panic of a library in Rust: without a word, the command would wait
            said.put(RunError(f"the task ended with {in_one_line(error)}", where=socket.gethostname()))
            raise

    threading.Thread(target=work, name="task", daemon=True).start()
    while True:
        word = said.get()
        yield word
        if isinstance(word, Ended | AblateError):
            return


_SETTLED: list[Home] = []
"""The home that this process works for, from its first task on."""


def _settle(home: Home) -> None:
    """Before the first task of a process. Raises UserError if it would compute something else."""
    if home not in _SETTLED:
        home.refuse_other()
        home.refuse_other_device()
        home.enter()
        _SETTLED.append(home)
