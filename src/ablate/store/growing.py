"""Arrays that grow chunk by chunk on the disk and become an entry of the store when they are complete.

They grow in ``work/<stage>-<key>/``. So the memory that is needed does not depend on the number of
rows, and a killed process loses only the chunk that it was at.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from ablate.store.files import link, write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ablate.store import Store

    Arrays = dict[str, NDArray[Any]]
    """Further rows of each array file, by its name without ending."""


def make_growing(
    store: Store, stage: str, key: str, ingredients: Mapping[str, Any], fill: Callable[[Path], None]
) -> Path:
    """``Store.make`` for an entry that takes long: ``fill`` finds what an interrupted process has made.

    ``fill`` writes ``*.npy`` (see ``grow``) and ``*.json`` into a working folder, which is cleared away
    when the entry is complete.
    """
    work = _work(store, stage, key)
    with store.lock(f"{stage}-{key}"):
        while not store.sound(stage, key):
            work.mkdir(parents=True, exist_ok=True)
            try:
                fill(work)
                with store.writing(stage, key, ingredients) as folder:
                    # Not moved: a process killed between two moves would leave neither folder complete.
                    for file in (*work.glob("*.npy"), *work.glob("*.json")):
                        link(file, folder / file.name)
            except FileNotFoundError:
                # Where the lock does not hold, another process may have made the entry and cleared this away.
                if not store.has(stage, key):
                    raise
        shutil.rmtree(work, ignore_errors=True)
    return store.path(stage, key)


def is_begun(store: Store, stage: str, key: str) -> bool:
    """Whether an interrupted process has made a part of an entry."""
    return _work(store, stage, key).exists()


def _work(store: Store, stage: str, key: str) -> Path:
    return store.root / "work" / f"{stage}-{key}"


def grow(
    work: Path,
    what: str,
    total: int,
    rows_from: Callable[[int], Iterator[Arrays]],
    progress: Callable[[str], None],
) -> None:
    """Adds the chunks of ``rows_from(first)`` to array files in ``work`` until they have ``total`` rows.

    A chunk counts when all of it is on the disk. Chunks begin at the same rows whether or not the work
    was interrupted, and so do the batches in them: the same sums, the same bytes.
    """
    mark = work / f"{what}.done"
    done = int(mark.read_text() or 0) if mark.is_file() else 0
    if done == total:
        return
    progress(f"{what} {done}/{total}")
    for arrays in rows_from(done):
        for name, rows in arrays.items():
            _write(work / f"{name}.npy", rows, done, total)
        done += len(rows)
        write_file(mark, str(done))
        progress(f"{what} {done}/{total}")


def _write(file: Path, rows: NDArray[Any], first: int, total: int) -> None:
    """Puts ``rows`` into an array file of ``total`` rows, from row ``first`` on, and onto the disk.

    Not through a map of the file: there a full disk would not be an error but the end of the process. Never
    cut off first: another process may be writing the same rows, and what it has written is not lost.
    """
    rows = np.ascontiguousarray(rows)
    header = np.lib.format.header_data_from_array_1_0(rows) | {"shape": (total, *rows.shape[1:])}
    if not first:
        file.touch()
    with file.open("r+b") as out:
        np.lib.format.write_array_header_1_0(out, header)  # each time the same bytes
        out.seek(first * rows[:1].nbytes, os.SEEK_CUR)
        out.write(rows.data)
        out.flush()
        os.fsync(out.fileno())
