"""``ablate doctor``: can a profile run on this machine, and if not, what can be done?"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Literal

import psutil

from ablate.data.parallel import cores
from ablate.data.place import place_of
from ablate.errors import AblateError, ComponentError, UserError
from ablate.hardware import device_kind
from ablate.parts.base import EMBEDDED_KIT
from ablate.parts.missing import mend, named_parts, needed_parts
from ablate.parts.sources import out_of_reach
from ablate.record.addresses import check_address, database_of
from ablate.record.client import count_experiments
from ablate.record.databases import is_there, refuse_shared
from ablate.record.patience import shown
from ablate.text import in_bytes, in_one_line, plural

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ablate.documents import checks
    from ablate.experiment.config import Config
    from ablate.parts.base import PretrainedPart

COMPILE_SECONDS = 90
COMPILE = """
import torch
x = torch.ones(64, device={device!r})
torch.compile(lambda x: torch.sin(x) * 2 + x)(x)
"""


@dataclass(frozen=True)
class Answer:
    """What was found about one thing."""

    about: str
    state: Literal["ok", "note", "wrong"]
    """``wrong``: the profile cannot run here because of it."""
    found: str
    mend: str = ""
    """What to do about it."""

    def as_json(self) -> checks.Answer:
        """The same as plain data."""
        return {"about": self.about, "state": self.state, "found": self.found, "mend": self.mend}


def diagnose(config: Config, profile: str, store: Path, uri: str) -> Iterator[Answer]:
    """Looks at everything that a run of ``config`` needs, the quick things first. Changes nothing."""
    for part in named_parts(config):
        yield _part(part, profile, needed=part in needed_parts(config))
    yield Answer("data", *place_of(config.data.path).look())
    yield processor()
    yield from _libraries()
    yield _mlflow(uri)
    yield _disk(config, store)
    try:
        kind = device_kind(config.compute.device)
    except UserError as error:
        yield Answer("GPU", "wrong", error.what, error.fix)
        return
    yield _device(config, kind)
    yield _bf16(config, kind)
    yield _compile(config, kind)


def _part(part: PretrainedPart, profile: str, *, needed: bool) -> Answer:
    about = part.label
    try:
        source = part.source()
    except ComponentError as error:
        return Answer(about, "wrong", f"{error.where}: {error.what}", error.fix)
    files, command = source.found(), mend(part, source, profile)
    if not files and needed:
        return Answer(about, "wrong", f"missing in {source.place}", command)
    if not files:
        return Answer(about, "note", f"missing in {source.place}, and this profile does not use it", command)
    if broken := [file for file in files if _is_broken(file)]:
        return Answer(about, "wrong", f"broken: {broken[0]}", f"delete it, then {command}")
    where = "embedded" if files[0].is_relative_to(EMBEDDED_KIT) else f"in {files[0].parent}"
    return Answer(about, "ok", f"{where}, {in_bytes(sum(file.stat().st_size for file in files))}")


def _is_broken(file: Path) -> bool:
    """Whether a weights file is not whole. Its header says how long it must be."""
    from safetensors import SafetensorError, safe_open

    if file.suffix != ".safetensors":
        return file.stat().st_size == 0
    try:
        with safe_open(file, framework="np"):
            return False
    except (SafetensorError, OSError):
        return True


def _disk(config: Config, store: Path) -> Answer:
    folder = next(path for path in (store.absolute(), *store.absolute().parents) if path.is_dir())
    elsewhere = "choose another --store"
    if not os.access(folder, os.W_OK):
        return Answer("disk", "wrong", f"{folder} cannot be written to", elsewhere)
    from ablate.stages.training import weights_size

    free, state = shutil.disk_usage(folder).free, 3 * weights_size(config)
    found = (
        f"{in_bytes(free)} free for the store {store}; the state of a training run takes {in_bytes(state)}"
    )
    # A state is forgotten when the next one is stored.
    if free < 2 * state:
        return Answer("disk", "wrong", found, f"free some space, or {elsewhere}")
    return Answer("disk", "ok", found)


def processor() -> Answer:
    """Cores that this process may use, and memory."""
    memory = in_bytes(psutil.virtual_memory().total)
    return Answer("processor", "ok", f"{plural(cores(), 'core')}, {memory} of memory")


def _libraries() -> Iterator[Answer]:
    """Versions of what pyproject.toml asks for."""
    needed = [text for text in requires("ablate") or () if "extra ==" not in text]
    found, absent = [f"Python {platform.python_version()}"], []
    for name in (re.split(r"[^\w.-]", text)[0] for text in needed):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            absent.append(name)
    yield Answer("libraries", "ok", ", ".join(found))
    if absent:
        yield Answer("libraries", "wrong", f"missing: {', '.join(absent)}", f"pip install {' '.join(absent)}")


def _mlflow(uri: str) -> Answer:
    about, fix = f"MLflow {shown(uri)}", "choose another --tracking-uri"
    if uri.startswith("http"):
        if silence := out_of_reach([shown(uri)])[shown(uri)]:
            return Answer(about, "wrong", f"cannot be reached ({silence})", f"start the server, or {fix}")
        return Answer(about, "ok", "answers")
    database = database_of(uri)
    try:
        check_address(uri)
        if database is None:
            return Answer(about, "note", "not tried: neither a server nor an SQLite file")
        refuse_shared(database)
        if not is_there(database):
            return Answer(about, "ok", "the first run will create this database")
        return Answer(about, "ok", plural(count_experiments(database), "experiment"))
    except AblateError as error:
        return Answer(about, "wrong", error.what, error.fix or fix)


def _device(config: Config, kind: str) -> Answer:
    import torch

    about = f"GPU for torch {torch.__version__}"
    if torch.cuda.is_available():
        gpus = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        return Answer(about, "ok", ", ".join(f"{g.name} with {g.total_memory / 1e9:.0f} GB" for g in gpus))
    if kind == "cuda":
        remedy = "install a CUDA build, or --set compute.device=cpu"
        return Answer(about, "wrong", "this torch cannot use CUDA here", remedy)
    if config.data.size > 64:
        return Answer(about, "note", f"none: at {config.data.size} px, training on the CPU takes weeks")
    return Answer(about, "ok", "none, and none is needed")


def _bf16(config: Config, kind: str) -> Answer:
    import torch

    wanted = "bf16" in (config.train.precision, config.sample.precision)
    try:
        ones = torch.ones(64, 64, device=kind)
        with torch.autocast(kind, dtype=torch.bfloat16):
            product = ones @ ones
        works = product.dtype == torch.bfloat16 and bool((product == 64).all())
        reason = "" if works else "wrong product"
    except (RuntimeError, AssertionError) as error:
        reason = in_one_line(error)
    return _tried("bf16", kind, reason, wanted, "--set train.precision=fp32 --set sample.precision=fp32")


def _compile(config: Config, kind: str) -> Answer:
    """torch.compile on something small, in a process that can be ended: a compiler may hang."""
    wanted = config.train.compile or config.sample.compile
    if kind == "cpu" and not wanted:
        return Answer("torch.compile", "ok", "not tried: this profile does not use it")
    command = [sys.executable, "-c", COMPILE.format(device=kind)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMPILE_SECONDS)
        lines = done.stderr.strip().splitlines()
        reason = (lines[-1] if lines else "no message") if done.returncode else ""
    except subprocess.TimeoutExpired:
        reason = f"no result in {COMPILE_SECONDS} s"
    return _tried(
        "torch.compile", kind, reason, wanted, "--set train.compile=false --set sample.compile=false"
    )


def _tried(about: str, kind: str, failure: str, wanted: bool, fix: str) -> Answer:
    """What a trial on a device says: it works, or why not, which is wrong where it is wanted."""
    if not failure:
        return Answer(about, "ok", f"works on {kind}")
    return Answer(about, "wrong" if wanted else "note", f"fails on {kind}: {failure}", fix if wanted else "")
