"""What the machine refuses is said in words; anything else is a bug and keeps its traceback."""

from __future__ import annotations

import errno
import os

import pytest

from ablate.errors import MACHINE, NAMES, RunError, of_the_machine


@pytest.mark.parametrize("code", MACHINE, ids=errno.errorcode.get)
def test_each_failure_of_the_machine_has_words_a_place_and_a_remedy(code: int) -> None:
    failure = of_the_machine(OSError(code, os.strerror(code), "some/file"))
    assert failure and failure.exit_code == (2 if code in NAMES else 1)
    assert failure.where == "some/file" and failure.what and failure.fix


def test_too_little_memory_is_one() -> None:
    failure = of_the_machine(MemoryError())
    assert failure and failure.what == "the machine has too little memory"


@pytest.mark.parametrize(
    "error", [ValueError("wrong"), FileNotFoundError(errno.ENOENT, "gone", "file"), OSError("no number")]
)
def test_anything_else_is_none(error: Exception) -> None:
    assert of_the_machine(error) is None


def test_an_error_survives_the_way_from_a_worker() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(RunError("what", where="where", fix="fix")))
    assert str(error) == "where: what\n  fix"
