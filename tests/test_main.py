"""How every command ends: with a message, an exit code, and no traceback."""

from __future__ import annotations

import errno
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Ablate


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EACCES, "there is no permission"),
        (errno.EROFS, "this file system can only be read"),
    ],
)
def test_what_the_machine_refuses_is_said(
    ablate: Ablate, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, "refused", "some/file")

    monkeypatch.setattr("ablate.api.load_experiment", refuse)
    done = ablate("plan", "any.yaml")
    assert done.code == 1
    assert words in done.err and "some/file" in done.err and "Traceback" not in done.shown


def test_a_bug_keeps_its_traceback(ablate: Ablate, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("ablate.api.load_experiment", fail)
    with pytest.raises(ValueError, match="a bug"):
        ablate("plan", "any.yaml")


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [0, 0.1])
def test_while_it_imports_a_command_can_be_stopped(
    command: Callable[..., list[str]], tmp_path: Path, stop: signal.Signals, after: float
) -> None:
    def with_default_handler() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    process = subprocess.Popen(
        command("plan", "nowhere.yaml"),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=with_default_handler,  # noqa: PLW1509 – a shell's background ignores SIGINT
    )
    # Until Python has begun to run ours, it ends as Python ends, with a traceback and one of two codes.
    while not catches(process, signal.SIGTERM) and process.poll() is None:
        time.sleep(0.001)
    time.sleep(after)
    process.send_signal(stop)
    _, shown = process.communicate()
    assert process.returncode in (128 + stop, 2)  # 2: it has ended already, there is no such file
    assert "Traceback" not in shown
    assert ("interrupted" in shown) == (process.returncode == 128 + stop)


def catches(process: subprocess.Popen[str], number: signal.Signals) -> bool:
    """Whether a process has a handler for this signal, as Linux tells."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return bool(int(status.split("SigCgt:")[1].split()[0], 16) >> (number - 1) & 1)
