"""Plug-in files: read, executed once in each process, and the text that decides what each class computes.

A plug-in's text travels with the experiment: a worker computes with what the keys were made from, whatever
the file holds by then.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ablate.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_LOADED: dict[str, Plugin] = {}
"""Module name → the plug-in that this process has executed under it."""


@dataclass(frozen=True)
class Plugin:
    """The text of a plug-in file."""

    path: str
    """As messages call it."""
    source: str

    @classmethod
    def read(cls, path: Path) -> Plugin:
        """The plug-in in a file.

        Raises:
            SpecError: the file cannot be read.
        """
        try:
            return cls(str(path), path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            what = "there is no such plug-in"
        except (OSError, UnicodeDecodeError) as error:
            what = f"the plug-in cannot be read: {error}"
        raise SpecError(what, where=str(path), fix="Paths in `plugins` start from the spec's folder.")

    @property
    def name(self) -> str:
        """The name of the file."""
        return Path(self.path).name

    @property
    def digest(self) -> str:
        """SHA-256 of the text, shortened."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:16]

    def module(self) -> ModuleType:
        """The module that the text makes: executed once, then the same one.

        Raises:
            SpecError: the text is not Python, or its execution fails.
        """
        place = hashlib.sha256(self.path.encode()).hexdigest()[:8]
        name = f"ablate_plugin_{self.digest}_{place}"
        if name in sys.modules:
            return sys.modules[name]
        module = ModuleType(name)
        module.__file__ = self.path
        # Tracebacks and inspect show the lines that ran.
        linecache.cache[self.path] = (
            len(self.source),
            None,
            [f"{line}\n" for line in self.source.split("\n")],
            self.path,
        )
        _LOADED[name], sys.modules[name] = self, module  # annotations are looked up in sys.modules
        try:
            exec(compile(self.source, self.path, "exec"), vars(module))
        except (Exception, SystemExit) as error:  # whatever a stranger's file raises
            del _LOADED[name], sys.modules[name]
            line = (
                f"{self.path}:{error.lineno}"
                if isinstance(error, SyntaxError)
                else _innermost(error, {self.path})
            )
            why = "it ends the program" if isinstance(error, SystemExit) else str(error)
            what = f"the plug-in cannot be loaded: {type(error).__name__}: {why}"
            raise SpecError(what, where=line or self.path) from error
        return module

    def text_of(self, name: str) -> str:
        """The text that decides what the class ``name`` does: its own, that of the classes and functions
        that it uses, and all other statements.

        Left out are the dicts that list what the plug-in adds, but for one that may make objects of the
        class, itself or by a function: what they are made with counts. Of a class that no statement
        defines, the whole file.
        """
        statements = ast.parse(self.source).body
        named = {node.name: node for node in statements if isinstance(node, ast.ClassDef | ast.FunctionDef)}
        if name not in named:
            return self.source
        foreign = {alias.asname or alias.name for node in statements for alias in _imports(node)}

        def may_make(call: ast.AST) -> bool:
            if not isinstance(call, ast.Call):
                return False
            names = set(_names_in(call))
            return name in _reached(names, named) or bool(names - named.keys() - foreign)

        listed = [
            node
            for node in statements
            if _lists_what_is_added(node) and not any(map(may_make, ast.walk(node)))
        ]
        always = [node for node in statements if node not in listed and node not in named.values()]
        used = _reached([name, *(inner for node in always for inner in _names_in(node))], named)
        kept = sorted([*always, *(named[one] for one in used)], key=lambda node: node.lineno)
        lines = self.source.split("\n")  # not splitlines, which ends one at a form feed as well
        return "\n".join("\n".join(lines[_first_line(node) - 1 : node.end_lineno]) for node in kept)

    def imported(self) -> set[str]:
        """The modules of ablate that it may take something from, whose text counts as well."""
        found: set[str] = set()
        for node in ast.walk(ast.parse(self.source)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        return {name for name in found if name.startswith("ablate.")}


def plugin_of(kind: type) -> Plugin | None:
    """The plug-in that a class comes from; None for one of the package."""
    return _LOADED.get(kind.__module__)


def blamed(error: BaseException) -> str:
    """``file.py:12``: the innermost line of a plug-in that an error came through; "" if there is none."""
    return _innermost(error, {plugin.path for plugin in _LOADED.values()})


def _innermost(error: BaseException, paths: set[str]) -> str:
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return next((f"{frame.filename}:{frame.lineno}" for frame in frames if frame.filename in paths), "")


def _lists_what_is_added(node: ast.stmt) -> bool:
    """Whether a statement gives a value to one of DICTS."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any(isinstance(target, ast.Name) and target.id in DICTS for target in targets)


def _imports(node: ast.stmt) -> list[ast.alias]:
    return node.names if isinstance(node, ast.Import | ast.ImportFrom) else []


def _reached(names: Iterable[str], named: Mapping[str, ast.AST]) -> set[str]:
    """The definitions among ``named`` that ``names`` name, and those that these use."""
    used: set[str] = set()
    waiting = list(names)
    while waiting:
        if (one := waiting.pop()) in named and one not in used:
            used.add(one)
            waiting += _names_in(named[one])
    return used


def _names_in(node: ast.AST) -> Iterator[str]:
    return (inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name))


def _first_line(node: ast.stmt) -> int:
    decorators = node.decorator_list if isinstance(node, ast.ClassDef | ast.FunctionDef) else []
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


DICTS = ("LOSSES", "WEIGHTINGS", "AUGMENTATIONS", "OBSERVERS", "METRICS", "SPACES", "SECTIONS")
"""The dicts in which a plug-in lists what it adds; the package's own have the same names."""
