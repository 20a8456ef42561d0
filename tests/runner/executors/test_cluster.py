"""Addresses that cannot work end in seconds with what to do; shares of nodes; who may work for a command."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ablate.environment import environment
from ablate.errors import UserError
from ablate.experiment.config import Compute
from ablate.fingerprint import numerics
from ablate.runner.executors import executor_at, local
from ablate.runner.executors.cluster import Share, address_of
from ablate.runner.executors.home import Home
from ablate.runner.executors.on_ray import share_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import MakeKeys


@contextmanager
def listener(answer: bytes) -> Iterator[str]:
    """The address of a program on this machine that answers with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            line, _ = server.accept()
            with line:
                line.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_without_an_address_it_is_rays_own_variable_or_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert address_of(None) == "local"
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert address_of(None) == "auto"


@pytest.mark.parametrize("address", ["here", "10.0.0.1", "10.0.0.1:port", "10.0.0.1:99999", ":6379"])
def test_what_is_no_address_is_named(address: str) -> None:
    with pytest.raises(UserError, match="is not HOST:PORT"):
        address_of(address)


def test_rays_client_protocol_is_refused() -> None:
    with pytest.raises(UserError, match="client protocol"):
        address_of("ray://10.0.0.1:10001")


def test_where_nobody_listens_there_is_no_cluster() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(UserError, match="no Ray cluster answers here"):
        address_of(address)


def test_where_another_program_listens_there_is_no_cluster() -> None:
    with (
        listener(b"HTTP/1.1 400 Bad Request\r\n\r\n") as address,
        pytest.raises(UserError, match="another program listens"),
    ):
        address_of(address)


def test_where_a_grpc_server_listens_ray_is_asked() -> None:
    with listener(b"\0\0\0\4\0\0\0\0\0") as address:
        assert address_of(address) == address


def test_without_rays_token_the_user_is_told_where_it_is(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from ablate.runner.executors.cluster import connect; connect('127.0.0.1:6379', 1)",
        ],
        env=environment | {"RAY_AUTH_MODE": "token", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "UserError: --address 127.0.0.1:6379: RAY_AUTH_MODE is token" in done.stderr, done.stderr
    assert "~/.ray/auth_token" in done.stderr


def test_without_ray_the_user_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install ray"):
        executor_at("ray", None)


def test_this_machine_has_no_address() -> None:
    with pytest.raises(UserError, match="--executor ray"):
        executor_at("local", "10.0.0.1:6379")
    assert executor_at("local", None) == local.LocalExecutor.of


def test_as_many_tasks_fit_as_the_scarcer_resource_allows() -> None:
    node = {"CPU": 8.0, "GPU": 2.0}
    assert Share(1).fits(node) == 8
    assert Share(1, 1).fits(node) == 2
    assert Share(1, 0.25).fits(node) == 8
    assert Share(3, 0.1).fits(node) == 2
    assert Share(1, 1).fits({"CPU": 8.0}) == 0


def test_a_task_that_lacked_memory_gets_twice_the_share_until_it_has_a_whole_one() -> None:
    nodes = [{"CPU": 4.0, "GPU": 1.0}, {"CPU": 3.0}]
    assert Share(1, 0.25).larger(nodes) == Share(1, 0.5)
    assert Share(1, 0.75).larger(nodes) == Share(1, 1)
    assert Share(1, 1).larger(nodes) is None
    assert Share(3).larger(nodes) == Share(4)
    assert Share(4).larger(nodes) is None


def test_a_task_takes_a_gpu_only_where_it_computes_on_one(make_keys: MakeKeys) -> None:
    keys = make_keys({"compute": {"threads": 2, "gpus": 0.5, "device": "cpu"}})
    assert share_of(keys) == Share(2, 0)
    keys.numerics = {**keys.numerics, "device": "cuda"}
    assert share_of(keys) == Share(2, 0.5)


def test_how_many_tasks_share_a_gpu_is_in_no_key(make_keys: MakeKeys) -> None:
    assert make_keys({"compute": {"gpus": 0.5}}).evaluate == make_keys().evaluate


HOME = Home("", "", environment(), Compute(device="cpu"), numerics(Compute(device="cpu")))


def test_a_worker_of_the_same_kind_may_work(tmp_path: Path) -> None:
    replace(HOME, store=str(tmp_path)).refuse_other()
    HOME.refuse_other_device()


def test_other_versions_and_sources_are_refused_in_words(tmp_path: Path) -> None:
    other = {**HOME.environment, "torch": "0.1", "plan.py": "0", "Python": "2.7"}
    with pytest.raises(UserError) as refused:
        replace(HOME, store=str(tmp_path), environment=other).refuse_other()
    assert f"torch is {HOME.environment['torch']}, not 0.1" in str(refused.value)
    assert "plan.py differs" in str(refused.value) and "Python is" in str(refused.value)


def test_a_store_that_a_node_does_not_see_is_refused() -> None:
    with pytest.raises(UserError, match="there is no store /nowhere on this node"):
        replace(HOME, store="/nowhere").refuse_other()


def test_another_device_is_refused() -> None:
    other = {**HOME.numerics, "instructions": "of another machine"}
    with pytest.raises(UserError, match="the keys stand for CPU, of another machine"):
        replace(HOME, numerics=other).refuse_other_device()
