"""What every store does, wherever it lies: a local folder, a folder that machines share, a bucket."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from filelock import Timeout

from ablate.errors import RunError
from ablate.store.files import ENTRY
from ablate.store.growing import make_growing
from ablate.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.store import Store

    Open = Callable[[], Store]


@pytest.fixture(params=["folder", "shared folder", "bucket"])
def another(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens the same store anew, as another process does; a bucket as another machine, with an own cache."""
    if request.param == "bucket":
        url = request.getfixturevalue("bucket")

        def machine() -> Store:
            monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / f"cache-{time.monotonic_ns()}"))
            return open_store(url)

        return machine
    if request.param == "shared folder":
        monkeypatch.setattr("ablate.store.network_kind", lambda root: "nfs4")
    return lambda: open_store(str(tmp_path / "store"))


@pytest.fixture
def store(another: Open) -> Store:
    return another()


def put(store: Store, key: str = "k", text: str = "content") -> None:
    with store.writing("stage", key, {"n": key}) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file.txt").write_text(text)


def read(store: Store, key: str = "k") -> str:
    return (store.sound_path("stage", key) / "deep" / "file.txt").read_text()


def test_what_one_makes_another_reads(store: Store, another: Open) -> None:
    put(store)
    other = another()
    assert other.has("stage", "k") and read(other) == "content"
    assert other.ingredients("stage", "k") == {"n": "k"}
    assert list(other.entries("stage")) == [("k", {"n": "k"})] and list(other.listed()) == [("stage", "k")]
    assert other.damage("stage", "k") == "" and 7 <= other.size("stage", "k") < 1000
    assert not other.has("stage", "other") and not other.sound("stage", "other")


def test_an_error_leaves_no_entry(store: Store, another: Open) -> None:
    with pytest.raises(ZeroDivisionError), store.writing("stage", "k", {}) as folder:
        (folder / "file.txt").write_text("half")
        raise ZeroDivisionError
    for each in (store, another()):
        assert not each.has("stage", "k") and not list(each.listed())
    assert not any((store.root / "tmp").iterdir())


def test_of_several_that_ask_at_once_one_makes_it(store: Store, another: Open) -> None:
    made: list[Path] = []

    def fill(folder: Path) -> None:
        time.sleep(0.05)
        made.append(folder)

    stores = [store, another(), another()]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda each: each.make("stage", "k", {}, fill), stores))
    assert len(made) == 1 and all(each.sound("stage", "k") for each in stores)


def test_two_that_make_the_same_at_once_lose_nothing(store: Store, another: Open) -> None:
    """Where no lock holds. The files may differ in their last bits: all then have those of the first."""
    other = another()
    with store.writing("stage", "k", {}) as folder, other.writing("stage", "k", {}) as second:
        (folder / "file.txt").write_text("1.0")
        (second / "file.txt").write_text("1.0000001")
    found = {(each.sound_path("stage", "k") / "file.txt").read_text() for each in (store, other, another())}
    assert len(found) == 1
    assert store.damage("stage", "k") == other.damage("stage", "k") == ""


def test_arrays_that_two_grow_at_once_end_in_one_entry(store: Store, another: Open) -> None:
    other = another()

    def fill(work: Path) -> None:
        (work / "rows.json").write_text("[1]")
        if not other.has("stage", "k"):  # the other one overtakes, as if the lock did not hold
            with other.writing("stage", "k", {}) as folder:
                (folder / "rows.json").write_text("[1]")

    assert (make_growing(store, "stage", "k", {}, fill) / "rows.json").read_text() == "[1]"
    assert not any((store.root / "work").iterdir())


def test_a_removed_entry_is_gone(store: Store, another: Open) -> None:
    put(store)
    other = another()
    other.remove("stage", "k")
    other.remove("stage", "k")
    assert not other.has("stage", "k") and not another().has("stage", "k")


def test_what_is_missing_is_the_users_to_make_again(store: Store) -> None:
    with pytest.raises(RunError, match="not in the store"):
        store.sound_path("stage", "k")


def test_a_lock_keeps_others_out_and_they_see_it(store: Store, another: Open) -> None:
    other = another()
    assert not other.held("name") and not other.any_held("na")
    with store.lock("name"):
        assert other.held("name") and other.any_held("na") and not other.any_held("x")
        with pytest.raises(Timeout):
            other.lock("name").acquire(blocking=False)
        with other.lock("another"):
            pass
    assert not other.held("name")
    with other.lock("name").acquire(blocking=False):
        assert store.held("name")
    assert not store.held("name")


def test_who_has_waited_for_a_lock_sees_what_its_holder_has_stored(store: Store, another: Open) -> None:
    other = another()
    assert not other.has("stage", "k")
    with store.lock("name"):
        put(store)
    with other.lock("name"):
        assert other.has("stage", "k")


def test_a_lock_is_freed_when_its_holder_is_killed(store: Store, request: pytest.FixtureRequest) -> None:
    code = (
        "import sys, time, ablate.store\n"
        "if sys.argv[2]: ablate.store.network_kind = lambda root: 'nfs4'\n"
        "from ablate.store.opening import open_store\n"
        "with open_store(sys.argv[1]).lock('name'): print('held', flush=True); time.sleep(60)"
    )
    arguments = [store.address, "shared" if "shared" in request.node.name else ""]
    holder = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)
    assert holder.stdout and holder.stdout.readline() == "held\n" and store.held("name")
    holder.kill()
    holder.wait()
    assert not store.held("name")
    started = time.monotonic()
    with store.lock("name"):
        assert time.monotonic() - started < 10


def test_marks_and_texts_are_seen_by_all(store: Store, another: Open) -> None:
    store.keep("stage", "k")
    store.put("needs/a.json", "{}")
    store.put("needs/a.json", "[]")
    other = another()
    assert other.kept("stage", "k") and not other.kept("stage", "other")
    assert other.names("needs") == ["needs/a.json"] and other.get("needs/a.json") == "[]"
    other.drop("needs/a.json")
    other.drop("needs/a.json")
    assert store.get("needs/a.json") is None and store.names("needs") == []


def test_clearing_leftovers_takes_nothing_that_is_in_use(store: Store) -> None:
    with store.writing("stage", "k", {}) as folder:
        store.clear_leftovers()
        (folder / "file.txt").write_text("content")
    store.clear_leftovers()
    assert store.sound("stage", "k") and (store.path("stage", "k") / ENTRY).exists()
