"""Experiments and runs as MLflow has them: asked of its client, or read from its SQLite file.

Both give the same answers. To import MLflow takes seconds, so a command that only reads a file goes
without it.
"""

from __future__ import annotations

import math
import sqlite3
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ablate.record.databases import read_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.record.client import PatientClient

Curves = dict[str, list[tuple[int, float]]]
"""Metric → (epoch, value) of each epoch."""

AT_ONCE = 500
"""How many runs are named in one query; SQLite takes a thousand values."""


@dataclass(frozen=True)
class Experiment:
    """An experiment of MLflow's."""

    number: str
    deleted: bool


@dataclass(frozen=True)
class Row:
    """A run of MLflow's."""

    run_id: str
    name: str
    status: str
    """FINISHED, FAILED, RUNNING or KILLED."""
    started: int
    """Milliseconds since 1970."""
    address: str
    """Where its files are."""
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    """The newest value of each metric."""


class Runs(Protocol):
    """What ablate asks of MLflow's runs."""

    def experiment(self, name: str) -> Experiment | None:
        """The experiment of this name; None if there is none."""

    def experiments(self) -> dict[str, str]:
        """Name → number of all experiments that are not deleted."""

    def tagged(self, number: str, tags: Mapping[str, str]) -> list[Row]:
        """The runs of an experiment that are not deleted and have all these tags, newest first."""

    def status(self, run_id: str) -> str:
        """FINISHED, FAILED, RUNNING or KILLED."""

    def address(self, run_id: str) -> str:
        """Where the files of a run are."""

    def curves(self, wanted: Mapping[str, Sequence[str]]) -> Mapping[str, Curves]:
        """Run → the curves of these names."""


def runs_of(client: PatientClient) -> Runs:
    """The quickest way to the runs that a client reaches."""
    return RunsOfDatabase(client) if client.database else RunsOfClient(client)


class RunsOfClient:
    """Runs behind a tracking server, or in any store that MLflow knows."""

    def __init__(self, client: PatientClient) -> None:
        self._client = client

    def experiment(self, name: str) -> Experiment | None:
        """As ``Runs``."""
        found = self._client.get_experiment_by_name(name)
        return Experiment(str(found.experiment_id), found.lifecycle_stage == "deleted") if found else None

    def experiments(self) -> dict[str, str]:
        """As ``Runs``."""
        found: dict[str, str] = {}
        token = None
        while True:
            page = self._client.search_experiments(max_results=1000, page_token=token)
            found |= {experiment.name: str(experiment.experiment_id) for experiment in page}
            if not (token := page.token):
                return dict(sorted(found.items()))

    def tagged(self, number: str, tags: Mapping[str, str]) -> list[Row]:
        """As ``Runs``."""
        found: list[Row] = []
        token = None
        while True:
            page = self._client.search_runs([number], query_of(tags), max_results=1000, page_token=token)
            found += map(_row_of, page)
            if not (token := page.token):
                return found

    def status(self, run_id: str) -> str:
        """As ``Runs``."""
        return str(self._client.get_run(run_id).info.status)

    def address(self, run_id: str) -> str:
        """As ``Runs``."""
        return str(self._client.get_run(run_id).info.artifact_uri)

    def curves(self, wanted: Mapping[str, Sequence[str]]) -> Mapping[str, Curves]:
        """As ``Runs``."""
        curves: defaultdict[str, Curves] = defaultdict(dict)
        for run_id, metrics in wanted.items():
            for name in metrics:
                points = self._client.get_metric_history(run_id, name)
                curves[run_id][name] = sorted({point.step: point.value for point in points}.items())
        return curves


def query_of(tags: Mapping[str, str]) -> str:
    """How MLflow is asked for the runs that have all these tags."""
    return " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())


def _row_of(run: Any) -> Row:
    info, data = run.info, run.data
    return Row(
        str(info.run_id),
        info.run_name,
        info.status,
        info.start_time,
        info.artifact_uri,
        dict(data.tags),
        dict(data.params),
        dict(data.metrics),
    )


