"""What preparing the published number of images takes: ``python benchmarks/prepare_scale.py``.

Makes 43 294 images of 256 px and parts of small widths with random weights, prepares them, kills that
process with SIGKILL halfway, prepares again, and opens what was prepared in a new process. Printed are
times, memory and sizes. The parts give latents and text states of the true shapes, but are so narrow
that their own times say nothing about the true ones.

Needs about 15 GB of disk below ``--folder`` and on two cores about a quarter of an hour. POSIX only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
from PIL import Image

from ablate.parts.base import EMBEDDED_KIT

if TYPE_CHECKING:
    from ablate.stages.keys import RunKeys

SIZE, FRAMES, DESCRIPTIONS, DISTINCT = 256, 6, 3, 200
"""Pixels; images of an entry; descriptions of an entry; different pictures that the images are copies of."""
MEGABYTE = 2**20


def main() -> None:
    """Makes, prepares, kills, prepares and opens; prints what each took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--images", type=int, default=43_294)
    parser.add_argument("--folder", type=Path, help="an empty folder; a temporary one if none is given")
    parser.add_argument("--step", choices=["prepare", "open"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step == "prepare":
        prepare_in(arguments.folder)
    elif arguments.step == "open":
        open_in(arguments.folder)
    else:
        folder = arguments.folder or Path(tempfile.mkdtemp(prefix="prepare-scale-"))
        try:
            measure(folder, arguments.images)
        finally:
            if not arguments.folder:
                shutil.rmtree(folder)


def measure(folder: Path, images: int) -> None:
    """The whole measurement in an empty folder."""
    started = time.perf_counter()
    make_data(folder / "data", images)
    make_parts(folder / "parts")
    print(f"made {images} images of {SIZE} px in {time.perf_counter() - started:.0f} s", flush=True)
    watch(folder, "prepare", kill_at=images // 2)
    watch(folder, "prepare")
    for entry in sorted((folder / "store" / "prepare").glob("*/*")):
        print(f"    {entry.name}: {entry.stat().st_size / MEGABYTE:.0f} MiB")
    watch(folder, "open")


def make_data(folder: Path, images: int) -> None:
    """``images`` training images, ``FRAMES`` to an entry with captions of its own, and 100 prompts."""
    random = np.random.default_rng(0)
    pictures = []
    (folder / "train").mkdir(parents=True)
    (folder / "test").mkdir()
    for _ in range(DISTINCT):
        blocks = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        picture = Image.fromarray(blocks.repeat(SIZE // 16, 0).repeat(SIZE // 16, 1))
        picture.save(folder / "picture.png", compress_level=1)
        pictures.append((folder / "picture.png").read_bytes())
    for number in range(images):
        entry, frame = divmod(number, FRAMES)
        (folder / "train" / f"{entry}_stand1_{frame}.png").write_bytes(pictures[number % DISTINCT])
    described = {
        f"{entry}_stand1": {
            "given_description": [f"Monster {entry} in words {some}." for some in range(DESCRIPTIONS)],
            "action_description": "It stands.",
        }
        for entry in range(-(-images // FRAMES))
    }
    prompts = {
        str(number): {"image_name": f"{number}.png", "text_prompt": f"A new monster {number}."}
        for number in range(100)
    }
    for number in range(100):
        (folder / "test" / f"{number}.png").write_bytes(pictures[number])
    (folder / "train_info.json").write_text(json.dumps(described))
    (folder / "test.json").write_text(json.dumps(prompts))


def make_parts(folder: Path) -> None:
    """VAE, text encoder and tokenizer in the layout of their hub, with random weights."""
    from diffusers import AutoencoderKL
    from transformers import CLIPTextConfig, CLIPTextModel

    AutoencoderKL(
        block_out_channels=(2,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=1,
    ).save_pretrained(folder / "vae")
    kit = json.loads((EMBEDDED_KIT / "text_encoder" / "config.json").read_text())
    CLIPTextModel(
        CLIPTextConfig(
            vocab_size=kit["vocab_size"],
            hidden_size=512,
            intermediate_size=512,
            num_hidden_layers=1,
            max_position_embeddings=77,
            **{name: kit[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")},
        )
    ).save_pretrained(folder / "text_encoder")
    shutil.copytree(EMBEDDED_KIT / "tokenizer", folder / "tokenizer")
    settings = folder / "tokenizer" / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model_max_length": 77}))


def watch(folder: Path, step: str, kill_at: int | None = None) -> None:
    """Runs a step in a process of its own and prints what it said first and last, its time and memory.

    Memory is that of the process after each line that it prints, without and with the processes that
    decode images. It is killed, with them, when ``kill_at`` images are encoded.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, __file__, "--step", step, "--folder", folder],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert process.stdout
    memory: list[tuple[int, int]] = []
    said: list[str] = []
    for line in process.stdout:
        said.append(line.rstrip())
        if line.startswith("encoding images"):
            memory.append(memory_of(process.pid))
            if kill_at is not None and int(line.split()[-1].partition("/")[0]) >= kill_at:
                os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    seconds = time.perf_counter() - started
    if step == "open":
        print("\n".join(said))
        print(f"    the whole process, with imports: {seconds:.1f} s", flush=True)
        return
    print(f"{step}: {seconds:.0f} s, exit code {code}")
    first = next(line for line in said if line.startswith("encoding"))
    print(f"    from {first!r} to {said[-1]!r}")
    own, all_of_them = ([pair[which] / MEGABYTE for pair in memory] for which in (0, 1))
    settled = len(memory) // 10
    print(f"    memory after a tenth of the images {own[settled]:.0f} MiB, at the end {own[-1]:.0f} MiB")
    print(f"    at most {max(own):.0f} MiB, with the readers {max(all_of_them):.0f} MiB", flush=True)


def memory_of(process: int) -> tuple[int, int]:
    """Resident bytes of a process, and of it with its children."""
    parent = psutil.Process(process)
    own = parent.memory_info().rss
    total = own
    for child in parent.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:  # it has just ended
            continue
    return own, total


def keys_in(folder: Path) -> RunKeys:
    """The keys of a run on what was made, on the CPU."""
    from ablate.experiment.config import Config
    from ablate.experiment.load import load_profile
    from ablate.experiment.merge import expand, merge
    from ablate.fingerprint import Contents
    from ablate.stages.keys import RunKeys

    made = ("vae", "text_encoder", "tokenizer")
    overrides = {
        "data": {"path": str(folder / "data"), "size": SIZE},
        "components": {name: {"source": str(folder / "parts" / name)} for name in made},
        "compute": {"device": "cpu"},
    }
    config = Config.model_validate(merge(load_profile("sprites"), expand(overrides)))
    contents = Contents(folder / "digests.json")
    keys = RunKeys(config, 0, contents)
    assert keys.prepare  # computed here
    contents.save()
    return keys


def prepare_in(folder: Path) -> None:
    """The stage, as a worker calls it."""
    from ablate.stages.prepare import prepare
    from ablate.store import Store

    prepare(keys_in(folder), Store(folder / "store"), lambda text: print(text, flush=True))


def open_in(folder: Path) -> None:
    """A second use: the same call, and the first batches of a training."""
    import torch

    from ablate.stages.prepare import prepare
    from ablate.store import Store

    def lap(what: str) -> None:
        nonlocal started
        now = time.perf_counter()
        print(f"    {what}: {now - started:.3f} s")
        started = time.perf_counter()

    print("second use")
    started = time.perf_counter()
    keys = keys_in(folder)
    lap("keys, with a look at each file of the data set")
    prepared = prepare(keys, Store(folder / "store"), print)
    shapes = [tuple(getattr(prepared, name).shape) for name in ("images", "mean", "std", "states")]
    lap(f"prepare, opened {shapes}")
    number = len(prepared.captions)
    lap(f"index with captions of {number} images")
    rows = torch.randperm(number, generator=torch.Generator().manual_seed(0))[:64]
    states = [prepared.captions[row][0] for row in rows.tolist()]
    taken = [prepared.mean[rows], prepared.std[rows], prepared.images[rows], prepared.states[states]]
    lap(f"a batch of 64, {sum(tensor.nbytes for tensor in taken) / MEGABYTE:.0f} MiB")


if __name__ == "__main__":
    main()
