"""ablate: which training choices of a latent diffusion model helped, by how much, how sure are we?

``load``, ``run`` and ``read`` are those of ``ablate.api``, imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ablate.api import load, read, run

__version__ = "0.2.0"
__all__ = ["load", "read", "run"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'ablate' has no attribute {name!r}")
    from ablate import api

    return getattr(api, name)
