"""``ablate init``: a first experiment on your own images, which runs as it is on this machine.

A setting is a profile with what has to be said of the data and the machine; a design is the rest of a spec:
the question, the variants, the seeds, the claims.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ablate.data.check import check_data
from ablate.data.place import path_to
from ablate.doctor import processor
from ablate.errors import DataError, SpecError, UserError
from ablate.experiment import yaml
from ablate.experiment.load import EXPERIMENT_NAME, load_experiment, load_profile, read_design
from ablate.hardware import gpus
from ablate.paths import write_new

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablate.data.check import DataReport

KITS = Path("kits")
SHIPPED = 3200
"""Training images of the embedded data set, which the profile ``sprites`` and its kit are tuned for."""
STEPS = 1400
"""Optimizer steps of the profile ``sprites`` for a seed."""
EPOCHS = (4, 30)
"""Fewest and most of a small training: each stores a state and logs a row."""
EFFORT = 0.08
"""Least share of the embedded kit's steps: a VAE that knows a few images takes some hundred."""
LARGE_SETS = 1000
LARGE_IMAGES = 128
"""Training images, and the edge of the usual one in pixels, from which the full size is worth its GPU."""

EMA = """\
question: Does an average of the weights (EMA) draw better images than the last weights?
baseline: last
variants:                        # each overrides a few fields; together they are trained once
  last: {}
  averaged:
    ema: {decay: 0.99, start: 0%}
seeds: [0, 1, 2, 3, 4, 5]        # with fewer, no test can decide the claim
claims:                          # what you expect; the report gives a verdict
  - text: Averaged weights draw better images.
    variant: averaged
    against: last
    metric: kid                  # of few images, KID is fairer than FID
    direction: lower
"""


@dataclass(frozen=True)
class Setting:
    """What of a spec follows from the data and the machine."""

    profile: str
    config: dict[str, Any]
    kit: Path | None = None
    """Where its frozen parts will be, if they have to be trained on the data."""
    effort: float = 1.0
    """How long to train them."""


@dataclass(frozen=True)
class FirstSpec:
    """What ``first_spec`` has found and written."""

    file: Path
    report: DataReport
    machine: str
    setting: Setting


