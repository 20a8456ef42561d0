"""What sampling wrote is read without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from ablate.stages.sampled import SAMPLED, Sampled

if TYPE_CHECKING:
    from pathlib import Path


def test_the_samples_say_what_they_cost_and_came_from(tmp_path: Path) -> None:
    record = {"seconds": 2.5, "evaluations_per_image": 50.0, "weights": "ab", "history": [{"loss": 1.0}]}
    (tmp_path / SAMPLED).write_text(json.dumps(record))
    sampled = Sampled(tmp_path)
    assert {name: getattr(sampled, name) for name in record} == record


def test_an_image_is_a_png_whatever_the_name_of_its_prompt_says(tmp_path: Path) -> None:
    assert Sampled(tmp_path).image("monster_1.jpg") == tmp_path / "images" / "monster_1.png"


def test_reading_samples_imports_no_torch() -> None:
    code = "import sys, ablate.stages.sampled; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
