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
    ("text", "dotted", "scalars", "interrupts", "mounts"),
    ("errors",),
    ("patience", "paths", "fields", "metrics", "diffusion", "plugins", "hardware", "locks", "documents"),
    ("factors",),
    ("store", "records", "progress", "stats"),
    ("report", "environment"),
    ("vocabulary",),
    ("experiment",),
    ("data",),
    ("parts",),
    ("fingerprint",),
    ("stages",),
    ("plan",),
    ("record", "audit", "kit"),
    ("doctor", "testing"),
    ("runner", "first_spec"),
    ("keeping", "looking"),
    ("api",),
    ("cli",),
    ("__main__",),
)
"""From the bottom up: a part imports from the layers below its own only."""

ONLY: dict[str, set[str]] = {
    "diffusion": {"errors"},
    "metrics": {"errors"},
    "factors": {"diffusion", "dotted", "fields"},
    "plugins": {"errors"},
    "hardware": {"errors"},
    "locks": {"mounts"},
    "records": set(),
    "progress": set(),
    "stats": {"errors"},
    "report": {"stats", "records", "metrics", "plugins", "errors", "text", "dotted", "scalars", "locks"},
}
"""Parts that stand for themselves."""


def imports(file: Path) -> Iterator[str]:
    """What a file imports of ablate when it runs, at its top or in a function: ``factors.base.Factor``."""
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
            yield from (alias.name[7:] for alias in node.names if alias.name.startswith("ablate"))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide the direction"
            if node.module == "ablate" or (node.module or "").startswith("ablate."):
                yield from (f"{node.module}.{alias.name}"[7:] for alias in node.names)


def file_of(name: str) -> Path:
    """The file of a module, or of the module that has ``name``."""
    path = PACKAGE / name.replace(".", "/")
    places = (path.with_suffix(".py"), path / "__init__.py", path.parent.with_suffix(".py"))
    return next((place for place in places if place.is_file()), path.parent / "__init__.py")


def modules() -> list[tuple[str, Path]]:
    files = [file for file in sorted(PACKAGE.rglob("*.py")) if file != PACKAGE / "__init__.py"]
    return [(file.relative_to(PACKAGE).with_suffix("").parts[0], file) for file in files]


@pytest.mark.parametrize(("part", "file"), modules(), ids=lambda value: getattr(value, "stem", value))
def test_a_part_imports_from_the_layers_below_it_only(part: str, file: Path) -> None:
    rank = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    assert part in rank, f"{part} has no place in LAYERS"
    for imported in {name.split(".")[0] for name in imports(file)} - {part}:
        assert rank[imported] < rank[part], f"{part} ({file.name}) imports {imported}, which is not below it"
        if part in ONLY:
            assert imported in ONLY[part], f"{part} ({file.name}) imports {imported}"


def test_no_files_import_each_other_in_a_circle() -> None:
    left = {file: {file_of(name) for name in imports(file)} for _, file in modules()}
    while free := [file for file, needs in left.items() if not needs & left.keys()]:
        for file in free:
            del left[file]
    assert not left


@pytest.mark.parametrize(
    "file", [file for part, file in modules() if part != "record"], ids=lambda file: file.stem
)
def test_mlflow_is_imported_in_the_record_only(file: Path) -> None:
    assert not re.search(r"^\s*(import|from) mlflow\b", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
