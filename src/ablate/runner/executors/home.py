"""What a worker on another machine has to share with the process that sends it tasks, and whether it does."""

from __future__ import annotations

import gc
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ablate import fingerprint
from ablate.environment import environment, refuse_other
from ablate.errors import UserError
from ablate.hardware import words
from ablate.store.opening import is_bucket, open_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ablate.experiment.config import Compute
    from ablate.plan import Plan


def load() -> None:
    """Imports all that tasks compute with, so that none of it is read when somebody has changed it since.

    What imports make stays: to look for garbage in it meanwhile would take a quarter of their time.
    """
    gc.disable()
    from transformers.utils import logging

    import ablate.audit.audit
    import ablate.data.sprites
    import ablate.stages.evaluate
    import ablate.stages.rehearsal
    import ablate.stages.trial  # noqa: F401

    gc.freeze()
    gc.enable()
    logging.disable_progress_bar()  # loading a part of 1 MB is not news


@dataclass(frozen=True)
class Home:
    """Where the process that sends tasks runs, and with what. Travels with each task."""

    folder: str
    """The folder in which it runs: relative paths of data and parts begin there."""
    store: str
    """The store's address; of a folder, its absolute path."""
    environment: Mapping[str, str]
    compute: Compute
    numerics: Mapping[str, str | int]
    """What the keys hold of the device and its arithmetic."""

    @classmethod
    def of(cls, plan: Plan) -> Home:
        """That of this process."""
        keys = plan.runs[0].keys
        address = plan.store.address
        store = address if is_bucket(address) else str(plan.store.root.absolute())
        return cls(str(Path.cwd()), store, environment(), keys.config.compute, keys.numerics)

    def refuse_other(self) -> None:
        """Looks, on a worker, whether what it computes would be what the sender's keys stand for.

        Raises:
            UserError: other code, other libraries, or a store that is not there.
        """
        load()
        refuse_other(
            self.environment,
            who="this node",
            where=f"node {socket.gethostname()}",
            fix="Install the same versions on all nodes (the same image, or one environment in a shared "
            "folder), and start Ray there anew.",
        )
        if is_bucket(self.store):
            open_store(self.store).reach()
        elif not Path(self.store).is_dir():
            raise UserError(
                f"there is no store {self.store} on this node",
                where=f"node {socket.gethostname()}",
                fix="Give --store a folder that all nodes see under the same path.",
            )

    def refuse_other_device(self) -> None:
        """Raises UserError if the keys stand for another device than this worker has."""
        numerics = fingerprint.numerics(self.compute)
        if numerics != self.numerics:
            raise UserError(
                f"this worker computes on {words(numerics)}, and the keys stand for {words(self.numerics)}",
                where=f"node {socket.gethostname()}",
                fix="Give the command on a machine like those that compute, and use nodes of one kind.",
            )

    def enter(self) -> None:
        """Makes the sender's folder the worker's, where the worker has it."""
        if Path(self.folder).is_dir():
            os.chdir(self.folder)
