"""``ablate export``: a study as one file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.errors import RunError, UserError
from ablate.keeping import bundle
from ablate.record import transfer
from ablate.record.provenance import spec_key
from ablate.record.read import find_settings, not_recorded
from ablate.report.memory import Drawn
from ablate.report.ownership import check_place
from ablate.report.write import memory_of, write_report
from ablate.runner.exclusive import experiment_lock
from ablate.runner.needs import needs_of
from ablate.runner.rounds import has_ended, resumed
from ablate.runner.studies.packing import pack_trials
from ablate.runner.studies.study import study_name, study_storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ablate.keeping.bundle import Writer
    from ablate.plan import Plan


@dataclass(frozen=True)
class Exported:
    """What was written into a file."""

    runs: int
    lacking: int
    """Runs of the experiment that are not recorded."""
    weights: int
    """Entries of the store."""
    bytes: int


def export(
    plan: Plan,
    spec: Path,
    file: Path,
    uri: str,
    reports: Path,
    *,
    plugins: Sequence[Path] = (),
    options: Sequence[str] = (),
    weights: bool = False,
    studies: str | None = None,
) -> Exported:
    """Writes all that is recorded of a plan's experiment into one file, with its spec and its report. The
    report is brought up to date.

    Args:
        plugins: files that were named beside the spec's own.
        options: what the command was given beside the spec and the plug-ins, for who reads it.
        weights: also what images are drawn from.
        studies: address of the database with Optuna's studies; by default beside the record.

    Raises:
        UserError: there is a file already, nothing is recorded, or the spec and its plug-ins do not lie in
            one folder; and as ``connect``.
        RunError: the experiment is being run, or weights are not in the store.
    """
    key, name = spec_key(plan), plan.experiment.name
    _refuse_taken(file)
    if plan.store.held(experiment_lock(key)):
        raise RunError(f"{name} is being run", where=plan.store.address, fix="Wait until it has ended.")
    if not (found := find_settings(uri, plan)):
        raise not_recorded(spec)
    reader, parent = found
    if plan.experiment.spec.search:
        plan = resumed(plan, reader, parent.run_id)
    check_place(reports, name, "markdown")
    named, base = _files(plan, spec, plugins)
    entries = _weights(plan) if weights else []
    page = write_report(reader.read(parent.run_id), plan.experiment.vocabulary, reports)
    packed = transfer.pack(reader, parent.run_id)
    beside = [f"--plugin={path}" for path in _below(base, plugins)]
    contents = bundle.Contents(
        name, key, named[0], named[1:], options=[*options, *beside], ablate=version("ablate")
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    with bundle.writing(file, contents) as out:
        out.add(bundle.RECORD, json.dumps(packed).encode())
        trials = pack_trials(study_storage(uri, plan.store, studies), study_name(name, key, parent.place))
        out.add(bundle.TRIALS, json.dumps(trials).encode())
        goes_on = bool(plan.experiment.spec.search) and not has_ended(plan, reader, parent.run_id)
        out.add(bundle.NEEDS, json.dumps(asdict(needs_of(plan, goes_on=goes_on))).encode())
        for path in named:
            out.add(f"{bundle.FILES}/{path}", base / path)
        for run, folder in transfer.artifacts_of(reader, packed).items():
            out.add_folder(f"{bundle.ARTIFACTS}/{run}", folder)
        _add_report(out, reports, name, page)
        for stage, entry in entries:
            out.add_folder(f"{bundle.STORE}/{stage}/{entry}", plan.store.sound_path(stage, entry))
    recorded = len(reader.done(parent.run_id))
    return Exported(recorded, len(plan.runs) - recorded, len(entries), file.stat().st_size)


def _refuse_taken(file: Path) -> None:
    """Raises UserError if there is no room for a new file there."""
    if file.exists() or file.is_symlink():
        raise UserError("there is something here already", where=str(file), fix="Choose a new name.")
    for folder in file.absolute().parents:
        if folder.exists() and not folder.is_dir():
            raise UserError("is a file, not a folder", where=str(folder), fix="Choose another place.")


def _files(plan: Plan, spec: Path, plugins: Sequence[Path]) -> tuple[list[str], Path]:
    """The spec and its plug-ins as paths below a folder, and that folder: the current one, or the spec's."""
    written = [spec, *(Path(plugin.path) for plugin in plan.experiment.vocabulary.plugins), *plugins]
    paths = list(dict.fromkeys(path.resolve() for path in written))
    here = Path.cwd().resolve()
    base = here if paths[0].is_relative_to(here) else paths[0].parent
    for path in paths:
        if not path.is_relative_to(base):
            fix = (
                "Export in a folder that has the spec and its plug-ins below it, or copy this file beside it."
            )
            raise UserError(f"does not lie in {base}, as the spec does", where=str(path), fix=fix)
    named = _below(base, paths)
    for name in named:
        if not bundle.is_fit(name):
            fix = "Give it a .yaml or .py name of its own, in no hidden folder."
            raise UserError("has a name that no import takes", where=str(base / name), fix=fix)
    return named, base


def _below(base: Path, paths: Iterable[Path]) -> list[str]:
    return [path.resolve().relative_to(base).as_posix() for path in paths]


def _weights(plan: Plan) -> list[tuple[str, str]]:
    """What images of all runs are drawn from."""
    for run in plan.runs:
        if not run.has_weights(plan.store.has):
            fix = (
                "Leave out --weights. If code, versions or data have changed, `ablate plan` names what, and "
                "`ablate run` trains again; if the store was removed, it does so after `ablate rm`."
            )
            raise RunError(f"the weights of {run.name} are not there", where=plan.store.address, fix=fix)
    return sorted({entry for run in plan.runs for entry in (("train", run.keys.chain[-1]), run.keys.weights)})


def _add_report(out: Writer, reports: Path, name: str, page: Path) -> None:
    memory = memory_of(reports, name, "markdown")
    drawn = Drawn.read(memory)
    assert drawn, f"{page} has just been written"
    out.add(f"{bundle.REPORT}/{memory.name}", memory)
    for file in drawn.files:
        out.add(f"{bundle.REPORT}/{file}", reports / file)
