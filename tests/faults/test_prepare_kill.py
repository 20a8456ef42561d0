"""A process that prepares a data set is killed again and again; the next one goes on where it stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from ablate.stages.prepare import prepare
from ablate.store import Store
from ablate.store.files import file_digest

if TYPE_CHECKING:
    from pathlib import Path

    from ablate.stages.keys import RunKeys
    from tests.conftest import MakeKeys

IMAGES, SIZE = 1100, 16
"""They make three chunks: of 8, 8 and 2 batches."""

PROCESS = """
# Processes that read images are spawned, and import this file: what is heavy comes after the question.
if __name__ == "__main__":
    import sys
    from pathlib import Path

    from diffusers.models.autoencoders.vae import Encoder
    from torch.nn.modules.module import register_module_forward_hook

    from ablate.fingerprint import Contents
    from ablate.stages.keys import RunKeys
    from ablate.experiment.config import Config
    from ablate.stages.prepare import prepare
    from ablate.store import Store

    def say(text):
        print(text, flush=True)

    folder = Path(sys.argv[1])
    config = Config.model_validate_json((folder / "config.json").read_text())
    register_module_forward_hook(lambda module, *_: say("a batch") if isinstance(module, Encoder) else None)
    prepare(RunKeys(config, 0, Contents(folder / "digests.json")), Store(folder / "store"), say)
"""


@pytest.fixture
def keys(make_keys: MakeKeys, tmp_path: Path) -> RunKeys:
    """A data set of blocks in random colours, with a caption for each image; two forms of each are cached."""
    root, random = tmp_path / "data", np.random.default_rng(0)
    (root / "train").mkdir(parents=True)
    for image in range(IMAGES):
        blocks = random.integers(0, 256, (2, 2, 3), dtype=np.uint8)
        Image.fromarray(blocks.repeat(SIZE // 2, 0).repeat(SIZE // 2, 1)).save(root / f"train/{image}_0.png")
    train = {str(image): {"given_description": [f"A monster {image}."]} for image in range(IMAGES)}
    (root / "train_info.json").write_text(json.dumps(train))
    (root / "test.json").write_text(json.dumps({"0": {"image_name": "0.png", "text_prompt": "A monster."}}))
    cached = {"augmentation": {"kind": "flip", "variants": 2}}
    return make_keys({"data": {"path": str(root), "size": SIZE}}, cached)


def run(folder: Path, kill_at: tuple[str, int] | None = None) -> list[str]:
    """What a preparing process says. ``kill_at``: it and its readers are killed when it says this line, or
    so many lines later.
    """
    said: list[str] = []
    process = subprocess.Popen(
        [sys.executable, folder / "process.py", folder],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    try:
        for line in process.stdout:
            said.append(line.rstrip("\n"))
            if kill_at and kill_at[0] in said and len(said) - 1 - said.index(kill_at[0]) == kill_at[1]:
                break
        else:
            assert kill_at is None, f"it never said {kill_at}: {said}"
            assert process.wait() == 0
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    return said


def digests(store: Path) -> dict[str, str]:
    files = [file for stage in ("prepare", "augmented") for file in (store / stage).glob("*/*")]
    return {file.relative_to(store).as_posix(): file_digest(file) for file in files}


def test_killed_once_the_next_process_goes_on_to_the_same_bytes(keys: RunKeys, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(keys.config.model_dump_json())
    (tmp_path / "process.py").write_text(PROCESS)

    said = run(tmp_path, kill_at=("encoding images 512/1100", 3))  # three batches later
    assert said.count("a batch") == 8 + 3
    # Here, not in a process of its own: only the one that is killed has to be.
    said = []
    prepare(keys, Store(tmp_path / "store"), said.append)
    assert said[1] == "encoding images 512/1100"

    prepare(keys, Store(tmp_path / "undisturbed"), lambda text: None)
    assert digests(tmp_path / "store") == digests(tmp_path / "undisturbed")
    assert list((tmp_path / "store" / "work").iterdir()) == []


@pytest.mark.faults
def test_whenever_it_is_killed_the_next_process_goes_on_to_the_same_bytes(
    keys: RunKeys, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(keys.config.model_dump_json())
    (tmp_path / "process.py").write_text(PROCESS)

    said = run(tmp_path, kill_at=("encoding images 512/1100", 3))  # three batches later
    assert said.count("a batch") == 8 + 3
    said = run(tmp_path, kill_at=("encoding captions 512/1102", 0))
    assert said[1] == "encoding images 512/1100"
    assert said.count("a batch") == 10
    said = run(tmp_path, kill_at=("encoding captions 1102/1102", 0))  # the entry is being put together
    assert said[1] == "encoding captions 512/1102"
    assert said.count("a batch") == 0
    said = run(tmp_path, kill_at=("encoding augmented images 256/1100", 5))
    assert said.count("a batch") == 8 + 5
    said = run(tmp_path)
    assert said[0] == "encoding augmented images 256/1100"
    assert said.count("a batch") == 2 * 18 - 8

    prepare(keys, Store(tmp_path / "undisturbed"), lambda text: None)
    assert digests(tmp_path / "store") == digests(tmp_path / "undisturbed")
    assert list((tmp_path / "store" / "work").iterdir()) == []
