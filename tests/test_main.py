"""How every command ends: with a message, an exit code, and no traceback."""

from __future__ import annotations

import errno
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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
@pytest.mark.parametrize("after", [0.1, 0.4])
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
    time.sleep(after)
    process.send_signal(stop)
    _, shown = process.communicate()
    # Before Python has begun to run anything of ours, the signal ends it as it ends any process.
    assert process.returncode in (128 + stop, -stop, 2)
    if process.returncode == 128 + stop:
        assert "interrupted" in shown and "Traceback" not in shown
