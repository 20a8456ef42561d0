"""``ablate plan --measure``: a few steps of each kind of work that no run has timed yet, on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.parts.missing import require_parts
from ablate.runner import tasks as work
from ablate.runner.executors.local import LocalExecutor
from ablate.runner.forecast import forecast
from ablate.runner.graph import Task, walk
from ablate.runner.tasks import Took, show
from ablate.runner.times import Times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ablate.plan import Plan, Run
    from ablate.progress import RunProgress
    from ablate.runner.forecast import Piece
    from ablate.runner.tasks import Event

SOURCE = "a few steps"
"""What times are said to come from that a rehearsal has found."""


def rehearse(plan: Plan, runs: Sequence[Run], progress: RunProgress) -> None:
    """Times what ``runs`` need and no run has timed, one after the other, and keeps it for the next forecast.

    What fails, and trainings on several devices, stay unknown.

    Raises:
        ComponentError: a pretrained part is missing and cannot be fetched.
        RunError: the machine failed.
    """
    pieces = forecast(plan, runs, Times(plan.store, SOURCE)).unmeasured
    tasks = _tasks([piece for piece in pieces if not _on_several_devices(piece)])
    if not tasks:
        return
    require_parts(plan.experiment.variants.values(), plan.experiment.spec.profile)

    def on_end(task: Task, reason: str) -> None:
        if reason:
            progress.failed(task.name, reason)

    with LocalExecutor.of(plan, 1) as executor, Times(plan.store, SOURCE) as times:

        def on_event(event: Event) -> None:
            if isinstance(event, Took):
                times.add(event.kind, event.units, event.seconds)
            else:
                show(event, progress)

        walk(tasks, executor, on_event, on_end)


def _tasks(pieces: Sequence[Piece]) -> list[Task]:
    """A task for each piece; those that need data come after those that prepare them."""
    named = {f"{n} of {len(pieces)}: {piece.what}": piece for n, piece in enumerate(pieces, start=1)}
    data = tuple(name for name, piece in named.items() if piece.rehearsal is work.prepare)
    return [
        Task(name, () if name in data else data, piece.rehearsal, piece.arguments, ())
        for name, piece in named.items()
    ]


def _on_several_devices(piece: Piece) -> bool:
    return piece.rehearsal is work.time_step and piece.arguments[0].config.train.devices > 1
