"""What an experiment needs of a store: a list for each place that it is run from."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from ablate.errors import RunError
from ablate.runner.exclusive import HOUSEKEEPING
from ablate.runner.needs import Needs, keep_needs, needs_written, read_needs
from ablate.store import Store

SPEC = Path("tiny.yaml")
OLDER = "needs/key.json"
"""As a list was called when there was one for all places."""


def needs(*states: str) -> Needs:
    return Needs("tiny", list(states))


def states(store: Store) -> list[list[str]]:
    return sorted(each.needs.states for each in read_needs(store))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store in the current folder."""
    monkeypatch.chdir(tmp_path)
    return Store(Path(".ablate"))


def enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    patch.chdir(folder)


def test_each_folder_and_each_spec_file_replaces_its_own_list_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "shared")
    for folder in ("a", "b", "a"):
        enter(tmp_path / folder, monkeypatch)
        keep_needs(store, "key", SPEC, needs(folder))
    keep_needs(store, "key", Path("deeper") / SPEC, needs("deeper"))
    keep_needs(store, "key", SPEC, needs("new code"))
    assert states(store) == [["b"], ["deeper"], ["new code"]]
    assert {each.key for each in read_needs(store)} == {"key"}
    folders = {each.needs.folder.partition(":")[2] for each in read_needs(store)}
    assert folders == {str(tmp_path / "a"), str(tmp_path / "b")}


def test_a_folder_that_moves_with_its_store_replaces_its_own_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path / "a", monkeypatch)
    keep_needs(Store(Path(".ablate")), "key", SPEC, needs("before"))
    (tmp_path / "a").rename(tmp_path / "moved")
    enter(tmp_path / "moved", monkeypatch)
    keep_needs(Store(Path(".ablate")), "key", SPEC, needs("after"))
    assert states(Store(Path(".ablate"))) == [["after"]]


def test_a_list_without_a_place_goes_when_the_folder_of_the_store_writes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(OLDER, json.dumps(asdict(needs("older"))))
    assert states(store) == [["older"]]
    there = Store(tmp_path / ".ablate")
    enter(tmp_path / "elsewhere", monkeypatch)
    keep_needs(there, "key", SPEC, needs("elsewhere"))
    assert states(there) == [["elsewhere"], ["older"]]
    enter(tmp_path, monkeypatch)
    keep_needs(store, "key", SPEC, needs("new"))
    assert states(store) == [["elsewhere"], ["new"]]


@pytest.mark.parametrize("before", [(), (OLDER,)])
def test_after_an_error_the_store_keeps_what_it_kept_before(store: Store, before: tuple[str, ...]) -> None:
    for name in before:
        store.put(name, json.dumps(asdict(needs("older"))))
    with pytest.raises(KeyboardInterrupt), needs_written(store, "key", SPEC, needs("new")):
        assert ["new"] in states(store)
        assert len(states(store)) == len(before) + 1, "what was needed before stays until the block has ended"
        raise KeyboardInterrupt
    assert store.names("needs") == list(before)
    with needs_written(store, "key", SPEC, needs("new")):
        pass
    assert states(store) == [["new"]]


def test_what_a_killed_command_left_goes_with_the_next_one(store: Store) -> None:
    keep_needs(store, "key", SPEC, needs("finished"))
    (listed,) = read_needs(store)
    store.put(listed.name.replace(".json", "-next.json"), json.dumps(asdict(needs("killed"))))
    assert sorted(states(store)) == [["finished"], ["killed"]]
    keep_needs(store, "key", SPEC, needs("new"))
    assert states(store) == [["new"]]


@pytest.mark.parametrize("runs", ["[]", '{"a": 1}', "1"])
def test_a_list_that_is_not_as_it_was_written_is_named(store: Store, runs: str) -> None:
    store.put(OLDER, f'{{"experiment": "tiny", "states": [], "inputs": [], "runs": {runs}}}')
    with pytest.raises(RunError, match="cannot be read"):
        list(read_needs(store))


def test_a_list_is_written_while_nobody_cleans_up(tmp_path: Path) -> None:
    held: list[bool] = []

    class Watched(Store):
        def put(self, name: str, text: str) -> None:
            held.append(self.held(HOUSEKEEPING))
            super().put(name, text)

    keep_needs(Watched(tmp_path), "key", SPEC, needs("new"))
    assert held == [True]
