"""``ablate import``: a study from a file, all of it or nothing."""

from __future__ import annotations

import re
import shutil
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from ablate.errors import RunError, UserError
from ablate.keeping import bundle
from ablate.record import transfer
from ablate.record.addresses import database_of
from ablate.record.remove import remove_runs
from ablate.report.write import update_index
from ablate.runner.exclusive import experiment_lock, recording
from ablate.runner.needs import needs_written, parsed
from ablate.runner.studies.packing import refuse_study, remove_study, unpack_trials
from ablate.runner.studies.study import study_name, study_storage
from ablate.store.files import ENTRY, unsealed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablate.keeping.bundle import Bundle
    from ablate.store import Store


@dataclass(frozen=True)
class Imported:
    """What was taken from a file."""

    experiment: str
    spec: str
    plugins: list[str]
    options: list[str]
    runs: int
    weights: int
    """Entries that the store has now."""
    report: Path
    same_number: bool
    """Whether the experiment has the number in MLflow that it had, which a report shows."""


def adopt(
    file: Path,
    store: Store,
    uri: str,
    reports: Path,
    folder: Path,
    progress: Callable[[int, int], None],
    studies: str | None = None,
) -> Imported:
    """Takes a study from a file: its record, trials, report, spec and plug-ins, and weights if it has them.

    Nothing that is there is replaced. What fails half-way leaves nothing behind; what is killed half-way can
    be done again.

    Args:
        folder: where the spec gets its place.
        progress: told how many members of how many have been looked at.
        studies: address of the database with Optuna's studies; by default beside the record.

    Raises:
        UserError: the file is not as it was written, or something of it is there already; and as ``connect``.
        RunError: the experiment is being run here.
    """
    with bundle.reading(file, progress) as study, ExitStack() as held:
        contents = study.contents
        packed = _record(study, file)
        transfer.refuse_known(uri, packed)
        trials = study_storage(uri, store, studies), study_name(contents.experiment, contents.key)
        refuse_study(*trials)
        places = {folder / path: name for path, name in study.names(bundle.FILES).items()}
        places |= {reports / path: name for path, name in study.names(bundle.REPORT).items()}
        _refuse_others(study, places)
        try:
            held.enter_context(store.lock(experiment_lock(contents.key)).acquire(blocking=False))
        except Timeout:
            raise RunError(f"{contents.experiment} is being run here", where=store.address) from None
        database = database_of(uri)

        def busy() -> None:
            raise RunError(f"{contents.experiment} is being recorded", where=str(database))

        held.enter_context(recording(database, contents.key, busy))
        transfer.refuse_known(uri, packed)  # by a run that has ended meanwhile
        with ExitStack() as undo:
            _place_artifacts(study, transfer.place_for(uri, contents.experiment), undo)
            for place, name in places.items():
                _place(study, name, place, undo)
            # Before the weights, which `ablate gc` would take for what nobody needs.
            needs = parsed(study.read(bundle.NEEDS).decode())
            with needs_written(store, contents.key, folder / contents.spec, needs):
                weights = _place_weights(study, store, file, undo)
                undo.callback(remove_study, *trials)
                unpack_trials(*trials, study.json(bundle.TRIALS))
                undo.callback(_take_out, uri, packed)
                same = transfer.unpack(uri, packed)
            undo.pop_all()  # it is in
    update_index(reports)
    page = reports / f"{contents.experiment}.md"
    return Imported(
        contents.experiment,
        contents.spec,
        contents.plugins,
        contents.options,
        transfer.children_in(packed),
        weights,
        page,
        same,
    )


def _record(study: Bundle, file: Path) -> dict[str, Any]:
    """The record, if it is as ``ablate export`` writes it."""
    contents = study.contents
    try:
        packed: dict[str, Any] = study.json(bundle.RECORD)
        ids = {run["id"] for run in packed["runs"]}
        whole = (
            packed["experiment"] == contents.experiment
            and packed["runs"][0]["tags"]["ablate.key"] == contents.key
            and {path.parts[0] for path in study.names(bundle.ARTIFACTS)} <= ids
            # They name folders: `ablate rm` would follow one that leads to somewhere else.
            and all(re.fullmatch(bundle.HEX, run_id) for run_id in ids)
        )
        parsed(study.read(bundle.NEEDS).decode())
        study.json(bundle.TRIALS)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise bundle.refused(file, f"its record is not as ablate writes it ({error!r})") from error
    if not whole:
        raise bundle.refused(file, "its record is of another experiment than its list says")
    return packed


def _refuse_others(study: Bundle, places: dict[Path, str]) -> None:
    """Refuses to replace a file that holds something else."""
    fix = "Nothing was changed. Move it away, or import in another folder."
    for place, name in places.items():
        other = [folder for folder in place.parents if folder.exists() and not folder.is_dir()]
        taken = place.exists() or place.is_symlink()
        if taken and not (place.is_file() and place.read_bytes() == study.read(name)):
            other.append(place)
        if other:
            raise UserError("there is something else here already", where=str(other[0]), fix=fix)


def _place(study: Bundle, name: str, place: Path, undo: ExitStack) -> None:
    if not place.exists():
        undo.callback(place.unlink, missing_ok=True)
        aside = place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}")
        undo.callback(aside.unlink, missing_ok=True)
        study.copy(name, aside)
        aside.replace(place)


def _place_artifacts(study: Bundle, place: Path, undo: ExitStack) -> None:
    """Puts the files of each run where MLflow will look for them. A folder that is there belongs to no run of
    MLflow's: an import that was killed has left it."""
    for run in {path.parts[0] for path in study.names(bundle.ARTIFACTS)}:
        shutil.rmtree(place / run, ignore_errors=True)
        undo.callback(shutil.rmtree, place / run, ignore_errors=True)
    for path, name in study.names(bundle.ARTIFACTS).items():
        run, *rest = path.parts
        study.copy(name, place / run / "artifacts" / Path(*rest))


def _take_out(uri: str, packed: dict[str, Any]) -> None:
    """Removes what was put into MLflow. An interruption during the commit comes right after it."""
    if transfer.has(uri, packed):
        remove_runs(uri, packed["experiment"], [run["id"] for run in packed["runs"]])


def _place_weights(study: Bundle, store: Store, file: Path, undo: ExitStack) -> int:
    """Puts weights into the store, but for those that it has."""
    entries: dict[tuple[str, str], dict[str, str]] = {}
    for path, name in study.names(bundle.STORE).items():
        stage, key, member = path.parts
        entries.setdefault((stage, key), {})[member] = name
    for (stage, key), members in entries.items():
        content = unsealed(study.read(members[ENTRY])) if ENTRY in members else None
        if content is None:
            raise bundle.refused(file, f"the weights {stage}/{key} are not as ablate {ENTRY} describes them")
        if store.sound(stage, key):
            continue
        undo.callback(store.remove, stage, key)
        with store.writing(stage, key, content["ingredients"]) as folder:
            for member, name in members.items():
                if member != ENTRY:
                    study.copy(name, folder / member)
    return len(entries)
