"""YAML text → plain data that remembers the line and column of every key and value.

A careful reading of YAML, because a spec decides what is computed: a key may be there only once,
``1e-4`` is a number, ``off`` and ``no`` are text, tags are refused, and so is anything that grows
out of proportion when its aliases are followed.
"""

from __future__ import annotations

import difflib
import math
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ablate.errors import SpecError
from ablate.scalars import BOOL, FLOAT, INT, MERGE, NULL, SCALARS, TAGS, Dumper
from ablate.text import cut, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_NODES = 100_000
MAX_DIGITS = 300
"""Longest number that is read; nothing in a spec comes near."""

FieldPath = tuple[str | int, ...]
"""The way to a value: keys of mappings and indexes of lists."""

Position = tuple[int, int]
"""Line and column, both from 1."""

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Document:
    """Plain data and where it was written."""

    source: str
    """How messages call it: a file as the user named it, or ``--set a.b=1``."""
    data: Any
    keys: Mapping[FieldPath, Position] = field(default_factory=dict)
    """Where each key stands; for an entry of a list, where the entry begins."""
    values: Mapping[FieldPath, Position] = field(default_factory=dict)

    def position(self, path: FieldPath, *, key: bool = False) -> Position | None:
        """Where the value at ``path`` (its key) is, or else the key of what it should be in."""
        for length in range(len(path), 0, -1):
            places = self.keys if key or length < len(path) else self.values
            if path[:length] in places:
                return places[path[:length]]
        return (1, 1) if self.values else None

    def where(self, path: FieldPath, *, key: bool = False) -> str:
        """``position`` as ``file:line:column``."""
        position = self.position(path, key=key)
        return f"{self.source}:{position[0]}:{position[1]}" if position else self.source


def read(path: Path) -> Document:
    """Read a YAML file. Raises SpecError if it is missing, unreadable, not UTF-8, not YAML or no mapping."""
    source = cut(str(path), 500)
    document = parse(_decode(_bytes(path, source), source), source)
    if document.data is None:
        raise SpecError("the file is empty", where=source, fix="See experiments/ for examples.")
    if not isinstance(document.data, dict):
        raise SpecError("the top level must be `key: value` lines", where=document.where(()))
    return document


def parse(text: str, source: str) -> Document:
    """Read YAML text; empty text is ``None``. Raises SpecError for what is not YAML or refused here."""
    if bad := _UNPRINTABLE.search(text):
        what = f"the character U+{ord(bad.group()):04X} cannot be in YAML"
        _refuse(source, _position(text, bad.start()), what, "Save the file as UTF-8 text.")
    loader, builder = _Loader(text), _Builder()
    try:
        root = loader.get_single_node()
        data = builder.build(root, ()) if root else None
    except _RefusedError as refused:
        _refuse(source, refused.position, str(refused), refused.fix)
    except yaml.MarkedYAMLError as error:
        _refuse_syntax(source, text, error)
    except (ValueError, OverflowError):
        # PyYAML lets these out of escapes such as "\UFFFFFFFF".
        _refuse(source, _of(loader.get_mark()), 'not valid YAML: a "\\" escape names no character')
    return Document(source, data, builder.keys, builder.values)


def parse_value(text: str, source: str) -> Any:
    """Read one YAML value of the option ``source``. Raises SpecError without line and column."""
    try:
        return parse(text, source).data
    except SpecError as error:
        raise SpecError(first_line(error.what), where=source, fix=error.fix) from None


