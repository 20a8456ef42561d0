"""Folders that files are going to be written into: whether they take them, tried for real."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING

from ablate.errors import RunError, UserError, of_the_machine
from ablate.text import cut

if TYPE_CHECKING:
    from pathlib import Path

NAME_MAX, PATH_MAX = 255, 4096
"""Bytes of a name and of a path, where the system does not say how many."""


def try_to_write(folder: Path, option: str) -> None:
    """Writes a file into a folder, or where that will be made, and takes it away again. ``option`` chooses
    another folder.

    Raises:
        UserError: there can be no such folder.
        RunError: the machine does not let it be written.
    """
    try:
        there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
        with tempfile.NamedTemporaryFile(dir=there, prefix=".ablate-trial-") as file:
            file.write(b"0" * 4096)
    except OSError as error:
        known = of_the_machine(error)
        kind = RunError if isinstance(known, RunError) else UserError
        what = f"nothing can be written here: {known.what if known else error.strerror or error}"
        raise kind(what, where=str(folder), fix=f"Choose another folder with {option}.") from error


def refuse_long(file: Path, what: str, fix: str) -> None:
    """Raises UserError, about ``what``, if a path or a name in it is longer than its file system takes."""
    file = file.absolute()
    # Unlike Path.is_dir, this one answers for a name that is too long.
    there = next(folder for folder in file.parents if os.path.isdir(folder))  # noqa: PTH112
    name_max, path_max = _limit(there, "PC_NAME_MAX", NAME_MAX), _limit(there, "PC_PATH_MAX", PATH_MAX)
    for part in file.relative_to(there).parts:
        if (size := len(os.fsencode(part))) > name_max:
            problem = f"{what} is too long: {cut(part)} has {size} bytes, and there is room for {name_max}"
            raise UserError(problem, where=str(there), fix=fix)
    if (size := len(os.fsencode(file)) + 1) > path_max:
        problem = f"{what} makes too long a path: {size} bytes, and there is room for {path_max}"
        raise UserError(problem, where=str(there), fix=fix)


def _limit(folder: Path, name: str, otherwise: int) -> int:
    """How many bytes a file system takes; what is not positive means that nobody knows."""
    if not hasattr(os, "pathconf"):
        return otherwise
    try:
        limit = os.pathconf(folder, name)
    except (OSError, ValueError):
        return otherwise
    return limit if limit > 0 else otherwise
