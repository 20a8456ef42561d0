"""A recorded experiment as plain data: taken out of MLflow, and put into an SQLite file of MLflow again.

Runs keep their names in MLflow, which no client of MLflow can do. So they are put in as rows.
"""

from __future__ import annotations

import math
import sqlite3
import uuid
from contextlib import closing
from typing import TYPE_CHECKING, Any

from ablate.errors import UserError
from ablate.record import names
from ablate.record.addresses import database_of
from ablate.record.client import connect
from ablate.record.databases import address_of, artifact_folder, is_there, read_rows
from ablate.record.patience import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ablate.record.read import Reader

    Packed = dict[str, Any]


def pack(reader: Reader, parent: str) -> Packed:
    """All that MLflow knows of a parent run and of those that belong to it, as plain data. Raises as
    ``connect``."""
    return {
        "experiment": reader.name,
        "experiment_id": reader.experiment_id,
        "runs": [_packed(reader, run_id) for run_id in (parent, *reader.below(parent))],
    }


def _packed(reader: Reader, run_id: str) -> Packed:
    run = reader.client.get_run(run_id)
    info, data = run.info, run.data
    points = [p for name in data.metrics for p in reader.client.get_metric_history(run_id, name)]
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return {
        "id": run_id,
        "name": info.run_name,
        "status": info.status,
        "started": info.start_time,
        "ended": info.end_time,
        # Where it is imported it belongs to that folder as to any other.
        "tags": {k: v for k, v in data.tags.items() if k not in (names.PLACE, names.FOLDER)},
        "params": dict(data.params),
        # As texts: JSON has no NaN, and these are exact.
        "metrics": [[p.key, repr(float(p.value)), p.timestamp, p.step] for p in points],
        "datasets": [
            {
                "name": one.dataset.name,
                "digest": one.dataset.digest,
                "kind": one.dataset.source_type,
                "source": one.dataset.source,
                "tags": {tag.key: tag.value for tag in one.tags},
            }
            for one in inputs
        ],
    }


def children_in(packed: Packed) -> int:
    """How many child runs a packed experiment has."""
    return sum(run["tags"].get(names.KIND) == "run" for run in packed["runs"])


def artifacts_of(reader: Reader, packed: Packed) -> dict[str, Path]:
    """Run → the folder of its files, of the runs that have any. They are readable as long as ``reader`` is
    kept."""
    folders = {run["id"]: reader.all_files(run["id"]) for run in packed["runs"]}
    return {run_id: folder for run_id, folder in folders.items() if folder}


def place_for(uri: str, experiment: str) -> Path:
    """The folder for the files of an experiment's runs beside an SQLite file.

    Raises:
        UserError: ``uri`` is no SQLite file.
    """
    return artifact_folder(_database(uri)) / experiment


def refuse_known(uri: str, packed: Packed) -> None:
    """Raises UserError if MLflow has the experiment with these settings already, or one of its runs; and as
    ``connect``."""
    database = _database(uri)
    if not is_there(database):
        return
    connect(uri)
    rows = read_rows(
        database,
        "select runs.run_uuid, tags.value, runs.lifecycle_stage from runs "
        f"left join tags on tags.run_uuid = runs.run_uuid and tags.key = '{names.KEY}'",
    )
    asked = {packed["runs"][0]["tags"].get(names.KEY), *(run["id"] for run in packed["runs"])}
    if stages := {stage for run_id, key, stage in rows if asked & {run_id, key} - {None}}:
        command = f"ablate rm {packed['experiment']}"
        if stages == {"deleted"}:  # in MLflow's UI, which keeps them
            command = f"mlflow gc --backend-store-uri sqlite:///{database}"
        fix = f"Nothing was changed. To take it from the file, first: {command}"
        raise UserError(
            f"MLflow has {packed['experiment']} with these settings already", where=str(database), fix=fix
        )


def has(uri: str, packed: Packed) -> bool:
    """Whether an SQLite file of MLflow has a packed experiment's parent run. Waits for nobody."""
    database = _database(uri)
    try:
        query = "select 1 from runs where run_uuid = ?"
        return is_there(database) and bool(read_rows(database, query, packed["runs"][0]["id"]))
    except sqlite3.Error:  # it is locked or broken, and took nothing
        return False


def unpack(uri: str, packed: Packed) -> bool:
    """Puts an experiment into an SQLite file of MLflow, all of it or nothing. Its files must be in place.
    Gives whether its number could be kept, which a report shows.

    Raises:
        UserError: ``uri`` is no SQLite file; and as ``connect``.
    """
    database = _database(uri)
    client = connect(uri, to_write=True)
    return client.patiently(lambda: _unpack(database, packed))


