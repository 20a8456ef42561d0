"""A copy of the finished folder, which a test may change."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Ablate

# Some schedulers hand torch tensors to NumPy in an old way.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "copied")


@pytest.fixture
def call(copied: Path, ablate: Ablate) -> Callable[..., str]:
    """Calls ``ablate`` in the copy; gives what was printed. ``code`` is the exit code that is expected."""

    def run(*arguments: str, code: int = 0, folder: Path = copied) -> str:
        done = ablate(*arguments, folder=folder)
        assert done.code == code, done.shown
        assert "Traceback" not in done.shown
        return done.shown

    return run
