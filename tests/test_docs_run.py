"""What the documents show was really so: every command, experiment and Python block is run, page by page.

Experiments are made small, and one store of trained states is shared. See ``pages.py`` for the comments in
the pages' sources that say what is not run, and why.
"""

from __future__ import annotations

import json
import shlex
import shutil
from functools import reduce
from typing import TYPE_CHECKING, Any

import pytest
from pages import PAGES, ROOT, blocks_of, shows

from ablate.api import bare_plan, load, planned
from ablate.experiment.designs import DESIGNS
from ablate.experiment.merge import expand, merge
from ablate.experiment.yaml import parse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pages import Block

SKIPPED = {
    "README.md": 2,
    "CONTRIBUTING.md": 1,
    "cluster.md": 4,
    "design.md": 1,
    "full-size.md": 2,
    "mcp.md": 1,
    "mlflow.md": 1,
    "own-images.md": 2,
    "own-parts.md": 2,
    "python.md": 1,
    "search.md": 1,
    "shared.md": 9,
    "spec.md": 5,
}
"""Page → how many of its blocks cannot be run here. Each says why, in a comment above it."""

AS_WRITTEN = {"as written", "as written, when it has run", "planned only"}

SHIPPED = ("ema", "as-published")
"""The shipped experiments that pages give commands on."""

MINE = """\
question: Does an average of the weights help?
config: {train: {gradient_clip: 0.5}}
baseline: none
variants:
  none: {}
  averaged:
    ema: {decay: 0.995, start: 0%}
seeds: [0, 1]
"""


def with_commands() -> list[Path]:
    """The pages that have something to run."""
    return [page for page in PAGES if any(block.language for block in blocks_of(page))]


class Study:
    """A folder as a reader of a page has it, with every experiment made small, beside one with experiments as
    they are written."""

    def __init__(self, root: Path, data: Path, small: dict[str, Any], call: Callable[..., str]) -> None:
        self.folder, self.written, self.other = root / "study", root / "written", root / "other"
        self._small = merge(small, {"data": {"path": str(data)}})
        self._call = call
        self._sources: dict[str, str] = {}
        self._finished = False
        self.other.mkdir(parents=True)

    def save(self, name: str, text: str, seeds: int = 1) -> None:
        """A file of the page, in both folders."""
        self._sources[name] = text
        for folder in (self.folder, self.written):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.written / name).write_text(text, encoding="utf-8")
        if name.endswith(".yaml"):
            text = json.dumps(smaller(parse(text, name).data, self._small, seeds), indent=1)
        (self.folder / name).write_text(text, encoding="utf-8")

    def edit(self, change: str) -> None:
        """Changes the file that was saved last."""
        old, new = change.split(" → ")
        name, text = list(self._sources.items())[-1]
        assert old in text, change
        self.save(name, text.replace(old, new))

    def run(self, block: Block, text: str) -> str:
        """What the commands of a text print, one to a line."""
        if "in" in block.marks:
            for archive in self.folder.glob("*.zip"):
                shutil.copy(archive, self.other)
            return "".join(self._command(self.other, line) for line in text.splitlines())
        if not AS_WRITTEN & set(block.marks):
            return "".join(self._command(self.folder, line) for line in text.splitlines())
        if "as written, when it has run" in block.marks and not self._finished:
            finish(self.written / list(self._sources)[-1])
            self._finished = True  # later edits have not run
        return "".join(self._command(self.written, line) for line in text.splitlines())

    def _command(self, folder: Path, line: str) -> str:
        program, *words = shlex.split(line, comments=True)
        assert program == "ablate", f"{line}: mark it as not run, with the reason"
        return self._call(folder, *words)


def smaller(spec: dict[str, Any], small: dict[str, Any], seeds: int) -> dict[str, Any]:
    """The same experiment, with next to nothing to compute."""
    config = reduce(merge, [expand(spec.get("config", {})), expand(small)])
    if (config.get("losses") or {}).get("lpips"):
        config["losses"]["lpips"]["images"] = 2
    looks = {"looks": [seeds, 4, 6]} if "looks" in spec else {}
    return {**spec, "profile": "sprites", "config": config, "seeds": list(range(seeds)), **looks}


def finish(spec: Path) -> None:
    """Puts the entries of an experiment into the store beside it, empty, as a run would leave them."""
    made = planned(bare_plan(load(spec), str(spec.parent / ".ablate")))
    entries: list[tuple[str, str, dict[str, Any]]] = []
    for segment in made.segments:
        entries += [
            ("train", segment.key, {**segment.keys.state_ingredients(segment.end), "kept": True}),
            ("moments", segment.key, {}),
        ]
    for run in made.runs:
        keys = run.keys
        entries += [
            ("prepare", keys.prepare, keys.prepare_ingredients),
            (*keys.weights, {}),
            ("sample", keys.sample, keys.sample_ingredients),
            ("evaluate", keys.evaluate, keys.evaluate_ingredients),
        ]
    for stage, key, ingredients in entries:
        if not made.store.has(stage, key):
            with made.store.writing(stage, key, ingredients):
                pass


