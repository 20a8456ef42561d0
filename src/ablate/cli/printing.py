"""What the commands print once they know it: plans, findings, answers, qualities, errors."""

from __future__ import annotations

import json
import math
import shlex
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from ablate.errors import visible
from ablate.experiment.designs import describe
from ablate.plan import expected, warnings
from ablate.records import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ablate.data.check import DataReport
    from ablate.data.remarks.base import Level
    from ablate.doctor import Answer
    from ablate.errors import AblateError
    from ablate.keeping.adopt import Imported
    from ablate.keeping.export import Exported
    from ablate.keeping.gc import Found
    from ablate.keeping.rm import Doomed
    from ablate.keeping.status import Command, Status
    from ablate.kit.check import KitQualities
    from ablate.plan import Plan
    from ablate.records import Finding, Verification
    from ablate.runner.forecast import Forecast
    from ablate.runner.run import Outcome


class Screen(Console):
    """A console on which names, whatever is in them, do nothing but appear."""

    def print(self, *objects: Any, **how: Any) -> None:
        """As rich's, with control characters written out."""
        super().print(*(visible(o) if isinstance(o, str) else o for o in objects), **how)


def out() -> Screen:
    """Standard output as it is now: its width is asked for when something is printed."""
    return Screen(highlight=False)


def say(text: str) -> None:
    """A line as it is, however wide."""
    out().print(text, markup=False, soft_wrap=True)


def print_json(facts: object) -> None:
    """Facts for programs: one JSON document and nothing else, with stable names."""
    sys.stdout.write(json.dumps(facts, indent=2, allow_nan=False) + "\n")


def print_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; its cells may hold rich's markup."""
    table = Table(*head)
    for row in rows:
        table.add_row(*map(visible, row))
    out().print(table)


def print_error(error: AblateError) -> None:
    """What is wrong, where, and what to do; never a traceback."""
    Screen(stderr=True, highlight=False).print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)


def print_plan(plan: Plan, reasons: dict[str, list[str]]) -> None:
    """The design, variants × seeds, the trunks, steps to train against steps asked for, and why."""
    spec = plan.experiment.spec
    out().print(f"[bold]{escape(spec.question)}[/]\n{escape(describe(spec))}\n")
    _print_variants(plan)
    _print_trunks(plan)
    asked, unique, missing = plan.steps_asked, plan.steps_unique, plan.steps_to_train
    out().print(
        f"Optimizer steps: {asked} asked for, {unique} unique "
        f"([bold]{unique / asked:.1%}[/] of those asked for), {missing} still to train."
    )
    if spec.search:
        guess = expected(plan)
        out().print(
            f"The search asks for {guess.steps_asked} steps in all, the baseline's included. If its "
            f"{spec.search.trials} trials were drawn at random, {guess.steps_unique} "
            f"([bold]{guess.steps_unique / guess.steps_asked:.1%}[/]) would be trained."
        )
    stored = {
        stage: sum(plan.store.has(stage, getattr(run.keys, stage)) for run in plan.runs)
        for stage in ("prepare", "sample", "evaluate")
    }
    total = len(plan.runs)
    out().print(
        f"In the store: prepared data for {stored['prepare']} of {total} runs, samples of "
        f"{stored['sample']}, results of {stored['evaluate']}."
    )
    out().print(f"Class of device: {escape('; '.join(plan.devices))}.")
    if not reasons:
        out().print("Nothing has to run.")
    for stage, lines in reasons.items():
        shown = "; ".join(lines[:6]) + (f"; and {len(lines) - 6} more" if len(lines) > 6 else "")
        out().print(f"[bold]{stage}[/] has to run: {escape(shown)}")
    print_warnings(plan)


