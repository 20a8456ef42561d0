"""Leases on file systems that machines share: who holds one, and how that is known."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from filelock import SoftFileLease

from ablate import locks
from ablate.locks import LEASE, is_held, lock_at, lock_on, this_host

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def age(file: Path) -> None:
    """Has a lease look as if nobody had touched it for long."""
    os.utime(file, (0, 0))


def test_this_host_is_called_as_in_leases(tmp_path: Path) -> None:
    with lock_on(file := tmp_path / "lock", shared=True):
        owner = SoftFileLease(file, lease_duration=LEASE).owner
        assert owner and owner.hostname == this_host()


def test_a_container_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = this_host()
    monkeypatch.setattr(locks, "NAMESPACE", tmp_path)
    assert this_host() != here
    monkeypatch.setattr(locks, "NAMESPACE", tmp_path / "no such file")
    assert this_host() == socket.gethostname()


def test_a_lease_of_a_process_that_lives_here_is_held_though_it_touches_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with lock_on(file := tmp_path / "lock", shared=True):
        monkeypatch.setattr(locks, "LEASE", 1e-9)  # no touch is new enough
        assert is_held(file, shared=True)
    assert not is_held(file, shared=True)


def test_a_lease_of_a_process_whose_number_another_one_has_now_is_not_held(tmp_path: Path) -> None:
    with lock_on(file := tmp_path / "lock", shared=True):
        os.utime(file, (1.0, 1.0))  # long before this process began
        assert not is_held(file, shared=True)


def test_a_lease_of_another_machine_is_held_as_long_as_it_is_touched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lock = lock_on(file := tmp_path / "lock", shared=True)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(socket, "gethostname", lambda: "elsewhere")
        lock.acquire()
    assert is_held(file, shared=True)
    age(file)
    assert not is_held(file, shared=True)
    lock.release()


def test_where_machines_share_the_file_system_a_lock_is_a_lease(nfs: Path, tmp_path: Path) -> None:
    for folder, leased in ((nfs, True), (tmp_path, False)):
        with lock_at(file := folder / "lock"):
            assert (SoftFileLease(file, lease_duration=LEASE).owner is not None) == leased


def test_a_process_that_has_ended_does_not_live() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not locks.lives(ended.pid) and locks.lives(os.getpid())
