"""What a result depends on beside its configuration: sources, libraries, device, files' contents.

Pure Python: nothing here imports torch.
"""

from __future__ import annotations

import errno
import hashlib
import inspect
import json
import stat
import time
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from ablate.data import captions
from ablate.data.files import walk
from ablate.environment import PACKAGE, code_in, digest_of, version_of
from ablate.errors import DataError
from ablate.factors.base import Factor, Loss
from ablate.fields import Model
from ablate.hardware import device_class
from ablate.parts import PARTS
from ablate.parts.base import local_folder
from ablate.plugins import plugin_of
from ablate.store.files import file_digest, write_file

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from ablate.experiment.config import Compute, Part
    from ablate.plugins import Plugin

DIGESTS = "digests.json"
"""Where a store keeps the digests of files."""

SETTLED = 2_000_000_000
"""Nanoseconds after which a change of a file shows in its times, on all file systems."""
COPY_IT = "Copy the file there again from its source."


@cache
def of_files(sources: tuple[str, ...], libraries: tuple[str, ...] = ()) -> dict[str, str]:
    """Digests of files of the package (a folder stands for the files in it), and versions of libraries."""
    named = [PACKAGE / name for name in sources]
    files = [file for path in named for file in (code_in(path) if path.is_dir() else [path])]
    digests = {file.relative_to(PACKAGE).as_posix(): digest_of(file) for file in files}
    return digests | {library: version_of(library) for library in libraries}


@cache
def of_class(kind: type) -> dict[str, str]:
    """Digest of the text that decides what a factor, a metric or a feature space computes: the files of its
    class and of those that it derives from, the files that load its parts, and versions of its libraries.
    Of a class of a plug-in, the part of the file that it uses."""
    parts = (PARTS[name] for name in (*getattr(kind, "parts", ()), getattr(kind, "part", "")) if name)
    classes = [each for each in kind.__mro__ if each not in ABSTRACT and _top(each) not in FOREIGN]
    digests: dict[str, str] = {}
    for each in (*classes, *parts):
        if plugin := plugin_of(each):
            text = plugin.text_of(each.__name__)
            digests[f"{plugin.name}: {each.__name__}"] = hashlib.sha256(text.encode()).hexdigest()[:16]
            files = [PACKAGE.parent / f"{name.replace('.', '/')}.py" for name in plugin.imported()]
        else:
            files = [Path(inspect.getfile(each))]
        digests |= {f"{file.parent.name}/{file.name}": digest_of(file) for file in files if file.is_file()}
    return digests | {library: version_of(library) for library in getattr(kind, "libraries", ())}


@cache
def of_added_metrics(plugins: tuple[Plugin, ...]) -> dict[str, str]:
    """``of_class`` of the metrics that plug-ins add; the package's own are in ``SOURCES``. Where a plug-in
    makes an object of a class from elsewhere, all its text counts."""
    digests: dict[str, str] = {}
    for plugin in plugins:
        for kind in map(type, getattr(plugin.module(), "METRICS", {}).values()):
            digests |= of_class(kind)
            if plugin_of(kind) != plugin:
                digests[plugin.name] = plugin.digest
    return digests


def _top(kind: type) -> str:
    return kind.__module__.partition(".")[0]


FOREIGN = ("builtins", "abc", "typing", "pydantic")
"""Packages of base classes that decide nothing."""

ABSTRACT = (Model, Factor, Loss)
"""Classes of files that are in ``SOURCES`` where they matter."""


def numerics(compute: Compute) -> dict[str, str | int]:
    """The class of device and the CPU threads: both decide the last bits of a sum."""
    return {**device_class(compute.device), "threads": compute.threads}


