"""How the commands show what is going on: bars on a terminal; in a log, lines."""

from __future__ import annotations

import math
import sys
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from ablate.cli.printing import out, say
from ablate.cli.printing.checks import print_findings
from ablate.cli.printing.house import machines_of
from ablate.text import in_bytes, plural, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from contextlib import AbstractContextManager

    from rich.progress import Task, TaskID

    from ablate.records import Cluster, EpochRow, Finding


ROWS = 8
"""Tasks that a terminal shows at once, the newest."""

LOG_PACE = 20
"""Seconds between the lines of a log about work that a terminal shows as a bar."""


class TimeLeft(ProgressColumn):
    """If the rest goes as what is done went. Rich's own column looks at the last half minute, in which there
    may be no epoch, or two at once."""

    def render(self, task: Task) -> Text:
        """``0:12:40``; dashes before anything is done."""
        if not task.completed or task.total is None or task.elapsed is None:
            return Text("-:--:--", style="progress.remaining")
        seconds = task.elapsed / task.completed * (task.total - task.completed)
        return Text(str(timedelta(seconds=round(seconds))), style="progress.remaining")


class RunScreen:
    """On a terminal, bars and a row for each task at work: its segment and variants, its epoch, loss and
    memory. In a log, one line for each task that ends and, at most every few seconds, one for training that
    goes on."""

    def __init__(self) -> None:
        console = out()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeLeft(),
            console=console,
            disable=not sys.stdout.isatty(),
        )
        self._epochs = self._bars.add_task("epochs trained", total=None, start=False)
        self._runs = self._bars.add_task("runs finished", total=None, start=False)
        self._at_work: dict[str, str] = {}
        """Task → what it has said last."""
        self._live = Live(get_renderable=self._shown, console=console)
        self._run_names: Collection[str] = ()
        self._started = time.monotonic()
        self._last_line = 0.0
        self._machines = ""

    def __enter__(self) -> RunScreen:
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._bars.console.print(text, markup=False, soft_wrap=True)

    def findings(self, findings: Sequence[Finding]) -> None:
        """Shows what the audit found."""
        print_findings(findings)

    def begin(self, epochs: int, runs: Collection[str]) -> None:
        """Shows how much there is to do."""
        self._run_names = runs
        self._bars.update(self._epochs, total=epochs)
        self._bars.update(self._runs, total=len(runs))
        if not self._bars.disable:
            for task in self._bars.tasks:
                if not task.started:  # by an earlier round of a search
                    self._bars.start_task(task.id)
            self._live.start()
        else:
            self._line(f"{plural(epochs, 'epoch')} to train, {plural(len(runs), 'run')} to finish")

    def cluster(self, seen: Cluster) -> None:
        """A line when machines come or go."""
        if (machines := machines_of(seen)) != self._machines:
            self._machines = machines
            self.say(f"the cluster has {machines}")

    def note(self, task: str, text: str) -> None:
        """Shows what a task is doing."""
        self._going_on(task, text)

    def epoch(self, task: str, epochs: int, row: EpochRow, memory: int) -> None:
        """Counts an epoch."""
        self._bars.advance(self._epochs)
        text = f"epoch {epochs}, loss {row['loss']:.4f}, {row['epoch_seconds']:.1f} s, {in_bytes(memory)}"
        self._going_on(task, text, f"{self._count(self._epochs)} epochs; ")

    def done(self, task: str, text: str = "") -> None:
        """Counts a finished run."""
        self._bars.advance(self._runs, task in self._run_names)
        self._at_work.pop(task, None)
        if self._bars.disable:
            self._line(f"{self._count(self._runs)} runs; done: {task}" + (f": {text}" if text else ""))

    def failed(self, task: str, reason: str) -> None:
        """Shows why a task failed."""
        self._bars.advance(self._runs, task in self._run_names)
        self._at_work.pop(task, None)
        self._line(f"failed: {task}: {reason}")

    def _count(self, bar: TaskID) -> str:
        return f"{self._bars.tasks[bar].completed}/{self._bars.tasks[bar].total}"

    def _going_on(self, task: str, text: str, count: str = "") -> None:
        """A task's row; without rows a line, if the last one is some seconds old."""
        if self._live.is_started:
            self._at_work[task] = text
        elif time.monotonic() - self._last_line > 5:
            self._line(f"{count}{task}: {text}")

    def _shown(self) -> Group:
        """The bars, and below them the tasks at work."""
        rows = Table.grid(padding=(0, 2))
        for task, text in list(self._at_work.items())[-ROWS:]:
            cells = (Text(visible(cell, keep=""), no_wrap=True, overflow="ellipsis") for cell in (task, text))
            rows.add_row(*cells)
        return Group(self._bars, rows)

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        line = f"[{self._last_line - self._started:6.1f} s] {text}"
        self._bars.console.print(line, markup=False, soft_wrap=True)


class FetchScreen:
    """Shows what ``ablate fetch`` does, a line or two for each part; the libraries show their own bars."""

    def note(self, task: str, text: str) -> None:
        """A part is about to be downloaded."""
        say(f"fetching {task} {text}")

    def done(self, task: str, text: str = "") -> None:
        """A part is on this machine and could be loaded."""
        out().print(f"[green]ready[/] {escape(task)}: {escape(text)}", soft_wrap=True)

    def failed(self, task: str, reason: str) -> None:
        """A part is not here, or not sound."""
        out().print(f"[bold red]failed[/] {escape(task)}: {escape(reason)}", soft_wrap=True)


def decoding_bar() -> AbstractContextManager[Callable[[int, int], None]]:
    """A ``progress`` for ``check_data``: a bar on a terminal; in a log, a line now and then."""
    return _bar("decoding images")


def checking_bar() -> AbstractContextManager[Callable[[int, int], None]]:
    """A ``progress`` for ``check_store``, in the same way."""
    return _bar("reading entries")


@contextmanager
def _bar(what: str) -> Iterator[Callable[[int, int], None]]:
    console = Console(stderr=True, highlight=False)
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=None)
        said = time.monotonic()

        def show(done: int, total: int) -> None:
            nonlocal said
            bar.update(task, completed=done, total=total)
            if bar.disable and (now := time.monotonic()) - said > LOG_PACE:
                said = now
                console.print(f"{what}: {done} of {total}")

        yield show


@contextmanager
def training_bars() -> Iterator[Callable[[str, int, int, float], None]]:
    """A ``progress`` for ``build_kit``: a bar for each training; in a log its first and last step, and a line
    now and then."""
    columns = (
        TextColumn("{task.description:<13}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bars:
        tasks: dict[str, TaskID] = {}
        said: dict[str, float] = {}

        def show(training: str, step: int, steps: int, loss: float) -> None:
            if training not in tasks:
                tasks[training] = bars.add_task(training, total=steps, loss=loss)
            bars.update(tasks[training], completed=step, loss=loss)
            now = time.monotonic()
            if bars.disable and (step == steps or now - said.get(training, -math.inf) > LOG_PACE):
                said[training] = now
                console.print(f"{training:<13} step {step:>5} of {steps}  loss {loss:.4f}")

        yield show
