"""Whatever a terminal can show, and also where there is none: no command ends in a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from ablate.cli.printing import Screen
from ablate.errors import UserError
from ablate.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Ablate

QUESTION = "Does α − 1 … help? «日本»"


@pytest.fixture
def place(make_workplace: Callable[..., Path], tmp_path: Path) -> Path:
    return make_workplace(tmp_path, question=QUESTION)


def call(
    place: Path, *arguments: str, through: str = "", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """A new process, in a shell if its output goes somewhere: ``through`` is what the shell adds."""
    command = [sys.executable, "-m", "ablate", *arguments]
    settings = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    settings.pop("PYTHONUNBUFFERED", None)  # what stays in a buffer is written when the process ends
    if through:
        command = ["bash", "-c", f'set -o pipefail; "$@" {through}', "bash", *command]
    return subprocess.run(command, cwd=place, capture_output=True, env=settings, check=False, timeout=120)


OLD = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    ("environment", "encoding", "shown"),
    [
        ({"PYTHONIOENCODING": "latin-1"}, "latin-1", "Does alpha - 1 ... help? «\\u65e5"),
        ({"PYTHONIOENCODING": "ascii"}, "ascii", "Does alpha - 1 ... help? \\xab\\u65e5"),
        (OLD, "ascii", "Does "),
        ({"PYTHONIOENCODING": "utf-8", "TERM": "dumb", "NO_COLOR": "1"}, "utf-8", QUESTION),
    ],
)
def test_a_terminal_shows_what_it_can_and_the_rest_in_other_words(
    place: Path, environment: dict[str, str], encoding: str, shown: str
) -> None:
    done = call(place, "plan", "tiny.yaml", **environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert shown in done.stdout.decode(encoding)


def test_an_error_is_shown_where_its_names_cannot_be_encoded(place: Path) -> None:
    for name in ("日本.yaml", os.fsdecode(b"n\xff.yaml")):
        done = call(place, "plan", name, **OLD)
        assert done.returncode == 2, done.stderr
        assert b"error: " in done.stderr and b"Traceback" not in done.stderr
        assert done.stderr.isascii()


@pytest.mark.parametrize(
    ("through", "codes"),
    [
        ("| head -c 1", {0, 1, 141}),
        (">&-", {0}),
        (">&- 2>&- <&-", {0}),
        ("> /dev/full", {1}),
    ],
)
@pytest.mark.parametrize("command", [("plan", "tiny.yaml"), ("schema",)])
def test_output_that_nobody_reads_ends_a_command_quietly(
    place: Path, command: tuple[str, ...], through: str, codes: set[int]
) -> None:
    done = call(place, *command, through=through)
    assert done.returncode in codes, done.stderr
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr


def test_control_characters_in_names_are_written_out(
    ablate: Ablate, capsys: pytest.CaptureFixture[str]
) -> None:
    assert visible("a\x1b[31mb\u202ec\nd\te\udcff", keep="") == "a\\x1b[31mb\\u202ec\\nd\\te\\udcff"
    assert visible("α … 日本 🐦\nb") == "α … 日本 🐦\nb"
    done = ablate("plan", "n\x1b[2J\nx.yaml")
    assert done.code == 2 and "\x1b" not in done.err and "\\x1b[2J\\nx.yaml" in done.err
    assert str(UserError("w\x07", where="a\nb", fix="f\x9b")) == "a\\nb: w\\x07\n  f\\x9b"
    Screen(force_terminal=True, file=sys.stdout).print("[bold]a\x1b]0;title\x07[/]")
    assert "\x1b]0" not in capsys.readouterr().out
    assert isinstance(Screen(), Console)
