"""The class of device that computes: what of a machine decides the last bits of a result. No torch.

Two machines of one class are meant to give the same bits. Machines of different classes do not: another GPU
splits sums in another way, and so does a CPU with wider registers.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_GPU = (34, 100)
"""The driver's codes for a library that is a stub, and for no GPU, or none that this process may see."""
NAME = 256
"""Bytes of the longest name of a GPU."""

CPUINFO = Path("/proc/cpuinfo")
LEVELS: dict[str, set[str]] = {
    "AVX512": {"avx512vl", "avx512bw", "avx512dq", "fma"},
    "AVX2": {"avx2", "fma"},
}
"""What torch calls the instructions of its own kernels → the flags that it asks for. The first counts."""
EXTENSIONS = (
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "sve",
    "sve2",
    "bf16",
    "i8mm",
)
"""Flags by which oneDNN and MKL choose among their matrix products."""
VARIABLES: dict[str, tuple[str, ...]] = {
    "cpu": (
        "ATEN_CPU_CAPABILITY",
        *("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"),
        *("ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE"),
        *("MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR"),
    ),
    "cuda": ("NVIDIA_TF32_OVERRIDE",),
}
"""Kind of device → the environment variables that tell torch, oneDNN, MKL and CUDA's libraries with which
instructions, or how exactly, they compute."""


@cache
def device_kind(device: str) -> str:
    """``cpu`` or ``cuda``; ``auto`` asks the NVIDIA driver, without importing torch.

    Raises UserError for a driver that fails: a training meant for a GPU would begin on the CPU.
    """
    if device != "auto":
        return device
    return "cuda" if gpus() else "cpu"


@cache
def device_class(device: str) -> dict[str, str]:
    """What the ``compute.device`` of a configuration is on this machine, as it goes into keys.

    The CPU counts on a GPU, too: it draws the noise. Raises UserError as ``device_kind``.
    """
    kind, (flags, vendor) = device_kind(device), cpu()
    level = f"{platform.machine()} {instructions(flags)}"
    variables = {name: value for name in VARIABLES[kind] if (value := os.environ.get(name))}
    if kind == "cpu":
        maker = " ".join([vendor, *(flag for flag in EXTENSIONS if flag in flags)])
        return {"device": "cpu", "instructions": level, "cpu": maker, **variables}
    gpu = next(iter(gpus()), "no GPU")  # plans can be made where there is none; torch uses the first
    return {"device": "cuda", "gpu": gpu, "instructions": level, **cuda_versions(), **variables}


def words(numerics: Mapping[str, Any]) -> str:
    """A class in words: ``NVIDIA H100 80GB HBM3, CUDA 13.0, cuDNN 9.24.0, x86_64 AVX512``.

    ``numerics``: a class, or what keys hold of one.
    """
    level, kind = numerics["instructions"], numerics["device"]
    variables = [f"{name}={numerics[name]}" for name in VARIABLES[kind] if name in numerics]
    if kind == "cuda":
        libraries = (f"{title} {numerics[name]}" for name, title in TITLES.items() if numerics[name])
        return ", ".join([numerics["gpu"], *libraries, level, *variables])
    return ", ".join(["CPU", level, numerics["cpu"], *variables])


TITLES = {"cuda": "CUDA", "cudnn": "cuDNN"}


# ── GPUs ─────────────────────────────────────────────────────────────────────────────────────────


@cache
def gpus() -> tuple[str, ...]:
    """Names of the GPUs that this process may see, in the order in which torch counts them.

    Raises UserError for a driver that fails.
    """
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return ()
    if status := driver.cuInit(0):
        if status in NO_GPU:
            return ()
        raise UserError(
            f"the NVIDIA driver fails with code {status}",
            where="compute.device: auto",
            fix="nvidia-smi may say why. To compute on the CPU, set compute.device=cpu.",
        )
    count = ctypes.c_int(0)
    driver.cuDeviceGetCount(ctypes.byref(count))
    names = []
    for number in range(count.value):
        device, name = ctypes.c_int(0), ctypes.create_string_buffer(NAME)
        driver.cuDeviceGet(ctypes.byref(device), number)
        driver.cuDeviceGetName(name, NAME, device)
        names.append(name.value.decode())
    return tuple(names)


def cuda_versions() -> dict[str, str]:
    """The versions of CUDA and cuDNN that torch computes with; "" where they cannot be known without it.
    The version of torch is in the keys beside them."""
    spec = find_spec("torch")
    file = Path(spec.origin).with_name("version.py") if spec and spec.origin else None
    text = file.read_text() if file and file.is_file() else ""
    found = re.search(r"^cuda\b.*= '(.+)'", text, flags=re.MULTILINE)
    cuda = found[1] if found else ""
    try:
        cudnn = version(f"nvidia-cudnn-cu{cuda.partition('.')[0]}")
    except PackageNotFoundError:
        cudnn = ""
    return {"cuda": cuda, "cudnn": ".".join(cudnn.split(".")[:3])}


# ── CPU ──────────────────────────────────────────────────────────────────────────────────────────


def instructions(flags: set[str]) -> str:
    """What torch calls the instructions that its kernels use: ``AVX512``, ``AVX2``, ``DEFAULT``."""
    asked = os.environ.get("ATEN_CPU_CAPABILITY", "").upper()
    if asked in (*LEVELS, "DEFAULT"):
        return asked
    return next((level for level, needed in LEVELS.items() if needed <= flags), "DEFAULT")


@cache
def cpu() -> tuple[set[str], str]:
    """The flags of the CPU's instructions, and its maker. Where Linux does not say: none, and what the
    system calls the processor."""
    text = CPUINFO.read_text(errors="replace") if CPUINFO.is_file() else ""
    lines = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    first = {name.strip(): value.strip() for name, _, value in lines}
    flags = set((first.get("flags") or first.get("Features") or "").split())
    return flags, first.get("vendor_id") or first.get("CPU implementer") or platform.processor()