# ── the fixtures ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], in_this_process: Callable[..., int]
) -> Callable[..., str]:
    """What ``ablate`` prints in a folder. It must end well."""

    def given(folder: Path, *words: str) -> str:
        capsys.readouterr()
        code = in_this_process(monkeypatch, folder, *words)
        printed = "".join(capsys.readouterr())
        assert code == 0, f"ablate {shlex.join(words)}\n{printed}"
        return printed

    return given


@pytest.fixture(scope="session")
def trained(
    shared: Callable[..., Path],
    tiny: dict[str, Any],
    data_folder: Path,
    databases: Path,
    in_this_process: Callable[..., int],
) -> Path:
    """Studies with the experiments that the pages speak of: *ema* has run, and *yesterday* another one."""

    def fill(folder: Path) -> None:
        def ended_well(place: Path, *words: str) -> str:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("ablate.report.formats.markdown.png", lambda draw: b"")
                assert in_this_process(patch, place, *words) == 0
            return ""

        study = Study(folder, data_folder, tiny, ended_well)
        for name in SHIPPED:
            study.save(
                f"experiments/{name}.yaml", (ROOT / "experiments" / f"{name}.yaml").read_text("utf-8"), 2
            )
        study.save("my.yaml", MINE, 2)
        study.save("yesterday.yaml", MINE, 2)
        for place in (study.folder, study.other):
            for name in ("mlflow.db", "optuna.db"):
                shutil.copy(databases / name, place)
        shutil.copytree(data_folder, study.folder / "data" / "mine")
        (study.folder / "prompts.txt").write_text("A red mushroom monster.\nA blue slime.\n")
        ended_well(study.folder, "run", "experiments/ema.yaml", "--no-audit")
        ended_well(study.folder, "run", "yesterday.yaml", "--no-audit")
        ended_well(study.folder, "audit", "experiments/as-published.yaml")  # two pages show what it found

    return shared("documents", fill)


@pytest.fixture
def study(
    trained: Path, tmp_path: Path, data_folder: Path, tiny: dict[str, Any], call: Callable[..., str]
) -> Study:
    """A copy of ``trained`` for one page."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "other")
    found = Study(tmp_path, data_folder, tiny, call)
    for name in ("mlflow.db", "optuna.db"):
        shutil.copy(trained / "other" / name, found.other)
    return found


# ── the tests ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", with_commands(), ids=lambda page: page.name)
@pytest.mark.usefixtures("blank_figures", "cheap_collection")
def test_what_a_page_shows_is_so(page: Path, study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    blocks, printed = blocks_of(page), ""
    commands = "".join(block.text for block in blocks if block.language == "sh")
    for number, block in enumerate(blocks):
        if "edit" in block.marks:
            study.edit(block.marks["edit"])
        if block.language == "":
            if command := block.marks.get("output of"):
                printed = study.run(block, command)
            elif not block.follows:
                printed = ""
            if printed and "not compared" not in block.marks:
                compared = shows(
                    block.text.removeprefix(f"$ {block.marks.get('output of')}\n"),
                    printed,
                    numbers="numbers differ" not in block.marks,
                )
                assert compared, f"{block.where} shows\n{block.text}\nbut this was printed:\n{printed}"
            printed = ""
        elif block.language == "sh":
            printed = "" if "not run" in block.marks else study.run(block, block.text)
        elif block.language == "yaml":
            run_experiment(study, block, block.marks.get("file", f"block-{number}.yaml"), commands)
        elif block.language == "json":
            json.loads(block.text)
        elif "not run" not in block.marks:
            study.save(block.marks["file"], block.text)


def run_experiment(study: Study, block: Block, name: str, commands: str) -> None:
    """Runs a whole experiment, unless the page's own commands do; of a part of one, sees that it is valid."""
    spec = parse(block.text, block.where).data
    if not set(DESIGNS) & set(spec):
        assert set(spec) == {"config"}, block.where
        study.save(name, json.dumps({**parse(MINE, name).data, **spec}))
        assert load(study.written / name).variants
        return
    study.save(name, block.text)
    if "planned only" in block.marks:
        study.run(block, f"ablate plan {name}")
    elif f"ablate run {name}" not in commands:
        study.run(block, f"ablate run {name} --no-audit --seeds 0")


def test_what_cannot_be_run_is_counted() -> None:
    reasons = {"not run", "planned only"}
    found = {page.name: sum(bool(reasons & set(block.marks)) for block in blocks_of(page)) for page in PAGES}
    assert {page: count for page, count in found.items() if count} == SKIPPED
    for page in PAGES:
        for block in blocks_of(page):
            assert all(block.marks[name] for name in (*reasons, "not compared") if name in block.marks)


def test_a_table_is_compared_but_for_borders_and_wrapping() -> None:
    printed = "┏━━━┳━━━━━━━━━━━━━━━┓\n┃ v ┃ why           ┃\n┡━━━╇━━━━━━━━━━━━━━━┩\n"
    printed += "│ a │ one two three │ 3.5 s │\nand more"
    wrapped = "┃ v ┃ why     ┃\n│ a │ one two │ 3.5 s │\n│   │ three   │       │\n"
    assert shows(wrapped, printed)
    assert shows("v  why\n…\nmore", printed)
    assert not shows(wrapped.replace("3.5", "4"), printed)
    assert shows(wrapped.replace("3.5", "4"), printed, numbers=False)
    assert not shows(wrapped.replace("three", "four"), printed, numbers=False)
