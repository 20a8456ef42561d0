"""What is stored of trainings, and the keys, are read without torch."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ablate.stages.trained import Trained

if TYPE_CHECKING:
    from pathlib import Path


def test_a_stored_state_says_what_its_epochs_measured(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"epoch": 1, "history": [{"loss": 0.5}]}')
    assert Trained(tmp_path).history == [{"loss": 0.5}]


@pytest.mark.parametrize("module", ["prepared", "trained", "keys"])
def test_what_says_what_keys_are_made_of_imports_no_torch(module: str) -> None:
    code = f"import sys, ablate.stages.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
