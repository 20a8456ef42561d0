"""A study as one file: a zip whose ``bundle.json`` names each member with its size and SHA-256.

    bundle.json     format, experiment, its key, where its spec lies, the members; sealed by a digest
    record.json     what MLflow knows: runs with tags, parameters, curves
    trials.json     Optuna's trials
    needs.json      what the experiment needs of a store
    artifacts/      <run>/…: the files of the runs
    files/          the spec and its plug-ins, as they lie below the folder that ablate is called in
    report/         the report
    store/          <stage>/<key>/…: weights, by choice

Nothing in it is ever unpickled or executed when it is read.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ablate.errors import UserError
from ablate.experiment.load import EXPERIMENT_NAME
from ablate.store.files import sealed, unsealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FORMAT = 1
"""To be raised when what ablate writes can no longer be read by versions before."""
CONTENTS = "bundle.json"
RECORD, TRIALS, NEEDS = "record.json", "trials.json", "needs.json"
ARTIFACTS, FILES, REPORT, STORE = "artifacts", "files", "report", "store"
CHUNK = 1 << 20
LARGEST_JSON = 1 << 30
"""Bytes: more is not a list that ablate has written."""
DAMAGED = "Nothing was written. Get the file again from where it comes from."


@dataclass
class Contents:
    """What is in a bundle."""

    experiment: str
    key: str
    """Of the experiment with its settings."""
    spec: str
    """Where the spec lies, below the folder that ablate is called in."""
    plugins: list[str] = field(default_factory=list)
    """Plug-in files, in the same way."""
    options: list[str] = field(default_factory=list)
    """What commands on the experiment are given beside the spec."""
    ablate: str = ""
    """The version that wrote it."""
    members: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Member → bytes and SHA-256."""
    format: int = FORMAT


class Writer:
    """Writes a bundle member by member."""

    def __init__(self, archive: zipfile.ZipFile, contents: Contents) -> None:
        self._archive = archive
        self._contents = contents

    def add(self, name: str, source: Path | bytes) -> None:
        """Adds a file, or bytes, under this name."""
        digest, size = hashlib.sha256(), 0
        with self._archive.open(_info(name), "w", force_zip64=True) as member:
            for chunk in _chunks(source):
                digest.update(chunk)
                size += len(chunk)
                member.write(chunk)
        self._contents.members[name] = (size, digest.hexdigest())

    def add_folder(self, name: str, folder: Path) -> None:
        """Adds all files below a folder."""
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            self.add(f"{name}/{file.relative_to(folder).as_posix()}", file)


@contextmanager
def writing(file: Path, contents: Contents) -> Iterator[Writer]:
    """Gives what writes the bundle. It is in its place when the block ends without an error."""
    aside = file.with_name(f".{file.name}.part")
    try:
        with zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED) as archive:
            yield Writer(archive, contents)
            archive.writestr(_info(CONTENTS), sealed(asdict(contents)))
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)


class Bundle:
    """A bundle that was looked at: it is whole, and its names lead to nowhere else."""

    def __init__(self, archive: zipfile.ZipFile, contents: Contents) -> None:
        self._archive = archive
        self.contents = contents

    def names(self, folder: str) -> dict[PurePosixPath, str]:
        """Path below a folder of the bundle → the member's name."""
        return {
            PurePosixPath(name).relative_to(folder): name
            for name in self.contents.members
            if name.startswith(f"{folder}/")
        }

    def read(self, name: str) -> bytes:
        """A member's bytes."""
        return self._archive.read(name)

    def json(self, name: str) -> Any:
        """What is in a JSON member."""
        return json.loads(self.read(name))

    def copy(self, name: str, file: Path) -> None:
        """Writes a member into a new file."""
        file.parent.mkdir(parents=True, exist_ok=True)
        with self._archive.open(name) as member, file.open("xb") as out:
            while chunk := member.read(CHUNK):
                out.write(chunk)


@contextmanager
def reading(file: Path, progress: Callable[[int, int], None]) -> Iterator[Bundle]:
    """Gives the bundle in a file, when each member has been looked at.

    Raises:
        UserError: it is none, or not whole, or not as it was written, with what is wrong.
    """
    with ExitStack() as opened:
        try:
            archive = opened.enter_context(zipfile.ZipFile(file))
            contents = _contents(archive, file)
            _look(archive, contents, file, progress)
        except FileNotFoundError as error:
            raise UserError("there is no such file", where=str(file)) from error
        except IsADirectoryError as error:
            raise UserError("is a folder, not a study that `ablate export` wrote", where=str(file)) from error
        except (OSError, *DAMAGES) as error:
            if isinstance(error, OSError) and error.errno != errno.EINVAL:
                raise  # the disk's own; EINVAL is a place before the file's beginning
            what = f"is not whole, or no study that `ablate export` wrote ({error})"
            raise refused(file, what) from error
        yield Bundle(archive, contents)


def refused(file: Path, what: str) -> UserError:
    """The error about a bundle that is not as it was written."""
    return UserError(what, where=str(file), fix=DAMAGED)