def small(data: Path, name: str, images: int) -> Setting:
    """32 px, with a kit of its own: for any machine."""
    batch = min(images, 16, max(4, images // 10))
    fewest, most = EPOCHS
    epochs = min(most, max(fewest, round(STEPS / (images // batch))))
    config = {
        "components": (KITS / name).as_posix(),
        "data": {"path": path_to(data), "size": 32, "fit": "pad"},
        "train": {"epochs": epochs, "batch": batch},
        "track": {"preview_every": max(1, epochs // 4)},
    }
    return Setting("sprites", config, KITS / name, min(1.0, max(EFFORT, images / SHIPPED)))


def full(data: Path, name: str, images: int) -> Setting:
    """256 px, with published parts: for a GPU."""
    config = {
        "data": {"path": path_to(data), "size": 256, "fit": "pad"},
        "losses": {"lpips": None, "kl": None},
        "track": {"preview_every": 25},
    }
    return Setting("maplestory", config)


SETTINGS: dict[str, Callable[[Path, str, int], Setting]] = {"sprites": small, "maplestory": full}
"""Profile → the setting on data, their name and their number of training images."""

COMMENTS = {
    "sprites": "32 px; trains on a CPU",
    "maplestory": "256 px; needs a GPU, and pretrained parts: ablate fetch --profile maplestory",
    "components": "the frozen parts, trained on these images",
    "data": "pad adds a white border to what is not square; crop keeps the middle",
    "train": "more epochs draw better images",
}
"""Profile or field of ``config`` → what a newcomer should know of it."""


def first_spec(
    data: Path,
    *,
    design: Path | None = None,
    profile: str | None = None,
    out: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> FirstSpec:
    """Looks at data and machine, and writes a spec for them. A file of that name is never replaced; one that
    says the same is taken for it.

    Args:
        data: a folder of captioned images.
        design: a spec whose question, variants, seeds and claims are taken; by default one on EMA.
        profile: instead of the one that fits.
        out: where to write; by default named after the data, in the current folder.
        progress: gets images looked at, and all there are.

    Raises:
        UserError: the data cannot be trained on, the design does not fit, or there is another file already.
    """
    name = re.sub(r"\s+", "-", Path(os.path.realpath(data)).name)
    if not re.fullmatch(EXPERIMENT_NAME, name):
        raise UserError("this folder's name cannot name an experiment", where=str(data), fix="Rename it.")
    if profile is not None:
        load_profile(profile)
    if design is not None:
        read_design(design)  # what is wrong with it is said before all images are looked at
    file = out or Path(f"{name}-{design.stem}.yaml" if design else f"{name}.yaml")
    report = check_data(data, progress)
    refuse_unusable(report)
    setting = SETTINGS[profile or fitting(report)](data, name, len(report.data.read.train))
    machine = f"{processor().found}, {', '.join(gpus()) or 'no GPU'}"
    head = f"# Written by `ablate init`; every line can be changed.\n# Images: {in_words(report)}.\n"
    head += f"# Machine: {machine}.\n"
    _write(file, head + _taken(design, file.parent, setting), design)
    return FirstSpec(file, report, machine, setting)


def refuse_unusable(report: DataReport) -> None:
    """Raises DataError for data that nothing can be trained on or measured with."""
    where = str(report.data.folder)
    if errors := [remark for remark in report.remarks if remark.level == "error"]:
        what = "; ".join(f"{remark.what}: {len(remark.places)}" for remark in errors)
        fix = f"ablate data check {where} lists them, with what to do."
        raise DataError(f"this cannot be trained on yet: {what}", where=where, fix=fix)
    if not report.data.read.references:
        fix = "Put some into test/; or remove the test split, and some images are held out."
        raise DataError("no prompt of the test split has a real image", where=where, fix=fix)


def fitting(report: DataReport) -> str:
    """The profile that suits the data and this machine."""
    edge = median(min(seen.size) for seen in report.data.images.values())
    large = len(report.data.read.train) >= LARGE_SETS and edge >= LARGE_IMAGES
    return "maplestory" if gpus() and large else "sprites"


def in_words(report: DataReport) -> str:
    """``captions beside the images, 40 to train on, 10 held out as prompts, 32 to 512 px``."""
    read = report.data.read
    edges = [edge for seen in report.data.images.values() for edge in seen.size]
    held_out = "held out as prompts" if read.held_out else "prompts"
    return (
        f"{report.format}, {len(read.train)} to train on, {len(read.prompts)} {held_out}, "
        f"{min(edges)} to {max(edges)} px"
    )


# ── the text ─────────────────────────────────────────────────────────────────────────────────────


def _taken(design: Path | None, folder: Path, setting: Setting) -> str:
    """A design with a setting, as YAML. The design's comments stay."""
    if design is None:
        return EMA.replace("baseline:", _setting(setting, {}) + "baseline:", 1)
    document = read_design(design)
    written: dict[str, Any] = document.data
    rest = {key: value for key, value in written.items() if key not in ("profile", "config", "published")}
    if plugins := rest.get("plugins"):  # whose paths start from the spec's folder
        rest["plugins"] = [os.path.relpath(design.parent / plugin, folder) for plugin in plugins]
    lines = design.read_text(encoding="utf-8-sig").splitlines()
    starts = [document.keys[(key,)][0] - 1 for key in written]
    in_lines = all(document.keys[(key,)][1] == 1 for key in written) and starts == sorted(set(starts))
    if not in_lines:  # written in braces
        return _setting(setting, written.get("config")) + yaml.dump(rest)
    text = "".join(f"{line}\n" for line in lines[: starts[0]] if line.startswith("#"))
    for key, start, end in zip(written, starts, [*starts[1:], len(lines)], strict=True):
        if key == "plugins":
            text += yaml.dump({key: rest[key]})
        elif key in rest:
            text += "".join(f"{line}\n" for line in lines[start:end])
    return text + _setting(setting, written.get("config"))


def _setting(setting: Setting, shared: Any) -> str:
    """The lines ``profile`` and ``config``. What a design's variants have ``shared`` counts more, except for
    data and parts."""
    config = dict(shared) if isinstance(shared, dict) else {}
    for key, value in setting.config.items():
        said = config.pop(key, None)
        own = key in ("components", "data") or not isinstance(said, dict)
        config[key] = value if own else {**value, **said}
    if not setting.kit:
        config.pop("components", None)
    text = f"profile: {setting.profile}  # {COMMENTS[setting.profile]}\nconfig:\n"
    for key, value in config.items():
        text += f"  # {COMMENTS[key]}\n" if key in COMMENTS else ""
        text += "".join(f"  {line}\n" for line in yaml.dump({key: value}).splitlines())
    return text


def _write(file: Path, text: str, design: Path | None) -> None:
    """Writes a new file, and reads it as a spec.

    Raises:
        UserError: there is another one, or a design does not fit.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        write_new(file, text.encode())
    except FileExistsError:
        if file.is_file() and file.read_text(encoding="utf-8", errors="replace") == text:
            return
        fix = "Nothing was changed. Move it away, or name another file with --out."
        raise UserError("there is another file of this name", where=str(file), fix=fix) from None
    try:
        load_experiment(file)
    except SpecError as error:
        file.unlink()
        if design is None:
            raise
        fix = "Change a copy of it so that it fits, and give that to --from."
        what = f"this design does not fit the data's setting: {error.what}"
        raise UserError(what, where=str(design), fix=f"{error.fix} {fix}".strip()) from error