class Contents:
    """Digests of data folders and pretrained parts by their content, never by their path.

    A file is read again only when it is another one, or its size or a time of it has changed: the digests
    are kept in ``cache_file``.
    """

    def __init__(self, cache_file: Path) -> None:
        self._file = cache_file
        self._known = _read_digests(cache_file)
        self._changed = False
        self._data: dict[Path, _DataSet] = {}
        self._parts: dict[Path, str] = {}
        """By their folder or file: what was looked at once stands for the part from then on."""

    def of_generator(self, sources: tuple[str, ...], libraries: tuple[str, ...]) -> str:
        """Digest of what draws the embedded data set."""
        text = json.dumps(of_files(sources, libraries), sort_keys=True)
        return f"generator:{hashlib.sha256(text.encode()).hexdigest()[:32]}"

    def of_data(self, folder: Path | str) -> str:
        """Digest of all that a run reads of a data folder: the files with captions, the training images and
        the real images of prompts, each by its name in the folder, its role and its bytes.

        Links are followed, wherever they lead. Raises DataError if the folder is not a data set.
        """
        return self._data_in(Path(folder)).digest

    def training_images(self, folder: Path) -> int:
        """Their number in a data folder. Raises DataError if it is not a data set."""
        return self._data_in(folder).training_images

    def prompts(self, folder: Path) -> int:
        """The number of test prompts in a data folder. Raises DataError if it is not a data set."""
        return self._data_in(folder).prompts

    def of_part(self, part: Part) -> str:
        """Digest of a local part's folder, or the name of a part that a library fetches.

        All files in it count, by their names and bytes, with links followed, but for hidden ones
        (``.DS_Store``), which no library reads.
        """
        folder = local_folder(part)
        if folder is None:
            return f"{part.source}/{part.subfolder}".rstrip("/")
        if folder not in self._parts:
            names = sorted((PurePosixPath(name) for name in walk(folder)), key=lambda name: name.parts)
            shown = (name for name in names if not name.name.startswith("."))
            self._parts[folder] = self._of_all((str(name), folder / name) for name in shown)
        return self._parts[folder]

    def of_file(self, file: Path) -> str:
        """Digest of a file's bytes."""
        if file not in self._parts:
            self._parts[file] = f"content:{self._bytes_of(file)[:32]}"
        return self._parts[file]

    def save(self) -> None:
        """Keeps what was digested for the next command, where there is a place to write it."""
        if self._changed:
            # Without it the next command reads the files again, which is slower and nothing worse.
            with suppress(OSError):
                write_file(self._file, json.dumps(self._known, indent=0, sort_keys=True))
            self._changed = False

    def _data_in(self, folder: Path) -> _DataSet:
        if folder not in self._data:
            read = captions.read(folder)
            files = ((role, path.relative_to(folder).as_posix(), path) for role, path in read.by_role())
            digest = self._of_all((f"{role}\0{name}", path) for role, name, path in files)
            self._data[folder] = _DataSet(digest, len(read.train), len(read.prompts))
        return self._data[folder]

    def _of_all(self, files: Iterable[tuple[str, Path]]) -> str:
        total = hashlib.sha256()
        for name, file in files:
            # A file may have a name that is not UTF-8.
            total.update(f"{name}\0{self._bytes_of(file)}\n".encode(errors="surrogateescape"))
        return "content:" + total.hexdigest()[:32]

    def _bytes_of(self, file: Path) -> str:
        status = _status(file)
        # Without the time of the last change of any kind (ctime), a file could be exchanged for one of its
        # size and date. Without the inode, a link could lead to another such file.
        times = f"{status.st_mtime_ns} {status.st_ctime_ns}"
        mark = f"{status.st_ino} {status.st_size} {times}"
        place = str(file.absolute())
        known, digest = self._known.get(place, ("", ""))
        if known != mark:
            digest = file_digest(file)
            # What has just been written may be written once more within a tick of the file system's clock.
            if time.time_ns() - status.st_ctime_ns > SETTLED:
                self._known[place] = (mark, digest)
                self._changed = True
        return digest


class _DataSet(NamedTuple):
    """What is known of a data folder that was read."""

    digest: str
    training_images: int
    prompts: int


def _status(file: Path) -> os.stat_result:
    """Of the file that ``file`` is or leads to. Raises DataError if there is none that can be read."""
    try:
        status = file.stat()
    except FileNotFoundError:
        what = "is a link that leads nowhere" if file.is_symlink() else "is not there any more"
        raise DataError(what, where=str(file), fix=COPY_IT) from None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise DataError("is a link that leads back to itself", where=str(file), fix=COPY_IT) from None
    if not stat.S_ISREG(status.st_mode):  # reading a FIFO would never end
        raise DataError("is not an ordinary file", where=str(file), fix=COPY_IT)
    return status


def _read_digests(file: Path) -> dict[str, tuple[str, str]]:
    """The digests of earlier commands; none if the file is not there or not as it was written."""
    try:
        known = json.loads(file.read_text())
        return {place: (str(mark), str(digest)) for place, (mark, digest) in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
