"""Caches of a test's own, and the command line within them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from hubs import Caches

from ablate import cli

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Caches:
    return Caches(tmp_path / "caches", monkeypatch)


@pytest.fixture
def call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Calls ``ablate`` in an empty folder; gives the exit code and all that was printed."""
    (tmp_path / "workplace").mkdir()
    monkeypatch.chdir(tmp_path / "workplace")

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["ablate", *arguments])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return run
