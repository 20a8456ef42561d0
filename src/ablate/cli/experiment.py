"""``ablate run``, ``plan``, ``audit``, ``verify`` and ``schema``: an experiment and what it will do."""

from __future__ import annotations

import sys
from typing import Annotated

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
    StoreFolder,
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
        int | None, typer.Option("--workers", min=1, help="Processes. Default: as many as cores allow.")
    ] = None,
    audited: Annotated[
        bool, typer.Option("--audit/--no-audit", help="Ask first whether each factor acts.")
    ] = True,
    store: StoreFolder = STORE,
    tracking_uri: TrackingUri = None,
    reports: Reports = REPORTS,
) -> None:
    """Train, sample and evaluate what is missing of an experiment, record it, and write its report.

    The same command goes on where it was interrupted.
    """
    made = plan_of(spec, profile, sets, seeds, plugins, store)
    from ablate.cli.printing import print_outcome, print_warnings
    from ablate.cli.screens import RunScreen
    from ablate.record.client import default_uri
    from ablate.record.read import read_experiment
    from ablate.runner.run import run_experiment

    print_warnings(made)
    uri = tracking_uri or default_uri()
    with RunScreen() as screen:
        try:
            outcome = run_experiment(made, uri, screen, workers, audited=audited)
        except KeyboardInterrupt:
            screen.say("interrupted; the same command goes on where it stopped")
            raise typer.Exit(130) from None
    from ablate.report.write import write_report

    record = read_experiment(uri, made)
    assert record, "it has just been recorded"
    print_outcome(outcome, len(made.runs), write_report(record, made.experiment.vocabulary, reports))
    if outcome.failed:
        raise typer.Exit(1)


def plan(
    spec: SpecFile,
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    plugins: Plugins = None,
    store: StoreFolder = STORE,
) -> None:
    """Show the runs, the shared trunks, what is in the store, and why a stage has to run."""
    made = plan_of(spec, profile, sets, seeds, plugins, store)
    from ablate.cli.printing import print_plan
    from ablate.plan import reasons

    print_plan(made, reasons(made))


def audit(
    spec: SpecFile,
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    plugins: Plugins = None,
    store: StoreFolder = STORE,
) -> None:
    """Ask of each variant whether what it toggles acts, by a few steps of the real training.

    Exits with 2 if something was meant to act and does not, unless the spec expects it.
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
    seed: Annotated[int | None, typer.Option("--seed", help="Default: the first seed.")] = None,
    store: StoreFolder = STORE,
    tracking_uri: TrackingUri = None,
) -> None:
    """Train the variants of one seed together and each by itself; compare weights and time.

    The result goes into the experiment's MLflow run, if it has run, and into its report.
    """
    made = plan_of(spec, profile, sets, seeds, plugins, store)
    if seed is not None and seed not in made.experiment.spec.seeds:
        raise UserError(f"there is no seed {seed}", where=f"--seed {seed}", fix="Give one of the spec's.")
    from ablate.cli.printing import print_verification
    from ablate.cli.screens import RunScreen
    from ablate.record.client import default_uri
    from ablate.record.write import record_verification
    from ablate.runner.verify import verify as train_both

    with RunScreen() as screen:
        measured = train_both(made, made.experiment.spec.seeds[0] if seed is None else seed, screen)
    print_verification(measured)
    record_verification(tracking_uri or default_uri(), made, measured)
    if not all(measured.equal.values()):
        raise typer.Exit(1)


def schema(plugins: Plugins = None) -> None:
    """Print the JSON schema of experiment files, for editors."""
    import json

    from ablate.experiment.schema import json_schema
    from ablate.plugins import Plugin
    from ablate.vocabulary import vocabulary_of

    vocabulary = vocabulary_of(tuple(map(Plugin.read, plugins or ())))
    sys.stdout.write(json.dumps(json_schema(vocabulary), indent=2) + "\n")
