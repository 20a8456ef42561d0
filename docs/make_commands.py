"""Writes ``docs/commands.md`` from the commands themselves: ``python docs/make_commands.py``."""

from __future__ import annotations

import inspect
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ablate.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parent / "commands.md"

HEAD = """\
# All commands

Generated from the commands by `python docs/make_commands.py`; do not edit.

Look up here what a command does and which options it takes. With `--help` each says the same.
[From scripts](from-scripts.md) has the exit codes, and what `--json` prints.
"""


def page() -> str:
    """The text of the page."""
    return "\n".join([HEAD, *(_section(name, command) for name, command in commands())])


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its whole name, in the order of ``ablate --help``."""
    groups = [("ablate", typer.main.get_command(app))]
    while groups:
        name, command = groups.pop(0)
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        else:
            groups += [(f"{name} {word}", one) for word, one in inner.items()]


def _section(name: str, command: Any) -> str:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option"]
    words = [name, *(_metavar(one) for one in arguments), *(["[OPTIONS]"] if options else [])]
    lines = [f"## {name}", "", "```", " ".join(words), "```", "", inspect.cleandoc(command.help or ""), ""]
    if command.params:
        lines += ["| | |", "| :-- | :-- |"]
        lines += [f"| `{_metavar(one)}` | {_cell(one)} |" for one in arguments]
        lines += ["| {} | {} |".format(_names(one).replace("|", "\\|"), _cell(one)) for one in options]
        lines += [""]
    return "\n".join(lines)


def _metavar(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    return name if parameter.required or name.startswith("[") else f"[{name}]"


def _names(parameter: Any) -> str:
    value = "" if parameter.is_flag else f" {_value(parameter)}"
    return ", ".join(f"`{name}{value}`" for name in (*parameter.opts, *parameter.secondary_opts))


def _value(parameter: Any) -> str:
    if isinstance(parameter.default, Enum):
        return "|".join(choice.value for choice in type(parameter.default))
    return parameter.metavar or parameter.opts[0].lstrip("-").upper()


def _cell(parameter: Any) -> str:
    text, default = parameter.help, parameter.default
    if default in (None, Path()) or isinstance(default, bool) or "Default:" in text:
        return text
    return f"{text} Default: `{default}`."


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
