"""``ablate run``, ``plan``, ``audit``, ``verify`` and ``schema``: an experiment and what it will do."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ablate.cli.options import (
    REPORTS,
    STORE,
    AsJson,
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
from ablate.errors import UserError


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
            help="Address of the Ray cluster. Default: RAY_ADDRESS, or Ray on this machine alone.",
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

    If it is interrupted, give the same command again: it goes on where it stopped.
    """
    made = plan_of(spec, profile, sets, seeds, plugins, store)
    from ablate.api import execute
    from ablate.cli.printing.house import print_outcome, print_what_follows
    from ablate.cli.printing.plans import print_warnings
    from ablate.cli.screens import RunScreen
    from ablate.looking.warnings import warnings
    from ablate.record.addresses import tracking_address
    from ablate.runner.run import Options

    print_warnings(warnings(made))
    options = Options(workers, executor, address, audited, fail_fast, reports, study_storage)
    with RunScreen() as screen:
        outcome = execute(made, tracking_address(tracking_uri), reports, options, screen)
    print_outcome(outcome)
    if outcome.failed:
        raise typer.Exit(1)
    elsewhere = tracking_uri or (store, reports) != (STORE, REPORTS)
    changed = profile or sets or seeds or plugins
    if not (elsewhere or changed):  # then these commands would need the same options
        settings = made.experiment.spec
        print_what_follows(spec, claims=bool(settings.claims) and not settings.search)


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
        typer.Option(
            "--price-per-hour",
            min=0,
            max=1e9,
            help="What a GPU costs an hour, or without one a core.",
        ),
    ] = None,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="First take a few steps of what no run has timed yet."),
    ] = False,
    as_json: AsJson = False,
    store: StoreAddress = STORE,
) -> None:
    """Show the runs, the training they share, what the store has, why a stage has to run, and the cost."""
    made = plan_of(spec, profile, sets, seeds, plugins, store)
    from ablate.cli.printing import print_json
    from ablate.cli.printing.plans import print_cost, print_plan
    from ablate.plan import reasons
    from ablate.runner.forecast import forecast
    from ablate.runner.times import Times

    why, expected = reasons(made), None
    if why:
        if measure:
            from ablate.cli.screens import RunScreen
            from ablate.progress import SILENT
            from ablate.runner.rehearsal import rehearse

            rehearse(made, made.to_measure, SILENT if as_json else RunScreen())
        expected = forecast(made, made.to_measure, Times(made.store, made.experiment.name))
    if as_json:
        from ablate.looking.planned import plan_as_data

        print_json(plan_as_data(made, why, expected, workers, price))
        return
    print_plan(made, why)
    if expected:
        print_cost(made, expected, workers, price)


def audit(
    spec: SpecFile,
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    plugins: Plugins = None,
    as_json: AsJson = False,
    store: StoreAddress = STORE,
) -> None:
    """Check, with a few real training steps, that what each variant changes has an effect.

    Exits with 2 if something has no effect that should have one, unless the spec expects it.
    """
    made = plan_of(spec, profile, sets, seeds, plugins, store)
    from ablate.cli.printing import print_json
    from ablate.cli.screens import RunScreen
    from ablate.looking.shown import findings_as_data
    from ablate.progress import SILENT
    from ablate.runner.auditing import audit_experiment, probes_of, refuse_inert

    probes = probes_of(made)
    findings = audit_experiment(probes, SILENT if as_json else RunScreen())
    if as_json:
        print_json(findings_as_data(findings))
    refuse_inert(findings, probes.experiment)


def verify(
    spec: SpecFile,
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    plugins: Plugins = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed to train. Default: the first one.")] = None,
    as_json: AsJson = False,
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
    from ablate.cli.printing import print_json
    from ablate.cli.printing.checks import print_verification
    from ablate.cli.screens import RunScreen
    from ablate.looking.shown import verification_as_data
    from ablate.progress import SILENT
    from ablate.record.addresses import tracking_address
    from ablate.record.write import record_verification
    from ablate.runner.verify import verify as train_both

    uri = tracking_address(tracking_uri)  # a wrong one is said before anything is trained
    chosen = made.experiment.spec.seeds[0] if seed is None else seed
    if as_json:
        measured = train_both(made, chosen, SILENT)
        print_json(verification_as_data(measured))
    else:
        with RunScreen() as screen:
            measured = train_both(made, chosen, screen)
        print_verification(measured)
    record_verification(uri, made, measured)
    if not all(measured.equal.values()):
        raise typer.Exit(1)


def schema(
    plugins: Plugins = None,
    json_of: Annotated[
        str | None,
        typer.Option(
            "--json-of", metavar="COMMAND", help="Print the schema of what COMMAND prints with --json."
        ),
    ] = None,
) -> None:
    """Print the JSON schema of experiment files. Editors use it to complete and check fields."""
    import json

    if json_of is not None:
        from ablate.cli.printing import print_json
        from ablate.documents import document_schema

        print_json(document_schema(json_of))
        return
    from ablate.experiment.schema import json_schema
    from ablate.plugins import Plugin
    from ablate.vocabulary import vocabulary_of

    vocabulary = vocabulary_of(tuple(map(Plugin.read, plugins or ())))
    sys.stdout.write(json.dumps(json_schema(vocabulary), indent=2) + "\n")
