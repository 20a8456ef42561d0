"""A user's folder, and what must be true of it whatever ablate is given: nothing of theirs changes, an error
says what, where and what to do, and no traceback is shown."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from oddities import SECONDS, SPEC, Home, content_of
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

    from oddities import Try

    from tests.conftest import Ablate, Done


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Notes, a data set, prompts, and a spec of two variants that can be planned."""
    folder = tmp_path / "home"
    (folder / "photos" / "train").mkdir(parents=True)
    (folder / "README.md").write_text("# My photos\n")
    (folder / "reports").mkdir()
    (folder / "reports" / "README.md").write_text("# My reports\n")
    (folder / "prompts.txt").write_text("a red cat\n")
    lines = []
    for number in range(8):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "photos" / "train" / f"{number}.png")
        lines.append(json.dumps({"file_name": f"{number}.png", "text": f"photo {number}"}))
    (folder / "photos" / "train" / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    spec = folder / "study.yaml"
    spec.write_text(SPEC)
    return Home(folder, spec)


@pytest.fixture
def give(ablate: Ablate, home: Home) -> Try:
    """Calls ``ablate`` in the user's folder and checks how it ends."""

    def call(*arguments: str, codes: tuple[int, ...] = (0, 2)) -> Done:
        before, began = content_of(home.folder), time.monotonic()
        done = ablate(*arguments, folder=home.folder)
        assert time.monotonic() - began < SECONDS, arguments
        assert "Traceback" not in done.shown, done.shown
        assert done.code in codes, f"{arguments}: {done.code}\n{done.shown}"
        after = content_of(home.folder)
        assert {name: after.get(name) for name in before} == before, arguments
        return done

    return call
