"""Processes that train overlapping parts of the same chain: each epoch once, and the same weights."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from harm import flip

from ablate.runner import tasks
from ablate.runner.executors.local import LocalExecutor
from ablate.runner.graph import Ended, Task
from ablate.store import Store
from ablate.store.files import file_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ablate.stages.keys import RunKeys
    from tests.conftest import MakeKeys

EPOCHS = 6
EMA: dict[str, Any] = {"decay": 0.8, "start": 1}


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalExecutor, Path]]:
    """Two workers, and the folder that is their store: filled anew for each round."""
    root = tmp_path_factory.mktemp("together") / "store"
    with LocalExecutor(str(root), workers=2, threads=1) as started:
        yield started, root


def train_at_once(executor: LocalExecutor, commands: Sequence[Sequence[Task]]) -> list[tasks.EpochDone]:
    """Runs each command's tasks in their order, all commands at once. Gives the epochs that were trained."""
    waiting = [list(command) for command in commands]
    running: dict[str, list[Task]] = {}
    trained: list[tasks.EpochDone] = []
    for command in waiting:
        running[command[0].name] = command
        executor.submit(command.pop(0))
    while running:
        for said in executor.wait():
            if isinstance(said, tasks.EpochDone):
                trained.append(said)
            elif isinstance(said, Ended):
                assert said.error is None, said.error
                if command := running.pop(said.task):
                    running[command[0].name] = command
                    executor.submit(command.pop(0))
    return trained


def command(name: str, keys: RunKeys, *ends: int) -> list[Task]:
    """Trains a chain in segments that end at ``ends``."""
    observers = [keys.observer] if keys.observer else []
    begins = (0, *ends)
    return [
        Task(f"{name} to {end}", (), tasks.train, (keys, observers, begin, end), ())
        for begin, end in zip(begins, ends, strict=False)
    ]


def digests(keys: RunKeys, store: Store) -> list[str]:
    state = store.path("train", keys.chain[-1])
    files = [state / "unet.safetensors", store.path("moments", keys.chain[-1]) / "optimizer.safetensors"]
    files += [store.path(*keys.weights) / "shadow.safetensors"] if keys.observer else []
    return [file_digest(file) for file in files]


@pytest.mark.parametrize(
    "rounds", [pytest.param(1, id="once"), pytest.param(50, id="50 times", marks=pytest.mark.faults)]
)
@pytest.mark.parametrize("observed", [False, True], ids=["weights", "averages"])
def test_differently_split_chains_are_trained_once_and_equal_those_of_one_process(
    executor: tuple[LocalExecutor, Path],
    prepared_store: Store,
    new_store: Callable[[str], Store],
    make_keys: MakeKeys,
    rounds: int,
    observed: bool,
) -> None:
    keys = make_keys({"train": {"epochs": EPOCHS}, **({"ema": EMA} if observed else {})})
    alone = new_store("alone")
    tasks.train(keys, [keys.observer] if keys.observer else [], 0, EPOCHS, str(alone.root), "alone", print)
    workers, root = executor
    draw = random.Random(0)
    for _ in range(rounds):
        shutil.rmtree(root, ignore_errors=True)
        store = Store(shutil.copytree(prepared_store.root, root))
        split = sorted(draw.sample(range(1, EPOCHS), draw.randint(1, 3)))
        for end in split:  # as a command does for all of its segments when it begins
            store.keep("train", keys.chain[end])
        trained = train_at_once(
            workers, [command("whole", keys, EPOCHS), command("split", keys, *split, EPOCHS)]
        )
        assert digests(keys, store) == digests(keys, alone)
        assert sorted(done.epochs for done in trained) == list(range(1, EPOCHS + 1))
        stored = sorted(ingredients["epochs"] for _, ingredients in store.entries("train"))
        assert stored == [*split, EPOCHS]
        assert len(list(store.entries("ema"))) == (len([e for e in stored if e > 1]) if observed else 0)


def test_two_commands_of_which_one_has_an_observer_do_not_disturb_each_other(
    executor: tuple[LocalExecutor, Path],
    prepared_store: Store,
    new_store: Callable[[str], Store],
    make_keys: MakeKeys,
) -> None:
    plain = make_keys({"train": {"epochs": EPOCHS}})
    observed = make_keys({"train": {"epochs": EPOCHS}, "ema": EMA})
    alone = new_store("alone")
    assert observed.observer
    tasks.train(observed, [observed.observer], 0, EPOCHS, str(alone.root), "alone", print)
    workers, root = executor
    shutil.rmtree(root, ignore_errors=True)
    store = Store(shutil.copytree(prepared_store.root, root))
    train_at_once(workers, [command("plain", plain, EPOCHS), command("observed", observed, 3, EPOCHS)])
    assert digests(observed, store) == digests(observed, alone)
    assert [key for key, _ in store.entries("ema")] != []


def test_a_state_that_is_damaged_is_trained_again_from_the_one_before(
    new_store: Callable[[str], Store], make_keys: MakeKeys
) -> None:
    keys = make_keys({"train": {"epochs": 3}, "ema": EMA})
    assert keys.observer
    store, said = new_store("store"), list[object]()
    for end in (1, 3):
        tasks.train(keys, [keys.observer], 0, end, str(store.root), "train", said.append)
    right = digests(keys, store)
    for name in ("unet.safetensors", "state.json"):
        file = store.path("train", keys.chain[-1]) / name
        content = bytearray(file.read_bytes())
        content[-5] ^= 1
        file.write_bytes(content)
        said.clear()
        tasks.train(keys, [keys.observer], 0, 3, str(store.root), "train", said.append)
        assert digests(keys, store) == right
        assert [done.epochs for done in said if isinstance(done, tasks.EpochDone)] == [2, 3]
        (note,) = [note.text for note in said if isinstance(note, tasks.Note) and note.lasting]
        assert f"{name} does not hold what was written" in note


def test_moments_that_were_damaged_are_written_again_with_their_state(
    new_store: Callable[[str], Store], make_keys: MakeKeys
) -> None:
    keys = make_keys({"train": {"epochs": 2}})
    store = new_store("store")
    tasks.train(keys, [], 0, 2, str(store.root), "train", print)
    right = digests(keys, store)
    flip(store.path("moments", keys.chain[-1]) / "optimizer.safetensors")
    store.remove("train", keys.chain[-1])
    tasks.train(keys, [], 0, 2, str(store.root), "train", print)
    assert digests(keys, store) == right


def test_without_the_moments_images_can_be_drawn_and_a_longer_training_begins_before(
    new_store: Callable[[str], Store], make_keys: MakeKeys
) -> None:
    keys = make_keys({"train": {"epochs": 4}, "ema": EMA})
    assert keys.observer
    store, alone = new_store("store"), new_store("alone")

    def train(begin: int, end: int, where: Store) -> list[int]:
        said: list[object] = []
        tasks.train(keys, [keys.observer], begin, end, str(where.root), "train", said.append)
        return [done.epochs for done in said if isinstance(done, tasks.EpochDone)]

    train(0, 2, store)
    store.remove("moments", keys.chain[2])
    assert train(0, 2, store) == []
    assert train(2, 4, store) == [1, 2, 3, 4]
    assert {key for key, _ in store.entries("train")} == {keys.chain[2], keys.chain[4]}
    assert {key for key, _ in store.entries("moments")} == {keys.chain[2], keys.chain[4]}
    train(0, 4, alone)
    assert digests(keys, store) == digests(keys, alone)
