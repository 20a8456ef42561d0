"""``ablate report``, ``sample`` and ``ui``: what an experiment has found."""

from __future__ import annotations

import os
from enum import StrEnum
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
    bare_plan_of,
    open_store,
    plan_of,
    record_of,
)

if TYPE_CHECKING:
    from ablate.plan import Plan

    Format = StrEnum
else:
    _FILES = (Path(__file__).parents[1] / "report" / "formats").glob("[a-z]*.py")
    Format = StrEnum("Format", sorted(file.stem for file in _FILES))
    """How a report is written. A format is a file; importing it would draw."""


def report(
    spec: SpecFile,
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    plugins: Plugins = None,
    form: Annotated[Format, typer.Option("--format", help="Format to write.")] = Format("markdown"),  # noqa: B008
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if a claim that must be supported is not.")
    ] = False,
    store: StoreAddress = STORE,
    tracking_uri: TrackingUri = None,
    reports: Reports = REPORTS,
) -> None:
    """Write an experiment's report, from what MLflow has recorded. The data need not be on this machine."""
    made = bare_plan_of(spec, profile, sets, seeds, plugins, store)
    from ablate.cli.printing import say
    from ablate.report.ownership import check_place
    from ablate.report.results import gather, unmet
    from ablate.report.write import write_report

    check_place(reports, made.experiment.name, form.value)
    record = record_of(made, tracking_uri, spec)
    page = write_report(record, made.experiment.vocabulary, reports, format=form.value, note=say)
    say(f"Report: {page}")
    if check and (failing := unmet(gather(record, made.experiment.vocabulary))):
        for claim in failing:
            say(f"{claim.verdict}, and must be supported: {claim.text}")
        raise typer.Exit(1)


def sample(
    spec: Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="The experiment's YAML file.")],
    variant: Annotated[str, typer.Argument(help="Name of the variant.")],
    prompt: Annotated[list[str] | None, typer.Option("--prompt", help="Text to draw; repeatable.")] = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", help="File of prompts: .txt (one a line), .json, .jsonl or .csv."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Seed of the run to sample from. Default: the first one.")
    ] = None,
    out_folder: Annotated[Path, typer.Option("--out", help="Folder for the PNGs of all variants.")] = Path(
        "samples"
    ),
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    plugins: Plugins = None,
    store: StoreAddress = STORE,
    tracking_uri: TrackingUri = None,
) -> None:
    """Draw images for your own prompts from a trained variant. No file is replaced."""
    made = plan_of(spec, profile, sets, seeds, plugins, store)
    if made.experiment.spec.search:
        made = _with_trials(made, tracking_uri)
    from ablate.cli.printing import say
    from ablate.runner.prompts import read_prompts
    from ablate.runner.sampling import choose_run, cut_off, draw, drawings

    chosen = choose_run(made, variant, seed)
    asked = read_prompts(prompt or [], prompts)
    todo = drawings(chosen, asked, out_folder)
    os.environ["OMP_NUM_THREADS"] = str(chosen.keys.config.compute.threads)
    for note in cut_off(asked, chosen.keys.config):
        say(note)
    for path in draw(chosen, made.store, todo):
        say(str(path))


def _with_trials(made: Plan, tracking_uri: str | None) -> Plan:
    """The plan of a search with the trials that MLflow has of it."""
    from ablate.record.addresses import tracking_address
    from ablate.record.read import find_settings
    from ablate.runner.rounds import resumed

    found = find_settings(tracking_address(tracking_uri), made)
    return resumed(made, found[0], found[1].run_id) if found else made


def ui(
    tracking_uri: TrackingUri = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 5000,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    study: Annotated[
        bool, typer.Option("--study", help="Open Optuna's dashboard on the studies instead.")
    ] = False,
    store: StoreAddress = STORE,
    study_storage: StudyStorage = None,
) -> None:
    """Open the MLflow UI on the recorded runs."""
    if study:
        from ablate.cli.printing import say
        from ablate.record.addresses import tracking_address
        from ablate.runner.studies.dashboard import serve_studies
        from ablate.runner.studies.study import study_storage as storage_of_studies

        uri = tracking_address(tracking_uri)
        serve_studies(storage_of_studies(uri, open_store(store), study_storage), uri, host, port, say)
        return
    from ablate.record.client import ui_command

    command = ui_command(tracking_uri, host, port)
    os.execv(command[0], command)
