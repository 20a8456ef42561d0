"""What does not answer is waited for, for some minutes, and said so."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, replace
from typing import NamedTuple, TypeVar

from ablate.errors import RunError, UserError

Result = TypeVar("Result")
Note = Callable[[str], None]
"""Where it is said that something is waited for."""

PATIENCE = 300.0
"""Seconds after which what does not answer is given up."""
REMIND = 30.0
"""Seconds after which it is said again that something is waited for."""
LONGEST_PAUSE = 5.0
"""Seconds between two attempts, at most. The first pauses are shorter."""

log: Note = logging.getLogger(__name__).warning
"""A note on standard error, for callers without a screen."""


class Trouble(NamedTuple):
    """Why an attempt failed."""

    what: str
    fix: str = ""
    """What the user can do; empty where it may pass by itself."""


class UnreachableError(RunError):
    """It did not answer in time."""


@dataclass(frozen=True)
class Patience:
    """Makes attempts until one succeeds, for some minutes."""

    address: str
    """What the attempts need, as it may be shown."""
    note: Note = log
    """Told once that it is waited, every half a minute again, and when it is over."""
    secrets: tuple[str, ...] = ()
    """What no message may show."""
    limit: float = math.inf
    """Seconds that it waits at most, if that is less than ``PATIENCE``."""
    _: KW_ONLY
    explain: Callable[[Exception], Trouble | None]
    """What a failure means; None for one that is not to be caught."""
    then: str
    """What the user should know when nothing has answered in time."""

    @property
    def seconds(self) -> float:
        """How long it waits."""
        return min(self.limit, PATIENCE)

    def for_seconds(self, seconds: float) -> Patience:
        """The same with another limit."""
        return replace(self, limit=seconds)

    def __call__(self, attempt: Callable[[], Result]) -> Result:
        """What ``attempt`` gives. It is called again after a failure that may pass.

        Raises:
            UserError: it failed in a way that no waiting mends.
            UnreachableError: it still failed after ``seconds``.
        """
        began = time.monotonic()
        said, pause = -REMIND, 0.1
        while True:
            try:
                result = attempt()
            except Exception as error:
                trouble = self.explain(error)
                if trouble is None:
                    raise
                what = hidden(trouble.what, self.secrets)
                if trouble.fix:
                    raise UserError(what, where=self.address, fix=trouble.fix) from error
                waited = time.monotonic() - began
                if waited > self.seconds:
                    raise self.given_up(what) from error
                if waited - said >= REMIND:
                    said = waited
                    self.note(f"{self.address}: {what}. Waiting for it, for up to {_in_words(self.seconds)}")
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                if said >= 0:
                    self.note(f"{self.address}: works again")
                return result

    def given_up(self, what: str) -> UnreachableError:
        """The error that ends the waiting."""
        return UnreachableError(
            f"{what}. It did not answer in time",
            where=self.address,
            fix=self.then,
        )


def _in_words(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"


def hidden(text: str, secrets: tuple[str, ...]) -> str:
    """A text in which no secret can be read."""
    for secret in secrets:
        text = text.replace(secret, "…")
    return text