def _bytes(path: Path, source: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SpecError("there is no such file", where=source, fix=_neighbours(path)) from None
    except IsADirectoryError:
        raise SpecError("this is a folder", where=source, fix="Name one YAML file in it.") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SpecError(f"cannot be read: {reason}", where=source) from None
    if len(content) > MAX_BYTES:
        raise SpecError(f"the file is larger than {MAX_BYTES // 1024} KiB", where=source, fix="Is it a spec?")
    return content


def _neighbours(path: Path) -> str:
    """Files that the user may have meant."""
    folders = (Path("experiments"), path.parent)
    specs = [file for folder in folders for file in sorted(folder.glob("*.y*ml"))]
    by_stem = {file.stem: str(file) for file in specs}
    if near := [by_stem[stem] for stem in difflib.get_close_matches(path.stem, by_stem, n=3, cutoff=0.7)]:
        return f"Did you mean {' or '.join(near)}?"
    return f"There are {', '.join(list(by_stem.values())[:5])}." if specs else ""


def _decode(content: bytes, source: str) -> str:
    fix = "Save the file as UTF-8."
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise SpecError("the file is UTF-16", where=source, fix=fix)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8-sig", "replace")
        what = f"the byte 0x{error.object[error.start]:02X} is not UTF-8"
        _refuse(source, _position(before, len(before)), what, fix)


def _position(text: str, index: int) -> Position:
    breaks = list(_LINE_BREAK.finditer(text, 0, index))
    return len(breaks) + 1, index - (breaks[-1].end() if breaks else 0) + 1


def _of(mark: yaml.Mark) -> Position:
    return mark.line + 1, mark.column + 1


def _refuse(source: str, position: Position, what: str, fix: str = "") -> NoReturn:
    raise SpecError(what, where=f"{source}:{position[0]}:{position[1]}", fix=fix) from None


# PyYAML's words → what the user did, and what to do; {line} is where the unfinished thing began.
_SYNTAX = (
    ("mapping values are not allowed", 'an unexpected ":"', 'Put text with ": " in it into quotes.'),
    ("character '\\t'", "a tab", "Indent with spaces."),
    ("that cannot start any token", "text cannot begin with this character", "Put the text into quotes."),
    ("expected <block end>", "this does not continue what began in line {line}", "Check the indentation."),
    ("expected ',' or ']'", "expected `,` or `]` here, for the `[` in line {line}", "Is it closed?"),
    ("expected ',' or '}'", "expected `,` or `}}` here, for the `{{` in line {line}", "Is it closed?"),
    ("found unknown escape character", 'no such "\\" escape', "Single quotes take text as it is."),
    ("found undefined alias", "no `&anchor` of this name stands above", "Text with * is written in quotes."),
    ("expected a single document", "a second document begins here", "A file holds one experiment."),
)
# The same where the beginning is the better place to point at.
_UNFINISHED = (
    ("could not find expected ':'", "this is not a `key: value` line", "Is a colon missing?"),
    ("found unexpected end of stream", "this quote is not closed", "Close it."),
)


def _refuse_syntax(source: str, text: str, error: yaml.MarkedYAMLError) -> NoReturn:
    begin, mark = error.context_mark, error.problem_mark
    problem = f"{error.context or ''} {error.problem or ''}".strip()
    if any(words in problem for words, _, _ in _UNFINISHED):
        mark = begin
    line, column = position = _of(mark) if mark else (1, 1)
    what, fix = problem, ""
    for words, meaning, advice in (*_SYNTAX, *_UNFINISHED):
        if words in problem:
            what, fix = meaning.format(line=begin.line + 1 if begin else line), advice
            break
    what = f"not valid YAML: {what}"
    lines = _LINE_BREAK.split(text)
    shown = lines[line - 1].replace("\t", " ") if line <= len(lines) else ""
    if shown.strip() and column <= 80:
        what += f"\n    {shown[:100]}\n    {' ' * (column - 1)}^"
    _refuse(source, position, what, fix)


class _RefusedError(Exception):
    """Valid YAML that is not read here."""

    def __init__(self, node: Any, what: str, fix: str = "") -> None:  # a node or an event of PyYAML
        super().__init__(what)
        self.position = _of(node.start_mark)
        self.fix = fix


class _Loader(yaml.SafeLoader):
    """PyYAML up to its nodes, with YAML 1.2's plain scalars and no tags."""

    # PyYAML's own name and type; None: whatever they begin with.
    yaml_implicit_resolvers = {None: SCALARS}  # noqa: RUF012
    depth = 0

    def compose_node(self, parent: Node | None, index: int) -> Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if tag := getattr(event, "tag", None):
            shown = cut(tag.replace(TAGS, "!!"))
            raise _RefusedError(event, f"the tag `{shown}` is not read here: write plain values")
        if self.depth > MAX_DEPTH:
            raise _RefusedError(event, f"nested deeper than {MAX_DEPTH} levels", "Close a bracket before.")
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Builder:
    """Nodes → data and positions. Follows aliases, so it counts."""

    def __init__(self) -> None:
        self.keys: dict[FieldPath, Position] = {}
        self.values: dict[FieldPath, Position] = {}
        self._open: set[int] = set()
        self._visits = 0

    def build(self, node: Node, path: FieldPath) -> Any:
        self.values[path] = _of(node.start_mark)
        with self._inside(node):
            if isinstance(node, ScalarNode):
                return _scalar(node)
            if isinstance(node, SequenceNode):
                for index, entry in enumerate(node.value):
                    self.keys[*path, index] = _of(entry.start_mark)
                return [self.build(entry, (*path, index)) for index, entry in enumerate(node.value)]
            data = {}
            for name, (key, value) in self._pairs(node).items():
                self.keys[*path, name] = _of(key.start_mark)
                data[name] = self.build(value, (*path, name))
            return data

    @contextmanager
    def _inside(self, node: Node) -> Iterator[None]:
        self._visits += 1
        if self._visits > MAX_NODES:
            what = f"more than {MAX_NODES} values when the aliases are followed"
            raise _RefusedError(node, what, "Split it into several experiments.")
        if id(node) in self._open:
            raise _RefusedError(node, "this anchor contains itself", "Write out what it should hold.")
        if len(self._open) > MAX_DEPTH:
            raise _RefusedError(node, f"nested deeper than {MAX_DEPTH} levels", "Close a bracket before.")
        self._open.add(id(node))
        yield
        self._open.remove(id(node))

    def _pairs(self, node: Node) -> dict[str, tuple[Node, Node]]:
        """Entries of a mapping: its own, and those of ``<<`` that it does not have itself."""
        own: dict[str, tuple[Node, Node]] = {}
        merged: dict[str, tuple[Node, Node]] = {}
        for key, value in node.value:
            if key.tag == MERGE:
                for base in value.value if isinstance(value, SequenceNode) else [value]:
                    if not isinstance(base, MappingNode):
                        raise _RefusedError(base, "`<<` merges mappings only", "Name an anchor of a mapping.")
                    with self._inside(base):
                        merged = {**self._pairs(base), **merged}
                continue
            name = _key(key)
            if name in own:
                first, _ = _of(own[name][0].start_mark)
                what = f"the key `{cut(name)}` is here twice; the first is in line {first}"
                raise _RefusedError(key, what, "Keep one of them.")
            own[name] = (key, value)
        return {**merged, **own}


def _key(node: Node) -> str:
    if not isinstance(node, ScalarNode):
        raise _RefusedError(node, "a key must be text, not a list or a mapping")
    if node.tag in (INT, FLOAT):
        return str(node.value)  # as it was written: 0.90 and 0.9 are two names
    name = _scalar(node)
    if not isinstance(name, str):
        what = f'the key `{cut(node.value)}` must be text: write it in quotes, "{node.value}"'
        raise _RefusedError(node, what)
    return name


def _scalar(node: ScalarNode) -> Any:
    text, tag = node.value, node.tag
    if tag in (INT, FLOAT) and len(text) > MAX_DIGITS:
        raise _RefusedError(
            node, f"a number of more than {MAX_DIGITS} characters", "Text is written in quotes."
        )
    if tag == NULL:
        return None
    if tag == BOOL:
        return text.lower() == "true"
    if tag == INT:
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if tag == FLOAT:
        number = math.nan if text[-1].isalpha() else float(text)  # .inf, .nan
        if not math.isfinite(number):
            raise _RefusedError(
                node, f"{cut(text)} is not a finite number", "Write a number, or null for none."
            )
        return number
    if bad := _UNPRINTABLE.search(text):
        what = f"the character U+{ord(bad.group()):04X} cannot be in text"
        raise _RefusedError(node, what, "Leave it out.")
    return text


def dump(data: Mapping[str, Any]) -> str:
    """Plain data as YAML that ``parse`` reads, in their order: lines, but the innermost in braces."""

    def of(key: str, value: Any) -> str:
        inner = None if isinstance(value, (dict, list)) else False
        text: str = yaml.dump(
            {key: value},
            Dumper=Dumper,
            default_flow_style=inner,
            sort_keys=False,
            allow_unicode=True,
            width=100,
        )
        return text

    return "".join(of(key, value) for key, value in data.items())
