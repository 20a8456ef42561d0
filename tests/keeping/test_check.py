"""``ablate doctor --store`` names what is not as it was written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from ablate.keeping.check import check_store
from ablate.store import Store
from ablate.store.files import ENTRY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Ablate


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / ".ablate")
    for stage, key in (("train", "a"), ("sample", "b"), ("evaluate", "c")):
        with store.writing(stage, key, {"of": key}) as folder:
            (folder / "file").write_text("content")
    return store


def flip(file: Path) -> None:
    file.write_text("Content")


def cut(file: Path) -> None:
    os.truncate(file, 3)


def delete(file: Path) -> None:
    file.unlink()


def test_a_sound_store_is_counted(store: Store) -> None:
    told: list[tuple[int, int]] = []
    (answer,) = check_store(store, lambda *counts: told.append(counts))
    assert (answer.state, answer.found) == ("ok", "3 entries, each as it was written")
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("harm", [flip, cut, delete])
@pytest.mark.parametrize("name", ["file", ENTRY])
def test_what_is_damaged_is_named_and_stays_where_it_is(
    store: Store, ablate: Ablate, tmp_path: Path, harm: Callable[[Path], None], name: str
) -> None:
    file = store.path("sample", "b") / name
    harm(file)
    done = ablate("doctor", "--store", folder=tmp_path)
    if harm is delete and name == ENTRY:  # then it is no entry at all
        assert done.code == 0 and "2 entries" in done.out
        return
    assert done.code == 1
    assert ".ablate/sample/b" in done.out and "ablate run" in done.out
    assert "1 of 3 entries damaged" in done.out
    assert store.path("sample", "b").is_dir()


def test_a_store_that_is_named_must_be_there(ablate: Ablate, tmp_path: Path) -> None:
    done = ablate("doctor", "--store", "nowhere", folder=tmp_path)
    assert done.code == 1 and "store nowhere: there is no such folder" in done.out
    assert not (tmp_path / "nowhere").exists()


def test_where_nothing_has_run_yet_nothing_is_wrong(ablate: Ablate, tmp_path: Path) -> None:
    done = ablate("doctor", "--store", folder=tmp_path)
    assert done.code == 0 and "store .ablate: nothing has run here yet" in done.out
