"""What tests do to files: damage them, or hold them so that nobody else can write; what is in databases."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def flip(file: Path) -> None:
    """One bit in the middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncate(file: Path) -> None:
    """The second half is gone."""
    os.truncate(file, file.stat().st_size // 2)


def delete(file: Path) -> None:
    """All of it is gone."""
    file.unlink()


def hold(database: Path, seconds: float) -> subprocess.Popen[str]:
    """Another process that holds an SQLite file for so long."""
    script = (
        "import sqlite3, sys, time\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('begin exclusive')\n"
        "print('locked', flush=True)\n"
        "time.sleep(float(sys.argv[2]))\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, str(database), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout and holder.stdout.readline() == "locked\n"
    return holder


def rows(database: Path, query: str) -> list[Any]:
    """What an SQLite database answers."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()
