"""A Ray cluster: begun on this machine or joined, its nodes, and what is wrong where it cannot be used."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.data.parallel import cores
from ablate.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = "local"
"""Ray's word for a cluster of its own on this machine, which ends with the command."""
KNOCK = 5.0
"""Seconds in which something must listen at an address."""
START = (
    "`ray start --head --port=6379` starts a cluster, `ray start --address=HOST:6379` adds a machine to it."
)
OBJECTS = 100 * 2**20
"""Bytes of the shared memory of a cluster of its own: only keys and words pass."""


def ray_module() -> Any:
    """Ray, imported. Raises UserError if it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        fix = "pip install ray"
        raise UserError("Ray is not installed", where="--executor ray", fix=fix) from error
    return ray


def address_of(given: str | None) -> str:
    """The address of the cluster to use: the one given, else Ray's own variable, else one of our own. Looks
    whether something listens there.

    Raises:
        UserError: it is not the address of a cluster, or nobody is there.
    """
    address = given or os.environ.get("RAY_ADDRESS") or HERE
    where = f"--address {address}"
    if address in (HERE, "auto"):
        return address
    if address.startswith("ray://"):
        fix = "Give the command on a machine of the cluster (`ray job submit`, ssh), with its HOST:6379."
        raise UserError("Ray's client protocol does not carry this", where=where, fix=fix)
    if not (found := re.fullmatch(r"(.+):(\d{1,5})", address)) or int(found[2]) > 65535:
        raise UserError("is not HOST:PORT", where=where, fix=f"As in --address 10.0.0.1:6379. {START}")
    try:
        _knock(found[1].strip("[]"), int(found[2]))
    except OSError as error:
        what = f"no Ray cluster answers here ({error.strerror or error})"
        raise UserError(what, where=where, fix=START) from error
    return address


def _knock(host: str, port: int) -> None:
    """Raises OSError if nothing listens there, or no gRPC server. Ray would try for minutes."""
    settings = b"\0\0\0\4\0\0\0\0\0"  # an empty HTTP/2 frame of this kind, with which both sides begin
    with socket.create_connection((host, port), timeout=KNOCK) as line:
        line.settimeout(KNOCK)
        line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings)
        if line.recv(9, socket.MSG_WAITALL)[3:4] != settings[3:4]:
            raise OSError("another program listens")


def connect(address: str, threads: int) -> bool:
    """Begins or joins a cluster, quietly. Whether that was needed: this process may be in one already.

    A cluster of our own listens on this machine only, has no dashboard, and ends with this process.

    Raises:
        UserError: the cluster cannot be joined from here, or not without its token.
    """
    ray = ray_module()
    if ray.is_initialized():
        return False
    own: dict[str, Any] = {}
    if address == HERE:
        # Then Ray takes this machine's loopback address, and nothing listens at another. The variable's name
        # says where that is the default.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        ray._private.ray_constants.ENABLE_RAY_CLUSTER = False  # where Ray was imported before
        own = {"num_cpus": cores(), "include_dashboard": False, "object_store_memory": OBJECTS}
    # What Ray prints of a worker that died is said in our own words.
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            # Read when numpy is first imported, that is when a worker starts.
            runtime_env={"env_vars": {"OMP_NUM_THREADS": str(threads)}},
            **own,
        )
    except ray.exceptions.AuthenticationError as error:
        what = "RAY_AUTH_MODE is token, and this machine does not have the cluster's token"
        fix = "Copy ~/.ray/auth_token from a machine of the cluster, or set RAY_AUTH_TOKEN."
        raise UserError(what, where=f"--address {address}", fix=fix) from error
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        what = f"this cluster cannot be used from here: {' '.join(str(error).split())[:400]}"
        fix = f"The command must run on a machine of the cluster, with the same Ray and Python. {START}"
        raise UserError(what, where=f"--address {address}", fix=fix) from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray's own would end the command without a word
    return True


@dataclass(frozen=True)
class Share:
    """What a task takes of a node."""

    cpus: float
    gpus: float = 0.0

    def fits(self, node: Mapping[str, float]) -> int:
        """How many tasks a node has room for."""
        places = [
            int(node.get(name, 0.0) / each + 1e-6)
            for name, each in (("CPU", self.cpus), ("GPU", self.gpus))
            if each
        ]
        return min(places)

    def larger(self, nodes: Sequence[Mapping[str, float]]) -> Share | None:
        """Twice as much, so that fewer tasks are on a GPU, or on a node if it has none; None where a task has
        a whole one already."""
        if self.gpus:
            return Share(self.cpus, min(1.0, 2 * self.gpus)) if self.gpus < 1 else None
        most = max((node.get("CPU", 0.0) for node in nodes), default=0.0)
        return Share(min(most, 2 * self.cpus)) if self.cpus < most else None

    def __str__(self) -> str:
        gpus = f" and {self.gpus:g} GPU" if self.gpus else ""
        return f"{self.cpus:g} CPU{gpus}"


@dataclass(frozen=True)
class Node:
    """A machine of the cluster that is there."""

    id: str
    host: str
    resources: Mapping[str, float]


def nodes() -> list[Node]:
    """Those that are there now."""
    return [
        Node(node["NodeID"], node["NodeManagerHostname"], node["Resources"])
        for node in ray_module().nodes()
        if node["Alive"]
    ]
