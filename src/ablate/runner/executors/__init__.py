"""Where tasks run, by the name that ``--executor`` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.errors import UserError
from ablate.runner.executors import local, on_ray

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablate.runner.graph import Start

EXECUTORS: dict[str, Callable[[str | None], Start]] = {"local": local.at, "ray": on_ray.at}
"""Name → what gives, for an address, what starts the executor. It looks at what can be known at once."""


def executor_at(name: str, address: str | None) -> Start:
    """What starts the executor with this name.

    Raises:
        UserError: there is none, or it cannot be used.
    """
    if name not in EXECUTORS:
        fix = f"There are: {', '.join(EXECUTORS)}."
        raise UserError("there is no such executor", where=f"--executor {name}", fix=fix)
    return EXECUTORS[name](address)
