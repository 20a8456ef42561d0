"""``ablate rm``: an experiment goes, from MLflow, Optuna, the reports and the store."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from filelock import Timeout

from ablate.errors import RunError, UserError
from ablate.keeping.gc import Item, remove
from ablate.locks import is_held
from ablate.record.addresses import database_of
from ablate.record.client import connect
from ablate.record.databases import is_there
from ablate.record.identity import here, this_folder
from ablate.record.provenance import spec_key
from ablate.record.read import find_experiment
from ablate.record.remove import remove_runs
from ablate.record.runs import runs_of
from ablate.report.memory import Drawn, digests
from ablate.report.ownership import memories
from ablate.report.write import update_index
from ablate.runner.exclusive import HOUSEKEEPING, account_name, experiment_lock, record_lock, recording
from ablate.runner.needs import Entry, Listed, lists_here, read_needs
from ablate.runner.studies.packing import has_study, remove_study
from ablate.runner.studies.study import study_name, study_storage
from ablate.store import KEPT, mark

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from ablate.documents import house
    from ablate.plan import Plan
    from ablate.record.identity import Parent
    from ablate.store import Store


@dataclass(frozen=True)
class Doomed:
    """What goes with an experiment."""

    experiment: str
    keys: list[str]
    """Of its settings."""
    runs: list[str]
    """In MLflow, parents last."""
    elsewhere: list[Parent]
    """Those of them that were recorded from another folder."""
    others: int
    """Experiments of the same name that stay recorded: of other settings, or from other folders."""
    studies: list[str]
    report: list[Path]
    edited: list[Path] = field(default_factory=list)
    """Files of the report that somebody has changed: they stay."""
    items: list[Item] = field(default_factory=list)
    """In the store: what nobody else needs."""
    lists: list[str] = field(default_factory=list)
    """Names of the store's lists of what is needed."""

    def as_json(self, *, done: bool) -> house.Doomed:
        """The same as plain data; ``done`` says whether it went."""
        return {
            "done": done,
            "experiment": self.experiment,
            "runs": list(self.runs),
            "studies": list(self.studies),
            "report": [str(file) for file in self.report],
            "edited": [str(file) for file in self.edited],
            "other_experiments": self.others,
            "recorded_elsewhere": [str(parent) for parent in self.elsewhere],
            "bytes": sum(item.bytes for item in self.items),
            "items": [item.as_json() for item in self.items],
        }


def find(
    store: Store,
    uri: str,
    reports: Path,
    experiment: str,
    plan: Plan | None = None,
    studies: str | None = None,
) -> Doomed:
    """What goes with an experiment: with a plan, only what was recorded from its place with its settings;
    without, all of that name. Changes nothing.

    Raises:
        UserError: there is no such experiment; and as ``connect``.
        RunError: it is being run.
    """
    reader, listed, database = find_experiment(uri, experiment), list(read_needs(store)), database_of(uri)
    all_parents = reader.parents() if reader else []
    all_lists = [each for each in listed if each.needs.experiment == experiment]
    parents, lists, elsewhere = all_parents, all_lists, []
    if plan:
        place, key = here(plan, database), spec_key(plan)
        with_key = [parent for parent in all_parents if parent.key == key]
        parents = [parent for parent in with_key if parent.place in ("", place)]
        elsewhere = [parent for parent in with_key if parent not in parents]
        mine = lists_here(store, key, plan.experiment.file)
        lists = [each for each in all_lists if each.name in mine]
    keys = list(dict.fromkeys([*(each.key for each in lists), *(parent.key for parent in parents)]))
    if not keys:
        raise _nothing(experiment, uri, elsewhere, has_run=bool(all_lists or all_parents))
    for each in keys:
        if store.held(experiment_lock(each)):
            raise _running(experiment, store.address)
        if database and is_held(record_lock(database, each), shared=False):
            raise _running(experiment, str(database))
    ends = [parent.run_id for parent in parents]
    below = [run_id for parent in ends for run_id in reader.below(parent)] if reader else []
    report, edited = _report(reports, experiment, ends, all_go=len(parents) == len(all_parents))
    storage = study_storage(uri, store, studies)
    names = {study_name(experiment, parent.key, parent.place) for parent in parents}
    names |= {study_name(experiment, each) for each in keys if not elsewhere}
    return Doomed(
        experiment,
        keys,
        [*below, *ends],
        _not_from_here(parents),
        len(all_parents) - len(parents),
        [name for name in sorted(names) if has_study(storage, name)],
        report,
        edited,
        list(_items(store, listed, lists)),
        [each.name for each in lists],
    )


