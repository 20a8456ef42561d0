"""Ctrl-C and SIGTERM end a command in the same way: with a message, and with what was reached kept."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)

_received: list[int] = []


class Interrupted(BaseException):
    """The command was told to stop. Shells expect the exit code 128 + the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def caught() -> Iterator[None]:
    """In this block the first Ctrl-C or SIGTERM raises ``Interrupted``, and a second one ends the process."""
    before, show = {number: signal.getsignal(number) for number in SIGNALS}, sys.unraisablehook
    sys.unraisablehook = lambda lost: None if isinstance(lost.exc_value, Interrupted) else show(lost)
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # as in the background of a shell, or under nohup
            signal.signal(number, _raise)
    try:
        yield
    finally:
        _received.clear()
        sys.unraisablehook = show
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def not_for_children() -> Iterator[None]:
    """Processes that are started in this block never hear Ctrl-C: it is for their parent to answer, also
    while they still import what they need."""
    from multiprocessing import resource_tracker  # not for commands that start no process

    resource_tracker.ensure_running()  # which is started with the first process, and lets SIGINT in again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def check() -> None:
    """Raises ``Interrupted`` if it was raised before and lost: what is raised inside a weak reference's
    callback, Python ignores."""
    if _received:
        raise Interrupted(_received[0])


def _raise(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    raise Interrupted(number)
