"""A glance at the runs in an SQLite file of MLflow, without MLflow: quick, and it writes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field

from ablate.record import names
from ablate.record.addresses import database_of
from ablate.records import FAILED
from ablate.text import first_line

STATUS = "case when runs.status = 'KILLED' and pruned.value is not null then 'PRUNED' else runs.status end"
QUERY = f"""
select experiments.name, folder.value, runs.name, {STATUS}, reason.value
from runs join experiments using (experiment_id)
join tags kind on kind.run_uuid = runs.run_uuid and kind.key = '{names.KIND}' and kind.value = 'run'
left join tags old on old.run_uuid = runs.run_uuid and old.key = '{names.SUPERSEDED}'
left join tags reason on reason.run_uuid = runs.run_uuid and reason.key = '{names.REASON}'
left join tags pruned on pruned.run_uuid = runs.run_uuid and pruned.key = '{names.PRUNED}'
left join tags parent on parent.run_uuid = runs.run_uuid and parent.key = '{names.PARENT}'
left join tags folder on folder.run_uuid = parent.value and folder.key = '{names.FOLDER}'
where old.value is null and runs.lifecycle_stage = 'active' and experiments.lifecycle_stage = 'active'
order by experiments.name, folder.value, runs.start_time
"""


@dataclass
class Glance:
    """The runs of an experiment that count, recorded from one folder."""

    experiment: str
    folder: str = ""
    """Host and path; empty where nobody knows."""
    counts: dict[str, int] = field(default_factory=dict)
    """MLflow's status → how many runs have it; PRUNED for those that a search has ended early."""
    failed: dict[str, str] = field(default_factory=dict)
    """Run → why it failed, in a line."""


def glance(uri: str) -> list[Glance]:
    """The experiments in MLflow, by name. None of them where MLflow is no SQLite file, or one that cannot be
    read now."""
    database = database_of(uri)
    if database is None or not database.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=1)) as connection:
            rows = connection.execute(QUERY).fetchall()
    except sqlite3.Error:
        return []
    found: dict[tuple[str, str], Glance] = {}
    for experiment, folder, run, status, reason in rows:
        one = found.setdefault((experiment, folder or ""), Glance(experiment, folder or ""))
        one.counts[status] = one.counts.get(status, 0) + 1
        if status == FAILED:
            one.failed[run] = first_line(reason or "")
    return list(found.values())
