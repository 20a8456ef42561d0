"""Randomness derived from what it is for, never carried from draw to draw.

Every draw has an address (seed, epoch, step, purpose). The generator is made from a hash of the
address, so a training that starts in the middle draws what one from the beginning would have drawn,
and no draw depends on how many came before it. Draws are made on the CPU and moved: the same
numbers on every device.
"""

from __future__ import annotations

import hashlib

import torch


def generator(*address: int | str) -> torch.Generator:
    """A CPU generator for one address, e.g. ``generator(seed, epoch, step, "noise")``."""
    digest = hashlib.sha256("/".join(map(str, address)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)


def normal(shape: tuple[int, ...], *address: int | str) -> torch.Tensor:
    """Standard normal float32 numbers of ``shape``."""
    return torch.randn(shape, generator=generator(*address))


def uniform(shape: tuple[int, ...], *address: int | str) -> torch.Tensor:
    """Uniform float32 numbers in [0, 1) of ``shape``."""
    return torch.rand(shape, generator=generator(*address))


def integers(high: int, shape: tuple[int, ...], *address: int | str) -> torch.Tensor:
    """Uniform int64 numbers in [0, high) of ``shape``."""
    return torch.randint(high, shape, generator=generator(*address))


def permutation(n: int, *address: int | str) -> torch.Tensor:
    """A random order of 0 … n−1."""
    return torch.randperm(n, generator=generator(*address))
