"""Every broken spec and command line gives its message, and no other exception.

The messages are in tests/golden/broken_specs.txt. After a change that is meant to change them, run
``pytest tests/experiment/test_broken.py --update-golden`` and read the difference as a user would.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ablate.errors import SpecError
from ablate.experiment.load import load_experiment
from ablate.experiment.options import parse_seeds
from ablate.experiment.yaml import read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HERE = Path(__file__).parent
FILES = sorted(file.name for file in (HERE / "broken").glob("*.yaml"))
COMMANDS: dict[str, dict[str, Any]] = read(HERE / "commands.yaml").data


def message(
    spec: str, *, profile: str | None = None, sets: Sequence[str] = (), seeds: str | None = None
) -> str:
    """What a user reads. The one place that knows how a spec is loaded."""
    with pytest.raises(SpecError) as caught:
        load_experiment(
            Path(spec), profile=profile, sets=sets, seeds=None if seeds is None else parse_seeds(seeds)
        )
    assert caught.value.exit_code == 2
    return str(caught.value)


def of_file(name: str) -> str:
    return message(f"broken/{name}")


def of_command(case: str) -> str:
    command = COMMANDS[case]
    assert command.keys() <= {"spec", "profile", "set", "seeds"}
    return message(
        command.get("spec", "good.yaml"),
        profile=command.get("profile"),
        sets=tuple(command.get("set", ())),
        seeds=command.get("seeds"),
    )


@pytest.fixture(autouse=True)
def _in_this_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)  # messages name files as the user did: relative


def test_messages_are_the_golden_ones(golden: Callable[[str, str], None]) -> None:
    cases = {name: of_file(name) for name in FILES}
    cases |= {f"commands.yaml: {case}": of_command(case) for case in COMMANDS}
    golden("broken_specs.txt", "".join(f"=== {case}\n{text}\n\n" for case, text in cases.items()))


@pytest.mark.parametrize("name", FILES)
def test_message_names_the_file_and_no_machinery(name: str) -> None:
    text = of_file(name)
    assert text.startswith(f"broken/{name}:")
    assert_friendly(text)


@pytest.mark.parametrize("case", COMMANDS)
def test_message_about_a_command_shows_no_machinery(case: str) -> None:
    assert_friendly(of_command(case))


def assert_friendly(text: str) -> None:
    for jargon in ("Input", "pydantic", "extra_forbidden", "model_type", "valid dictionary", "instance of"):
        assert jargon not in text
    assert text.isprintable() or set(filter(lambda c: not c.isprintable(), text)) == {"\n"}
    assert len(text) < 3000


def test_the_good_spec_is_good() -> None:
    assert list(load_experiment(Path("good.yaml")).variants) == ["plain", "ema"]
