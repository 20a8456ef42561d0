"""The class of device is what decides the last bits; it is found without torch, and agrees with it."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ablate import hardware
from ablate.errors import UserError
from ablate.hardware import cpu, cuda_versions, device_class, device_kind, gpus, instructions, words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    cached = (device_kind, device_class, gpus, hardware.cpu)
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


def driver(monkeypatch: pytest.MonkeyPatch, *names: str, status: int = 0) -> None:
    """A machine whose NVIDIA driver starts with ``status`` and has GPUs of these names."""

    def get_count(reference: Any) -> None:
        reference._obj.value = len(names)

    def get(reference: Any, number: int) -> None:
        reference._obj.value = number

    def get_name(buffer: Any, size: int, device: Any) -> None:
        buffer.value = names[device.value].encode()

    monkeypatch.setattr(
        ctypes,
        "CDLL",
        lambda name: SimpleNamespace(
            cuInit=lambda flags: status,
            cuDeviceGetCount=get_count,
            cuDeviceGet=get,
            cuDeviceGetName=get_name,
        ),
    )


def processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    """A machine whose system says ``text`` of its first processor, and of others something else."""
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\n{text}\n\nprocessor\t: 1\nflags\t: none\n")
    monkeypatch.setattr(hardware, "CPUINFO", file)
    monkeypatch.setattr(hardware.platform, "machine", lambda: "x86_64")
    for names in hardware.VARIABLES.values():
        for name in names:
            monkeypatch.delenv(name, raising=False)


# ── cpu or cuda ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "names", "kind"),
    [
        pytest.param(0, ("A", "B"), "cuda", id="GPUs"),
        pytest.param(0, (), "cpu", id="a driver without a GPU"),
        pytest.param(100, (), "cpu", id="none that this process may see"),
        pytest.param(34, (), "cpu", id="a stub of the driver"),
    ],
)
def test_auto_is_cuda_where_there_is_a_gpu(
    monkeypatch: pytest.MonkeyPatch, status: int, names: tuple[str, ...], kind: str
) -> None:
    driver(monkeypatch, *names, status=status)
    assert device_kind("auto") == kind


def test_a_driver_that_fails_is_said_and_not_computed_around(monkeypatch: pytest.MonkeyPatch) -> None:
    driver(monkeypatch, status=803)
    with pytest.raises(UserError, match="fails with code 803") as error:
        device_kind("auto")
    assert "compute.device=cpu" in error.value.fix


def test_without_a_driver_it_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert device_kind("auto") == "cpu"
    assert device_class("cuda")["gpu"] == "no GPU"  # a plan can be made where nothing can run


def test_what_is_written_is_not_asked_for() -> None:
    assert device_kind("cuda") == "cuda"
    assert device_kind("cpu") == "cpu"


# ── the class ────────────────────────────────────────────────────────────────────────────────────


def test_the_class_of_a_gpu_is_its_name_the_libraries_and_the_instructions_that_draw_the_noise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    driver(monkeypatch, "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-40GB")
    processor(monkeypatch, tmp_path, "vendor_id\t: GenuineIntel\nflags\t\t: fma avx2 amx_tile")
    monkeypatch.setattr(hardware, "cuda_versions", lambda: {"cuda": "13.0", "cudnn": "9.24.0"})
    one = device_class("auto")
    assert one == {
        "device": "cuda",
        "gpu": "NVIDIA H100 80GB HBM3",
        "instructions": "x86_64 AVX2",
        "cuda": "13.0",
        "cudnn": "9.24.0",
    }
    assert words(one) == "NVIDIA H100 80GB HBM3, CUDA 13.0, cuDNN 9.24.0, x86_64 AVX2"


@pytest.mark.parametrize(
    ("flags", "maker", "said"),
    [
        ("fma avx2 avx512f", "AuthenticAMD", "CPU, x86_64 AVX2, AuthenticAMD"),
        ("fma avx512vl avx512bw avx512dq", "GenuineIntel", "CPU, x86_64 AVX512, GenuineIntel"),
        (
            "amx_tile fma avx512vl avx512bw avx512dq avx512_bf16",
            "GenuineIntel",
            "CPU, x86_64 AVX512, GenuineIntel avx512_bf16 amx_tile",
        ),
        ("sse2", "GenuineIntel", "CPU, x86_64 DEFAULT, GenuineIntel"),
    ],
)
def test_the_class_of_a_cpu_is_the_instructions_by_which_libraries_choose_their_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str, maker: str, said: str
) -> None:
    processor(monkeypatch, tmp_path, f"vendor_id\t: {maker}\nflags\t\t: {flags}")
    assert words(device_class("cpu")) == said


@pytest.mark.parametrize(
    ("device", "name"), [(device, name) for device, names in hardware.VARIABLES.items() for name in names]
)
def test_variables_that_change_what_libraries_compute_are_of_the_class(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, device: str, name: str
) -> None:
    driver(monkeypatch, "NVIDIA H100 80GB HBM3")
    processor(monkeypatch, tmp_path, "vendor_id\t: GenuineIntel\nflags\t\t: fma avx2")
    before = device_class(device)
    device_class.cache_clear()
    monkeypatch.setenv(name, "1")
    assert device_class(device) == before | {name: "1"}
    assert words(device_class(device)) == f"{words(before)}, {name}=1"


def test_the_instructions_are_those_that_torch_uses() -> None:
    import torch

    assert instructions(cpu()[0]) == torch.backends.cpu.get_cpu_capability()


def test_the_instructions_are_those_that_torch_is_told_to_use() -> None:
    code = (
        "import torch; from ablate.hardware import cpu, instructions\n"
        "print(torch.backends.cpu.get_cpu_capability(), instructions(cpu()[0]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "ATEN_CPU_CAPABILITY": "default"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["DEFAULT", "DEFAULT"]


def test_the_versions_of_cuda_and_cudnn_are_those_that_torch_has() -> None:
    import torch

    found = cuda_versions()
    assert found["cuda"] == (torch.version.cuda or "")
    if found["cudnn"]:
        major, minor, patch = map(int, found["cudnn"].split("."))
        assert torch.backends.cudnn.version() == 10_000 * major + 100 * minor + patch
