"""Imports go one way. A new part of the package needs a place in LAYERS."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import ablate

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = Path(ablate.__file__).parent

LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("fields", "metrics", "diffusion", "plugins"),
    ("factors",),
    ("store", "records", "progress", "stats"),
    ("report",),
    ("vocabulary",),
    ("experiment",),
    ("data",),
    ("parts",),
    ("fingerprint",),
    ("keys",),
    ("plan", "stages"),
    ("record", "audit", "kit"),
    ("doctor", "testing"),
    ("runner",),
    ("cli",),
)
"""From the bottom up: a part imports from the layers below its own only."""

ONLY: dict[str, set[str]] = {
    "diffusion": {"errors"},
    "metrics": {"errors"},
    "factors": {"diffusion", "fields"},
    "plugins": {"errors"},
    "records": set(),
    "progress": set(),
    "stats": {"errors"},
    "report": {"stats", "records", "metrics", "plugins", "errors"},
}
"""Parts that stand for themselves."""


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports(file: Path) -> Iterator[str]:
    """The parts of ablate that a file imports when it runs, at its top or inside a function."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (part_of(alias.name) for alias in node.names if alias.name.startswith("ablate"))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide the direction"
            if node.module == "ablate":
                yield from (alias.name for alias in node.names)
            elif node.module and node.module.startswith("ablate."):
                yield part_of(node.module)


def modules() -> list[tuple[str, Path]]:
    files = [file for file in sorted(PACKAGE.rglob("*.py")) if file != PACKAGE / "__init__.py"]
    return [(file.relative_to(PACKAGE).with_suffix("").parts[0], file) for file in files]


@pytest.mark.parametrize(("part", "file"), modules(), ids=lambda value: getattr(value, "stem", value))
def test_a_part_imports_from_the_layers_below_it_only(part: str, file: Path) -> None:
    rank = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    assert part in rank, f"{part} has no place in LAYERS"
    for imported in set(imports(file)) - {part}:
        assert rank[imported] < rank[part], f"{part} ({file.name}) imports {imported}, which is not below it"
        if part in ONLY:
            assert imported in ONLY[part], f"{part} ({file.name}) imports {imported}"


@pytest.mark.parametrize(
    "file", [file for part, file in modules() if part != "record"], ids=lambda file: file.stem
)
def test_mlflow_is_imported_in_the_record_only(file: Path) -> None:
    assert not re.search(r"^\s*(import|from) mlflow\b", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
