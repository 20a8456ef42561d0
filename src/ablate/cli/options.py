"""What several commands take, and the plan that those on an experiment begin with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablate.plan import Plan
    from ablate.records import ExperimentRecord
    from ablate.store import Store

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="The experiment's YAML file.")]
Profile = Annotated[str | None, typer.Option("--profile", help="Profile to use instead of the spec's.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B.C=VALUE", help="Override a field in all variants; repeatable."),
]
Seeds = Annotated[
    str | None, typer.Option("--seeds", help="Seeds to use instead of the spec's: 0,1,2 or 0-5.")
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", metavar="FILE", help="Python file that adds losses, metrics and so on; repeatable."
    ),
]
StoreAddress = Annotated[
    str,
    typer.Option(
        "--store",
        help="Folder of the store, which is a cache; or a bucket: s3://BUCKET/FOLDER, gs://…, az://…",
    ),
]
TrackingUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri", help="MLflow address. Default: MLFLOW_TRACKING_URI, or sqlite:///mlflow.db."
    ),
]
StudyStorage = Annotated[
    str | None,
    typer.Option(
        "--study-storage",
        envvar="ABLATE_STUDY_STORAGE",
        help="Database with Optuna's studies: postgresql+psycopg://… Default: optuna.db beside the record.",
    ),
]
Reports = Annotated[Path, typer.Option("--reports", help="Folder to write reports to.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the same as JSON, for programs.")]
Effort = Annotated[
    float, typer.Option("--effort", min=0.001, max=1000, help="Share of the usual training steps.")
]
RandomSeed = Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="Random seed.")]

STORE = ".ablate"
REPORTS = Path("reports")


def plan_of(
    spec: Path,
    profile: str | None,
    sets: list[str] | None,
    seeds: str | None,
    plugins: list[Path] | None,
    store: str,
) -> Plan:
    """The plan that all commands begin with that train or draw.

    Raises:
        UserError: the spec, an override or the data are wrong.
    """
    from ablate.api import planned

    return planned(bare_plan_of(spec, profile, sets, seeds, plugins, store))


def bare_plan_of(
    spec: Path,
    profile: str | None,
    sets: list[str] | None,
    seeds: str | None,
    plugins: list[Path] | None,
    store: str,
) -> Plan:
    """A plan without its runs: what finds the record of an experiment, on any machine. The data need not be
    here.

    Raises:
        UserError: the spec or an override is wrong.
    """
    from ablate.api import bare_plan, load
    from ablate.experiment.options import parse_seeds

    experiment = load(
        spec,
        profile=profile,
        sets=sets or (),
        seeds=None if seeds is None else parse_seeds(seeds),
        plugins=plugins or (),
    )
    return bare_plan(experiment, store)


def places_given(store: str, tracking_uri: str | None, reports: Path = REPORTS) -> list[str]:
    """The options that say where store, record and reports are, if it is elsewhere; without passwords."""
    from ablate.record.patience import shown

    options = ["--store", store] if store != STORE else []
    options += ["--tracking-uri", shown(tracking_uri)] if tracking_uri else []
    return options + (["--reports", str(reports)] if reports != REPORTS else [])


def record_of(made: Plan, tracking_uri: str | None, spec: Path) -> ExperimentRecord:
    """What MLflow has of an experiment with exactly these settings. Raises UserError if there is nothing."""
    from ablate.record.addresses import tracking_address
    from ablate.record.read import not_recorded, read_experiment

    record = read_experiment(tracking_address(tracking_uri), made)
    if record is None:
        raise not_recorded(spec)
    return record


def open_store(address: str, note: Callable[[str], None] = lambda text: None) -> Store:
    """The store at an address. Raises UserError if the folder holds something else, or the bucket cannot be
    used."""
    from ablate.store import opening

    store = opening.open_store(address, note)
    store.reach()
    return store