def _unpack(database: Path, packed: Packed) -> bool:
    try:
        with closing(sqlite3.connect(database, timeout=5)) as connection, connection:
            number = _experiment(connection, database, packed)
            datasets: dict[tuple[str, str], str] = {}
            for run in packed["runs"]:
                _run(connection, database, packed["experiment"], number, run)
                for dataset in run["datasets"]:
                    _input(connection, number, run["id"], dataset, datasets)
    except (sqlite3.IntegrityError, KeyError, TypeError, ValueError) as error:  # no waiting mends this
        what = f"the record of {packed['experiment']} does not fit into this database ({error})"
        raise UserError(
            what, where=str(database), fix="Nothing was changed. Import into another one."
        ) from error
    return str(number) == str(packed["experiment_id"])


def _experiment(connection: sqlite3.Connection, database: Path, packed: Packed) -> int:
    """The number of the experiment, which is made if it is not there."""
    name = packed["experiment"]
    found = "select experiment_id from experiments where name = ?"
    for (number,) in connection.execute(found, (name,)):
        connection.execute(
            "update experiments set lifecycle_stage = 'active' where experiment_id = ?", (number,)
        )
        return int(number)
    wanted = int(packed["experiment_id"])
    taken = connection.execute("select 1 from experiments where experiment_id = ?", (wanted,)).fetchone()
    now = packed["runs"][0]["started"]
    row = {
        **({} if taken else {"experiment_id": wanted}),
        "name": name,
        "artifact_location": address_of(database, name),
        "lifecycle_stage": "active",
        "creation_time": now,
        "last_update_time": now,
    }
    _insert(connection, "experiments", [row])
    ((number,),) = connection.execute(found, (name,)).fetchall()
    return int(number)


def _run(
    connection: sqlite3.Connection, database: Path, experiment: str, number: int, run: Mapping[str, Any]
) -> None:
    run_id = run["id"]
    row = {
        "run_uuid": run_id,
        "name": run["name"],
        "source_type": "UNKNOWN",
        "source_name": "",
        "entry_point_name": "",
        "user_id": "unknown",
        "status": run["status"],
        "start_time": run["started"],
        "end_time": run["ended"],
        "source_version": "",
        "lifecycle_stage": "active",
        "artifact_uri": f"{address_of(database, experiment)}/{run_id}/artifacts",
        "experiment_id": number,
    }
    _insert(connection, "runs", [row])
    for table in ("tags", "params"):
        rows = [{"run_uuid": run_id, "key": key, "value": value} for key, value in run[table].items()]
        _insert(connection, table, rows)
    points = [
        {
            "run_uuid": run_id,
            "key": key,
            "value": 0.0 if math.isnan(value := float(text)) else value,
            "is_nan": math.isnan(value),
            "timestamp": timestamp,
            "step": step,
        }
        for key, text, timestamp, step in run["metrics"]
    ]
    _insert(connection, "metrics", points)
    newest = sorted(points, key=lambda point: (point["step"], point["timestamp"], point["value"]))
    _insert(connection, "latest_metrics", list({point["key"]: point for point in newest}.values()))


def _input(
    connection: sqlite3.Connection,
    number: int,
    run_id: str,
    dataset: Mapping[str, Any],
    known: dict[tuple[str, str], str],
) -> None:
    """The data set that a run was trained on."""
    identity = (dataset["name"], dataset["digest"])
    if identity not in known:
        query = "select dataset_uuid from datasets where experiment_id = ? and name = ? and digest = ?"
        found = connection.execute(query, (number, *identity)).fetchone()
        known[identity] = found[0] if found else uuid.uuid4().hex
        row = {
            "dataset_uuid": known[identity],
            "experiment_id": number,
            "name": dataset["name"],
            "digest": dataset["digest"],
            "dataset_source_type": dataset["kind"],
            "dataset_source": dataset["source"],
        }
        _insert(connection, "datasets", [] if found else [row])
    link = {
        "input_uuid": uuid.uuid4().hex,
        "source_type": "DATASET",
        "source_id": known[identity],
        "destination_type": "RUN",
        "destination_id": run_id,
    }
    _insert(connection, "inputs", [link])
    tags = [
        {"input_uuid": link["input_uuid"], "name": key, "value": value}
        for key, value in dataset["tags"].items()
    ]
    _insert(connection, "input_tags", tags)


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        marks = ", ".join("?" * len(row))
        connection.execute(f"insert into {table} ({', '.join(row)}) values ({marks})", tuple(row.values()))


def _database(uri: str) -> Path:
    database = database_of(uri)
    if database is None:
        fix = "Take one with --tracking-uri sqlite:///mlflow.db: a server gives runs names of its own."
        raise UserError("a study can be put into an SQLite file only", where=shown(uri), fix=fix)
    return database
