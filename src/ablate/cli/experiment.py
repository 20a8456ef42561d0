"""``ablate run``, ``plan``, ``audit``, ``verify`` and ``schema``: an experiment and what it will do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli.options import (
    REPORTS,
    STORE,
    Plugins,
    Profile,
    Reports,
    Seeds,
    Sets,
    SpecFile,
    StoreAddress,
    StudyStorage,
    TrackingUri,
    plan_of,
)
from ablate.errors import AblateError, UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablate.cli.screens import RunScreen
    from ablate.plan import Plan


def run(
    spec: SpecFile,
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    plugins: Plugins = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Tasks at once. Default: as many as there is room for."),
    ] = None,
    executor: Annotated[
        str,
        typer.Option("--executor", help="Where training and sampling run: local, or ray, on a cluster."),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            "--address",
            metavar="HOST:PORT",
            help="Of the Ray cluster. Default: RAY_ADDRESS, or Ray on this machine alone.",
        ),
    ] = None,
    audited: Annotated[
        bool, typer.Option("--audit/--no-audit", help="First check that each factor has an effect.")
    ] = True,
    fail_fast: Annotated[
        bool,
        typer.Option("--fail-fast", help="Stop at the first run that fails. Default: finish the others."),
    ] = False,
    store: StoreAddress = STORE,
    tracking_uri: TrackingUri = None,
    study_storage: StudyStorage = None,
    reports: Reports = REPORTS,
) -> None:
    """Train, sample and evaluate whatever an experiment still lacks, record it, and write the report.

    If it is interrupted, give the same command again: it goes on from there.
    """
    made = plan_of(spec, profile, sets, seeds, plugins, store)
    from ablate.cli.printing import say
    from ablate.cli.printing.house import print_outcome
    from ablate.cli.printing.plans import print_warnings
    from ablate.cli.screens import RunScreen
    from ablate.record.addresses import tracking_address
    from ablate.runner.run import Options, run_experiment

    _check_report(made, reports)
    print_warnings(made)
    uri = tracking_address(tracking_uri)
    options = Options(workers, executor, address, audited, fail_fast, reports, study_storage)
    with RunScreen() as screen:
        outcome = run_experiment(
            made, uri, screen, options, lambda: _report_so_far(made, uri, reports, screen)
        )
    print_outcome(outcome, outcome.runs, _write_report(made, uri, reports, say))
    if outcome.failed:
        raise typer.Exit(1)


def _check_report(made: Plan, reports: Path) -> None:
    """Refuses, before there is any work, a place for the report that is somebody else's; names a report that
    will be replaced."""
    from ablate.cli.printing import say
    from ablate.record.provenance import spec_record
    from ablate.report.drawn import settings_of
    from ablate.report.ours import check_place
    from ablate.report.write import about_to_replace

    spec = spec_record(made)
    check_place(reports, made.experiment.name, "markdown")
    figures = reports / made.experiment.name
    for data in {config.data.path for config in made.experiment.variants.values()}:
        if Path(data).expanduser().resolve() == figures.resolve():
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


def _report_so_far(made: Plan, uri: str, reports: Path, screen: RunScreen) -> None:
    """A report of the seeds that are complete. What keeps it from being written ends no training."""
    try:
        screen.say(f"a seed is complete; the report so far: {_write_report(made, uri, reports, screen.say)}")
    except (AblateError, OSError) as error:
        screen.say(f"the report cannot be written yet: {error}")


def plan(
    spec: SpecFile,
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    plugins: Plugins = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, help="Workers to predict the time for. Default: several numbers."),
    ] = None,
    price: Annotated[
        float | None,
        typer.Option("--price-per-hour", min=0, help="What a GPU costs an hour, or without one a core."),
    ] = None,
    store: StoreAddress = STORE,
) -> None:
    """Show the runs, the training they share, what the store has, why a stage has to run, and the cost."""
    made = plan_of(spec, profile, sets, seeds, plugins, store)
    from ablate.cli.printing.plans import print_cost, print_plan
    from ablate.plan import reasons
    from ablate.runner.forecast import forecast
    from ablate.runner.times import Times

    why = reasons(made)
    print_plan(made, why)
    if why:
        waiting = [run for run in made.runs if not made.store.has("evaluate", run.keys.evaluate)]
        print_cost(made, forecast(made, waiting, Times(made.store, made.experiment.name)), workers, price)


def audit(
    spec: SpecFile,
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    plugins: Plugins = None,
    store: StoreAddress = STORE,
) -> None:
    """Check, with a few real training steps, that what each variant changes has an effect.

    Exits with 2 if something has no effect that should have one, unless the spec expects it.
    """
    made = plan_of(spec, profile, sets, seeds, plugins, store)
    from ablate.cli.screens import RunScreen
    from ablate.runner.run import audit_experiment, refuse_inert

    refuse_inert(audit_experiment(made, RunScreen()))


def verify(
    spec: SpecFile,
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    plugins: Plugins = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed to train. Default: the first one.")] = None,
    store: StoreAddress = STORE,
    tracking_uri: TrackingUri = None,
) -> None:
    """Train the variants of one seed together, then each by itself, and compare weights and times.

    If the experiment has run, the result goes into its MLflow run and its report.
    """
    made = plan_of(spec, profile, sets, seeds, plugins, store)
    if seed is not None and seed not in made.experiment.spec.seeds:
        raise UserError(
            f"there is no seed {seed}", where=f"--seed {seed}", fix="Choose one of the spec's seeds."
        )
    from ablate.cli.printing.checks import print_verification
    from ablate.cli.screens import RunScreen
    from ablate.record.addresses import tracking_address
    from ablate.record.write import record_verification
    from ablate.runner.verify import verify as train_both

    with RunScreen() as screen:
        measured = train_both(made, made.experiment.spec.seeds[0] if seed is None else seed, screen)
    print_verification(measured)
    record_verification(tracking_address(tracking_uri), made, measured)
    if not all(measured.equal.values()):
        raise typer.Exit(1)


def schema(plugins: Plugins = None) -> None:
    """Print the JSON schema of experiment files. Editors use it to complete and check fields."""
    import json

    from ablate.experiment.schema import json_schema
    from ablate.plugins import Plugin
    from ablate.vocabulary import vocabulary_of

    vocabulary = vocabulary_of(tuple(map(Plugin.read, plugins or ())))
    sys.stdout.write(json.dumps(json_schema(vocabulary), indent=2) + "\n")
