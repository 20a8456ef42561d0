"""Before the work: whatever would end it after hours is tried, so that it ends the command at once.

``CHECKS`` are looked at when something has to run, one after the other. The first that finds something raises
it, and nothing has been trained.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ablate.data import captions
from ablate.data.place import Embedded, place_of
from ablate.errors import RunError
from ablate.experiment.problems import locate, refuse
from ablate.record.addresses import database_of
from ablate.record.databases import artifact_folder
from ablate.report.write import memory_of
from ablate.runner.disk_space import bytes_of_samples, bytes_of_store
from ablate.runner.graph import Task, ask
from ablate.runner.tasks import show, try_out
from ablate.runner.writable import refuse_long, try_to_write
from ablate.stages.sampled import png_name
from ablate.text import cut, in_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ablate.plan import Plan, Run
    from ablate.progress import RunProgress
    from ablate.runner.graph import Executor
    from ablate.stages.trial import Tried


@dataclass(frozen=True)
class Asked:
    """What is about to be done."""

    plan: Plan
    probes: Plan
    """Whose variants are tried: the plan itself; of a search the ends of its space."""
    waiting: Sequence[Run]
    """The runs without results."""
    uri: str
    """MLflow's address."""
    reports: Path | None
    """Folder of reports; None where nobody writes one."""
    workers: int
    executor: Executor
    progress: RunProgress

    @property
    def artifacts(self) -> Path | None:
        """Folder of the experiment's artifacts; None where MLflow keeps them on a server."""
        database = database_of(self.uri)
        return artifact_folder(database) / self.plan.experiment.name if database else None

    @cached_property
    def images(self) -> dict[str, list[str]]:
        """Key of the data → what the images of their prompts are called. Without the embedded data, which are
        drawn when they are needed. Raises DataError for prompts that cannot be read."""
        names: dict[str, list[str]] = {}
        for keys in {run.keys.data: run.keys for run in self.waiting}.values():
            place = place_of(keys.config.data.path)
            if not isinstance(place, Embedded):
                folder = place.folder(self.plan.store, keys.data, lambda text: None)
                names[keys.data] = [prompt.image_name for prompt in captions.read(folder).prompts]
        return names

    @cached_property
    def weights(self) -> dict[str, int]:
        """Variant → bytes of its U-Net's weights. Raises UserError as ``try_variants``."""
        return try_variants(self.probes, self.executor, self.progress).weights


def look_ahead(asked: Asked) -> None:
    """Everything that can be tried before the work.

    Raises:
        UserError: a variant cannot be sampled or measured, a name is too long, there can be no such folder.
        RunError: a folder cannot be written, or there is too little room.
    """
    for check in CHECKS:
        check(asked)


def try_variants(plan: Plan, executor: Executor, progress: RunProgress) -> Tried:
    """Each variant's sampling and measuring, tried by a worker.

    Raises:
        UserError: with the line of each field that something is due to.
    """

    experiment = plan.experiment
    question = Task("try-out", (), try_out, (experiment.variants,), ())
    tried: Tried = ask(question, executor, lambda event: show(event, progress))
    refuse(
        (
            locate(found.field, layers).problem(found.field, found.what, found.fix)
            for variant, layers in experiment.layers.items()
            for found in tried.troubles.get(variant, ())
        ),
        experiment.name,
    )
    return tried


# ── the checks ───────────────────────────────────────────────────────────────────────────────────


def names_fit(asked: Asked) -> None:
    """What is written later has names that the file systems take."""
    name = asked.plan.experiment.name
    if asked.reports:
        for file in (memory_of(asked.reports, name, "markdown"), asked.reports / name / "differences.png"):
            refuse_long(file, f"the experiment's name {name}", "Rename the spec file.")
    if asked.artifacts:
        refuse_long(asked.artifacts, f"the experiment's name {name}", "Rename the spec file.")
    for images in asked.images.values():
        image = max(images, key=lambda name: len(os.fsencode(name)))
        png = png_name(image)
        places = [asked.plan.store.root / "tmp" / f"sample-{'0' * 41}" / "images" / png]
        if asked.artifacts:  # a file is written aside under a longer name
            places.append(asked.artifacts / ("0" * 32) / "artifacts" / "samples" / f".{png}.part")
        for place in places:
            refuse_long(place, f"the name of a prompt's image, {cut(image)},", "Shorten it in the data set.")


def folders_take_files(asked: Asked) -> None:
    """A file is written into each folder, and taken away. MLflow's gets the spec before the work, too."""
    try_to_write(asked.plan.store.root, "--store")
    if asked.reports:
        try_to_write(asked.reports, "--reports")


def variants_can_be_drawn_and_measured(asked: Asked) -> None:
    """A worker tries it."""
    _ = asked.weights  # raises where one cannot


def there_is_room(asked: Asked) -> None:
    """The disks have room for what is certain to be written; folders of one file system share it."""
    prompts = {data: len(images) for data, images in asked.images.items()}
    made = replace(asked.plan, runs=tuple(asked.waiting))
    of_store = bytes_of_store(made, asked.weights, prompts, asked.workers)
    needs = [(asked.plan.store.root, int(min(of_store, asked.plan.store.limit)))]
    if asked.artifacts:
        needs.append((asked.artifacts, bytes_of_samples(asked.waiting, prompts)))
    disks: dict[int, list[tuple[Path, int]]] = {}
    for folder, needed in needs:
        there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
        disks.setdefault(there.stat().st_dev, []).append((there, needed))
    for some in disks.values():
        needed, free = sum(size for _, size in some), shutil.disk_usage(some[0][0]).free
        if needed > free:
            raise RunError(
                f"the disk is too full: this needs {in_bytes(needed)} or more, and {in_bytes(free)} are free",
                where=", ".join(str(folder) for folder, _ in some),
                fix="Free some space (`ablate gc`), choose another --store, or run fewer seeds at a time.",
            )


CHECKS: tuple[Callable[[Asked], None], ...] = (
    names_fit,
    folders_take_files,
    variants_can_be_drawn_and_measured,
    there_is_room,
)
"""The quick ones first: only the worker that tries needs torch."""
