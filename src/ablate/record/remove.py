"""Removes runs from MLflow: for good from an SQLite file; a server only marks them as deleted.

MLflow's own `mlflow gc` would also remove whatever else is marked as deleted, which nobody has asked for.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from functools import partial
from typing import TYPE_CHECKING

from ablate.record.client import connect
from ablate.record.transfer import place_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def remove_runs(uri: str, experiment: str, run_ids: Sequence[str]) -> None:
    """Removes runs one after the other; from an SQLite file for good, with their files, and the experiment if
    nothing is left in it. Parents are to come last: without them nobody would find the others after a kill.

    A server only marks them as deleted: its ``mlflow gc`` frees the room, and its UI can restore them until
    then. The experiment stays there: a server brings an experiment back with all of its runs, so those that
    were removed would come back when it is run again.

    Raises:
        UserError, UnreachableError: as ``connect``.
    """
    client = connect(uri, to_write=True)
    if client.database is None:
        for run_id in run_ids:
            client.delete_run(run_id)
        return
    place = place_for(uri, experiment)
    for run_id in run_ids:  # first: without their rows nobody would know of them after a kill
        shutil.rmtree(place / run_id, ignore_errors=True)
    client.patiently(partial(_remove_rows, client.database, experiment, run_ids))
    with suppress(OSError):  # it is not there, or somebody keeps other files in it
        place.rmdir()


def _remove_rows(database: Path, experiment: str, run_ids: Sequence[str]) -> None:
    """Removes all rows of runs in one step, and the experiment if nothing is left in it."""
    with closing(sqlite3.connect(database, timeout=5)) as connection, connection:
        for table in _tables_with(connection, "run_uuid"):
            _delete(connection, table, "run_uuid", run_ids)
        _delete(connection, "inputs", "destination_id", run_ids)
        connection.execute("delete from input_tags where input_uuid not in (select input_uuid from inputs)")
        (number,) = connection.execute(
            "select experiment_id from experiments where name = ?", (experiment,)
        ).fetchone()
        connection.execute(
            "delete from datasets where experiment_id = ? and "
            "dataset_uuid not in (select source_id from inputs)",
            (number,),
        )
        # It stays while there is a run of somebody else, also one that is marked as deleted, or a trace.
        for table in _tables_with(connection, "experiment_id"):
            query = f"select 1 from {table} where experiment_id = ?"
            if table not in OF_EXPERIMENT and connection.execute(query, (number,)).fetchone():
                return
        for table in OF_EXPERIMENT:
            connection.execute(f"delete from {table} where experiment_id = ?", (number,))


OF_EXPERIMENT = ("experiment_tags", "experiments")


def _tables_with(connection: sqlite3.Connection, column: str) -> list[str]:
    """The tables with a column of this name; runs come last, because others name them."""
    query = (
        "select tables.name from sqlite_master tables join pragma_table_info(tables.name) columns "
        "on columns.name = ? where tables.type = 'table'"
    )
    tables = [str(table) for (table,) in connection.execute(query, (column,))]
    return sorted(tables, key=lambda table: table == "runs")


def _delete(connection: sqlite3.Connection, table: str, column: str, values: Sequence[str]) -> None:
    connection.executemany(f"delete from {table} where {column} = ?", [(value,) for value in values])
