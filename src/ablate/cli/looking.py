"""``ablate show``, ``compare``, ``next`` and ``open``: recorded runs, by themselves, beside others, what may
follow, in a browser."""

from __future__ import annotations

import shlex
import webbrowser
from typing import TYPE_CHECKING, Annotated

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
    TrackingUri,
    places_given,
    plan_of,
    record_of,
)
from ablate.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ablate.looking.chosen import Chosen
    from ablate.looking.next import Coming
    from ablate.plan import Plan

WHICH = "An experiment (its YAML file or its name), name/variant, name/variant/seed, or MLflow's run id."


def show(
    which: Annotated[str, typer.Argument(metavar="RUN", help=WHICH)],
    as_json: AsJson = False,
    store: StoreAddress = STORE,
    tracking_uri: TrackingUri = None,
) -> None:
    """Show what MLflow has of a run, a variant or an experiment: settings, results, where its files are."""
    from ablate.cli.printing import print_json
    from ablate.cli.printing.runs import print_runs
    from ablate.looking.shown import as_data

    chosen = _choose(which, tracking_uri, store)
    if as_json:
        print_json(as_data(chosen))
    else:
        print_runs(chosen)


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help=WHICH)],
    b: Annotated[str, typer.Argument(metavar="B", help="The same; differences are A − B.")],
    as_json: AsJson = False,
    store: StoreAddress = STORE,
    tracking_uri: TrackingUri = None,
) -> None:
    """Compare two experiments, variants or runs: settings, versions, training in common, paired results."""
    from ablate.cli.printing import print_json
    from ablate.cli.printing.runs import print_comparison
    from ablate.looking.compare import compare as beside
    from ablate.looking.shown import comparison_as_data

    found = beside(_choose(a, tracking_uri, store), _choose(b, tracking_uri, store))
    if as_json:
        print_json(comparison_as_data(found))
    else:
        print_comparison(found)


def next_(
    spec: SpecFile,
    profile: Profile = None,
    sets: Sets = None,
    seeds: Seeds = None,
    plugins: Plugins = None,
    as_json: AsJson = False,
    store: StoreAddress = STORE,
    tracking_uri: TrackingUri = None,
) -> None:
    """Say which runs would decide the claims that are still open, how likely that is, and what they cost."""
    found = coming_of(spec, profile, sets, seeds, plugins, store, tracking_uri)
    from ablate.cli.printing import print_json
    from ablate.cli.printing.claims import print_coming
    from ablate.experiment.options import options_given
    from ablate.looking.next import coming_as_data

    if as_json:
        print_json(coming_as_data(found))
    else:
        options = [*options_given(profile, sets, None, plugins), *places_given(store, tracking_uri)]
        print_coming(found, shlex.join(["ablate", "run", str(spec), *options]), seeds)


def coming_of(
    spec: Path,
    profile: str | None,
    sets: list[str] | None,
    seeds: str | None,
    plugins: list[Path] | None,
    store: str,
    tracking_uri: str | None,
) -> Coming:
    """What ``ablate next`` says.

    Raises:
        UserError: the spec is wrong or of a search, or nothing is recorded with these settings.
    """
    from ablate.looking.next import coming
    from ablate.report.results import gather

    made = plan_of(spec, profile, sets, seeds, plugins, store)
    if made.experiment.spec.search:
        fix = "Add seeds to search.confirm.seeds, which nothing was chosen by."
        raise UserError("the claims of a search are about its confirmation", where=str(spec), fix=fix)
    record = record_of(made, tracking_uri, spec)

    def plan_with(others: Sequence[int]) -> Plan:
        return plan_of(spec, profile, sets, ",".join(map(str, others)), plugins, store)

    return coming(gather(record, made.experiment.vocabulary), plan_with)


def open_(
    spec: Annotated[str, typer.Argument(metavar="EXPERIMENT", help="Its YAML file or its name.")],
    store: StoreAddress = STORE,
    tracking_uri: TrackingUri = None,
    reports: Reports = REPORTS,
) -> None:
    """Write an experiment's report as one HTML page, and open it in a browser. (`ablate ui` opens MLflow.)"""
    chosen = _choose(spec, tracking_uri, store)
    from ablate.cli.printing import say
    from ablate.report.ownership import check_place
    from ablate.report.write import write_report

    check_place(reports, chosen.record.name, "html")
    page = write_report(chosen.record, chosen.vocabulary, reports, format="html", note=say)
    say(f"Report: {page}")
    if not webbrowser.open(page.resolve().as_uri()):
        say("There is no browser here; copy the page to where there is one. It needs nothing else.")


def _choose(text: str, tracking_uri: str | None, store: str) -> Chosen:
    """What ``WHICH`` describes.

    Raises:
        UserError: there is nothing like it.
    """
    from ablate.api import find

    return find(text, tracking_uri, store)
