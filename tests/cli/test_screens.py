"""What a run shows while it goes on: rows of the tasks at work on a terminal, lines in a log."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest
from rich.progress import Progress

from ablate.cli import screens
from ablate.cli.screens import RunScreen, TimeLeft, decoding_bar, training_bars

if TYPE_CHECKING:
    from collections.abc import Callable

TRAINING = "train seed 0, epochs 0–7 (none, mid-way)"


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def run(screen: RunScreen) -> None:
    with screen:
        screen.begin(14, ["none seed 0", "mid-way seed 0"])
        screen.epoch(TRAINING, 3, {"loss": 0.25, "epoch_seconds": 2.0}, 1_500_000_000)
        screen.note("prepare \x1b[31m", "images 32 of 64")
        screen._live.refresh() if screen._live.is_started else None
        screen.done(TRAINING)
        screen.failed("none seed 0", "the loss is not a number")


def test_a_terminal_shows_the_tasks_at_work_below_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    run(screen := RunScreen())
    shown = terminal.getvalue()
    assert "epochs trained" in shown and "1/14" in shown
    assert TRAINING in shown and "epoch 3, loss 0.2500, 2.0 s, 1.5 GB" in shown
    assert "prepare \\x1b[31m" in shown and "images 32 of 64" in shown
    assert "failed: none seed 0: the loss is not a number" in shown
    assert list(screen._at_work) == ["prepare \x1b[31m"]


def test_the_time_left_is_that_of_the_work_so_far() -> None:
    now = 100.0
    bars = Progress(TimeLeft(), get_time=lambda: now)
    epochs = bars.add_task("epochs", total=42)
    assert str(TimeLeft().render(bars.tasks[0])) == "-:--:--"
    now = 160.0
    for _ in range(2):
        bars.advance(epochs)  # two workers end an epoch at once
    assert str(TimeLeft().render(bars.tasks[0])) == "0:20:00"


def test_a_log_gets_lines_and_no_bars(capsys: pytest.CaptureFixture[str]) -> None:
    run(RunScreen())
    lines = [line.partition("] ")[2] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "14 epochs to train, 2 runs to finish",
        f"0/2 runs; done: {TRAINING}",
        "failed: none seed 0: the loss is not a number",
    ]


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The lines on standard error, which is no terminal; one is written for all there is to say."""
    monkeypatch.setattr(screens, "LOG_PACE", -1)

    def lines() -> list[str]:
        return capsys.readouterr().err.splitlines()

    return lines


def test_a_log_tells_how_far_the_decoding_is(log: Callable[[], list[str]]) -> None:
    with decoding_bar() as progress:
        progress(16, 64)
    assert log() == ["decoding images: 16 of 64"]


def test_a_log_tells_how_far_each_training_of_a_kit_is(log: Callable[[], list[str]]) -> None:
    with training_bars() as progress:
        progress("vae", 51, 200, 0.5)
    assert log() == ["vae           step    51 of 200  loss 0.5000"]


def test_a_log_has_no_line_for_each_step_but_the_last(
    log: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screens, "LOG_PACE", 3600)
    with training_bars() as progress:
        for step in (1, 51, 101, 200):
            progress("vae", step, 200, 0.5)
    assert [line.split()[2] for line in log()] == ["1", "200"]
