"""A picture of a command on a terminal: ``python docs/terminal.py NAME SECONDS COMMAND …``.

Runs the command on a real terminal, and after so many seconds, or when it ends, writes what the screen shows
to ``docs/images/NAME.svg``. A command that still runs then is interrupted as by Ctrl-C. Needs what the
package itself does not: ``pip install pyte``.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

IMAGES = Path(__file__).parent / "images"
COLUMNS, LINES = 110, 40
SPELLED = {"brown": "yellow", "brightbrown": "bright_yellow"}
"""Colours that pyte calls otherwise than rich."""


def main(name: str, seconds: float, command: list[str]) -> None:
    """Runs the command, and draws the screen."""
    screen = watch(command, seconds)
    console = Console(width=COLUMNS, record=True, file=io.StringIO())
    for line in shown(screen):
        console.print(line, no_wrap=True)
    picture = console.export_svg(title=" ".join(command))
    # The fonts would come from a server: without them it is the reader's own.
    picture = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    (IMAGES / f"{name}.svg").write_text("\n".join(line.rstrip() for line in picture.splitlines()) + "\n")


def watch(command: list[str], seconds: float) -> pyte.Screen:
    """What is on a command's terminal after so many seconds."""
    screen = pyte.Screen(COLUMNS, LINES)
    stream = pyte.ByteStream(screen)
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(LINES)}
    child = subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env=environment)
    os.close(its)
    end = time.monotonic() + seconds
    with suppress(OSError):  # how reading says that the command has ended
        while (left := end - time.monotonic()) > 0:
            if select.select([ours], [], [], left)[0]:
                stream.feed(os.read(ours, 65536))
        child.send_signal(signal.SIGINT)
        while os.read(ours, 65536):  # what it still says has to be taken, too
            pass
    child.wait()
    return screen


def shown(screen: pyte.Screen) -> list[Text]:
    """The lines of a screen with their colours, without the empty ones at its end."""
    lines = [Text() for _ in range(LINES)]
    for y, line in enumerate(lines):
        for x in range(COLUMNS):
            cell = screen.buffer[y][x]
            color = SPELLED.get(cell.fg, cell.fg.replace("bright", "bright_"))
            style = Style(
                color=None if color == "default" else f"#{color}" if _is_hex(color) else color,
                bold=cell.bold,
                italic=cell.italics,
            )
            line.append(cell.data, style)
        line.rstrip()
    while lines and not lines[-1].plain:
        lines.pop()
    return lines


def _is_hex(color: str) -> bool:
    return re.fullmatch(r"[0-9a-f]{6}", color) is not None


if __name__ == "__main__":
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3:])
