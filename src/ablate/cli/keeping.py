"""``ablate status``, ``gc``, ``rm``, ``export`` and ``import``: keeping house."""

from __future__ import annotations

from pathlib import Path
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
    bare_plan_of,
    open_store,
    places_given,
    plan_of,
)

Do = Annotated[bool, typer.Option("--do", help="Do it. Without this, only say what would be done.")]


def gc(
    store: StoreAddress = STORE,
    tracking_uri: TrackingUri = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Also the weights that `ablate sample` draws from.")
    ] = False,
    do: Do = False,
    as_json: AsJson = False,
) -> None:
    """Free what no finished experiment needs any more: optimizer states, samples that MLflow has, leftovers.

    Without --do it only says what that would be, and why it may go. Reports, results and what a command that
    was interrupted goes on from always stay.
    """
    from ablate.cli.printing import print_json
    from ablate.cli.printing.house import print_found
    from ablate.keeping.gc import collect, find
    from ablate.record.addresses import tracking_address

    act = collect if do else find
    found = act(open_store(store), tracking_address(tracking_uri), weights=weights)
    if as_json:
        print_json(found.as_json(done=do))
    else:
        print_found(found, store, done=do)


def rm(
    experiment: Annotated[
        str, typer.Argument(metavar="EXPERIMENT", help="Its name, for all its settings; or its YAML file.")
    ],
    store: StoreAddress = STORE,
    tracking_uri: TrackingUri = None,
    study_storage: StudyStorage = None,
    reports: Reports = REPORTS,
    do: Do = False,
    as_json: AsJson = False,
) -> None:
    """Remove an experiment: its runs in MLflow, its trials, its report, and what only it needs of the store.

    Without --do it only says what would go. With a YAML file only the runs with the settings that it has now,
    recorded from this folder; with a name all that are recorded under it. The YAML file itself stays.
    """
    from ablate.cli.printing import print_json
    from ablate.cli.printing.house import print_doomed
    from ablate.keeping.rm import delete, find
    from ablate.record.addresses import tracking_address

    name, made = experiment, None
    if (spec := Path(experiment)).suffix in (".yaml", ".yml"):
        made = bare_plan_of(spec, None, None, None, None, store)
        name = made.experiment.name
    uri = tracking_address(tracking_uri)
    act = delete if do else find
    doomed = act(open_store(store), uri, reports, name, made, study_storage)
    if as_json:
        print_json(doomed.as_json(done=do))
    else:
        print_doomed(doomed, uri, store, done=do)


def export(
    spec: SpecFile,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="New file to write, such as study.zip.")],
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    plugins: Plugins = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Also the trained weights that runs draw from.")
    ] = False,
    store: StoreAddress = STORE,
    tracking_uri: TrackingUri = None,
    study_storage: StudyStorage = None,
    reports: Reports = REPORTS,
) -> None:
    """Write a whole study into one file: what MLflow and Optuna have of it, its report, spec and plug-ins.

    `ablate import` takes it on another machine, where `ablate report` then gives the same report.
    """
    made = plan_of(spec, profile, sets, seeds, plugins, store)
    from ablate.cli.printing.house import print_exported
    from ablate.experiment.options import options_given
    from ablate.keeping.export import export as write
    from ablate.record.addresses import tracking_address

    uri = tracking_address(tracking_uri)
    exported = write(
        made,
        spec,
        file,
        uri,
        reports,
        plugins=plugins or (),
        options=options_given(profile, sets, seeds, None),
        weights=weights,
        studies=study_storage,
    )
    print_exported(exported, file)


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `ablate export` has written.")],
    store: StoreAddress = STORE,
    tracking_uri: TrackingUri = None,
    study_storage: StudyStorage = None,
    reports: Reports = REPORTS,
) -> None:
    """Take a study from a file that `ablate export` wrote: its record, report, spec and plug-ins.

    All of it or nothing; what is here already is never replaced. The spec gets its place below this folder.
    """
    from ablate.cli.printing.house import print_imported
    from ablate.cli.screens import checking_bar
    from ablate.keeping.import_study import adopt
    from ablate.record.addresses import tracking_address

    with checking_bar() as progress:
        uri = tracking_address(tracking_uri)
        imported = adopt(file, open_store(store), uri, reports, Path(), progress, study_storage)
    print_imported(imported, places_given(store, tracking_uri, reports))


def status(
    store: StoreAddress = STORE,
    tracking_uri: TrackingUri = None,
    as_json: AsJson = False,
) -> None:
    """Say what runs in which process, how far it is, and what failed and why.

    It only reads, and waits for nobody: use it while another command runs.
    """
    from ablate.cli.printing import print_json
    from ablate.cli.printing.house import print_status
    from ablate.keeping.status import status_of
    from ablate.record.addresses import tracking_address

    found = status_of(open_store(store), tracking_address(tracking_uri))
    if as_json:
        print_json(found.as_json())
    else:
        print_status(found, store)
