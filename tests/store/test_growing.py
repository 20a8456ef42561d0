"""Growing arrays: interrupted work goes on at the chunk where it stopped, and ends in the same entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from ablate.store import Store
from ablate.store.growing import grow, make_growing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

TOTAL, CHUNK = 10, 4
ROWS = np.arange(2 * TOTAL, dtype=np.float32).reshape(TOTAL, 2)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def grow_rows(work: Path, progress: Callable[[str], None]) -> list[int]:
    """Grows ``rows.npy`` to all of ROWS; the first rows of the chunks that were asked for."""
    firsts = []

    def rows_from(first: int) -> Iterator[dict[str, NDArray[np.float32]]]:
        for start in range(first, TOTAL, CHUNK):
            firsts.append(start)
            yield {"rows": ROWS[start : start + CHUNK]}

    grow(work, "rows", TOTAL, rows_from, progress)
    return firsts


def stop_at(text: str) -> Callable[[str], None]:
    def progress(said: str) -> None:
        if said == text:
            raise InterruptedError

    return progress


def test_an_array_grows_chunk_by_chunk_and_says_how_far_it_is(tmp_path: Path) -> None:
    said: list[str] = []
    assert grow_rows(tmp_path, said.append) == [0, 4, 8]
    assert said == ["rows 0/10", "rows 4/10", "rows 8/10", "rows 10/10"]
    assert np.array_equal(np.load(tmp_path / "rows.npy"), ROWS)


@pytest.mark.parametrize(
    ("at", "left"), [("rows 0/10", [0, 4, 8]), ("rows 4/10", [4, 8]), ("rows 8/10", [8]), ("rows 10/10", [])]
)
def test_it_goes_on_at_the_chunk_where_it_stopped_to_the_same_bytes(
    tmp_path: Path, at: str, left: list[int]
) -> None:
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    grow_rows(undisturbed, lambda text: None)
    with pytest.raises(InterruptedError):
        grow_rows(tmp_path, stop_at(at))
    assert grow_rows(tmp_path, lambda text: None) == left
    assert (tmp_path / "rows.npy").read_bytes() == (undisturbed / "rows.npy").read_bytes()


def test_an_entry_holds_the_arrays_and_the_index_and_none_of_the_marks(store: Store) -> None:
    def fill(work: Path) -> None:
        grow_rows(work, lambda text: None)
        (work / "index.json").write_text("{}")

    folder = make_growing(store, "stage", "k", {"n": 1}, fill)
    assert folder == store.path("stage", "k")
    assert store.ingredients("stage", "k") == {"n": 1}
    assert {path.suffix for path in folder.iterdir()} == {".npy", ".json"}
    assert not list((store.root / "work").iterdir())


def test_an_interrupted_entry_is_absent_and_its_work_is_found_again(store: Store) -> None:
    def interrupted(work: Path) -> None:
        grow_rows(work, stop_at("rows 8/10"))

    left: list[int] = []

    def resumed(work: Path) -> None:
        left.extend(grow_rows(work, lambda text: None))

    with pytest.raises(InterruptedError):
        make_growing(store, "stage", "k", {}, interrupted)
    assert not store.has("stage", "k")
    folder = make_growing(store, "stage", "k", {}, resumed)
    assert left == [8]
    assert np.array_equal(np.load(folder / "rows.npy"), ROWS)


def test_an_entry_that_is_there_is_not_grown_again(store: Store) -> None:
    make_growing(store, "stage", "k", {}, lambda work: None)
    make_growing(store, "stage", "k", {}, lambda work: pytest.fail("it was grown again"))
