"""A variant that nothing can be said of fails with its reason; the others have their figures."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.records import ExperimentRecord
    from tests.conftest import Ablate


# Some schedulers hand torch tensors to NumPy in an old way.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.usefixtures("blank_figures")
def test_real_images_that_are_all_the_same_fail_the_variants_that_are_compared_with_them(
    ablate: Ablate,
    make_workplace: Callable[..., Path],
    read_record: Callable[[Path], ExperimentRecord],
    data_folder: Path,
    tmp_path: Path,
) -> None:
    variants = {"with-test": {}, "with-training": {"evaluate": {"reference": "train"}}}
    folder = make_workplace(tmp_path, variants=variants, baseline="with-training", seeds=[0], claims=[])
    data = shutil.copytree(data_folder, folder / "data")
    first, *others = sorted((data / "test").iterdir())
    for other in others:
        shutil.copy(first, other)
    spec = json.loads((folder / "tiny.yaml").read_text())
    spec["config"] |= {"data": {"path": str(data)}, "train": {**spec["config"]["train"], "epochs": 1}}
    (folder / "tiny.yaml").write_text(json.dumps(spec))

    done = ablate("run", "tiny.yaml", "--no-audit", folder=folder)
    assert done.code == 1 and "Traceback" not in done.shown
    reason = "the features of all 6 reference images are the same"
    runs = {run.variant: run for run in read_record(folder).runs}
    assert reason in runs["with-test"].reason
    assert not {"fid", "kid", "clip_t", "clip_i"} & set(runs["with-test"].metrics)
    assert {"fid", "kid", "clip_t", "clip_i"} <= set(runs["with-training"].metrics)
    page = (folder / "reports" / "tiny.md").read_text()
    assert reason in page and "nan" not in page.lower().split()
