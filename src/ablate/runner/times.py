"""What work has taken in this store: the ground of every forecast. A small text that nothing else needs."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ablate.errors import AblateError

if TYPE_CHECKING:
    from ablate.store import Store

TIMES = "times/times.json"
"""The text of a store that holds them."""


@dataclass(frozen=True)
class Known:
    """What a unit of a kind of work has taken."""

    seconds: float
    source: str
    """What found that out: ``runs of ema``, ``a few steps``."""


class Times:
    """What each kind of work (``stages/effort.py``) takes, as the newest command that did some has measured.

    A context manager around a command's work, which keeps what it was told for the next command.
    """

    def __init__(self, store: Store, source: str) -> None:
        self._store, self._source = store, source
        self._known = _read(store)
        self._now: dict[str, tuple[float, float]] = {}
        """Kind of work → units and seconds in this command."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        new = {kind: Known(seconds / units, self._source) for kind, (units, seconds) in self._now.items()}
        if not new:
            return
        # Without it the next command knows less, and nothing else.
        with suppress(OSError, AblateError), self._store.lock("times"):
            known = _read(self._store) | new
            content = {kind: [of.seconds, of.source] for kind, of in sorted(known.items())}
            self._store.put(TIMES, json.dumps(content, indent=0))

    def add(self, kind: str, units: float, seconds: float) -> None:
        """``units`` more have been done."""
        done, took = self._now.get(kind, (0.0, 0.0))
        self._now[kind] = done + units, took + seconds

    def find(self, kind: str) -> Known | None:
        """What a unit took in earlier commands; None if there were none."""
        return self._known.get(kind)

    @property
    def worked(self) -> float:
        """Seconds of all work in this command."""
        return sum(seconds for _, seconds in self._now.values())


def _read(store: Store) -> dict[str, Known]:
    """What earlier commands have kept; nothing if it is not there or not as it was written."""
    try:
        content = json.loads(store.get(TIMES) or "{}")
        return {kind: Known(float(seconds), str(source)) for kind, (seconds, source) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
