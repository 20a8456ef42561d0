"""Where commands say how far they are. One protocol for ``run``, ``audit``, ``verify`` and ``fetch``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ablate.records import Cluster, EpochRow, Finding


class Progress(Protocol):
    """Shows what becomes of tasks, each known by its name."""

    def note(self, task: str, text: str) -> None:
        """A task is doing something."""

    def done(self, task: str, text: str = "") -> None:
        """A task has ended well, with what there is to say of it."""

    def failed(self, task: str, reason: str) -> None:
        """A task has failed."""


class RunProgress(Progress, Protocol):
    """Shows as well how far training is."""

    def say(self, text: str) -> None:
        """Something that has to be read."""

    def findings(self, findings: Sequence[Finding]) -> None:
        """What the audit found."""

    def begin(self, epochs: int, runs: Collection[str]) -> None:
        """``epochs`` epochs will be trained, and ``runs`` are the tasks that each finish a run."""

    def epoch(self, task: str, epochs: int, row: EpochRow, memory: int) -> None:
        """A task has trained one more epoch, number ``epochs``, and takes ``memory`` bytes."""

    def cluster(self, seen: Cluster) -> None:
        """What of a cluster is there now."""


class Together:
    """A ``RunProgress`` that tells several others."""

    def __init__(self, *others: RunProgress) -> None:
        self._others = others

    def say(self, text: str) -> None:
        """To each."""
        for other in self._others:
            other.say(text)

    def findings(self, findings: Sequence[Finding]) -> None:
        """To each."""
        for other in self._others:
            other.findings(findings)

    def begin(self, epochs: int, runs: Collection[str]) -> None:
        """To each."""
        for other in self._others:
            other.begin(epochs, runs)

    def cluster(self, seen: Cluster) -> None:
        """To each."""
        for other in self._others:
            other.cluster(seen)

    def note(self, task: str, text: str) -> None:
        """To each."""
        for other in self._others:
            other.note(task, text)

    def epoch(self, task: str, epochs: int, row: EpochRow, memory: int) -> None:
        """To each."""
        for other in self._others:
            other.epoch(task, epochs, row, memory)

    def done(self, task: str, text: str = "") -> None:
        """To each."""
        for other in self._others:
            other.done(task, text)

    def failed(self, task: str, reason: str) -> None:
        """To each."""
        for other in self._others:
            other.failed(task, reason)


SILENT: RunProgress = Together()
"""Tells nobody."""
