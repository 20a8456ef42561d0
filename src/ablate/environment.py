"""With what a process computes: Python, the files of this package, and the libraries.

Processes whose results stand under the same keys must agree in it. Each looks once, after it has loaded what
it computes with. So a process that starts after an edit, a checkout or an upgrade is refused.
"""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.errors import UserError
from ablate.store.files import file_digest

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE = Path(__file__).parent

LIBRARIES = (
    *("clean-fid", "diffusers", "lpips", "numpy", "open_clip_torch", "pillow", "safetensors", "scipy"),
    *("torch", "transformers"),
)
"""Those that results are computed with."""
SHOWN = 5
"""How many differences are named."""


@cache
def digest_of(file: Path) -> str:
    """Of a file of code, as it was when this process first looked."""
    return file_digest(file)[:16]


@cache
def version_of(library: str) -> str:
    """As it was when this process first looked."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "not installed"


def code_in(folder: Path, pattern: str = "*.py") -> list[Path]:
    """The files of Python code in a folder of the package, sorted; hidden ones are an editor's."""
    names = (file.relative_to(folder) for file in sorted(folder.glob(pattern)))
    return [folder / name for name in names if not any(part.startswith(".") for part in name.parts)]


@cache
def environment() -> dict[str, str]:
    """Python, the digest of each file of ablate, and the version of each of LIBRARIES, as they were when this
    process first looked."""
    files = {file.relative_to(PACKAGE).as_posix(): digest_of(file) for file in code_in(PACKAGE, "**/*.py")}
    return {"Python": platform.python_version(), **files, **{name: version_of(name) for name in LIBRARIES}}


def refuse_other(
    expected: Mapping[str, str],
    who: str = "a process of this command",
    where: str = "",
    fix: str = "A file or a library was changed meanwhile. Give the same command again (in Python, restart).",
) -> None:
    """Looks whether this process computes what another one's keys stand for.

    Args:
        expected: the other one's ``environment``.

    Raises:
        UserError: it does not, with what differs.
    """
    here = environment()
    differing = [
        f"{name} differs" if name.endswith(".py") else f"{name} is {here.get(name)}, not {wanted}"
        for name, wanted in expected.items()
        if here.get(name) != wanted
    ]
    differing += [f"{name} is there only" for name in here if name not in expected]
    if differing:
        more = f", and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
        what = "computes with other code than the command, so results would not be comparable"
        raise UserError(f"{who} {what}: {', '.join(differing[:SHOWN])}{more}", where=where, fix=fix)
