"""An executor without workers, for tests that run whole commands in one process."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

from ablate.runner.graph import perform

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ablate.plan import Plan
    from ablate.runner.graph import Ended, Task
    from ablate.runner.tasks import Event


class Here:
    """Takes the executor's place: each task is done in this process, as a worker would do it."""

    def __init__(self, root: str, workers: int, threads: int) -> None:
        self.root = root
        self._submitted: list[bytes] = []  # as a worker would get them

    @classmethod
    def of(cls, plan: Plan, workers: int | None) -> Here:
        return cls(plan.store.address, workers or 1, 1)

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def free(self) -> int:
        return 1 - len(self._submitted)

    def submit(self, task: Task) -> None:
        self._submitted.append(pickle.dumps(task))

    def wait(self) -> Iterator[Event | Ended]:
        submitted, self._submitted = self._submitted, []
        for task in submitted:
            said: list[Event] = []
            ended = perform(pickle.loads(task), self.root, said.append)
            yield from said
            yield ended