def _nothing(experiment: str, uri: str, elsewhere: Sequence[Parent], *, has_run: bool) -> UserError:
    """The error where there is nothing to remove."""
    if elsewhere:
        fix = f"Give the command there; or remove all that is called so: ablate rm {experiment}"
        found = "; ".join(map(str, elsewhere))
        return UserError(f"was recorded from elsewhere only: {found}", where=experiment, fix=fix)
    if has_run:
        fix = f"To remove all that has run under this name: ablate rm {experiment}"
        return UserError("has not run with these settings from this folder", where=experiment, fix=fix)
    database = database_of(uri)
    there = is_there(database) if database else True
    known = ", ".join(runs_of(connect(uri)).experiments() if there else ()) or "none"
    return UserError("there is no such experiment", where=experiment, fix=f"MLflow has: {known}.")


def delete(
    store: Store,
    uri: str,
    reports: Path,
    experiment: str,
    plan: Plan | None = None,
    studies: str | None = None,
) -> Doomed:
    """Removes what ``find`` finds, and gives it. Given again after it was interrupted, it goes on. Raises as
    ``find``."""
    with ExitStack() as held:
        held.enter_context(store.lock(HOUSEKEEPING))
        doomed = find(store, uri, reports, experiment, plan, studies)
        database = database_of(uri) if doomed.runs else None

        def busy() -> None:
            raise _running(experiment, str(database))

        for each in doomed.keys:
            try:
                held.enter_context(store.lock(experiment_lock(each)).acquire(blocking=False))
            except Timeout:
                raise _running(experiment, store.address) from None
            held.enter_context(recording(database, each, busy))
        for file in doomed.report:
            file.unlink(missing_ok=True)
        _tidy(reports, experiment)
        storage = study_storage(uri, store, studies)
        for name in doomed.studies:
            remove_study(storage, name)
        if doomed.runs:
            remove_runs(uri, experiment, doomed.runs)
        for item in doomed.items:
            remove(store, item)
        for name in (*map(account_name, doomed.keys), *doomed.lists):
            store.drop(name)
    return doomed


def _not_from_here(parents: Sequence[Parent]) -> list[Parent]:
    return [parent for parent in parents if parent.folder not in ("", this_folder())]


def _running(experiment: str, where: str) -> RunError:
    return RunError(f"{experiment} is being run", where=where, fix="Stop it, or wait for its end.")


# ── the report ───────────────────────────────────────────────────────────────────────────────────


def _report(
    reports: Path, name: str, runs: Collection[str], *, all_go: bool
) -> tuple[list[Path], list[Path]]:
    """The files that ablate has written for reports on these parent runs, in all formats, and those that were
    edited since. Of reports that do not say on which run they are, those where all runs go."""
    written: list[Path] = []
    edited: list[Path] = []
    for memory in memories(reports, name):
        drawn = Drawn.read(memory)
        if not all_go and not (drawn and drawn.run in runs):
            continue
        written.append(memory)
        files = {f: d for f, d in (drawn.files if drawn else {}).items() if _of_the_report(f, name)}
        now = digests(reports, files)
        written += [reports / file for file, digest in now.items() if digest == files[file]]
        edited += [reports / file for file, digest in now.items() if digest != files[file]]
    return sorted(set(written)), sorted(set(edited))


def _of_the_report(file: str, name: str) -> bool:
    """Whether a file can be one of this report: a memory may have been tampered with."""
    folder, _, rest = file.rpartition("/")
    return ".." not in file and (folder == name or (not folder and rest.startswith(f"{name}.")))


def _tidy(reports: Path, name: str) -> None:
    """Removes the folder of figures if nothing is left in it, and writes the index of reports anew."""
    folder = reports / name
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    if reports.is_dir():
        update_index(reports)


# ── the store ────────────────────────────────────────────────────────────────────────────────────


def _items(store: Store, listed: Collection[Listed], going: Collection[Listed]) -> Iterator[Item]:
    """What the lists that are ``going`` name, and no other."""
    mine = _all_of(going) - _all_of([each for each in listed if each not in going])
    for stage, key in store.listed():
        entry = (stage, key)
        if stage == "ema":  # an average goes with its state
            entry = ("train", str(store.find_ingredients(stage, key).get("state")))
        if entry in mine:
            yield Item("superseded", store.path(stage, key), store.size(stage, key), (stage, key))
    marks = set(store.names(KEPT))
    for stage, key in sorted(mine):
        if (name := mark(stage, key)) in marks:
            yield Item("marks", store.root / name, 0, mark=name)


def _all_of(listed: Collection[Listed]) -> set[Entry]:
    needs = [each.needs for each in listed]
    states = {(stage, state) for need in needs for state in need.states for stage in ("train", "moments")}
    return states | {entry for need in needs for entry in (*need.inputs, *need.results)}
