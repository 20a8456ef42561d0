"""What a result depends on beside its configuration: sources, libraries, device, files' contents.

Pure Python: nothing here imports torch.
"""

from __future__ import annotations

import ctypes
import hashlib
import inspect
import json
import sys
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from ablate.errors import UserError
from ablate.factors.base import Factor, Loss
from ablate.fields import Model
from ablate.parts import PARTS
from ablate.parts.base import local_folder
from ablate.plugins import plugin_of
from ablate.store import LOCKS, file_digest, write_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ablate.experiment.config import Compute, Part

PACKAGE = Path(__file__).parent

NO_GPU = (34, 100)
"""The driver's codes for a library that is a stub, and for no GPU, or none that this process may see."""


@cache
def of_files(sources: tuple[str, ...], libraries: tuple[str, ...] = ()) -> dict[str, str]:
    """Digests of files of the package (a folder stands for the files in it), and versions of libraries."""
    named = [PACKAGE / name for name in sources]
    files = [file for path in named for file in (sorted(path.glob("*.py")) if path.is_dir() else [path])]
    digests = {file.relative_to(PACKAGE).as_posix(): file_digest(file)[:16] for file in files}
    return digests | {library: version(library) for library in libraries}


@cache
def of_class(kind: type) -> dict[str, str]:
    """Digest of the text that decides what a factor, a metric or a feature space computes: the files of its
    class and of those that it derives from, the files that load its parts, and versions of its libraries.
    Of a class of a plug-in, the part of the file that it uses."""
    parts = (PARTS[name] for name in getattr(kind, "parts", ()))
    classes = [each for each in kind.__mro__ if each not in ABSTRACT and _top(each) not in FOREIGN]
    digests: dict[str, str] = {}
    for each in (*classes, *parts):
        if plugin := plugin_of(each):
            text = plugin.text_of(each.__name__)
            digests[f"{plugin.name}: {each.__name__}"] = hashlib.sha256(text.encode()).hexdigest()[:16]
            files = [PACKAGE.parent / f"{name.replace('.', '/')}.py" for name in plugin.imported()]
        else:
            files = [Path(inspect.getfile(each))]
        digests |= {
            f"{file.parent.name}/{file.name}": file_digest(file)[:16] for file in files if file.is_file()
        }
    return digests | {library: version(library) for library in getattr(kind, "libraries", ())}


def of_plugins(rows: Iterable[object]) -> dict[str, str]:
    """``of_class`` of those rows of a dict that come from plug-ins. The package's own are in ``SOURCES``."""
    kinds = (row if isinstance(row, type) else type(row) for row in rows)
    return {name: digest for kind in kinds if plugin_of(kind) for name, digest in of_class(kind).items()}


def _top(kind: type) -> str:
    return kind.__module__.partition(".")[0]


FOREIGN = ("builtins", "abc", "typing", "pydantic")
"""Packages of base classes that decide nothing."""

ABSTRACT = (Model, Factor, Loss)
"""Classes of files that are in ``SOURCES`` where they matter."""


def numerics(compute: Compute) -> dict[str, str | int]:
    """Device kind and CPU threads: both decide the last bits of a sum."""
    return {"device": device_kind(compute.device), "threads": compute.threads}


@cache
def device_kind(device: str) -> str:
    """``cpu`` or ``cuda``; ``auto`` asks the NVIDIA driver, without importing torch.

    Raises UserError for a driver that fails: a training meant for a GPU would begin on the CPU.
    """
    if device != "auto":
        return device
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return "cpu"
    if status := driver.cuInit(0):
        if status in NO_GPU:
            return "cpu"
        raise UserError(
            f"the NVIDIA driver fails with code {status}",
            where="compute.device: auto",
            fix="nvidia-smi may say why. To compute on the CPU, set compute.device=cpu.",
        )
    count = ctypes.c_int(0)
    driver.cuDeviceGetCount(ctypes.byref(count))
    return "cuda" if count.value else "cpu"


class Contents:
    """Digests of data folders and pretrained parts by their content, never by their path.

    A file is read again only when its size or modification time has changed: the digests are kept
    in ``cache_file``.
    """

    def __init__(self, cache_file: Path) -> None:
        self._file = cache_file
        self._known = _read_digests(cache_file)
        self._changed = False
        self._folders: dict[Path, str] = {}

    def of_generator(self, sources: tuple[str, ...], libraries: tuple[str, ...]) -> str:
        """Digest of what draws the embedded data set."""
        text = json.dumps(of_files(sources, libraries), sort_keys=True)
        return f"generator:{hashlib.sha256(text.encode()).hexdigest()[:32]}"

    def of_part(self, part: Part) -> str:
        """Digest of a local part's files, or the name of a part that a library fetches."""
        folder = local_folder(part)
        return self.of_folder(folder) if folder else f"{part.source}/{part.subfolder}".rstrip("/")

    def save(self) -> None:
        """Keeps what was digested for the next command, where there is a place to write it."""
        if self._changed:
            # Without it the next command reads the files again, which is slower and nothing worse.
            with suppress(OSError), FileLock(self._file.parent / LOCKS / "digests.lock"):
                write_file(self._file, json.dumps(self._known, indent=0, sort_keys=True))
            self._changed = False

    def of_folder(self, folder: Path) -> str:
        """Digest of all files in a folder, by their names in it and their bytes."""
        if folder not in self._folders:
            total = hashlib.sha256()
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                total.update(f"{file.relative_to(folder).as_posix()}\0{self._bytes_of(file)}\n".encode())
            self._folders[folder] = "content:" + total.hexdigest()[:32]
        return self._folders[folder]

    def of_file(self, file: Path) -> str:
        """Digest of a file's bytes."""
        return f"content:{self._bytes_of(file)[:32]}"

    def _bytes_of(self, file: Path) -> str:
        status = file.stat()
        mark = f"{file.resolve()}|{status.st_size}|{status.st_mtime_ns}"
        if mark not in self._known:
            self._known[mark] = file_digest(file)
            self._changed = True
        return self._known[mark]


def _read_digests(file: Path) -> dict[str, str]:
    """The digests of earlier commands; none if the file is not there or not as it was written."""
    try:
        known = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
