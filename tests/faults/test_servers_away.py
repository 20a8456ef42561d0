"""A study whose store and record are on servers, which are restarted again and again while it goes on."""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from servers import BUCKET, Tracking, postgres, s3_server

from ablate.api import find
from ablate.store.files import file_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from servers import Postgres

    from ablate.records import ExperimentRecord, RunRecord
    from tests.faults.conftest import Warm

RESTARTS = 10
"""Of each server, at least, over all studies."""


class Bucket:
    """The S3 server. What it holds stays in this process while it is away."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self.address = self._running.enter_context(s3_server())

    def start(self) -> None:
        self._running.enter_context(s3_server(int(self.address.rpartition(":")[2])))

    def stop(self) -> None:
        self._running.close()


class Servers:
    """S3, PostgreSQL, and MLflow on that."""

    def __init__(self, folder: Path, database: Postgres) -> None:
        self.bucket, self.postgres = Bucket(), database
        self.tracking = Tracking(folder, database.address("mlflow"))
        self.tracking.start()
        self.tracking.wait()
        self.away: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
            "S3": (self.bucket.stop, self.bucket.start),
            "PostgreSQL": (database.stop, database.start),
            "MLflow": (self.tracking.kill, self.tracking.start),
        }

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.tracking.port}"

    def end(self) -> None:
        self.tracking.kill()
        self.bucket.stop()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    (folder := tmp_path / "servers").mkdir()
    with postgres(tmp_path / "postgres") as database:
        running = Servers(folder, database)
        yield running
        running.end()


def outcome(run: RunRecord) -> dict[str, Any]:
    """What must not depend on the servers."""
    curves = {name: points for name, points in run.history.items() if name != "epoch_seconds"}
    figures = {name: value for name, value in run.metrics.items() if "seconds" not in name}
    return {"who": (run.variant, run.seed, run.status), "links": run.links, "is": (curves, figures)}


def files(store: Path) -> dict[str, str]:
    """Name → SHA-256 of all weights, averages and samples in a store, or in the cache of one."""
    found = (file for stage in ("train", "ema", "sample") for file in (store / stage).rglob("*"))
    return {
        str(file.relative_to(store)): file_digest(file)
        for file in found
        if file.suffix in (".png", ".safetensors")
    }


@pytest.mark.faults
def test_servers_may_be_restarted_at_any_time_and_the_study_is_that_of_one_machine(
    warm: Warm,
    servers: Servers,
    finished: Path,
    read_record: Callable[[Path], ExperimentRecord],
    new_workplace: Callable[[], Path],
    tmp_path: Path,
) -> None:
    right = [outcome(run) for run in read_record(finished).runs]
    draw, restarts, studies = random.Random(1), Counter[str](), 0
    studies_at = servers.postgres.address("optuna")
    while any(restarts[name] < RESTARTS for name in servers.away):
        studies += 1
        folder, store = new_workplace(), f"s3://{BUCKET}/study-{studies}"
        (folder / "tiny.yaml").rename(folder / f"tiny-{studies}.yaml")
        environment = {
            "AWS_ENDPOINT_URL": servers.bucket.address,
            "AWS_ACCESS_KEY_ID": "ablate",
            "AWS_SECRET_ACCESS_KEY": "S3cretPw",
            "AWS_REGION": "us-east-1",
            "ABLATE_CACHE": str(folder / "cache"),
        }
        options = ["--no-audit", "--store", store, "--tracking-uri", servers.uri]
        options += ["--study-storage", studies_at]
        run = warm.start(folder, "run", f"tiny-{studies}.yaml", *options, environment=environment)
        while not run.ended():
            time.sleep(draw.uniform(1, 8))
            stop, start = servers.away[name := draw.choice(list(servers.away))]
            stop()
            time.sleep(draw.uniform(0.5, 4))
            start()
            restarts[name] += not run.ended()
        assert run.wait() == 0, run.printed()
        assert "Traceback" not in run.printed() and "S3cretPw" not in run.printed(), run.printed()
        servers.tracking.wait()
        assert [outcome(each) for each in find(f"tiny-{studies}", servers.uri, store).record.runs] == right
        (cache,) = (folder / "cache").iterdir()
        made = files(cache)
        assert made and made.items() <= files(finished / ".ablate").items()
        print(f"study {studies}, {dict(restarts)}", flush=True)
    with psycopg.connect(servers.postgres.address("mlflow").replace("+psycopg", "")) as database:
        twice = "select key, step from metrics group by run_uuid, key, step having count(*) > 1"
        assert database.execute(twice).fetchall() == []
        kinds = "select value, count(*) from tags where key = 'ablate.kind' group by value order by value"
        expected = [("experiment", studies), ("run", 4 * studies), ("variant", 2 * studies)]
        assert database.execute(kinds).fetchall() == expected
    print(f"{dict(restarts)} in {studies} studies")
