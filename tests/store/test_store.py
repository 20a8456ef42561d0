"""The store: an entry is whole or absent, whoever writes it and whenever the writer dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psutil
import pytest
from filelock import FileLock, Timeout
from harm import delete, flip, truncate

from ablate.errors import RunError
from ablate.store import Store
from ablate.store.files import ENTRY, file_digest, key_of, write_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def put(store: Store, key: str = "k", text: str = "content", **ingredients: object) -> None:
    with store.writing("stage", key, ingredients) as folder:
        (folder / "file.txt").write_text(text)


def read(store: Store, key: str = "k") -> str:
    return (store.path("stage", key) / "file.txt").read_text()


def python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True)


def test_an_entry_appears_when_its_block_ends(store: Store) -> None:
    with store.writing("stage", "k", {"a": 1}) as folder:
        (folder / "file.txt").write_text("content")
        assert not store.has("stage", "k")
        assert not store.path("stage", "k").exists()
    assert store.has("stage", "k")
    assert read(store) == "content"
    assert store.ingredients("stage", "k") == {"a": 1}


def test_an_entry_is_made_when_it_is_first_asked_for(store: Store) -> None:
    made: list[Path] = []

    def fill(folder: Path) -> None:
        made.append(folder)
        (folder / "file.txt").write_text("content")

    for _ in range(2):
        assert store.make("stage", "k", {"n": 1}, fill) == store.path("stage", "k")
    assert read(store) == "content"
    assert store.ingredients("stage", "k") == {"n": 1}
    assert len(made) == 1


def test_an_error_while_an_entry_is_made_leaves_nothing_and_frees_the_lock(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        store.make("stage", "k", {}, lambda folder: 1 / 0)
    assert not store.has("stage", "k")
    store.make("stage", "k", {}, lambda folder: None)
    assert store.has("stage", "k")


def test_an_entry_that_many_ask_for_at_once_is_made_once(store: Store) -> None:
    made: list[Path] = []

    def fill(folder: Path) -> None:
        time.sleep(0.05)
        made.append(folder)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: store.make("stage", "k", {}, fill), range(4)))
    assert len(made) == 1


def test_an_error_inside_the_block_leaves_nothing(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.writing("stage", "k", {}) as folder:
        (folder / "file.txt").write_text("half")
        raise ZeroDivisionError
    assert not store.has("stage", "k")
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


def test_an_entry_that_is_written_again_stays_as_its_readers_found_it(store: Store) -> None:
    put(store)
    inode = (store.path("stage", "k") / "file.txt").stat().st_ino
    put(store)
    assert (store.path("stage", "k") / "file.txt").stat().st_ino == inode
    assert not any((store.root / "tmp").iterdir())


def test_a_folder_that_is_no_entry_gives_way_to_one(store: Store) -> None:
    store.path("stage", "k").mkdir(parents=True)
    (store.path("stage", "k") / "half.txt").touch()
    put(store)
    assert {path.name for path in store.path("stage", "k").iterdir()} == {ENTRY, "file.txt"}


def test_threads_that_write_the_same_entry_at_once_all_succeed(store: Store) -> None:
    def write(_: int) -> str:
        put(store)
        return "done"

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(write, range(40))) == ["done"] * 40
    assert read(store) == "content"
    assert list((store.root / "tmp").iterdir()) == []


def test_processes_that_write_the_same_entry_at_once_all_succeed(store: Store) -> None:
    code = (
        "import sys; from ablate.store import Store; store = Store(sys.argv[1])\n"
        "for _ in range(10):\n"
        "    with store.writing('stage', 'k', {}) as folder: (folder / 'file.txt').write_text('content')"
    )
    writers = [python(code, str(store.root)) for _ in range(3)]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert read(store) == "content"


def test_a_writer_killed_inside_the_block_leaves_no_entry(store: Store) -> None:
    code = (
        "import os, signal, sys; from ablate.store import Store\n"
        "with Store(sys.argv[1]).writing('stage', 'k', {}) as folder:\n"
        "    (folder / 'file.txt').write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert python(code, str(store.root)).wait(60) == -signal.SIGKILL
    assert not store.has("stage", "k")
    put(store)
    assert read(store) == "content"
    store.clear_leftovers()
    assert not any((store.root / "tmp").iterdir())


def test_what_a_process_is_writing_stays_whatever_its_age(store: Store) -> None:
    with store.writing("stage", "k", {}) as folder:
        for path in (folder, folder.with_name(f"{folder.name}.lock")):
            os.utime(path, (0, 0))
        store.clear_leftovers()
        (folder / "file.txt").write_text("content")
    assert read(store) == "content"
    assert not any((store.root / "tmp").iterdir())


def test_what_a_suspended_process_was_writing_into_a_shared_folder_stays(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablate.store.network_kind", lambda root: "nfs4")
    monkeypatch.setattr("ablate.store.DAY", 0.0)
    with store.writing("stage", "k", {}) as folder:
        began = psutil.Process().create_time()
        os.utime(folder.with_name(f"{folder.name}.lock"), (began, began))
        store.clear_leftovers()
        assert not list(store.leftovers())
        (folder / "file.txt").write_text("content")
    assert read(store) == "content"


def test_what_a_process_of_another_machine_was_writing_stays_for_a_day(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablate.store.network_kind", lambda root: "nfs4")
    entering = store.aside("train-k")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(socket, "gethostname", lambda: "elsewhere")
        folder = entering.__enter__()
    lock = folder.with_name(f"{folder.name}.lock")
    for hours, stays in ((23, True), (25, False)):
        os.utime(lock, (time.time() - 3600 * hours,) * 2)
        assert (folder in store.leftovers()) != stays
        store.clear_leftovers()
        assert folder.exists() == lock.exists() == stays
    entering.__exit__(None, None, None)


def test_leftovers_of_a_version_without_locks_are_cleared_after_a_day(store: Store) -> None:
    for name, age in (("train-0123abcd", 90_000), ("train-4567abcd", 80_000)):
        folder = store.root / "tmp" / name
        folder.mkdir(parents=True)
        os.utime(folder, (time.time() - age, time.time() - age))
    store.clear_leftovers()
    assert [folder.name for folder in (store.root / "tmp").iterdir()] == ["train-4567abcd"]


def test_clearing_leftovers_disturbs_no_writer(store: Store) -> None:
    code = (
        "import sys; from ablate.store import Store; store = Store(sys.argv[1])\n"
        "for n in range(60):\n"
        "    with store.writing('stage', f'{sys.argv[2]}-{n}', {}) as folder: (folder / 'f').write_text('c')"
    )
    writers = [python(code, str(store.root), name) for name in "ab"]
    while any(writer.poll() is None for writer in writers):
        store.clear_leftovers()
    assert [writer.wait() for writer in writers] == [0, 0]
    assert len(list(store.entries("stage"))) == 120


def test_work_is_cleared_when_nobody_has_gone_on_with_it_for_long_and_nobody_is_at_it(store: Store) -> None:
    for name, age in (("prepare-given-up", 8), ("prepare-resumed", 6), ("prepare-in-use", 8)):
        work = store.root / "work" / name
        work.mkdir(parents=True)
        os.utime(work, (time.time() - age, time.time() - age))
    with store.lock("prepare-in-use"):
        store.clear_leftovers(older_than=7)
    assert {work.name for work in (store.root / "work").iterdir()} == {"prepare-resumed", "prepare-in-use"}


# ── damage ───────────────────────────────────────────────────────────────────────────────────────


def empty(file: Path) -> None:
    os.truncate(file, 0)


@pytest.mark.parametrize(
    ("name", "harm"),
    [
        *((name, harm) for name in ("file.txt", "deep/file.txt") for harm in (flip, truncate, delete, empty)),
        *((ENTRY, harm) for harm in (flip, truncate, empty)),
    ],
)
def test_a_damaged_entry_is_named_set_aside_and_made_again(
    store: Store, name: str, harm: Callable[[Path], None]
) -> None:
    notes: list[str] = []

    def fill(folder: Path) -> None:
        (folder / "deep").mkdir()
        for file in ("file.txt", "deep/file.txt"):
            (folder / file).write_text(f"content of {file}")

    entry = store.make("stage", "k", {"n": 1}, fill)
    harm(entry / name)
    again = Store(store.root, notes.append)
    assert not again.sound("stage", "k")
    again.make("stage", "k", {"n": 1}, fill)
    assert not Store(store.root).damage("stage", "k")
    (note,), (aside,) = notes, (store.root / "damaged").iterdir()
    assert note.startswith(f"damaged: stage/k: {name} ") and str(aside) in note


def test_a_damaged_entry_is_never_read(store: Store) -> None:
    put(store)
    flip(store.path("stage", "k") / "file.txt")
    with pytest.raises(RunError, match="not as it was written") as error:
        Store(store.root).sound_path("stage", "k")
    assert "makes it again" in error.value.fix
    assert not store.has("stage", "k")


def test_entries_that_cannot_be_read_are_not_listed(store: Store) -> None:
    put(store, "a", n=1)
    put(store, "b", n=2)
    truncate(store.path("stage", "a") / ENTRY)
    assert list(store.entries("stage")) == [("b", {"n": 2})]


def test_a_sound_entry_is_read_once_by_each_object(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store)
    digested: list[Path] = []
    monkeypatch.setattr(
        "ablate.store.files.file_digest", lambda path: digested.append(path) or file_digest(path)
    )
    reader = Store(store.root)
    assert reader.sound("stage", "k") and reader.sound("stage", "k")
    assert len(digested) == 1


def test_an_entry_is_kept_from_when_it_is_marked(store: Store) -> None:
    assert not store.kept("stage", "k")
    store.keep("stage", "k")
    store.keep("stage", "k")
    assert store.kept("stage", "k") and not store.has("stage", "k")


def test_a_removed_entry_is_gone_and_removing_it_again_is_no_error(store: Store) -> None:
    put(store)
    store.remove("stage", "k")
    store.remove("stage", "k")
    assert not store.path("stage", "k").exists()


def test_a_lock_keeps_others_out_and_is_freed_when_its_holder_is_killed(store: Store) -> None:
    code = (
        "import sys, time; from ablate.store import Store\n"
        "with Store(sys.argv[1]).lock('name'): print('held', flush=True); time.sleep(60)"
    )
    holder = python(code, str(store.root))
    assert holder.stdout and holder.stdout.readline() == "held\n"
    with pytest.raises(Timeout), FileLock(store.root / "locks" / "name.lock", timeout=0.1):
        pass
    with store.lock("another name"):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    started = time.monotonic()
    with store.lock("name"):
        assert time.monotonic() - started < 10
    holder.wait(10)


def test_only_complete_entries_are_listed(store: Store) -> None:
    put(store, "b", n=2)
    put(store, "a", n=1)
    store.path("stage", "half").mkdir()
    assert list(store.entries("stage")) == [("a", {"n": 1}), ("b", {"n": 2})]
    assert list(store.entries("no such stage")) == []


@pytest.mark.parametrize("left", ["entry.json", "entry.0.json"], ids=["before formats", "of another format"])
def test_entries_of_another_version_are_ignored_and_counted(store: Store, left: str) -> None:
    put(store, "old")
    put(store, "new")
    assert store.of_other_formats() == []
    (store.path("stage", "old") / ENTRY).rename(store.path("stage", "old") / left)
    assert not store.has("stage", "old")
    assert [key for key, _ in store.entries("stage")] == ["new"]
    assert store.of_other_formats() == [store.path("stage", "old")]


def test_an_entry_of_another_version_gives_way_to_one_of_the_same_key(store: Store) -> None:
    put(store, text="old")
    (store.path("stage", "k") / ENTRY).rename(store.path("stage", "k") / "entry.json")

    def fill(folder: Path) -> None:
        (folder / "file.txt").write_text("new")

    store.make("stage", "k", {}, fill)
    assert read(store) == "new"
    assert store.of_other_formats() == []


def test_a_key_depends_on_what_the_ingredients_say_and_not_on_their_order() -> None:
    assert key_of({"a": 1, "b": [2, None]}) == key_of({"b": [2, None], "a": 1})
    assert key_of({"a": 1}) != key_of({"a": "1"})
    assert len(key_of({})) == 32
    with pytest.raises(ValueError, match="JSON"):
        key_of({"a": float("nan")})


def test_a_file_is_replaced_in_one_step_without_leftovers(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "file.txt"
    write_file(file, "old")
    before = file_digest(file)
    write_file(file, "new")
    assert file.read_text() == "new"
    assert file_digest(file) != before
    assert list(file.parent.iterdir()) == [file]
