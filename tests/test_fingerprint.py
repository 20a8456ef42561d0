"""The device is what the NVIDIA driver says; a driver that fails is not taken for none."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from ablate.errors import UserError
from ablate.fingerprint import device_kind


def ask(monkeypatch: pytest.MonkeyPatch, *, status: int, count: int = 0) -> str:
    """``auto`` on a machine whose driver starts with ``status`` and has ``count`` GPUs."""

    def get_count(reference: Any) -> int:
        reference._obj.value = count
        return 0

    driver = SimpleNamespace(cuInit=lambda flags: status, cuDeviceGetCount=get_count)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: driver)
    kind: str = device_kind.__wrapped__("auto")
    return kind


@pytest.mark.parametrize(
    ("status", "count", "kind"),
    [
        pytest.param(0, 2, "cuda", id="GPUs"),
        pytest.param(0, 0, "cpu", id="a driver without a GPU"),
        pytest.param(100, 0, "cpu", id="none that this process may see"),
        pytest.param(34, 0, "cpu", id="a stub of the driver"),
    ],
)
def test_auto_is_cuda_where_there_is_a_gpu(
    monkeypatch: pytest.MonkeyPatch, status: int, count: int, kind: str
) -> None:
    assert ask(monkeypatch, status=status, count=count) == kind


def test_a_driver_that_fails_is_said_and_not_computed_around(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="fails with code 803") as error:
        ask(monkeypatch, status=803)
    assert "compute.device=cpu" in error.value.fix


def test_without_a_driver_it_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert device_kind.__wrapped__("auto") == "cpu"


def test_what_is_written_is_not_asked_for() -> None:
    assert device_kind("cuda") == "cuda"
    assert device_kind("cpu") == "cpu"
