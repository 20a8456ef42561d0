"""``ablate examples``: from an empty folder to something that runs."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.experiment.shipped import PACKAGE, PLACES

if TYPE_CHECKING:
    from tests.conftest import Ablate

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def test_the_shipped_experiments_are_copied_with_their_questions(ablate: Ablate, tmp_path: Path) -> None:
    done = ablate("examples", folder=tmp_path)
    copied = {file.name: file.read_bytes() for file in (tmp_path / "experiments").iterdir()}
    assert copied == {file.name: file.read_bytes() for file in EXPERIMENTS.glob("*.yaml")}
    assert "Does an exponential moving average of the weights help" in done.out
    assert "ablate plan experiments/ema.yaml" in done.out
    assert ablate("plan", "experiments/ema.yaml", folder=tmp_path).code == 0


def test_no_file_is_replaced_by_an_example(ablate: Ablate, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "ema.yaml").write_text("question: Mine?\n")
    (tmp_path / "mine" / "kl.yaml").symlink_to(tmp_path / "nowhere.yaml")
    for _ in range(2):
        done = ablate("examples", "mine", folder=tmp_path)
        assert done.code == 0 and done.out.count("another file, left alone") == 2
    assert done.out.count("is there") == len(list(EXPERIMENTS.glob("*.yaml"))) - 2
    assert (tmp_path / "mine" / "ema.yaml").read_text() == "question: Mine?\n"
    assert not (tmp_path / "nowhere.yaml").exists()


def test_examples_are_not_copied_into_a_file(ablate: Ablate, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    done = ablate("examples", "taken", folder=tmp_path)
    assert done.code == 2 and "taken: is a file" in done.err


def test_a_wheel_takes_the_experiments_to_where_they_are_looked_for() -> None:
    project = tomllib.loads((EXPERIMENTS.parent / "pyproject.toml").read_text(encoding="utf-8"))
    taken = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert taken == {"experiments": PLACES[0].relative_to(PACKAGE.parent).as_posix()}
    assert PLACES[1] == EXPERIMENTS
