"""A study on several machines: one store, in a bucket or in a shared folder whose locks do not hold."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from ablate.store.files import file_digest
from ablate.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest
    from conftest import Ablate


def hashes(store: Path) -> dict[str, str]:
    """File → SHA-256 of all weights, samples and scores in a store's folder."""
    stages = ("train", "ema", "sample", "evaluate")
    files = (file for stage in stages for file in sorted((store / stage).rglob("*")))
    return {
        file.relative_to(store).as_posix(): file_digest(file)
        for file in files
        if file.suffix in (".safetensors", ".png", ".npz")
    }


def test_a_study_in_a_bucket_goes_on_on_another_machine_to_the_same_bytes(
    ablate: Ablate,
    bucket: str,
    finished: Path,
    make_workplace: Callable[..., Path],
    blank_figures: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (first := tmp_path / "first").mkdir()
    (second := tmp_path / "second").mkdir()
    to_bucket = ("--store", bucket)
    done = ablate("run", "tiny.yaml", "--seeds", "0", "--no-audit", *to_bucket, folder=make_workplace(first))
    assert done.code == 0, done.shown
    assert "Nothing runs" in ablate("status", *to_bucket, folder=first).out

    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "the cache of another machine"))
    make_workplace(second)
    planned = ablate("plan", "tiny.yaml", "--seeds", "0", *to_bucket, folder=second)
    assert " 0 still to train" in planned.out
    done = ablate("run", "tiny.yaml", "--seeds", "0", "--no-audit", *to_bucket, folder=second)
    assert done.code == 0 and " 0 epochs to train, 2 runs to finish" in done.out, done.shown
    cache = hashes(open_store(bucket).root)
    assert cache and cache.items() <= hashes(finished / ".ablate").items()

    checked = ablate("doctor", "--store", bucket, folder=second)
    assert checked.code == 0 and "each as it was written" in checked.out
    assert "can go" in ablate("gc", *to_bucket, folder=second).out
    exported = ablate(
        "export", "tiny.yaml", "study.zip", "--seeds", "0", "--weights", *to_bucket, folder=second
    )
    assert exported.code == 0, exported.shown
    removed = ablate("rm", "tiny", "--do", *to_bucket, folder=second)
    assert removed.code == 0, removed.shown
    assert not [entry for entry in open_store(bucket).listed() if entry[0] in ("train", "sample", "prepare")]


WITHOUT_LOCKS = """
import contextlib, os, sys
from warm import import_everything
import_everything()
import ablate.store, ablate.report.formats.markdown, ablate.runner.executors
from here import Here
from ablate.__main__ import main

class NoLock(contextlib.AbstractContextManager):
    def acquire(self, *, blocking=None): return self
    def release(self): pass
    def __exit__(self, *error): pass

ablate.store.lock_on = lambda file, *, shared: NoLock()
ablate.store.is_held = lambda file, *, shared: True
ablate.runner.executors.EXECUTORS = {"local": lambda address: Here.of}
ablate.report.formats.markdown.png = lambda draw: b""
sys.argv = ["ablate", *sys.argv[1:]]
processes = []
for folder in ("first", "second"):
    if not (process := os.fork()):
        os.chdir(folder)
        sys.exit(main())
    processes.append(process)
sys.exit(any([os.waitpid(process, 0)[1] for process in processes]))
"""
"""``ablate`` in two folders at once, where ``flock`` always says yes, and all else seems to be in use."""


def test_two_processes_whose_locks_never_lock_make_the_same_study_and_lose_nothing(
    finished: Path, make_workplace: Callable[..., Path], tmp_path: Path
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        make_workplace(tmp_path / name)
    arguments = ["run", "tiny.yaml", "--seeds", "0", "--no-audit", "--store", "../store"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LOCKS, *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    store = hashes(tmp_path / "store")
    assert store and store.items() <= hashes(finished / ".ablate").items()
    assert not any(
        open_store(str(tmp_path / "store")).damage(*entry)
        for entry in open_store(str(tmp_path / "store")).listed()
    )
