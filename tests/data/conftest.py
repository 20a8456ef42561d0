"""The tiny data set as fixtures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tiny import LAYOUTS, write_imagefolder, write_task

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(params=LAYOUTS)
def data_set(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The tiny data set in one of the layouts."""
    LAYOUTS[request.param](tmp_path)
    return tmp_path


@pytest.fixture
def task_folder(tmp_path: Path) -> Path:
    """The tiny data set in the task's format."""
    write_task(tmp_path)
    return tmp_path


@pytest.fixture
def imagefolder(tmp_path: Path) -> Path:
    """The tiny data set as an imagefolder."""
    write_imagefolder(tmp_path)
    return tmp_path
