"""The Optuna study: it proposes the variants of each round and keeps a trial for each.

The study lies in ``optuna.db`` beside MLflow's database, or in a database on a server. It cannot be MLflow's
own: both keep their schema version in a table called ``alembic_version``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ablate.errors import UserError
from ablate.mounts import network_kind
from ablate.patience import Note, UnreachableError, log
from ablate.record import names
from ablate.record.addresses import SQLITE, answers, check_address, database_of
from ablate.record.databases import provide_database, refuse_shared
from ablate.record.patience import patient_with, secrets_of, shown
from ablate.records import FINISHED
from ablate.store.cache import cache_folder

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import optuna

    from ablate.patience import Patience
    from ablate.record.read import Child
    from ablate.store import Store

Storage = Path | str
"""Where Optuna keeps studies: an SQLite file, or the address of a database on a server."""
FIRST = 10.0
"""Seconds after which ``reach`` gives up."""
OBJECTIVE = "fid"
VARIANT = "variant"
"""The parameter of a trial."""
TABLE = "version_info"
"""Of Optuna's: it has a row in each whole database."""
RUNS = "mlflow_runs"
"""Attribute of a trial: seed → MLflow's run."""


@dataclass(frozen=True)
class Trial:
    """One proposal of a variant."""

    number: int
    variant: str
    state: str
    """Optuna's: COMPLETE, FAIL, RUNNING or WAITING."""
    value: float | None
    """The mean objective over the seeds, of a trial that is COMPLETE."""
    runs: Mapping[int, str]
    """Seed → MLflow's run."""


@dataclass(frozen=True)
class Result:
    """What MLflow has of one variant."""

    runs: Mapping[int, str]
    """Seed → run, of the runs that have finished."""
    value: float | None
    """The mean objective over the seeds; None until all of them have one."""


class Study:
    """An experiment's trials: variant name → mean FID over its seeds.

    All methods wait while the database is locked, and say so to ``note``.

    Raises:
        UserError: the database cannot be used.
        UnreachableError: it is locked for minutes.
    """

    def __init__(self, storage: Storage, name: str, variants: Sequence[str], note: Note = log) -> None:
        self._running: list[tuple[optuna.Trial, str]] = []
        """Each with its variant."""
        self._note = note
        self._patiently = patiently_on(storage, note)
        self._study = open_optuna(storage, name, ["minimize"], note)
        # Optuna wants the same choices in the same order in all trials of a study: those that it has count.
        trials = self._patiently(lambda: self._study.get_trials(deepcopy=False))
        given = [trial.distributions.get(VARIANT) for trial in trials]
        self._choices = next((among.choices for among in given if among), sorted(variants))

    def enqueue(self, variants: Iterable[str]) -> None:
        """Queues each of ``variants`` once, in this order. Ends the trials that a process left."""
        self._end_left()
        for variant in variants:
            self._patiently(lambda variant=variant: self._study.enqueue_trial({VARIANT: variant}))  # type: ignore[misc]

    def propose(self) -> list[str]:
        """The variants of the next round, each with a trial that runs now; none when all were proposed."""
        asked = [self._ask() for _ in self._in_state("WAITING")]
        self._running += asked
        return [variant for _, variant in asked]

    def tell(self, results: Mapping[str, Result]) -> None:
        """Ends the trials of a round: variant → what MLflow has of it. As failed where that is incomplete.

        A database that stays locked ends no experiment here: ``agree`` ends the trials all the same.
        """
        try:
            for trial, variant in self._running:
                self._end(trial, results.get(variant, Result({}, None)))
        except UnreachableError as error:
            self._note(str(error))
        self._running = []

    def agree(self, results: Mapping[str, Result]) -> None:
        """Makes the trials say in the end what MLflow says: variant → what it has of it.

        No trial is left open, and each variant that is complete has a trial that is. One that lacks it
        gets it: the process that had measured it was killed before it could say so.
        """
        self._end_left()
        complete = {trial.variant: trial.value for trial in self._in_state("COMPLETE")}
        lacking = {
            variant: result
            for variant, result in results.items()
            if result.value is not None and complete.get(variant) != result.value
        }
        self.enqueue(lacking)
        self.propose()
        for trial, variant in self._running:
            self._end(trial, lacking.get(variant, Result({}, None)))
        self._running = []

    def _ask(self) -> tuple[optuna.Trial, str]:
        """The next trial that waits and its variant: its parameter, if it is a choice of the study."""
        trial = self._patiently(self._study.ask)
        variant = next(known.variant for known in self.trials() if known.number == trial.number)
        if variant in self._choices:
            self._patiently(lambda: trial.suggest_categorical(VARIANT, self._choices))
        return trial, variant

    def _end(self, trial: optuna.Trial, result: Result) -> None:
        from optuna.trial import TrialState

        runs = {str(seed): run_id for seed, run_id in result.runs.items()}
        state = TrialState.FAIL if result.value is None else TrialState.COMPLETE
        self._patiently(lambda: trial.set_user_attr(RUNS, runs))
        self._patiently(lambda: attach_sheet(trial, result.runs))
        self._patiently(
            lambda: self._study.tell(trial.number, result.value, state=state, skip_if_finished=True)
        )

    def trials(self) -> list[Trial]:
        """All trials in the order of their numbers."""
        trials = self._patiently(lambda: self._study.get_trials(deepcopy=False))
        return [_trial(trial) for trial in trials]

    def _in_state(self, state: str) -> list[Trial]:
        return [trial for trial in self.trials() if trial.state == state]

    def _end_left(self) -> None:
        """Ends, as failed, the trials that another process left."""
        from optuna.trial import TrialState

        for _ in self._in_state("WAITING"):
            self._ask()  # only a trial that runs can be ended
        for trial in self._in_state("RUNNING"):
            self._patiently(
                lambda trial=trial: self._study.tell(  # type: ignore[misc]
                    trial.number, state=TrialState.FAIL, skip_if_finished=True
                )
            )


