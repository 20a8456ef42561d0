"""Files of the store that are damaged: never used, never in the way, named and made again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from harm import delete, flip, truncate

from ablate.store.files import ENTRY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.faults.conftest import Warm

AFTER = {
    "prepare": ("train", "moments", "ema", "preview", "reference", "sample", "evaluate"),
    "train": ("sample", "evaluate"),
    "moments": ("end of train", "sample", "evaluate"),
    "ema": ("sample", "evaluate"),
    "sample": ("evaluate",),
    "reference": ("evaluate",),
    "preview": (),
    "evaluate": (),
}
"""Stage → what is made from its entries, and has to be gone for them to be read."""


def files_of(finished: Path, stage: str) -> Iterator[str]:
    """The names of the files in an entry of a stage: one of each kind."""
    entry = next((finished / ".ablate" / stage).iterdir())
    kinds: set[str] = set()
    for file in sorted(path for path in entry.rglob("*") if path.is_file()):
        kind = file.suffix if file.suffix == ".png" else file.name
        if kind not in kinds:
            kinds.add(kind)
            yield file.relative_to(entry).as_posix()


def forget(store: Path, stage: str) -> None:
    if stage == "end of train":  # the states that a training has to go on from stay
        for entry in (store / "train").iterdir():
            if '"epochs": 3' in (entry / ENTRY).read_text():
                shutil.rmtree(entry)
    else:
        shutil.rmtree(store / stage, ignore_errors=True)


def damage_all(finished: Path, folder: Path, stage: str, name: str, harm: Callable[[Path], None]) -> int:
    """Damages a file in every entry of a stage, in a copy of ``finished`` in which it will be read again."""
    shutil.copytree(finished, folder)
    for recorded in ("mlflow.db", "optuna.db", "mlruns", "reports"):
        path = folder / recorded
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    store = folder / ".ablate"
    for later in AFTER[stage]:
        forget(store, later)
    harmed = [entry / name for entry in (store / stage).iterdir() if (entry / name).is_file()]
    for file in harmed:
        harm(file)
    return len(harmed)


@pytest.mark.parametrize(
    ("stages", "harms", "most"),
    [
        pytest.param(["sample"], [flip], 1, id="one"),
        pytest.param(list(AFTER), [flip, truncate, delete], 1000, id="all", marks=pytest.mark.faults),
    ],
)
def test_what_is_damaged_is_named_set_aside_and_made_again(
    warm: Warm,
    finished: Path,
    undisturbed: Callable[[Path], None],
    tmp_path: Path,
    stages: list[str],
    harms: list[Callable[[Path], None]],
    most: int,
) -> None:
    cases = [(stage, name, harm) for stage in stages for name in files_of(finished, stage) for harm in harms]
    for number, (stage, name, harm) in enumerate(cases[-most:]):
        if harm is delete and name == ENTRY:
            continue  # then there is no entry
        folder = tmp_path / str(number)
        harmed = damage_all(finished, folder, stage, name, harm)
        process = warm.start(folder, "run", "tiny.yaml", "--no-audit")
        assert process.wait() == 0, f"{stage}/{name}, {harm.__name__}: {process.printed()}"
        assert process.printed().count(f"damaged: {stage}/") >= 1, process.printed()
        assert len(list((folder / ".ablate" / "damaged").iterdir())) <= harmed
        undisturbed(folder)
        shutil.rmtree(folder)
    print(f"{len(cases)} kinds of damage")


@pytest.mark.parametrize("content", ["", "{", "[]", "null"])
def test_digests_that_cannot_be_read_are_taken_again(
    warm: Warm, finished: Path, tmp_path: Path, content: str
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    (folder / ".ablate" / "digests.json").write_text(content)
    process = warm.start(folder, "plan", "tiny.yaml")
    assert process.wait() == 0, process.printed()
    assert "0 still to train" in " ".join(process.printed().split())
