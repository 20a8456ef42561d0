"""The errors ablate raises on purpose, and those of the machine in the same words. Everything else is a bug
and keeps its traceback."""

from __future__ import annotations

import errno

from ablate.text import visible


class AblateError(Exception):
    """Something ended a command: what is wrong, where, and what to do about it.

    The command line prints the three parts without a traceback and exits with ``exit_code``.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        where, what = visible(self.where, keep=""), visible(self.what)
        head = f"{where}: {what}" if where else what
        return f"{head}\n  {visible(self.fix)}" if self.fix else head

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling between worker processes.
        return _rebuild, (type(self), self.what, self.where, self.fix)


def _rebuild(kind: type[AblateError], what: str, where: str, fix: str) -> AblateError:
    return kind(what, where=where, fix=fix)


class UserError(AblateError):
    """The user's input is wrong (exit code 2)."""

    exit_code = 2


class SpecError(UserError):
    """An experiment's YAML, or an override on the command line, is wrong."""


class DataError(UserError):
    """A data set is missing, incomplete or of another shape than the task's format."""


class ComponentError(UserError):
    """A pretrained part is missing, incomplete or of another kind than expected."""


class RunError(AblateError):
    """A stage failed while it ran (exit code 1)."""


class MemoryShortError(RunError):
    """A GPU had too little memory. With fewer tasks on it, it may do."""


class MeaninglessError(RunError):
    """What was computed is not a number, or the same for everything: no figure may be made of it."""


GO_ON = "The same command goes on where it stopped."

MACHINE = {
    errno.ENOSPC: ("the disk is full", f"Free some space, or move the store with --store. {GO_ON}"),
    errno.EDQUOT: ("your disk quota is used up", f"Free some space, or move the store with --store. {GO_ON}"),
    errno.EFBIG: ("a file may not grow that large here", f"Raise the limit (`ulimit -f`). {GO_ON}"),
    errno.EACCES: ("there is no permission to read or write this", f"Give it (`chmod`, `chown`). {GO_ON}"),
    errno.EPERM: ("there is no permission to read or write this", f"Give it (`chmod`, `chown`). {GO_ON}"),
    errno.EROFS: ("this file system can only be read", f"Choose another folder. {GO_ON}"),
    errno.EMFILE: ("too many files are open", f"Raise the limit (`ulimit -n`). {GO_ON}"),
    errno.ENFILE: ("too many files are open on this machine", GO_ON),
    errno.EIO: ("the disk cannot be read or written", f"Check the disk. {GO_ON}"),
    errno.ESTALE: ("the network file system has lost this", f"Mount it again. {GO_ON}"),
    errno.ENOTCONN: ("the file system is not connected", f"Mount it again. {GO_ON}"),
    errno.ENOLCK: (
        "this file system gives no locks",
        f"Mount it with locks, or choose another. {GO_ON}",
    ),
    errno.ENAMETOOLONG: ("this name is too long for the file system", "Choose a shorter one."),
    errno.ENOTDIR: ("a part of this path is a file and not a folder", "Choose another path."),
    errno.EISDIR: ("this is a folder where a file is needed", "Choose another path."),
    errno.ENOMEM: ("the machine has too little memory", f"Try fewer --workers. {GO_ON}"),
}
"""What the system says a call failed with → in words, and what to do."""


NAMES = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR)
"""What is wrong with a name that the user gave."""


def of_the_machine(error: BaseException) -> AblateError | None:
    """What a failure of the machine, or a path that cannot be one, is called to the user; None for anything
    else."""
    if isinstance(error, MemoryError):
        code = errno.ENOMEM
    else:  # safetensors has an error of its own that only says in words that the disk is full
        code = getattr(error, "errno", None) or (errno.ENOSPC if "os error 28" in str(error) else 0)
    if code not in MACHINE:
        return None
    what, fix = MACHINE[code]
    kind = UserError if code in NAMES else RunError
    return kind(what, where=str(getattr(error, "filename", None) or "this machine")[:300], fix=fix)
