"""Ablate from Python: ``ablate.load``, ``ablate.run`` and ``ablate.read``; what the commands use of it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.errors import UserError
from ablate.experiment.load import Experiment, load_experiment
from ablate.fingerprint import DIGESTS, Contents
from ablate.paths import expanded
from ablate.patience import log
from ablate.plan import Plan, make_plan
from ablate.progress import SILENT
from ablate.store import opening

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from ablate.looking.chosen import Chosen
    from ablate.progress import RunProgress
    from ablate.runner.run import Options, Outcome

SPEC = re.compile(r"(?P<file>.*\.ya?ml)(?P<path>(/[^/]+)*)")
"""A spec file, and perhaps a variant and a seed."""


def load(
    spec: Path | str,
    *,
    profile: str | None = None,
    sets: Sequence[str] = (),
    seeds: Sequence[int] | None = None,
    plugins: Sequence[Path | str] = (),
) -> Experiment:
    """An experiment from its YAML file, with every variant's complete configuration.

    Args:
        spec: the file.
        profile: used instead of the spec's own.
        sets: overrides of all variants, ``"train.epochs=3"``; later ones win.
        seeds: used instead of the spec's own.
        plugins: Python files that add losses, metrics and so on, beside those that the spec names.

    Raises:
        UserError: something in the file or in an override is wrong; with the line.
    """
    files = [Path(plugin) for plugin in plugins]
    return load_experiment(Path(spec), profile=profile, sets=sets, seeds=seeds, plugins=files)


def run(
    spec: Path | str | Experiment,
    *,
    workers: int | None = None,
    executor: str = "local",
    address: str | None = None,
    audit: bool = True,
    fail_fast: bool = False,
    store: str = ".ablate",
    tracking_uri: str | None = None,
    study_storage: str | None = None,
    reports: Path | str = "reports",
    progress: RunProgress | None = None,
) -> Outcome:
    """Trains, samples, evaluates and records whatever an experiment still lacks, and writes its report, as
    ``ablate run`` does.

    Workers are new processes that import the script they were started from: call it below
    ``if __name__ == "__main__":``.

    Args:
        spec: a file, or what ``load`` has given.
        workers: tasks at once; by default as many as there is room for.
        executor: where tasks run, ``local`` or ``ray``; ``address`` is that of the cluster.
        audit: whether to check first that each factor has an effect.
        fail_fast: whether the first run that fails ends it; by default the others go on.
        store: folder or bucket of the cache.
        tracking_uri: of MLflow; by default ``MLFLOW_TRACKING_URI``, or ``mlflow.db`` in the current folder.
        study_storage: database with Optuna's studies; by default beside the record.
        reports: folder of reports.
        progress: is told what happens; by default nobody is.

    Returns:
        The runs that finished and those that failed, with their reasons, and the page of the report.

    Raises:
        UserError: something is wrong before the work.
        RunError: the machine failed; the same call goes on where it stopped.
    """
    from ablate.record.addresses import tracking_address
    from ablate.runner.run import Options

    made = planned(bare_plan(spec if isinstance(spec, Experiment) else load(spec), store))
    pages = Path(reports)
    options = Options(workers, executor, address, audit, fail_fast, pages, study_storage)
    return execute(made, tracking_address(tracking_uri), pages, options, progress or SILENT)


def read(which: Path | str, *, tracking_uri: str | None = None, store: str = ".ablate") -> pd.DataFrame:
    """What MLflow has of an experiment, a row a run.

    The columns: ``variant``, ``seed``, ``status``, ``run_id``; of a factorial, each factor with its level;
    the fields in which the variants differ (``losses.lpips.weight``; NaN where there is none); and the
    final figures by their keys (``fid``, ``clip_t``, ``train_seconds``).

    Args:
        which: a spec file, the name of an experiment, ``name/variant``, ``name/variant/seed``, or the
            beginning of a run's id.
        tracking_uri: of MLflow, as for ``run``.
        store: as for ``run``; with a spec file, runs are looked up by its settings.

    Raises:
        UserError: there is nothing like it.
    """
    from ablate.looking.table import table

    return table(find(str(which), tracking_uri, store))


# ── what the commands use as well ────────────────────────────────────────────────────────────────


def bare_plan(experiment: Experiment, store: str) -> Plan:
    """A plan without its runs: what finds the record of an experiment, on any machine. The data need not be
    here.

    Raises:
        UserError: the store's folder holds something else, or its bucket cannot be used.
    """
    opened = opening.open_store(store, log)  # on standard error: what ``--json`` prints is one document
    opened.reach()
    return Plan(experiment, (), opened)


def planned(bare: Plan) -> Plan:
    """The plan with its runs. Raises UserError if the data are wrong or not here."""
    contents = Contents(bare.store.root / DIGESTS)
    made = make_plan(bare.experiment, bare.store, contents)
    contents.save()
    return made


def execute(made: Plan, uri: str, reports: Path, options: Options, progress: RunProgress) -> Outcome:
    """Runs a plan, with a report after each seed that is complete and one in the end. Raises as ``run``."""
    from ablate.runner.run import run_experiment

    _check_report(made, reports, progress.say)
    outcome = run_experiment(
        made, uri, progress, options, lambda: _report_so_far(made, uri, reports, progress)
    )
    return replace(outcome, report=_write_report(made, uri, reports, progress.say))


def find(text: str, tracking_uri: str | None, store: str) -> Chosen:
    """The recorded runs that ``read`` would describe.

    Raises:
        UserError: there is nothing like it.
    """
    from ablate.looking.chosen import Chosen, choose, narrowed
    from ablate.record.addresses import tracking_address
    from ablate.record.read import not_recorded, read_experiment

    uri = tracking_address(tracking_uri)
    if not (named := SPEC.fullmatch(text)):
        return choose(text, uri)
    made = bare_plan(load(named["file"]), store)
    record = read_experiment(uri, made)
    if record is None:
        name = made.experiment.name
        advice = f". Or give its name alone, {name}: that is the newest record, whatever its settings."
        raise not_recorded(named["file"], advice)
    whole = Chosen(made.experiment.name, record, vocabulary=made.experiment.vocabulary)
    return narrowed(whole, [part for part in named["path"].split("/") if part])


# ── the report of a run ──────────────────────────────────────────────────────────────────────────


def _check_report(made: Plan, reports: Path, say: Callable[[str], None]) -> None:
    """Refuses, before there is any work, a place for the report that is somebody else's; names a report that
    will be replaced."""
    from ablate.record.provenance import spec_record
    from ablate.report.memory import settings_of
    from ablate.report.ownership import check_place
    from ablate.report.write import about_to_replace

    spec = spec_record(made)
    check_place(reports, made.experiment.name, "markdown")
    figures = reports / made.experiment.name
    for data in {config.data.path for config in made.experiment.variants.values()}:
        if expanded(data).resolve() == figures.resolve():
            fix = "Choose another folder with --reports."
            raise UserError("figures would be written into the data", where=str(figures), fix=fix)
    settings = settings_of(spec["spec"], spec["configs"])
    if replaced := about_to_replace(reports, made.experiment.name, "markdown", settings):
        say(replaced)


def _write_report(made: Plan, uri: str, reports: Path, say: Callable[[str], None]) -> Path:
    from ablate.record.read import read_experiment
    from ablate.report.write import write_report

    record = read_experiment(uri, made)
    assert record, "it has just been recorded"
    return write_report(record, made.experiment.vocabulary, reports, note=say)


def _report_so_far(made: Plan, uri: str, reports: Path, progress: RunProgress) -> None:
    """A report of the seeds that are complete. What keeps it from being written ends no training."""
    try:
        page = _write_report(made, uri, reports, progress.say)
        progress.say(f"a seed is complete; the report so far: {page}")
    except Exception as error:  # whatever it is, the training is worth more than a report in between
        progress.say(f"the report cannot be written yet: {error}")
