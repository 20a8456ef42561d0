"""The streams that a command was given: whatever they can show, and also where there are none."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
import unicodedata

PLAIN = {
    **{"…": "...", "–": "-", "—": "-", "−": "-", "‑": "-", "×": "x", "±": "+-", "·": "-", "•": "*"},
    **{"→": "->", "←": "<-", "↑": "^", "↓": "v", "≤": "<=", "≥": ">=", "≠": "!=", "≈": "~"},
    **{"‘": "'", "’": "'", "“": '"', "”": '"', "α": "alpha", "ε": "epsilon", "μ": "mu", "σ": "sigma"},
    **{"β": "beta", "√": "sqrt", "∂": "d", "²": "^2"},
}
"""How characters are written where they cannot be shown."""


def prepare() -> None:
    """Makes each stream show what it can, and the rest in other words. Where a stream was closed, nothing is
    shown.

    In a locale that knows neither all names of files nor all characters, the command starts itself again in
    Python's UTF-8 mode; its streams keep their encoding.
    """
    _replace_closed()
    if sys.getfilesystemencoding() != "utf-8" and not sys.flags.utf8_mode:
        os.environ["PYTHONUTF8"] = "1"
        os.environ["PYTHONIOENCODING"] = f"{sys.stdout.encoding}:backslashreplace"
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
    encoding = os.environ.get("PYTHONIOENCODING", "")
    if encoding and ":" not in encoding:  # for the processes that this one starts
        os.environ["PYTHONIOENCODING"] = f"{encoding}:backslashreplace"
    codecs.register_error("ablate.plain", _plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="ablate.plain")


def _replace_closed() -> None:
    """Opens nothing in place of what is closed: the next file would get its number, and what a library prints
    would be written into that."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, os.O_RDWR)
            if nothing != number:
                os.dup2(nothing, number)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def discard_output() -> None:
    """What is still to be written to standard output goes nowhere: nobody reads it."""
    with contextlib.suppress(io.UnsupportedOperation):  # in a test it is not a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def flush_or_discard() -> None:
    """Writes what is still to be written to standard output, where that is possible."""
    try:
        sys.stdout.flush()
    except OSError:
        discard_output()


def _plainly(error: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs: writes in other words what an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    without_accents = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return PLAIN.get(character) or without_accents or character.encode("ascii", "backslashreplace").decode()
