"""A store in a bucket, beside what every store does: the cache, what is damaged, what does not answer."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from filelock import Timeout
from servers import s3_server

from ablate import patience
from ablate.errors import UserError
from ablate.patience import UnreachableError
from ablate.store.bucket import Bucket
from ablate.store.files import ENTRY
from ablate.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from ablate.store import Store


def put(store: Store, key: str = "k", size: int = 10) -> None:
    with store.writing("stage", key, {"n": key}) as folder:
        (folder / "file.bin").write_bytes(bytes(size))


def elsewhere(bucket: str, monkeypatch: pytest.MonkeyPatch, notes: list[str] | None = None) -> Store:
    """The same store on a machine with an empty cache."""
    monkeypatch.setenv("ABLATE_CACHE", f"{os.environ['ABLATE_CACHE']}-")
    return open_store(bucket, (notes if notes is not None else []).append)


def test_a_thousand_questions_cost_a_list(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put(open_store(bucket))
    store = elsewhere(bucket, monkeypatch)
    asked: list[str] = []
    listed = Bucket.list
    monkeypatch.setattr(Bucket, "list", lambda self, folder: asked.append(folder) or listed(self, folder))
    assert [key for key in map(str, range(1000)) if store.has("stage", key)] == []
    assert store.has("stage", "k")
    assert asked == ["entries", "kept"]


def test_a_cache_that_knows_of_entries_and_holds_none_is_a_cache(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(open_store(bucket))
    store = elsewhere(bucket, monkeypatch)
    assert store.ingredients("stage", "k") == {"n": "k"}
    assert [path.name for path in store.root.iterdir()] == ["known"]
    open_store(bucket).reach()


def test_what_a_killed_process_could_not_upload_is_uploaded_when_it_is_asked_for(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(bucket)
    with monkeypatch.context() as killed:
        killed.setattr(Bucket, "create", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            put(store)
    again = open_store(bucket)
    assert again.has("stage", "k") and again.sound("stage", "k")
    assert elsewhere(bucket, monkeypatch).sound("stage", "k")


@pytest.mark.parametrize("harm", ["flip", "delete", "entry"])
def test_what_is_damaged_in_the_bucket_is_named_set_aside_and_made_again(
    bucket: str, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    put(open_store(bucket))
    raw = Bucket(bucket, print)
    (file,) = [found.name for found in raw.list("files")]
    if harm == "flip":
        raw.put(file, b"1" + bytes(9))
    elif harm == "delete":
        raw.delete([file])
    else:
        raw.put(f"entries/stage/k/{ENTRY}", b"{}")
    notes: list[str] = []
    store = elsewhere(bucket, monkeypatch, notes)
    assert store.damage("stage", "k")
    assert not store.sound("stage", "k") and not store.has("stage", "k")
    assert notes[0].startswith("damaged: stage/k: ") and "made again" in notes[0]
    put(store)
    assert elsewhere(bucket, monkeypatch).sound("stage", "k")


def test_a_damaged_copy_in_the_cache_is_fetched_again(bucket: str) -> None:
    store = open_store(bucket)
    put(store)
    (store.path("stage", "k") / "file.bin").write_bytes(b"1" + bytes(9))
    again = open_store(bucket)
    assert (again.sound_path("stage", "k") / "file.bin").read_bytes() == bytes(10)


def test_the_cache_forgets_what_was_used_least_recently(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLATE_CACHE_GB", "0.000025")
    monkeypatch.setattr("ablate.store.cache.IN_USE", 0.0)
    store = open_store(bucket)
    for key in ("a", "b", "c"):
        put(store, key, 10_000)
        time.sleep(0.01)
    assert {path.name for path in (store.root / "stage").iterdir()} == {"b", "c"}
    assert open_store(bucket).sound("stage", "a")
    assert {path.name for path in (store.root / "stage").iterdir()} == {"c", "a"}
    monkeypatch.setenv("ABLATE_CACHE_GB", "much")
    with pytest.raises(UserError, match="number of gigabytes"):
        open_store(bucket)


def test_the_cache_keeps_what_is_still_in_use(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLATE_CACHE_GB", "0.000025")
    monkeypatch.setattr("ablate.store.cache.IN_USE", 0.0)
    store = open_store(bucket)
    for key in ("a", "b"):
        put(store, key, 10_000)
        time.sleep(0.01)
    store.use("stage", "a")
    store.use("stage", "of another machine")
    time.sleep(0.01)
    put(store, "c", 10_000)
    assert {path.name for path in (store.root / "stage").iterdir()} == {"a", "c"}


def test_a_claim_of_a_container_is_not_left_though_its_process_has_no_number_here(
    bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    store = open_store(bucket)
    with monkeypatch.context() as container:
        container.setattr("ablate.locks.NAMESPACE", tmp_path)
        container.setattr(os, "getpid", lambda: ended.pid)
        lock = store.lock("name")
        lock.acquire()
    assert store.held("name")
    with pytest.raises(Timeout):
        store.lock("name").acquire(blocking=False)
    lock.release()


def test_uploads_without_an_entry_are_cleared_away_after_a_day(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(bucket)
    put(store)
    raw = Bucket(bucket, print)
    raw.put("files/stage/k/killed00/file.bin", b"half")
    raw.put("files/stage/other/killed00/file.bin", b"half")
    store.clear_uploads()
    assert len(list(raw.list("files"))) == 3
    monkeypatch.setattr("ablate.store.remote.DAY", -10.0)
    store.clear_leftovers(older_than=float("inf"))
    assert len(list(raw.list("files"))) == 3
    store.clear_uploads()
    assert len(list(raw.list("files"))) == 1 and not store.damage("stage", "k")


@pytest.mark.parametrize(
    ("url", "environment", "what"),
    [
        ("s3://no-such-bucket/x", {}, "there is no such bucket"),
        ("s3://", {}, "Unable to recognise URL"),
        ("az://container/x", {}, "Account must be specified"),
        ("ftp://host/x", {}, "ablate has no store in ftp://"),
        ("s3://ablate/x", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "does not answer"),
    ],
)
def test_an_address_that_cannot_work_is_the_users_within_seconds(
    bucket: str, monkeypatch: pytest.MonkeyPatch, url: str, environment: dict[str, str], what: str
) -> None:
    monkeypatch.setattr("ablate.store.bucket.FIRST", 0.5)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=what) as error:
        open_store(url).reach()
    assert error.value.fix and "S3cretPw" not in str(error.value)


def test_a_server_that_is_away_for_a_while_is_waited_for(
    bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with s3_server() as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        notes: list[str] = []
        store = open_store("s3://ablate/x", notes.append)
    port = int(address.rpartition(":")[2])
    back = threading.Event()

    def restart() -> None:
        time.sleep(0.5)
        with s3_server(port):
            back.wait(30)

    thread = threading.Thread(target=restart)
    thread.start()
    put(store)
    back.set()
    thread.join()
    assert "Waiting for it" in notes[0] and notes[-1].endswith("works again")
    monkeypatch.setattr(patience, "PATIENCE", 0.2)
    with pytest.raises(UnreachableError, match="did not answer in time"):
        put(store, "other")
    assert (store.path("stage", "other") / ENTRY).exists()


def test_a_bucket_that_is_gone_is_said_to_be_gone_also_where_something_is_written(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.2)
    gone = Bucket("s3://gone/x", lambda text: None)
    with pytest.raises(UserError, match="there is no such bucket"):
        gone.put("name", b"text")


def test_a_refusal_of_what_has_worked_is_waited_for_like_silence(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE", 0.2)
    with server_that_refuses(refused := {"GET"}) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        raw = Bucket(f"{bucket}-refused", lambda text: None)
        with pytest.raises(UserError, match="access was refused"):
            raw.reach()
        refused.clear()
        raw.reach()
        refused |= {"GET", "PUT"}
        with pytest.raises(UnreachableError, match="access was refused"):
            raw.list("entries")
        with pytest.raises(UserError, match="access was refused"):
            raw.put("file", b"")  # who may read need not be allowed to write
        refused.clear()
        raw.put("file", b"")


@contextmanager
def server_that_refuses(methods: Collection[str]) -> Iterator[str]:
    """The address of a server with an empty bucket of any name, which refuses these methods."""

    class Answers(BaseHTTPRequestHandler):
        def answer(self) -> None:
            refused = self.command in methods
            name = "Error><Code>AccessDenied</Code></Error" if refused else "ListBucketResult/"
            body = f"<{name}>".encode()
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(403 if refused else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"tag"')
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
