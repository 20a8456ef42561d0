"""Trains a kit, the frozen parts that experiments stand on, from a data set in the task's format.

Each part is trained in a process of its own on one thread, so that its weights do not depend on how
many parts are trained side by side.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, wait
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.data import sprites
from ablate.errors import ComponentError
from ablate.kit.check import PARTS, KitQualities, measure, names_in, require_test_images

if TYPE_CHECKING:
    from queue import Queue

    from ablate.kit.dataset import KitData

Progress = Callable[[str, int, int, float], None]
"""Called with (training, step, steps, loss)."""

TRAININGS = ("vae", "evaluator", "text_encoder", "perceptual")
"""The longest first. ``text_encoder`` also makes the tokenizer and the image encoder."""


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
    progress: Progress | None = None,
) -> KitQualities:
    """Train all parts on ``data``, measure them, and write them to ``out`` with their manifest kit.json.

    ``effort`` scales the training steps: 1.0 is the shipped quality, 0.01 a trial run. ``workers`` is
    the number of parts trained side by side (default: one a core). The same data, effort, seed and
    library versions on the same kind of machine give the same weights. ``out`` is touched only when
    everything has succeeded.

    Raises DataError if the data set is not as it should be, ComponentError if ``out`` is a folder of
    something else.
    """
    from ablate.kit.dataset import load

    if out.exists() and not (out / "kit.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ComponentError(
            "exists and is not a kit", where=str(out), fix="Name a new folder, or one that holds a kit.json."
        )
    content = load(data)
    require_test_images(content)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".kit-") as folder:
        aside = Path(folder)
        job = Job(data, aside, out.name, effort, seed)
        _train_all(job, workers, progress)
        qualities = measure(aside, content)
        manifest = _manifest(job, content, qualities)
        (aside / "kit.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        out.mkdir(exist_ok=True)
        for name in (*PARTS, "kit.json"):
            if (out / name).is_dir():
                shutil.rmtree(out / name)
            (aside / name).replace(out / name)
    return qualities


def train_part(training: str, content: KitData, job: Job, progress: Progress) -> None:
    """Run one of TRAININGS and write its parts below ``job.out``."""
    from ablate.kit import clip, perceptual, vae

    seed = job.seed * len(TRAININGS) + TRAININGS.index(training)

    def steps(full: int) -> int:
        return max(2, round(full * job.effort))

    def tell(step: int, total: int, loss: float) -> None:
        progress(training, step, total, loss)

    match training:
        case "vae":
            model = vae.train_vae(content, steps=steps(vae.STEPS), seed=seed, tell=tell)
            model.half().save_pretrained(job.out / "vae")
        case "evaluator":
            name, labels = f"{job.name}-clip", attributes(content)
            clip.train_evaluator(
                content,
                job.out,
                name=name,
                labels=labels,
                steps=steps(clip.EVALUATOR_STEPS),
                seed=seed,
                tell=tell,
            )
        case "text_encoder":
            total = steps(clip.TEXT_ENCODER_STEPS)
            clip.train_text_encoder(content, job.out, steps=total, seed=seed, tell=tell)
        case "perceptual":
            perceptual.train_perceptual(content, job.out, steps=steps(perceptual.STEPS), seed=seed, tell=tell)


def attributes(content: KitData) -> dict[str, dict[str, str]]:
    """The generator's attributes if every caption names one value of each, else {}."""
    texts = {text for texts in content.captions for text in texts}
    whole = all(len(names_in(text, names)) == 1 for text in texts for names in sprites.ATTRIBUTES.values())
    return sprites.ATTRIBUTES if whole else {}


def console_progress() -> Progress:
    """Prints a line whenever a training has come another tenth of its way. Reads well in a log."""
    from rich.console import Console

    console = Console(file=sys.stderr, highlight=False)
    shown: dict[str, int] = {}

    def show(training: str, step: int, steps: int, loss: float) -> None:
        tenth = 10 * step // steps
        if tenth > shown.get(training, -1):
            shown[training] = tenth
            console.print(f"{training:<13} step {step:>5} of {steps}  loss {loss:.4f}")

    return show


@contextmanager
def bar_progress() -> Iterator[Progress]:
    """A live bar for each training while the context lasts. For terminals."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<13}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def show(training: str, step: int, steps: int, loss: float) -> None:
            if training not in tasks:
                tasks[training] = bars.add_task(training, total=steps, loss=loss)
            bars.update(tasks[training], completed=step, loss=loss)

        yield show


def _train_all(job: Job, workers: int | None, progress: Progress | None) -> None:
    """Train all parts in worker processes and pass on what they report."""
    context = multiprocessing.get_context("spawn")
    on_terminal = progress is None and sys.stderr.isatty()
    with (
        bar_progress() if on_terminal else nullcontext(progress or console_progress()) as show,
        context.Manager() as manager,  # its queue can be sent to a worker as an argument
        ProcessPoolExecutor(workers or os.cpu_count() or 1, mp_context=context) as pool,
    ):
        reports: Queue[tuple[str, int, int, float]] = manager.Queue()
        pending = {pool.submit(_train_in_worker, training, job, reports) for training in TRAININGS}
        while pending:
            done, pending = wait(pending, timeout=0.5)
            while not reports.empty():
                show(*reports.get())
            for finished in done:
                finished.result()


def _train_in_worker(training: str, job: Job, reports: Queue[tuple[str, int, int, float]]) -> None:
    import torch

    from ablate.kit.dataset import load

    torch.set_num_threads(1)
    train_part(training, load(job.data), job, lambda *report: reports.put(report))


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
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