SIZES = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of workers that a time is predicted for."""
GAIN = 0.95
"""A larger number that leaves more than this share of the time is no gain, and not shown."""


def print_cost(plan: Plan, expected: Forecast, workers: int | None, price: float | None) -> None:
    """What a plan takes: hours, time for numbers of workers, disk, money; or what of it nobody knows."""
    from ablate.runner.forecast import disk

    if not expected.known:
        what = f" of: {escape('; '.join(expected.unknown))}" if expected.sources else ""
        out().print(
            f"Cost: not known. No run in this store has measured the time{what}. "
            f"A run of the first seed does (--seeds {plan.experiment.spec.seeds[0]})."
        )
        return
    hours, device = expected.hours, expected.device
    money = f", {hours * price:.2f} at {price:g} an hour" if price is not None else ""
    needed = disk(plan, workers or 1)
    room = f" At least {in_bytes(needed)} of disk." if needed is not None else ""
    sources = escape(", ".join(expected.sources))
    out().print(f"Cost: {hours:.2f} {device}-hours{money}, by what runs of {sources} took.{room}")
    head = ["workers", "time", "no order can beat"]
    head += ["price, all paid to the end"] if price is not None else []
    rows: list[list[str]] = []
    shortest = math.inf
    for size in (workers,) if workers else SIZES:
        found = expected.on(size)
        if found.makespan > GAIN * shortest:
            break
        shortest = found.makespan
        rows.append([str(size), duration(found.makespan), duration(found.bound)])
        if price is not None:
            rows[-1].append(f"{price * size * expected.devices * found.makespan / 3600:.2f}")
    print_table(head, rows)


def print_warnings(plan: Plan) -> None:
    """What is worth knowing before the run and does not stop it."""
    for warning in warnings(plan):
        out().print(f"[bold yellow]warning:[/] {escape(warning)}")


def _print_variants(plan: Plan) -> None:
    spec = plan.experiment.spec
    rows = []
    for name in plan.experiment.variants:
        runs = [run for run in plan.runs if run.variant == name]
        done = sum(plan.store.has("evaluate", run.keys.evaluate) for run in runs)
        label = f"{name} (baseline)" if name == spec.baseline else name
        overrides = escape(_words(spec.variants.get(name, {})) or "–")
        rows.append([label, overrides, ", ".join(str(r.seed) for r in runs), f"{done} of {len(runs)}"])
    print_table(["variant", "overrides", "seeds", "results in the store"], rows)


def _print_trunks(plan: Plan) -> None:
    """One line for each segment that differs in more than its seed."""
    missing = plan.epochs_to_train()
    shapes: dict[tuple[int, int, tuple[str, ...], int], list[tuple[int, int]]] = {}
    for segment in plan.segments:
        variants = tuple(dict.fromkeys(run.variant for run in segment.runs))
        shape = (segment.begin, segment.end, variants, len(segment.observers))
        shapes.setdefault(shape, []).append((segment.runs[0].seed, missing.get(segment.key, 0)))
    rows = []
    for (begin, end, variants, observers), each in shapes.items():
        seeds = ", ".join(str(seed) for seed, _ in each)
        epochs = sum(epochs for _, epochs in each)
        rows.append([f"epochs {begin}–{end}", ", ".join(variants), str(observers), seeds, str(epochs)])
    print_table(["trained once", "for the variants", "EMA observers", "seeds", "epochs to train"], rows)


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
    rows = []
    for finding in findings:
        act = ACTS[finding.act] + (" (expected)" if finding.expected else "")
        reason = escape(finding.reason) or "–"
        rows.append([finding.variant, finding.about, act, finding.layer or "–", reason])
    print_table(["variant", "what", "acts?", "dies in", "why"], rows)


def print_verification(measured: Verification) -> None:
    """Whether weights agree, and how long training took."""
    rows = [
        [variant, "yes" if measured.equal[variant] else "[bold red]no[/]", f"{seconds:.1f}"]
        for variant, seconds in measured.separate_seconds.items()
    ]
    print_table(["variant", "weights equal to the last bit", "seconds alone"], rows)
    out().print(
        f"Seed {measured.seed}: together {measured.shared_seconds:.1f} s, each alone "
        f"{sum(measured.separate_seconds.values()):.1f} s, {measured.ratio:.2f} times as long."
    )


STATES = {"ok": "[green]ok[/]   ", "note": "[yellow]note[/] ", "wrong": "[bold red]wrong[/]"}


def print_answers(answers: Iterable[Answer]) -> bool:
    """What ``ablate doctor`` finds, as it finds it. Gives whether nothing is wrong."""
    console, states = out(), set()
    for answer in answers:
        states.add(answer.state)
        console.print(
            f"{STATES[answer.state]} {escape(answer.about)}: {escape(answer.found)}", soft_wrap=True
        )
        if answer.mend:
            console.print(f"      → {answer.mend}", markup=False, soft_wrap=True)
    return "wrong" not in states


EXAMPLES = 3
"""Of a remark on a data set."""
WIDTH = 120
"""Of an example, in characters."""


def print_data_report(report: DataReport, console: Console | None = None, *, every: bool = False) -> None:
    """Counts, then the remarks with a few examples each (or ``every`` one), errors first, and the outcome."""
    console = console or out()

    def line(text: str) -> None:
        console.print(text, soft_wrap=True)

    data = report.data
    train, prompts, references = data.read.train, data.read.prompts, data.read.references
    groups = len({image.group for image in train})
    line(
        f"{escape(str(data.folder))}: {report.format}, {len(train)} training images in {groups} groups, "
        f"{len(prompts)} prompts, {len(references)} of them with a real image\n"
    )
    colours: dict[Level, str] = {"error": "bold red", "warning": "bold yellow", "info": "bold"}
    for level, colour in colours.items():
        for remark in (remark for remark in report.remarks if remark.level == level):
            line(f"[{colour}]{level}:[/] {escape(remark.what)}: {len(remark.places)}")
            shown = remark.places if every else remark.places[:EXAMPLES]
            for place in shown:
                line(f"    {escape(place if every or len(place) <= WIDTH else place[: WIDTH - 1] + '…')}")
            if len(remark.places) > len(shown):
                line(f"    and {len(remark.places) - len(shown)} more")
            line(f"  {escape(remark.fix)}\n" if remark.fix else "")
    if not every and any(len(remark.places) > EXAMPLES for remark in report.remarks):
        line("--all lists every place.")
    line("You can train on it." if report.trainable else "You cannot train on it yet: see the errors.")


def print_qualities(qualities: KitQualities, console: Console | None = None) -> None:
    """Print the table that ``ablate kit build`` and ``ablate kit check`` end with."""
    title = "How good the kit is on held-out images"
    table = Table("part", "quality", Column("value", justify="right"), title=title, title_justify="left")
    table.add_row("vae", "PSNR", f"{qualities.vae_psnr:.1f} dB")
    for part, pair in (("text_encoder", qualities.text_encoder), ("evaluator", qualities.evaluator)):
        for attribute, share in pair.zero_shot.items():
            table.add_row(part, f"zero-shot {attribute}", f"{share:.1%}")
        table.add_row(part, "retrieval top-1", f"{pair.top1:.1%}")
        table.add_row(part, "retrieval top-5", f"{pair.top5:.1%}")
    for attribute, share in qualities.perceptual.neighbour.items():
        table.add_row("perceptual", f"nearest image agrees in {attribute}", f"{share:.1%}")
    if qualities.perceptual.same_monster is not None:
        table.add_row("perceptual", "same monster nearer", f"{qualities.perceptual.same_monster:.1%}")
    for part, size in qualities.bytes.items():
        table.add_row(part, "size", f"{size / 1e6:.2f} MB")
    table.add_row("all", "size", f"{sum(qualities.bytes.values()) / 1e6:.2f} MB")
    (console or Console()).print(table)


def print_outcome(outcome: Outcome, runs: int, page: Path) -> None:
    """What ``ablate run`` has done of so many runs, where the report is, and what failed and why."""
    finished, failed = len(outcome.finished), len(outcome.failed)
    there = runs - finished - failed
    say(f"{finished} runs finished, {there} were already there, {failed} failed. Report: {page}")
    for name, reason in outcome.failed.items():
        say(f"failed: {name}: {reason.splitlines()[0]}")
    if failed:
        say("The same command tries what failed again, and keeps what is finished.")


def print_status(status: Status, store: str) -> None:
    """What runs, how far it is, and what failed; then the failures that MLflow has of experiments that do
    not run."""
    running = {command.account.experiment for command in status.commands}
    if not status.commands:
        say(f"Nothing runs in {store}.")
    for command in status.commands:
        _print_command(command)
    for recorded in status.recorded:
        counts = ", ".join(f"{count} {name.lower()}" for name, count in sorted(recorded.counts.items()))
        several = sum(one.experiment == recorded.experiment for one in status.recorded) > 1
        where = f", recorded from {recorded.folder or 'a folder that is not known'}" if several else ""
        say(f"MLflow has of {recorded.experiment}{where}: {counts}")
        for run, reason in recorded.failed.items() if recorded.experiment not in running else ():
            say(f"  failed: {run}: {reason}")


def _print_command(command: Command) -> None:
    account = command.account
    where = f"process {account.process} on {account.host}"
    if command.killed:
        say(f"{account.experiment}: {where} was killed; the same command goes on")
    else:
        say(f"{account.experiment}: {where}, for {duration(command.seconds)}")
    if account.begun is not None:
        left = command.seconds_left
        say(
            f"  {account.epochs_done} of {account.epochs} epochs trained, "
            f"{account.runs_done} of {account.runs} runs done"
            + ("" if left is None else f", about {duration(left)} left")
        )
    elif not command.killed:
        say("  it looks at what there is to do")
    if account.cluster and not command.killed:
        seen = Cluster(**account.cluster)
        say(f"  on a cluster with {machines_of(seen)}; {count_of(seen.tasks, 'task')} at work")
    for task, text in account.tasks.items() if not command.killed else ():
        say(f"  now: {task}: {text}")
    for task, reason in account.failed.items():
        say(f"  failed: {task}: {reason}")


def machines_of(seen: Cluster) -> str:
    """``2 nodes, 16 CPUs, 4 GPUs``."""
    parts = (count_of(seen.nodes, "node"), count_of(seen.cpus, "CPU"), count_of(seen.gpus, "GPU"))
    return ", ".join(parts)


def count_of(number: int, what: str) -> str:
    """``1 node``, ``2 nodes``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def duration(seconds: float) -> str:
    """``42 s``, ``7 min``, ``3 h 20 min``, ``2 d 4 h``."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 100:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def print_found(found: Found, store: str, *, done: bool) -> None:
    """What of a store can go or has gone, why, and what that means."""
    from ablate.keeping.gc import KINDS

    rows = []
    for kind, why in KINDS.items():
        if some := [item.bytes for item in found.items if item.kind == kind]:
            rows.append([kind, str(len(some)), in_bytes(sum(some)), why])
    if rows:
        print_table(["what", "how many", "size", "why it may go"], rows)
    for name in found.running:
        say(f"{name} is being run: all that it needs stays, and so do leftovers, marks and locks.")
    for name in found.unfinished:
        say(
            f"MLflow lacks runs of {name}: all that the same command goes on from stays. "
            f"If it is not to go on: ablate rm {shlex.quote(name)}"
        )
    if found.begins_again:
        say(f"A longer training of {', '.join(found.begins_again)} will begin again at epoch 0.")
    total = in_bytes(sum(item.bytes for item in found.items))
    if not rows:
        say(f"Nothing in {store} can go.")
    elif done:
        say(f"Freed {total} in {store}.")
    else:
        say(f"{total} in {store} can go. Nothing was changed: the same command with --do frees it.")


def in_bytes(number: int) -> str:
    """``0 B``, ``12 kB``, ``3.4 GB``."""
    size = float(number)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def print_exported(exported: Exported, file: Path) -> None:
    """What was written into a file."""
    weights = f"{exported.weights} entries of weights" if exported.weights else "no weights"
    say(f"{file}: {exported.runs} runs, the report, the spec, {weights}; {in_bytes(exported.bytes)}")
    if exported.lacking:
        say(f"{exported.lacking} runs of the experiment are not recorded yet, and so not in it.")


def print_imported(imported: Imported) -> None:
    """What was taken from a file, and what can be done with it."""
    weights = f", {imported.weights} entries of weights" if imported.weights else ""
    say(f"{imported.experiment}: {imported.runs} runs{weights}. Spec: {imported.spec}")
    say(f"Report: {imported.report}")
    command = shlex.join(["ablate", "report", imported.spec, *imported.options])
    say(f"The same from MLflow: {command}")
    if not imported.same_number:
        say("MLflow has given the experiment another number than it had: the report says so.")
    for plugin in imported.plugins:
        say(f"{plugin} is a program that commands on this experiment execute: look at it first.")


def print_doomed(doomed: Doomed, uri: str, store: str, *, done: bool) -> None:
    """What goes with an experiment, or has gone."""
    from ablate.record.addresses import database_of
    from ablate.record.patience import shown

    for_good = "for good" if database_of(uri) else "marked as deleted, until the server's `mlflow gc`"
    freed = in_bytes(sum(item.bytes for item in doomed.items))
    say(f"MLflow {shown(uri)}: {len(doomed.runs)} runs, {for_good}")
    say(f"Optuna: {', '.join(doomed.studies) or 'nothing'}")
    say(f"Report: {', '.join(map(str, doomed.report)) or 'nothing'}")
    say(f"Store {store}: {len(doomed.items)} entries and marks that no other experiment needs, {freed}")
    for file in doomed.edited:
        say(f"{file} was edited: it stays.")
    if doomed.others:
        say(f"{doomed.others} others of that name stay: of other settings, or recorded from other folders.")
    for parent in doomed.elsewhere:
        say(f"Not from this folder: {parent}")
    if done:
        say(f"{doomed.experiment} was removed.")
    else:
        say("Nothing was changed: the same command with --do removes this.")