def _contents(archive: zipfile.ZipFile, file: Path) -> Contents:
    names = archive.namelist()
    if CONTENTS not in names:
        raise refused(file, f"is not a study that `ablate export` wrote: it has no {CONTENTS}")
    if archive.getinfo(CONTENTS).file_size > LARGEST_JSON:
        raise refused(file, f"{CONTENTS} is too large")
    content = unsealed(archive.read(CONTENTS))
    if content is None:
        raise refused(file, f"{CONTENTS} does not hold what was written")
    if content.get("format") != FORMAT:
        what = f"has the format {content.get('format')}, and this version of ablate reads {FORMAT}"
        raise UserError(what, where=str(file), fix=f"It was written by ablate {content.get('ablate')}.")
    try:
        contents = Contents(**content)
        members = {name: (int(size), str(digest)) for name, (size, digest) in contents.members.items()}
    except (TypeError, ValueError) as error:
        raise refused(file, f"{CONTENTS} is not as ablate writes it ({error})") from error
    contents.members = members
    named = [contents.spec, *contents.plugins]
    if not all(isinstance(name, str) for name in (contents.experiment, contents.key, *named)):
        raise refused(file, f"{CONTENTS} is not as ablate writes it (a name is not text)")
    if not re.fullmatch(EXPERIMENT_NAME, contents.experiment) or not re.fullmatch(HEX, contents.key):
        raise refused(file, "the experiment has an impossible name")
    if Path(contents.spec).stem != contents.experiment:
        raise refused(file, "the spec has an impossible name")
    if unfit := [name for name in named if not is_fit(name)]:
        raise refused(file, f"the spec or a plug-in has an impossible name: {unfit[0][:200]!r}")
    if any(f"{FILES}/{name}" not in members for name in named):
        raise refused(file, "the spec or a plug-in is missing")
    return contents


def is_fit(name: str) -> bool:
    """Whether a spec or a plug-in may have this path. Python runs some files by their names alone, and hidden
    folders hold what other programs trust."""
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix in (".yaml", ".yml", ".py") and not hidden and path.stem not in RUN_BY_PYTHON


RUN_BY_PYTHON = ("sitecustomize", "usercustomize", "conftest")
DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError)
"""What zipfile raises for an archive that is damaged, cut off, encrypted (RuntimeError) or of a later kind
(NotImplementedError, one of these)."""
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
HEX = r"[0-9a-f]{32}"
NAME = r"[^/\\\x00-\x1f\x7f]+"


def _patterns(contents: Contents) -> list[str]:
    """What members may be called: nothing else gets a place in the folder that a study is imported into."""
    name = re.escape(contents.experiment)
    return [
        *(re.escape(member) for member in (RECORD, TRIALS, NEEDS)),
        *(re.escape(f"{FILES}/{file}") for file in (contents.spec, *contents.plugins)),
        rf"{REPORT}/(\.{name}\.markdown\.json|{name}\.\w+|{name}/{NAME})",
        rf"{ARTIFACTS}/{HEX}/({NAME}/)*{NAME}",
        rf"{STORE}/(train|ema)/{HEX}/{NAME}",
    ]


def _look(
    archive: zipfile.ZipFile, contents: Contents, file: Path, progress: Callable[[int, int], None]
) -> None:
    """Names first, then the bytes of each member."""
    names, patterns = [name for name in archive.namelist() if name != CONTENTS], _patterns(contents)
    for name in names:
        parts = name.split("/")
        safe = ".." not in parts and "." not in parts and not re.match(r"^[A-Za-z]:", name)
        if not safe or not any(re.fullmatch(pattern, name) for pattern in patterns):
            raise refused(file, f"has a member with a name that ablate never writes: {name[:200]!r}")
    if any(archive.getinfo(name).compress_type not in COMPRESSIONS for name in names):
        raise refused(file, "is compressed in a way in which ablate never writes")
    if lacking := sorted(set(contents.members) - set(names)):
        raise refused(file, f"{lacking[0]} is missing")
    if len(names) != len(set(names)) or set(names) != set(contents.members):
        raise refused(file, "has members that its list does not name")
    for number, (name, (size, digest)) in enumerate(contents.members.items(), start=1):
        if _digest(archive, name, size) != digest:
            raise refused(file, f"{name} does not hold what was written")
        progress(number, len(names))


def _digest(archive: zipfile.ZipFile, name: str, size: int) -> str:
    """SHA-256 of a member; "" if it has another size. Reads no more than it should have."""
    found, total = hashlib.sha256(), 0
    try:
        with archive.open(name) as member:
            while chunk := member.read(min(CHUNK, size + 1 - total)):
                total += len(chunk)
                found.update(chunk)
    except DAMAGES:
        return ""  # what the disk refuses is not damage
    return found.hexdigest() if total == size else ""


def _info(name: str) -> zipfile.ZipInfo:
    """The same bytes whenever it is written."""
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    return info


def _chunks(source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
