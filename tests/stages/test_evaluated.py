"""What stage evaluate writes is read as it was, without torch."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np

from ablate.stages.evaluated import Evaluated, Figures, write

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    figures = Figures({"fid": 1.5, "images": 2}, "some features", "some evaluator", "ab12")
    features, embeddings = (np.random.default_rng(seed).random((2, 3), np.float32) for seed in (0, 1))
    write(
        tmp_path,
        figures,
        [{"image_name": "a.png", "text": "A bat."}, {"image_name": "b.png", "text": "A crab."}],
        {"clip_i": np.array([0.25, np.nan])},
        features=features,
        embeddings=embeddings,
    )
    evaluated = Evaluated(tmp_path)
    assert evaluated.figures == figures
    assert evaluated.scores == [
        {"image_name": "a.png", "prompt": "A bat.", "clip_i": 0.25},
        {"image_name": "b.png", "prompt": "A crab.", "clip_i": None},
    ]
    np.testing.assert_array_equal(evaluated.features, features)
    np.testing.assert_array_equal(evaluated.embeddings, embeddings)


def test_reading_needs_no_torch() -> None:
    code = "import sys, ablate.stages.evaluated; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_naming_the_metrics_needs_no_numpy() -> None:
    code = "import sys, ablate.metrics, ablate.metrics.spaces; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