def attach_sheet(trial: optuna.Trial, runs: Mapping[int, str]) -> None:
    """Makes Optuna's dashboard show the samples of a trial that runs: seed → MLflow's run."""
    for name, text in sheet_of(runs).items():
        trial.storage.set_trial_system_attr(trial._trial_id, name, text)


def sheet_of(runs: Mapping[int, str]) -> dict[str, str]:
    """The attribute by which Optuna knows an artifact of a trial: the sheet of samples of its first run,
    which stays where MLflow has it. The artifact's id is the run's. {} without a run."""
    from optuna.artifacts import ArtifactMeta

    meta = [ArtifactMeta(run, names.SHEET, "image/png", None) for run in list(runs.values())[:1]]
    return {f"artifacts:{each.artifact_id}": json.dumps(asdict(each)) for each in meta}


def study_name(experiment: str, key: str, place: str = "") -> str:
    """What the study of an experiment is called: with other settings, or recorded from another place, it is
    another one. Older versions and imported files know no place."""
    return f"{experiment} {key[:12]} {place[:8]}".rstrip()


def open_optuna(storage: Storage, name: str, directions: Sequence[str], note: Note = log) -> optuna.Study:
    """Optuna's study of this name, with its database: each is made where there is none.

    Raises:
        UserError: the database cannot be used.
        UnreachableError: it is locked for minutes.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if isinstance(storage, Path):
        provide_database(storage, TABLE, make_tables, note)
    return patiently_on(storage, note)(
        lambda: optuna.create_study(
            storage=storage_of(storage),
            study_name=name,
            directions=list(directions),
            load_if_exists=True,
            sampler=optuna.samplers.RandomSampler(),  # who proposes says so for each trial
        )
    )


def patiently_on(storage: Storage, note: Note = log) -> Patience:
    """What waits while Optuna's database is locked or away. Never shows its password."""
    return patient_with(shown(str(storage)), note, secrets_of(str(storage)))


