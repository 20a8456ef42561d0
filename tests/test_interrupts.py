"""Ctrl-C and SIGTERM: once they are a message and an exit code, the second time the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import weakref
from typing import TYPE_CHECKING

import pytest

from ablate import interrupts
from ablate.interrupts import Interrupted, caught, not_for_children

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def in_the_foreground() -> Iterator[None]:
    """Shells have what they begin in the background ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("stop", interrupts.SIGNALS)
def test_the_exit_code_is_that_of_shells(stop: signal.Signals) -> None:
    with pytest.raises(Interrupted) as stopped, caught():
        os.kill(os.getpid(), stop)
    assert stopped.value.exit_code == 128 + stop
    assert str(stopped.value) == stop.name


def test_a_process_that_is_started_deaf_never_hears_it() -> None:
    program = "print('up', flush=True); import time; time.sleep(0.5); print('alive')"
    with not_for_children():
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout and child.stdout.readline() == "up\n"
    child.send_signal(signal.SIGINT)
    assert child.communicate()[0] == "alive\n"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ()), "this process hears it again"


def test_handlers_are_as_before_when_the_block_has_ended() -> None:
    before = [signal.getsignal(stop) for stop in interrupts.SIGNALS]
    with pytest.raises(Interrupted), caught():
        os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(stop) for stop in interrupts.SIGNALS] == before
    interrupts.check()


def test_one_that_python_swallows_is_raised_at_the_next_check_and_shows_no_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", shown.append)

    class Thing:
        pass

    def callback(_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        for _number in range(1000):  # the handler runs here, and what it raises is ignored
            pass

    with pytest.raises(Interrupted), caught():
        thing = Thing()
        reference = weakref.ref(thing, callback)
        try:
            del thing
        except Interrupted:  # pragma: no cover – it is lost
            pytest.fail("Python has learnt to raise in callbacks")
        assert reference() is None
        interrupts.check()
    assert not shown
    assert sys.unraisablehook == shown.append


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with caught():
            os.kill(os.getpid(), signal.SIGINT)
            interrupts.check()
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_second_one_ends_the_process() -> None:
    code = (
        "import os, signal\n"
        "from ablate.interrupts import Interrupted, caught\n"
        "with caught():\n"
        "    try: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    except Interrupted: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('never')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")
