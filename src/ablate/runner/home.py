"""What a worker on another machine has to share with the process that sends it tasks, and whether it does."""

from __future__ import annotations

import os
import platform
import socket
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from ablate import fingerprint
from ablate.errors import UserError
from ablate.hardware import words
from ablate.stages import evaluated, prepared, sampled, trained
from ablate.store.opening import is_bucket, open_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ablate.experiment.config import Compute
    from ablate.plan import Plan

LIBRARIES = sorted(
    {
        *prepared.LIBRARIES,
        *trained.LIBRARIES,
        *sampled.LIBRARIES,
        *evaluated.LIBRARIES,
        "lpips",
        "safetensors",
    }
)
"""Those that results are computed with."""
SHOWN = 5
"""How many differences are named."""


@cache
def environment() -> dict[str, str]:
    """What must agree among processes whose results stand side by side: Python, the digest of each file of
    ablate, and the version of each library that results are computed with."""
    package = fingerprint.PACKAGE
    files = tuple(file.relative_to(package).as_posix() for file in sorted(package.rglob("*.py")))
    versions = {name: _version(name) for name in LIBRARIES}
    return {"Python": platform.python_version(), **fingerprint.of_files(files), **versions}


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


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
        here = environment()
        differing = [
            f"{name} differs" if name.endswith(".py") else f"{name} is {here.get(name)}, not {wanted}"
            for name, wanted in self.environment.items()
            if here.get(name) != wanted
        ]
        differing += [f"{name} is there only" for name in here if name not in self.environment]
        if differing:
            more = f", and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
            raise UserError(
                "this node computes with other code than the command, so results would not be comparable: "
                f"{', '.join(differing[:SHOWN])}{more}",
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