def storage_of(storage: Storage) -> optuna.storages.RDBStorage:
    """Optuna's tables in a file that has them, or on a server, where they are made if need be.

    Raises:
        UserError: they are those of another version of Optuna.
    """
    import optuna

    url = f"{SQLITE}{storage}" if isinstance(storage, Path) else storage
    try:
        # A connection that the server has closed meanwhile is noticed before it is used.
        return optuna.storages.RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
    except RuntimeError as error:
        if "version" not in str(error):
            raise
        place = shown(str(storage))
        raise UserError(
            f"Optuna {optuna.__version__} cannot use this database of another version",
            where=place,
            fix=f"If it is older: optuna storage upgrade --storage {shown(url)}. Else move it away, or "
            "choose another --study-storage: `ablate run` makes it anew from what MLflow has.",
        ) from error


def make_tables(database: Path) -> None:
    """Makes Optuna's tables in a new file, and lets go of it."""
    storage = storage_of(database)
    storage.remove_session()
    storage.engine.dispose()


def results_of(children: Collection[Child], seeds: Sequence[int]) -> dict[str, Result]:
    """Variant → what MLflow has of it, from the child runs of an experiment."""
    results = {}
    for variant in dict.fromkeys(child.variant for child in children):
        finished = {c.seed: c for c in children if c.variant == variant and c.status == FINISHED}
        values = [child.metrics[OBJECTIVE] for child in finished.values() if OBJECTIVE in child.metrics]
        runs = {seed: child.run_id for seed, child in finished.items()}
        results[variant] = Result(runs, fmean(values) if len(values) == len(seeds) else None)
    return results


def study_storage(uri: str, store: Store, given: str | None = None) -> Storage:
    """Where the studies of a record lie: in the database that was given; else in ``optuna.db`` beside
    MLflow's SQLite file, or for a tracking server in the folder of the store. If machines share that folder,
    it is in this machine's cache, as with a bucket. Like the store it can be lost: ``ablate run`` makes a
    study anew from what MLflow has.

    Raises:
        UserError: what was given is not the address of a database, or that of MLflow's.
    """
    if given is None:
        if database := database_of(uri):
            return database.parent / "optuna.db"
        shared = network_kind(store.root)
        return (cache_folder(str(store.root.absolute())) if shared else store.root) / "optuna.db"
    if urlsplit(given).scheme.partition("+")[0] in ("http", "https", ""):
        fix = "Give --study-storage as postgresql+psycopg://USER@HOST/DATABASE, or sqlite:///PATH."
        raise UserError("Optuna keeps studies in a database, and this is none", where=shown(given), fix=fix)
    check_address(given)
    if _database(given) == _database(uri):
        fix = "Give --study-storage a database of its own: both keep tables of the same names."
        raise UserError("is MLflow's own database", where=shown(given), fix=fix)
    return database_of(given) or given


def _database(uri: str) -> tuple[object, ...]:
    """What tells databases apart, whatever the driver and the user."""
    if file := database_of(uri):
        return (file.absolute(),)
    parts = urlsplit(uri)
    return (parts.scheme.partition("+")[0], parts.hostname, parts.port, parts.path)


def reach(storage: Storage, note: Note = log) -> None:
    """Sees, before there is any work, that a server with studies answers, or that a file of them has a place
    where it can be written.

    Raises:
        UserError: there is no such host, or the file lies on a network file system.
        UnreachableError: the server does not answer within seconds.
    """
    if isinstance(storage, Path):
        refuse_shared(storage)
    else:
        patiently_on(storage, note).for_seconds(FIRST)(lambda: answers(storage))


def is_lost(storage: Storage) -> bool:
    """Whether a file of studies is not there any more. A server is not asked."""
    return isinstance(storage, Path) and not storage.exists()


def _trial(trial: optuna.trial.FrozenTrial) -> Trial:
    # A trial that waits has no parameters yet, only those it was enqueued with.
    given = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
    runs = {int(seed): run_id for seed, run_id in trial.user_attrs.get(RUNS, {}).items()}
    return Trial(trial.number, str(given.get(VARIANT, "")), trial.state.name, trial.value, runs)
