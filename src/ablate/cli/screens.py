"""How the commands show what is going on: bars on a terminal; in a log, lines."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape

from ablate.cli.printing import out, print_findings, say

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from rich.progress import Progress, TaskID

    from ablate.records import EpochRow, Finding


class RunScreen:
    """Bars on a terminal; in a log one line for each task that ends and, at most every few seconds,
    one for training that goes on."""

    def __init__(self) -> None:
        self._out = out()
        self._bars: Progress | None = None
        self._epochs: TaskID | None = None
        self._runs: TaskID | None = None
        self._last_line = 0.0
        self._counts = {"epochs": [0, 0], "runs": [0, 0]}
        self._run_names: Collection[str] = ()
        self._started = time.monotonic()

    def __enter__(self) -> RunScreen:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._out.print(text, markup=False)

    def findings(self, findings: Sequence[Finding]) -> None:
        """Shows what the audit found."""
        print_findings(findings)

    def begin(self, epochs: int, runs: Collection[str]) -> None:
        """Shows how much there is to do."""
        self._run_names = runs
        self._counts = {"epochs": [0, epochs], "runs": [0, len(runs)]}
        if sys.stdout.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=self._out,
            )
            self._epochs = self._bars.add_task("epochs trained", total=epochs, note="")
            self._runs = self._bars.add_task("runs finished", total=len(runs), note="")
            self._bars.start()
        else:
            self._line(f"{epochs} epochs to train, {len(runs)} runs to finish")

    def note(self, task: str, text: str) -> None:
        """Shows what a task is doing."""
        if self._bars and self._runs is not None:
            self._bars.update(self._runs, note=f"{task}: {text}")
        elif time.monotonic() - self._last_line > 5:
            self._line(f"{task}: {text}")

    def epoch(self, task: str, epochs: int, row: EpochRow) -> None:
        """Counts an epoch."""
        self._counts["epochs"][0] += 1
        text = f"{task}: epoch {epochs}, loss {row['loss']:.4f}, {row['epoch_seconds']:.1f} s"
        if self._bars and self._epochs is not None:
            self._bars.update(self._epochs, advance=1, note=text)
        elif time.monotonic() - self._last_line > 5:
            done, total = self._counts["epochs"]
            self._line(f"{done}/{total} epochs; {text}")

    def done(self, task: str, text: str = "") -> None:
        """Counts a finished run."""
        self._count(task)
        if not self._bars:
            done, total = self._counts["runs"]
            self._line(f"{done}/{total} runs; done: {task}" + (f": {text}" if text else ""))

    def failed(self, task: str, reason: str) -> None:
        """Shows why a task failed."""
        self._count(task)
        self._line(f"failed: {task}: {reason}")

    def _count(self, task: str) -> None:
        if task in self._run_names:
            self._counts["runs"][0] += 1
            if self._bars and self._runs is not None:
                self._bars.update(self._runs, advance=1)

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        self._out.print(f"[{self._last_line - self._started:6.1f} s] {text}", markup=False, soft_wrap=True)


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


@contextmanager
def decoding_bar() -> Iterator[Callable[[int, int], None]]:
    """A ``progress`` for ``check_data``: a bar on a terminal, nothing in a log."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        decoding = bar.add_task("decoding images", total=None)
        yield lambda done, total: bar.update(decoding, completed=done, total=total)
