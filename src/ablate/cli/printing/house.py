"""What is printed of what is here: outcomes, what runs, what can go, what was written or taken."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from ablate.cli.printing import print_table, say
from ablate.records import Cluster
from ablate.text import duration, first_line, in_bytes, plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ablate.keeping.export import Exported
    from ablate.keeping.gc import Removable
    from ablate.keeping.import_study import Imported
    from ablate.keeping.rm import Doomed
    from ablate.keeping.status import Command, Status
    from ablate.runner.run import Outcome


def print_outcome(outcome: Outcome) -> None:
    """What ``ablate run`` has done, where the report is, and what failed and why."""
    finished, failed = len(outcome.finished), len(outcome.failed)
    there = outcome.runs - finished - failed - outcome.pruned
    pruned = f"{outcome.pruned} pruned, " if outcome.pruned else ""
    stored = f" ({outcome.stored} of them with results that the store had)" if outcome.stored else ""
    already = f"{there} {'was' if there == 1 else 'were'} already there"
    counts = f"{plural(finished, 'run')} finished{stored}, {already}, {pruned}{failed} failed"
    say(f"{counts}. Report: {outcome.report}")
    for name, reason in outcome.failed.items():
        say(f"failed: {name}: {first_line(reason)}")
    if failed:
        say("The same command tries what failed again, and keeps what is finished.")


def print_what_follows(spec: Path, *, claims: bool) -> None:
    """How to look at a finished experiment, and to go on."""
    file = shlex.quote(str(spec))
    say(f"Read it in a browser:     ablate open {file}")
    if claims:
        say(f"What is still undecided:  ablate next {file}")
    say("All runs in MLflow:       ablate ui")


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
        say(f"{recorded.experiment} in MLflow{where}: {counts}")
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
            f"  {account.epochs_done} of {plural(account.epochs, 'epoch')} trained, "
            f"{account.runs_done} of {plural(account.runs, 'run')} done"
            + ("" if left is None else f", about {duration(left)} left")
        )
    elif not command.killed:
        say("  it looks at what there is to do")
    if account.cluster and not command.killed:
        seen = Cluster(**account.cluster)
        say(f"  on a cluster with {machines_of(seen)}; {plural(seen.tasks, 'task')} at work")
    for task, text in account.tasks.items() if not command.killed else ():
        say(f"  now: {task}: {text}")
    for task, reason in account.failed.items():
        say(f"  failed: {task}: {reason}")


def machines_of(seen: Cluster) -> str:
    """``2 nodes, 16 CPUs, 4 GPUs``."""
    parts = (plural(seen.nodes, "node"), plural(seen.cpus, "CPU"), plural(seen.gpus, "GPU"))
    return ", ".join(parts)


def print_found(found: Removable, store: str, *, done: bool) -> None:
    """What of a store can go or has gone, why, and what that means."""
    from ablate.keeping.gc import KINDS
    from ablate.record.identity import this_folder

    rows = []
    for kind, why in KINDS.items():
        if some := [item.bytes for item in found.items if item.kind == kind]:
            rows.append([kind, str(len(some)), in_bytes(sum(some)), why])
    if rows:
        print_table(["what", "how many", "size", "why it may go"], rows)
    for name in found.running:
        say(f"{name} is being run: all that it needs stays, and so do leftovers, marks and locks.")
    for experiment in found.unfinished:
        name, folder = experiment.needs.experiment, experiment.needs.folder
        if folder == this_folder():
            otherwise = f"If it is not to go on: ablate rm {shlex.quote(name)}"
        else:
            where = folder or "a folder that is not known"
            otherwise = f"It was run in {where}; if nobody goes on there, delete {store}/{experiment.file}"
        say(f"MLflow lacks runs of {name}: all that the same command goes on from stays. {otherwise}")
    if found.begins_again:
        say(f"A longer training of {', '.join(found.begins_again)} will begin again at epoch 0.")
    total = in_bytes(sum(item.bytes for item in found.items))
    if not rows:
        say(f"Nothing in {store} can go.")
    elif done:
        say(f"Freed {total} in {store}.")
    else:
        say(f"{total} in {store} can go. Nothing was changed: the same command with --do frees it.")


def print_exported(exported: Exported, file: Path) -> None:
    """What was written into a file."""
    weights, runs = "no weights", plural(exported.runs, "run")
    if exported.weights:
        weights = f"{plural(exported.weights, 'entry', 'entries')} of weights"
    say(f"{file}: {runs}, the report, the spec, {weights}; {in_bytes(exported.bytes)}")
    if exported.lacking:
        are = "is" if exported.lacking == 1 else "are"
        runs = plural(exported.lacking, "run")
        say(f"{runs} of the experiment {are} not recorded yet, and so not in it.")


def print_imported(imported: Imported, places: Sequence[str]) -> None:
    """What was taken from a file, and what can be done with it; ``places`` are the options of where it is."""
    weights = f", {plural(imported.weights, 'entry', 'entries')} of weights" if imported.weights else ""
    say(f"{imported.experiment}: {plural(imported.runs, 'run')}{weights}. Spec: {imported.spec}")
    say(f"Report: {imported.report}")
    command = shlex.join(["ablate", "report", imported.spec, *imported.options, *places])
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
    say(f"MLflow {shown(uri)}: {plural(len(doomed.runs), 'run')}, {for_good}")
    say(f"Optuna: {', '.join(doomed.studies) or 'nothing'}")
    say(f"Report: {', '.join(map(str, doomed.report)) or 'nothing'}")
    entries = plural(len(doomed.items), "entry", "entries")
    what = f"{entries}, marks included, that no other experiment needs"
    say(f"Store {store}: {what}; {freed}")
    for file in doomed.edited:
        say(f"{file} was edited: it stays.")
    if doomed.others:
        one = doomed.others == 1
        stay = "1 other of that name stays" if one else f"{doomed.others} others of that name stay"
        say(f"{stay}: of other settings, or recorded from other folders.")
    for parent in doomed.elsewhere:
        say(f"Not from this folder: {parent}")
    if done:
        say(f"{doomed.experiment} was removed.")
    else:
        say("Nothing was changed: the same command with --do removes this.")
