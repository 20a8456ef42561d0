"""Trains a kit, the frozen parts that experiments use, from a data set.

Each part is trained in a process of its own on one thread, so that its weights do not depend on how
many parts are trained side by side.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ablate import interrupts
from ablate.data import sprites
from ablate.data.parallel import CONTEXT, cores, worker_processes
from ablate.errors import ComponentError, RunError
from ablate.kit import clip, perceptual, vae
from ablate.kit.check import PARTS, KitQualities, measure, names_in, require_test_images
from ablate.kit.dataset import KitData, load
from ablate.kit.training import Course

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue

Progress = Callable[[str, int, int, float], None]
"""Called with (training, step, steps, loss)."""

TRAININGS = ("vae", "evaluator", "text_encoder", "perceptual")
"""The longest first. ``text_encoder`` also makes the tokenizer and the image encoder."""

MANIFEST = "kit.json"
"""What makes a folder a kit."""


@dataclass(frozen=True)
class Job:
    """What all training runs of one kit have in common. Small enough to send to a worker process."""

    data: Path
    out: Path
    name: str
    """The kit's."""
    effort: float
    seed: int


def build_kit(
    data: Path,
    out: Path,
    *,
    effort: float = 1.0,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress = lambda *report: None,
) -> KitQualities:
    """Train all parts on ``data``, measure them, and write them to ``out`` with their manifest kit.json.

    ``effort`` scales the training steps: 1.0 is the shipped quality, 0.01 a trial run. ``workers`` is
    the number of parts trained side by side (default: one a core). The same data, effort, seed and
    library versions on the same kind of machine give the same weights. ``out`` is touched only when
    everything has succeeded.

    Raises DataError if the data set is not as it should be, ComponentError if ``out`` is a folder of
    something else or has links, RunError if a training was killed.
    """
    _refuse_other(out)
    _refuse_links(out)
    content = load(data)
    require_test_images(content)
    place = Path(os.path.realpath(out))
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".kit-") as folder:
        new = Path(folder) / "kit"
        new.mkdir()
        job = Job(data, new, out.name, effort, seed)
        _train_all(job, workers, progress)
        qualities = measure(job.out, content)
        manifest = _manifest(job, content, qualities)
        (job.out / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        _put(new, place, aside=Path(folder) / "old")
    return qualities


def _put(new: Path, out: Path, aside: Path) -> None:
    """Puts a new kit where another one may be. That leaves as a whole, so that there are never parts of two;
    where it cannot, it loses its manifest first, so that nobody takes the folder for a kit."""
    try:
        if not out.exists() or _left(out, aside):
            new.replace(out)
            return
    except BaseException:
        if aside.exists() and not out.exists():
            aside.replace(out)
        raise
    (out / MANIFEST).unlink(missing_ok=True)
    for name in (*PARTS, MANIFEST):
        if (out / name).is_dir():
            shutil.rmtree(out / name)
        shutil.move(new / name, out / name)


def _left(out: Path, aside: Path) -> bool:
    """Whether an old kit's folder could be moved aside: it may be a mount, or hold other files."""
    if not {path.name for path in out.iterdir()} <= {*PARTS, MANIFEST}:
        return False
    try:
        out.replace(aside)
    except OSError:
        return False
    return True


def trained_on(kit: Path, data: Path) -> bool:
    """Whether a kit is there that was trained on these data.

    Raises:
        ComponentError: something else is there, or a kit that was changed or trained on other data.
    """
    _refuse_other(kit)
    if not (kit / MANIFEST).is_file():
        return False
    known = json.loads((kit / MANIFEST).read_text(encoding="utf-8"))["data"]["sha256"]
    if known != load(data).sha256():
        fix = f"Move it away; or train it anew: ablate kit build --data {data} --out {kit}"
        raise ComponentError("this kit was trained on other data", where=str(kit), fix=fix)
    return True


def _refuse_other(out: Path) -> None:
    """Refuses to replace what is not a kit, or a kit in which somebody has changed something."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        parts = json.loads((out / MANIFEST).read_text(encoding="utf-8"))["parts"]
        written = {part: parts[part]["sha256"] for part in PARTS}
    except (OSError, ValueError, KeyError, TypeError) as error:
        fix = "Name a new folder, or one that holds a kit.json."
        raise ComponentError("exists and is not a kit", where=str(out), fix=fix) from error
    for part, digest in written.items():
        if (out / part).exists() and folder_hash(out / part) != digest:
            what = "is not as it was written, and would be replaced"
            raise ComponentError(what, where=str(out / part), fix="Move it away, or name a new folder.")


def _refuse_links(out: Path) -> None:
    """Refuses what would be in the way of a new kit once everything is trained."""
    if out.is_symlink() and not out.exists():
        raise ComponentError("is a link that leads nowhere", where=str(out), fix="Name a new folder.")
    for name in (*PARTS, MANIFEST):
        if (out / name).is_symlink():
            what, fix = "is a link, and would be replaced", "Move it away, or name a new folder."
            raise ComponentError(what, where=str(out / name), fix=fix)


def train_part(training: str, content: KitData, job: Job, progress: Progress) -> None:
    """Run one of TRAININGS and write its parts below ``job.out``."""
    evaluator = partial(clip.train_evaluator, name=f"{job.name}-clip", labels=attributes(content))
    functions: dict[str, tuple[Callable[[KitData, Path, Course], None], int]] = {
        "vae": (vae.train_vae, vae.STEPS),
        "evaluator": (evaluator, clip.EVALUATOR_STEPS),
        "text_encoder": (clip.train_text_encoder, clip.TEXT_ENCODER_STEPS),
        "perceptual": (perceptual.train_perceptual, perceptual.STEPS),
    }
    train, full_steps = functions[training]
    seed = job.seed * len(TRAININGS) + TRAININGS.index(training)
    train(content, job.out, Course(max(2, round(full_steps * job.effort)), seed, partial(progress, training)))


def attributes(content: KitData) -> dict[str, dict[str, str]]:
    """The generator's attributes if every caption names one value of each, else {}."""
    texts = {text for texts in content.captions for text in texts}
    whole = all(len(names_in(text, names)) == 1 for text in texts for names in sprites.ATTRIBUTES.values())
    return sprites.ATTRIBUTES if whole else {}


def _train_all(job: Job, workers: int | None, progress: Progress) -> None:
    """Train all parts in worker processes and pass on what they report. Raises RunError if one died."""
    reports: SimpleQueue[tuple[str, int, int, float]] = CONTEXT.SimpleQueue()
    try:
        with worker_processes(workers or cores(), _listen, reports) as pool:
            pending = {pool.submit(_train_in_worker, training, job) for training in TRAININGS}
            while pending:
                interrupts.check()
                done, pending = wait(pending, timeout=0.5)
                while not reports.empty():
                    progress(*reports.get())
                for finished in done:
                    finished.result()
    except BrokenProcessPool as error:
        raise RunError(
            "a process that trains a part of the kit died",
            fix="It may have run out of memory. Free some, and give the same command again.",
        ) from error


def _listen(reports: SimpleQueue[tuple[str, int, int, float]]) -> None:
    """Keeps, in a worker, where its reports go."""
    torch.set_num_threads(1)
    _reports.append(reports)


_reports: list[SimpleQueue[tuple[str, int, int, float]]] = []


def _train_in_worker(training: str, job: Job) -> None:
    train_part(training, load(job.data), job, lambda *report: _reports[0].put(report))


def _manifest(job: Job, content: KitData, qualities: KitQualities) -> dict[str, Any]:
    libraries = ("torch", "diffusers", "transformers", "tokenizers", "open_clip_torch", "lpips", "numpy")
    return {
        "name": job.name,
        "data": {
            "train_images": len(content.images),
            "test_images": len(content.test_images),
            "sha256": content.sha256(),
        },
        "seed": job.seed,
        "effort": job.effort,
        "parts": {part: {"sha256": folder_hash(job.out / part)} for part in PARTS},
        "qualities": qualities.to_json(),
        "versions": {library: version(library) for library in libraries},
    }


def folder_hash(folder: Path) -> str:
    """SHA-256 over a folder's relative file names and contents."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        head = f"{path.relative_to(folder).as_posix()}\0{len(content)}\0"
        digest.update(head.encode(errors="surrogateescape"))  # a file may have a name that is not UTF-8
        digest.update(content)
    return digest.hexdigest()
