"""The errors ablate raises on purpose. Everything else is a bug and keeps its traceback."""

from __future__ import annotations


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
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.fix}" if self.fix else head

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
