"""Locks among processes: the kernel's on a local disk, leases on a file system that machines share.

``flock`` often does not hold there: it may be local to a machine, or not exist. A lease is a file that its
holder makes exclusively and touches again and again; a waiting process takes it over when it has not been
touched for ``LEASE`` seconds. A machine that sleeps for longer may find that another holds its lease as well.
Then both make the same entry, which is waste and nothing worse: the store does not rely on locks for what is
true.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import psutil
from filelock import FileLock, SoftFileLease

from ablate.mounts import network_kind

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType

LEASE = 90.0
"""Seconds after which a lease that nobody has touched is given up. NFS may show an old time for a minute."""
HEARTBEAT = 15.0
"""Seconds between two touches."""

NAMESPACE = Path("/proc/self/ns/pid")
"""Its inode tells apart the containers of a machine that number their processes for themselves."""
OUTERMOST = 0xEFFFFFFC
"""The inode outside of all containers."""


class Lock(Protocol):
    """A lock among processes: a context manager that holds it."""

    def acquire(self, *, blocking: bool | None = None) -> AbstractContextManager[object]:
        """Holds it, to the end of a ``with`` on what is given, or until ``release``. Waits for it; raises
        ``filelock.Timeout`` instead with ``blocking=False``."""

    def release(self) -> None:
        """Lets go of it."""

    def __enter__(self) -> object: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def lock_on(file: Path, *, shared: bool) -> Lock:
    """The lock that a file stands for; its folder is made when it is acquired.

    Args:
        shared: whether the file lies on a network file system.
    """
    if not shared:
        return FileLock(file)
    return SoftFileLease(file, lease_duration=LEASE, heartbeat_interval=HEARTBEAT)


def lock_at(file: Path) -> Lock:
    """``lock_on`` a file, wherever it lies."""
    return lock_on(file, shared=bool(network_kind(file)))


def is_held(file: Path, *, shared: bool) -> bool:
    """Whether a process holds a lock. Waits for nobody and writes nothing."""
    return _is_leased(file) if shared else _is_locked(file)


def _is_leased(file: Path) -> bool:
    """Whether a lease is held: on this machine by a process that lives, for it may be suspended and touch
    nothing; on another one as long as it is touched."""
    try:
        touched = file.stat().st_mtime
    except FileNotFoundError:
        return False
    owner = SoftFileLease(file, lease_duration=LEASE).owner
    if owner and owner.hostname == this_host():
        return _lived_at(owner.pid, touched)
    return time.time() - touched < LEASE


def _lived_at(process: int, moment: float) -> bool:
    """Whether a process of this machine goes on that had begun by then. A later one has only its number."""
    try:
        return bool(psutil.Process(process).create_time() < moment + LEASE)  # clocks differ a little
    except psutil.NoSuchProcess:
        return False


def this_host() -> str:
    """Where a process's number means this process: the machine's name, and in a container which one. As
    ``filelock`` writes it into leases."""
    try:
        namespace = NAMESPACE.stat().st_ino
    except OSError:  # not Linux
        namespace = OUTERMOST
    return socket.gethostname() + ("" if namespace == OUTERMOST else f"?pidns-{namespace:x}")


def lives(process: int) -> bool:
    """Whether a process of this machine goes on. On Windows nobody can ask without ending it."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is somebody else's
    return True


def _is_locked(file: Path) -> bool:
    try:
        import fcntl
    except ImportError:  # on Windows a file that is locked cannot be read
        try:
            file.read_bytes()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return False
    try:
        with file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)  # let go of when the file is closed
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
