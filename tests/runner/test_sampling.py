"""``ablate sample``: every prompt has its image, in a file of its own, and no file is replaced."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from ablate.errors import UserError
from ablate.experiment.load import load_experiment
from ablate.fingerprint import Contents
from ablate.plan import Plan, make_plan
from ablate.runner.prompts import Prompt
from ablate.runner.sampling import Drawing, cut_off, drawings
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ablate.plan import Run
    from tests.conftest import Ablate

VARIANTS = {"plain": {}, "EMA": {"ema": {"decay": 0.9}}}


@pytest.fixture(scope="module")
def plan(write_spec: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """Nothing of it is trained: where images go is known without."""
    folder = tmp_path_factory.mktemp("plan")
    experiment = load_experiment(write_spec(folder, variants=VARIANTS, seeds=[0, 1], claims=[]))
    return make_plan(experiment, Store(folder / "store"), Contents(folder / "digests.json"))


@pytest.fixture
def run(plan: Plan) -> Run:
    return plan.runs[0]


def pixels(shade: int = 9) -> np.ndarray:
    return np.full((8, 8, 3), shade, np.uint8)


def draw(run: Run, out: Path, *prompts: tuple[str, str]) -> list[Drawing]:
    """Draws something for each prompt that has no image yet."""
    todo = drawings(run, [Prompt(*prompt) for prompt in prompts], out)
    for number, drawing in enumerate(todo):
        if not drawing.is_there:
            drawing.save(pixels(number))
    return todo


def names(todo: Sequence[Drawing]) -> list[str]:
    return [drawing.file.name for drawing in todo]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_each_run_has_a_folder_of_its_own(plan: Plan, tmp_path: Path) -> None:
    files = [draw(run, tmp_path, ("0.png", "red"))[0].file for run in plan.runs]
    assert [str(file.relative_to(tmp_path)) for file in files] == [
        "plain-seed0/0.png",
        "plain-seed1/0.png",
        "EMA-seed0/0.png",
        "EMA-seed1/0.png",
    ]


@pytest.mark.parametrize(
    ("given", "files"),
    [
        (["0.png", "0.jpg"], ["0.png", "0-2.png"]),
        (["prompt-0.png", "prompt-0.png"], ["prompt-0.png", "prompt-0-2.png"]),
        (["a.png", "A.png"], ["a.png", "A-2.png"]),
        (["0.png", "0-2.png", "0.gif"], ["0.png", "0-2.png", "0-3.png"]),
        (["0.png", "0.png", "0-2.png"], ["0.png", "0-2.png", "0-2-2.png"]),
        (["No. 1", "No. 2"], ["No. 1.png", "No. 2.png"]),
        ([".png"], [".png.png"]),
        (["ärger"], ["ärger.png"]),
    ],
)
def test_prompts_of_one_name_get_numbers(
    run: Run, tmp_path: Path, given: list[str], files: list[str]
) -> None:
    todo = draw(run, tmp_path, *((name, f"text {number}") for number, name in enumerate(given)))
    assert names(todo) == files
    assert all(drawing.file.is_file() for drawing in todo)


def test_the_same_again_is_there_already_and_changes_nothing(run: Run, tmp_path: Path) -> None:
    asked = (("0.png", "red"), ("0.jpg", "blue"), ("0.png", "red"))
    before, files = names(draw(run, tmp_path, *asked)), contents(tmp_path)
    again = draw(run, tmp_path, *asked)
    assert all(drawing.is_there for drawing in again)
    assert (names(again), contents(tmp_path)) == (before, files)


def test_another_text_of_the_same_name_gets_a_number(run: Run, tmp_path: Path) -> None:
    draw(run, tmp_path, ("prompt-0.png", "red"))
    before = contents(tmp_path)
    (second,) = draw(run, tmp_path, ("prompt-0.png", "blue"))
    assert second.file.name == "prompt-0-2.png"
    assert contents(tmp_path).items() >= before.items()
    assert [d.file.name for d in draw(run, tmp_path, ("prompt-0.png", "blue"))] == ["prompt-0-2.png"]


@pytest.mark.parametrize(
    "content", [b"", b"my notes", b"\x89PNG\r\n\x1a\n", None], ids=["empty", "text", "cut", "a picture"]
)
def test_somebody_elses_file_is_never_replaced(run: Run, tmp_path: Path, content: bytes | None) -> None:
    theirs = tmp_path / "plain-seed0" / "0.png"
    theirs.parent.mkdir()
    if content is None:
        Image.fromarray(pixels(200)).save(theirs)
    else:
        theirs.write_bytes(content)
    before = theirs.read_bytes()
    (drawing,) = draw(run, tmp_path, ("0.png", "red"))
    assert drawing.file.name == "0-2.png"
    assert theirs.read_bytes() == before


def test_a_link_to_nowhere_and_a_folder_are_somebody_elses_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "plain-seed0" / "1.png").mkdir(parents=True)
    (tmp_path / "plain-seed0" / "0.png").symlink_to(tmp_path / "nowhere")
    assert names(draw(run, tmp_path, ("0.png", "red"), ("1.png", "blue"))) == ["0-2.png", "1-2.png"]
    assert not (tmp_path / "nowhere").exists()


def test_the_image_keeps_its_prompt(run: Run, tmp_path: Path) -> None:
    (drawing,) = draw(run, tmp_path, ("0.png", "Ein böses 👾."))
    with Image.open(drawing.file) as image:
        assert image.info["prompt"] == "Ein böses 👾."
        assert np.array_equal(np.asarray(image), pixels(0))


def test_what_cannot_be_saved_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    (drawing,) = drawings(run, [Prompt("0.png", "red")], tmp_path)
    drawing.file.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        drawing.save(pixels())
    assert contents(tmp_path) == {}


def test_a_name_too_long_is_refused_before_anything_is_drawn(run: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too long"):
        drawings(run, [Prompt("0.png", "red"), Prompt("ä" * 126 + ".png", "blue")], tmp_path)


def test_an_out_that_is_no_folder_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nowhere")):
        with pytest.raises(UserError, match="nothing can be written here") as error:
            drawings(run, [Prompt("0.png", "red")], out)
        assert "--out" in error.value.fix
    assert (tmp_path / "file").read_text() == "mine"


def test_ten_thousand_prompts_alike_have_ten_thousand_files(run: Run, tmp_path: Path) -> None:
    todo = drawings(run, [Prompt("x.png", f"text {number % 2}") for number in range(10_000)], tmp_path)
    assert len({drawing.file for drawing in todo}) == 10_000
    assert not contents(tmp_path)


def test_a_prompt_that_the_tokenizer_cuts_is_named(run: Run) -> None:
    prompts = [Prompt("short.png", "A red slime."), Prompt("long.png", "A red slime. " * 100)]
    (said,) = cut_off(prompts, run.keys.config)
    assert said.startswith("long.png: ") and "the rest is cut off" in said


def test_the_command_draws_every_prompt_of_every_variant(
    ablate: Ablate, finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    entries = {name: {"image_name": f"{name}/0.png", "text_prompt": f"A slime, {name}."} for name in "ab"}
    (folder / "prompt.json").write_text(json.dumps(entries))
    for variant in ("plain", "late"):
        done = ablate(
            *("sample", "tiny.yaml", variant, "--prompt", "A red one.", "--prompts", "prompt.json"),
            folder=folder,
        )
        assert done.code == 0, done.shown
        shown = [f"samples/{variant}-seed0/{name}.png" for name in ("prompt-0", "a-0", "b-0")]
        assert done.out.split() == shown
    before = contents(folder / "samples")
    assert len(set(before.values())) == len(before) == 6
    again = ablate("sample", "tiny.yaml", "late", "--prompt", "A red one.", folder=folder)
    assert (again.code, contents(folder / "samples")) == (0, before)


def test_a_bad_file_of_prompts_draws_nothing(ablate: Ablate, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "null.json").write_text('{"a": {"image_name": "0.png", "text_prompt": null}}')
    done = ablate(
        *(
            "sample",
            "tiny.yaml",
            "plain",
            "--prompts",
            str(tmp_path / "null.json"),
            "--out",
            str(tmp_path / "out"),
        ),
        folder=finished,
    )
    assert done.code == 2
    assert "a.text_prompt: is missing" in done.err and "Traceback" not in done.err
    assert not (tmp_path / "out").exists()
