"""Each option and each argument of each command, with values that nobody would give."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import typer.main
from oddities import examples

from ablate.cli import app

if TYPE_CHECKING:
    from collections.abc import Iterator

    import click
    from oddities import Home, Try

VALUES = (
    *(
        "",
        " ",
        "x",
        "-1",
        "0",
        "nan",
        "inf",
        "1e999",
        "9" * 40,
        "0,0",
        "5-1",
        "0-",
        ",",
        "ä",
        "漢",
        "../..",
        "/",
    ),
    *(
        "/dev/null",
        "README.md",
        "photos",
        "study.yaml/x",
        "a=b=c",
        "=",
        "train.epochs",
        "train.epochs=",
        "[",
        "{",
    ),
    *(
        "x" * 300,
        "\x1b[31mred",
        "a\nb",
        "[bold]x",
        "sqlite:///",
        "sqlite:///photos",
        "file:x",
        "http://",
        "nonsense://x",
    ),
)
"""For any option or argument."""

WORK = ("ui", "doctor", "sprites", "check", "examples", "init")
"""Commands that begin their work whatever they are given."""


def commands(
    group: Any = None, above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Each command with the words that call it."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*above, name))
        elif name not in WORK:
            yield (*above, name), command


def calls(command: click.Command, many: int) -> Iterator[list[str]]:
    """Calls in which one option or argument is odd, and the other arguments lead to nothing that exists.

    Each has so ``many`` odd values.
    """
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    for parameter in command.params:
        if parameter.name == "help":
            continue
        for value in random.Random(f"{command.name} {parameter.name}").sample(VALUES, many):
            words = ["broken.yaml" if other is not parameter else value for other in arguments]
            if parameter.param_type_name == "argument":
                yield ["--", *words]
            elif getattr(parameter, "is_flag", False):
                yield [f"{parameter.opts[0]}={value}", "--", *words]
            else:
                yield [parameter.opts[0], value, "--", *words]


@examples(3, len(VALUES))
@pytest.mark.parametrize(
    ("words", "command"), [pytest.param(*each, id=" ".join(each[0])) for each in commands()]
)
def test_any_value_of_any_option_is_taken_or_refused_and_nothing_is_replaced(
    words: tuple[str, ...], command: click.Command, home: Home, give: Try, many: int
) -> None:
    (home.folder / "broken.yaml").write_text("question: Why?\n")  # whatever the options are, it cannot run
    codes = Counter(give(*words, *call, codes=(0, 1, 2)).code for call in calls(command, many))
    assert codes[2] > sum(codes.values()) / 2 or words[-1] in ("schema", "status", "gc", "doctor"), codes
