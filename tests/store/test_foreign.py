"""A store holds only what ablate has put there: a folder of somebody else is refused, and so is a file."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from ablate.errors import UserError
from ablate.store import NEEDS, Store, refuse_foreign

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Ablate

LONG_AGO = time.time() - 100 * 86_400


def age(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (LONG_AGO, LONG_AGO))


@pytest.mark.parametrize(
    "file", ["notes.txt", "train/0.png", "tmp/draft.txt", "work/thesis-1/text", "train/a/entries.txt"]
)
def test_a_folder_of_somebody_else_is_no_store(tmp_path: Path, file: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text("mine")
    with pytest.raises(UserError, match="is not a store of ablate") as error:
        refuse_foreign(tmp_path)
    assert error.value.where == str(tmp_path) and "--store" in error.value.fix


def test_a_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        refuse_foreign(tmp_path / "file")


def test_a_new_an_empty_and_a_used_folder_can_be_stores(tmp_path: Path) -> None:
    refuse_foreign(tmp_path / "new")
    (tmp_path / ".DS_Store").touch()
    refuse_foreign(tmp_path)
    store = Store(tmp_path)
    with store.lock("housekeeping"):
        pass
    refuse_foreign(tmp_path)
    Store(tmp_path / "imported").put(f"{NEEDS}/{0:032}.json", "{}")  # nothing else, without weights
    refuse_foreign(tmp_path / "imported")
    (tmp_path / "notes.txt").touch()  # somebody puts a file into it later
    refuse_foreign(tmp_path)


def test_what_somebody_has_put_into_a_store_is_not_cleared_away(tmp_path: Path) -> None:
    store = Store(tmp_path)
    mine = [tmp_path / name for name in ("tmp/draft/text", "tmp/a.lock", "work/thesis-1/text", "notes.txt")]
    for file in mine:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("mine")
    for left in ("tmp/gone-0123abcd", "work/prepare-abc", "tmp/train-abc-0123abcd"):
        (tmp_path / left).mkdir()
    age(tmp_path)
    assert not [path for path in store.leftovers() if path.name in ("draft", "a.lock")]
    store.clear_leftovers()
    assert all(file.read_text() == "mine" for file in mine)
    assert {path.name for path in (tmp_path / "tmp").iterdir()} == {"draft", "a.lock"}
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"thesis-1"}


@pytest.mark.parametrize(
    "command", [("gc", "--do"), ("status",), ("rm", "tiny", "--do"), ("doctor", "--store", ".")]
)
def test_no_command_takes_a_folder_of_somebody_else_for_a_store(
    ablate: Ablate, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "tmp" / "draft").mkdir(parents=True)
    (tmp_path / "tmp" / "draft" / "text").write_text("mine")
    age(tmp_path)
    option = () if command[0] == "doctor" else ("--store", ".")
    done = ablate(*command, *option, folder=tmp_path)
    assert done.code == 2 and "is not a store of ablate" in done.err, done.shown
    assert (tmp_path / "tmp" / "draft" / "text").read_text() == "mine"