class RunsOfDatabase:
    """Runs in an SQLite file, by queries for hundreds of runs at once."""

    def __init__(self, client: PatientClient) -> None:
        assert client.database
        self._client = client
        self._file = client.database

    def experiment(self, name: str) -> Experiment | None:
        """As ``Runs``."""
        rows = self._ask("select experiment_id, lifecycle_stage from experiments where name = ?", name)
        return next((Experiment(str(number), stage == "deleted") for number, stage in rows), None)

    def experiments(self) -> dict[str, str]:
        """As ``Runs``."""
        query = "select name, experiment_id from experiments where lifecycle_stage = 'active' order by name"
        return {name: str(number) for name, number in self._ask(query)}

    def tagged(self, number: str, tags: Mapping[str, str]) -> list[Row]:
        """As ``Runs``."""
        has = "exists (select 1 from tags where tags.run_uuid = runs.run_uuid and key = ? and value = ?)"
        query = (
            "select run_uuid, name, status, start_time, artifact_uri from runs "
            f"where experiment_id = ? and lifecycle_stage = 'active' {f'and {has} ' * len(tags)}"
            "order by start_time desc, run_uuid"
        )
        rows = self._ask(query, number, *(text for tag in tags.items() for text in tag))
        ids = [row[0] for row in rows]
        of_run = {
            table: self._by_run(f"select run_uuid, key, {value} from {table}", ids)
            for table, value in (("tags", "value"), ("params", "value"), ("latest_metrics", NUMBER))
        }
        return [Row(*row, **_named(of_run, row[0])) for row in rows]

    def status(self, run_id: str) -> str:
        """As ``Runs``."""
        ((status,),) = self._ask("select status from runs where run_uuid = ?", run_id)
        return str(status)

    def address(self, run_id: str) -> str:
        """As ``Runs``."""
        ((address,),) = self._ask("select artifact_uri from runs where run_uuid = ?", run_id)
        return str(address)

    def curves(self, wanted: Mapping[str, Sequence[str]]) -> Mapping[str, Curves]:
        """As ``Runs``."""
        points: defaultdict[str, defaultdict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
        query = f"select run_uuid, key, step, {NUMBER} from metrics"
        for run_id, name, step, value in self._of(query, list(wanted), "order by timestamp"):
            points[run_id][name][step] = _number(value)
        return {
            run_id: {name: sorted(points[run_id][name].items()) for name in metrics}
            for run_id, metrics in wanted.items()
        }

    def _by_run(self, query: str, ids: Sequence[str]) -> defaultdict[str, dict[str, Any]]:
        """Run → key → value, of a query for the three."""
        found: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        for run_id, key, value in self._of(query, ids):
            found[run_id][key] = value
        return found

    def _of(self, query: str, ids: Sequence[str], order: str = "") -> list[tuple[Any, ...]]:
        """The rows of a query that belong to the runs ``ids``."""
        rows: list[tuple[Any, ...]] = []
        for first in range(0, len(ids), AT_ONCE):
            some = ids[first : first + AT_ONCE]
            rows += self._ask(f"{query} where run_uuid in ({', '.join('?' * len(some))}) {order}", *some)
        return rows

    def _ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self._client.patiently(partial(self._read, query, *values))

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            return read_rows(self._file, query, *values)
        except sqlite3.OperationalError as error:
            if "no such" in str(error):
                self._client.reach()  # says it better, if the tables are those of another version of MLflow
            raise


NUMBER = "case when is_nan then null else value end"
"""A metric's value in SQL. MLflow writes 0 for what is not a number, and says so beside it."""


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _named(of_run: Mapping[str, Mapping[str, dict[str, Any]]], run_id: str) -> dict[str, Any]:
    """The fields of a ``Row`` that other tables hold."""
    metrics = {name: _number(value) for name, value in of_run["latest_metrics"][run_id].items()}
    return {"tags": of_run["tags"][run_id], "params": of_run["params"][run_id], "metrics": metrics}
