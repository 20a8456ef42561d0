"""Paths as users write them, and files that replace none."""

from __future__ import annotations

import errno
import os
import uuid
from pathlib import Path

from ablate.errors import UserError


def expanded(path: str, error: type[UserError] = UserError) -> Path:
    """A path with its leading ``~`` or ``~user`` replaced by that user's home folder.

    Raises:
        UserError: there is no such user. It is an ``error``.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        named = path.removeprefix("~")
        user = named.partition("/")[0]
        what = f"there is no user {user}" if user else "your home folder is not known"
        fix = f"Did you mean ~/{named}?" if user else "Write the whole path."
        raise error(what, where=path, fix=fix) from None


def write_new(file: Path, content: bytes) -> None:
    """Writes a file that is there as a whole or not at all, and replaces none.

    Raises:
        FileExistsError: there is something of this name.
    """
    if os.path.lexists(file):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file))
    aside = file.with_name(f".{uuid.uuid4().hex[:8]}.new")
    try:
        aside.write_bytes(content)
        try:
            os.link(aside, file)
        except FileExistsError:
            raise
        except OSError:  # the file system knows no second names
            with file.open("xb") as new:
                new.write(content)
    except OSError as error:
        error.filename = str(file)  # nobody has heard of the other one
        raise
    finally:
        aside.unlink(missing_ok=True)
