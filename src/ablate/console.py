"""What the commands print: plans as tables, progress as bars or, in a log, as lines."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ablate.plan import warnings
from ablate.sources import size
from ablate.spec.designs import describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from rich.progress import Progress, TaskID

    from ablate.errors import AblateError
    from ablate.parts.doctor import Answer
    from ablate.plan import Plan
    from ablate.records import EpochRow, Finding, Verification


def _console(*, stderr: bool = False) -> Console:
    """A console that is as wide as COLUMNS or the terminal says when it prints, not when it was made."""
    console = Console(stderr=stderr, highlight=False)
    console._width = None  # rich keeps the COLUMNS of this moment; without it, it looks each time
    return console


out = _console()
err = _console(stderr=True)


def print_error(error: AblateError) -> None:
    """What is wrong, where, and what to do; never a traceback."""
    err.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)


def print_plan(plan: Plan, reasons: dict[str, list[str]]) -> None:
    """The design, variants × seeds, the trunks, steps to train against steps asked for, and why."""
    spec = plan.experiment.spec
    out.print(f"[bold]{escape(spec.question)}[/]\n{escape(describe(spec))}\n")
    _print_variants(plan)
    _print_trunks(plan)
    asked, unique, missing = plan.steps_asked, plan.steps_unique, plan.steps_to_train
    out.print(
        f"Optimizer steps: {asked} asked for, {unique} unique "
        f"([bold]{unique / asked:.1%}[/] of those asked for), {missing} still to train."
    )
    stored = {
        stage: sum(plan.store.has(stage, getattr(run.keys, stage)) for run in plan.runs)
        for stage in ("prepare", "sample", "evaluate")
    }
    total = len(plan.runs)
    out.print(
        f"In the store: prepared data for {stored['prepare']} of {total} runs, samples of "
        f"{stored['sample']}, figures of {stored['evaluate']}."
    )
    if not reasons:
        out.print("Nothing has to run.")
    for stage, lines in reasons.items():
        shown = "; ".join(lines[:6]) + (f"; and {len(lines) - 6} more" if len(lines) > 6 else "")
        out.print(f"[bold]{stage}[/] has to run: {escape(shown)}")
    print_warnings(plan)


def print_warnings(plan: Plan) -> None:
    """What is worth knowing before the run and does not stop it."""
    for warning in warnings(plan):
        out.print(f"[bold yellow]warning:[/] {escape(warning)}")


def _print_variants(plan: Plan) -> None:
    spec = plan.experiment.spec
    table = Table("variant", "overrides", "seeds", "figures in the store")
    for name in plan.experiment.variants:
        runs = [run for run in plan.runs if run.variant == name]
        done = sum(plan.store.has("evaluate", run.keys.evaluate) for run in runs)
        label = f"{name} (baseline)" if name == spec.baseline else name
        overrides = _words(spec.variants.get(name, {})) or "–"
        table.add_row(
            label, escape(overrides), ", ".join(str(r.seed) for r in runs), f"{done} of {len(runs)}"
        )
    out.print(table)


def _print_trunks(plan: Plan) -> None:
    """One line for each stretch that differs in more than its seed."""
    missing = plan.epochs_to_train()
    table = Table("trained once", "for the variants", "EMA observers", "seeds", "epochs to train")
    shapes: dict[tuple[int, int, tuple[str, ...], int], list[tuple[int, int]]] = {}
    for stretch in plan.stretches:
        variants = tuple(dict.fromkeys(run.variant for run in stretch.runs))
        shape = (stretch.begin, stretch.end, variants, len(stretch.observers))
        shapes.setdefault(shape, []).append((stretch.runs[0].seed, missing.get(stretch.key, 0)))
    for (begin, end, variants, observers), each in shapes.items():
        seeds = ", ".join(str(seed) for seed, _ in each)
        epochs = sum(epochs for _, epochs in each)
        table.add_row(f"epochs {begin}–{end}", ", ".join(variants), str(observers), seeds, str(epochs))
    out.print(table)


def _words(overrides: object, prefix: str = "") -> str:
    if not isinstance(overrides, dict):
        return f"{prefix} = {overrides}"
    return ", ".join(
        _words(value, f"{prefix}.{name}" if prefix else str(name)) for name, value in overrides.items()
    )


ACTS = {
    "active": "active",
    "passive": "passive",
    "inert": "[bold red]inert[/]",
    "warning": "[yellow]warning[/]",
}


def print_findings(findings: Sequence[Finding]) -> None:
    """What the audit found: a line for each thing that was looked at."""
    table = Table("variant", "what", "acts?", "dies in", "why")
    for finding in findings:
        act = ACTS[finding.act] + (" (expected)" if finding.expected else "")
        table.add_row(
            finding.variant, finding.about, act, finding.layer or "–", escape(finding.reason) or "–"
        )
    out.print(table)


def print_verification(measured: Verification) -> None:
    """Whether weights agree, and how long the trainings took."""
    table = Table("variant", "weights equal to the last bit", "seconds alone")
    for variant, seconds in measured.separate_seconds.items():
        table.add_row(variant, "yes" if measured.equal[variant] else "[bold red]no[/]", f"{seconds:.1f}")
    out.print(table)
    out.print(
        f"Seed {measured.seed}: together {measured.shared_seconds:.1f} s, each alone "
        f"{sum(measured.separate_seconds.values()):.1f} s, {measured.ratio:.2f} times as long."
    )


class ProgressScreen:
    """Bars on a terminal; in a log one line for each task that ends and, at most every few seconds,
    one for training that goes on."""

    def __init__(self) -> None:
        self._bars: Progress | None = None
        self._epochs: TaskID | None = None
        self._runs: TaskID | None = None
        self._last_line = 0.0
        self._counts = {"epochs": [0, 0], "runs": [0, 0]}
        self._started = time.monotonic()

    def begin(self, epochs: int, runs: int) -> None:
        """Shows how much there is to do."""
        self._counts = {"epochs": [0, epochs], "runs": [0, runs]}
        if sys.stdout.isatty():
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=out,
            )
            self._epochs = self._bars.add_task("epochs trained", total=epochs, note="")
            self._runs = self._bars.add_task("runs finished", total=runs, note="")
            self._bars.start()
        else:
            self._line(f"{epochs} epochs to train, {runs} runs to finish")

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

    def end(self, task: str, reason: str, *, is_run: bool) -> None:
        """Counts a finished run, or shows why a task failed."""
        if is_run:
            self._counts["runs"][0] += 1
            if self._bars and self._runs is not None:
                self._bars.update(self._runs, advance=1)
        if reason:
            self._line(f"failed: {task}: {reason}")
        elif not self._bars:
            done, total = self._counts["runs"]
            self._line(f"{done}/{total} runs; done: {task}")

    def findings(self, findings: Sequence[Finding]) -> None:
        """Shows what the audit found."""
        print_findings(findings)

    def close(self) -> None:
        """Takes the bars away."""
        if self._bars:
            self._bars.stop()

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        out.print(f"[{self._last_line - self._started:6.1f} s] {text}", markup=False, soft_wrap=True)


class FetchScreen:
    """Shows what ``ablate fetch`` does, a line or two for each part; the libraries show their own bars."""

    def download(self, part: str, address: str) -> None:
        """A part is about to be downloaded."""
        out.print(f"fetching {part} from {address}", markup=False, soft_wrap=True)

    def ready(self, part: str, holds: str, files: tuple[Path, ...]) -> None:
        """A part is on this machine and could be loaded."""
        found = f"{size(files)} in {files[0].parent}"
        out.print(f"[green]ready[/] {escape(part)}: {escape(holds)}, {escape(found)}", soft_wrap=True)

    def failed(self, part: str, reason: str) -> None:
        """A part is not here, or not sound."""
        out.print(f"[bold red]failed[/] {escape(part)}: {escape(reason)}", soft_wrap=True)


STATES = {"ok": "[green]ok[/]   ", "note": "[yellow]note[/] ", "wrong": "[bold red]wrong[/]"}


def print_answers(answers: Iterable[Answer]) -> bool:
    """What ``ablate doctor`` finds, as it finds it. Gives whether nothing is wrong."""
    states = set()
    for answer in answers:
        states.add(answer.state)
        out.print(f"{STATES[answer.state]} {escape(answer.about)}: {escape(answer.found)}", soft_wrap=True)
        if answer.mend:
            out.print(f"      → {answer.mend}", markup=False, soft_wrap=True)
    return "wrong" not in states
