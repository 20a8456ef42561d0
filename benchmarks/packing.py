"""How well a large plan fills many GPUs: ``python benchmarks/packing.py``. Nothing is trained.

64 variants × 8 seeds of the published setting: six choices, each on or off, as a factorial design. The plan,
its tasks and their order are those of ``ablate run``; the lengths are the published 11 and 27 minutes an
epoch without and with LPIPS, and 10 minutes for the samples of a run.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from ablate.experiment.load import load_experiment
from ablate.fingerprint import Contents
from ablate.plan import make_plan
from ablate.runner.schedule import Schedule, schedule
from ablate.runner.tasks import measure, prepare, tasks_of
from ablate.store import Store

if TYPE_CHECKING:
    from ablate.runner.graph import Task
    from ablate.stages.keys import RunKeys

SEEDS = 8
GPUS = (1, 2, 4, 8, 16, 24, 32, 40, 48, 64)
PLAIN, LPIPS, SAMPLES = 11 / 60, 27 / 60, 10 / 60
"""Hours: an epoch without LPIPS, one with it, the samples of a run."""
SPEC = {
    "question": "Which of six choices help?",
    "profile": "maplestory",
    "factors": {
        "lpips": {"no": {"losses": {"lpips": None}}, "late": {"losses": {"lpips": {"start": 130}}}},
        "kl": {"no": {"losses": {"kl": None}}, "late": {"losses": {"kl": {"start": 260}}}},
        "augment": {
            "no": {"augmentation": {"kind": "none"}},
            "late": {"augmentation": {"kind": "strong", "start": 200}},
        },
        "clip": {"yes": {"train": {"gradient_clip": 1.0}}, "no": {"train": {"gradient_clip": None}}},
        "ema": {"no": {"ema": None}, "yes": {"ema": {"decay": 0.999}}},
        "draw": {
            "dpm": {"sample": {"scheduler": "DPMSolverMultistepScheduler"}},
            "ddim": {"sample": {"scheduler": "DDIMScheduler"}},
        },
    },
    "seeds": list(range(SEEDS)),
    "config": {"data": {"path": "sprites"}, "components": "sprites"},
}
"""The embedded data stand in for those that cannot be had: only the lengths of epochs are asked for."""


def tasks_of_plan(folder: Path) -> list[Task]:
    """The tasks of the whole plan in an empty store, with their lengths in hours."""
    file = folder / "packing.yaml"
    file.write_text(yaml.safe_dump(SPEC))
    plan = make_plan(load_experiment(file), Store(folder / "store"), Contents(folder / "digests.json"))
    print(f"{len(plan.experiment.variants)} variants × {SEEDS} seeds, {len(plan.segments)} segments, "
          f"{plan.steps_unique / plan.steps_asked:.0%} of the steps asked for")  # fmt: skip
    return [replace(task, length=hours(task)) for task in tasks_of(plan, plan.runs)]


def hours(task: Task) -> float:
    """What a task takes."""
    if task.function is prepare:
        return 0.0
    if task.function is measure:
        return SAMPLES
    keys, _, begin, end = task.arguments
    trained = sum(_epoch(keys, epoch) for epoch in range(begin, end))
    return trained + (SAMPLES if len(task.runs) == 1 else 0.0)


def _epoch(keys: RunKeys, epoch: int) -> float:
    return LPIPS if any(loss.name == "lpips" for loss in keys.acting(epoch).losses) else PLAIN


def table(schedules: list[Schedule]) -> str:
    """Markdown."""
    lines = [
        "| GPUs | days | work / GPUs | longest path | days / larger bound |",
        "| -: | -: | -: | -: | -: |",
    ]
    for found in schedules:
        days = (found.makespan, found.work / found.workers, found.critical_path)
        cells = (f"{hours / 24:.1f}" for hours in days)
        lines.append(f"| {found.workers} | {' | '.join(cells)} | {found.makespan / found.bound:.3f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        planned = tasks_of_plan(Path(folder))
    print(table([schedule(planned, gpus) for gpus in GPUS]))
