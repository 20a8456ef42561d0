"""Each row of the table in CONTRIBUTING is true: in a copy of the package, one file and a row are enough."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "ablate"
TABLE = re.findall(
    r"^\| (an? [^|]+?) \| ([^|]+?) \| ([^|]+?) \|$",
    (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


class Addition(NamedTuple):
    """A thing that is added, and how it is seen to work."""

    file: str
    """The new file, or the one that gets a class, relative to the project; "" for the row alone."""
    text: str
    """What is written into it."""
    row: tuple[str, str, str] | None
    """A dict's file, a line of it, and what stands there instead."""
    seen: str
    """An expression that is true where the thing works."""


EXAMPLE = (ROOT / "examples" / "own_parts.py").read_text(encoding="utf-8")
HEAD = EXAMPLE[EXAMPLE.index("from __future__") : EXAMPLE.index("class Edges")]


def example(title: str) -> str:
    """A class of the example of a plug-in, as a file of its own."""
    found = re.search(rf"^class {title}\(.*?(?=^class |^LOSSES)", EXAMPLE, re.MULTILINE | re.DOTALL)
    assert found
    return HEAD + found.group()


def named(module: str, thing: str) -> str:
    """A thing of a new module, in one expression: what a row needs without an import line."""
    return f'__import__("ablate.{module}", fromlist=["x"]).{thing}'


def factor(title: str, name: str, rows: str, seen: str) -> Addition:
    """``rows`` is the whole line of the dict; the new one comes last."""
    module = f"added_{name}"
    row = f'{rows[:-1]}, "{name}": {named(f"factors.{module}", title)}}}'
    place = ("src/ablate/factors/__init__.py", rows, row)
    return Addition(f"src/ablate/factors/{module}.py", example(title), place, seen)


def config(overrides: str) -> str:
    return f"Config.model_validate(merge(load_profile('sprites'), {overrides}))"


PLACE = '''

class Cellar(Folder):
    """A folder behind a prefix."""

    @classmethod
    def takes(cls, path: str) -> bool:
        """``cellar:`` and a folder."""
        return path.startswith("cellar:")

'''

ADDITIONS: dict[str, Addition] = {
    "an experiment": Addition(
        "experiments/mine.yaml",
        "question: Does it?\nbaseline: a\nvariants: {a: {}, b: {ema: {decay: 0.9}}}\nseeds: [0]\n",
        None,
        "list(load_experiment(root / 'experiments/mine.yaml').variants) == ['a', 'b']",
    ),
    "a loss": factor(
        "Edges",
        "edges",
        'LOSSES: dict[str, type[Loss]] = {"mse": Mse, "lpips": Lpips, "kl": Kl}',
        config("{'losses': {'edges': {'start': 1}}}") + ".losses.edges.weight == 0.1",
    ),
    "an augmentation": factor(
        "Cutout",
        "cutout",
        "AUGMENTATIONS: dict[str, type[Augmentation]] = "
        '{"none": NoAugmentation, "flip": Flip, "strong": Strong}',
        config("{'augmentation': {'kind': 'cutout'}}") + ".augmentation.size == 0.25",
    ),
    "a weighting of timesteps": factor(
        "Clean",
        "clean",
        'WEIGHTINGS: dict[str, type[Weighting]] = {"min_snr": MinSnr}',
        config("{'weighting': {'kind': 'clean'}}") + ".weighting.power == 1",
    ),
    "a schedule of the learning rate": Addition(
        "src/ablate/factors/halved.py",
        "from typing import Literal\n\nfrom ablate.factors.lr_schedule import LrSchedule\n\n\n"
        'class Halved(LrSchedule):\n    kind: Literal["halved"] = "halved"\n\n'
        "    def share(self, passed, epochs):\n        return 0.5\n",
        (
            "src/ablate/factors/__init__.py",
            'LR_SCHEDULES: dict[str, type[LrSchedule]] = {"cosine": Cosine}',
            "LR_SCHEDULES: dict[str, type[LrSchedule]] = "
            f'{{"cosine": Cosine, "halved": {named("factors.halved", "Halved")}}}',
        ),
        config("{'lr_schedule': {'kind': 'halved'}}") + ".lr_schedule.share(1, 2) == 0.5",
    ),
    "an observer": factor(
        "Mean",
        "mean",
        'OBSERVERS: dict[str, type[Observer]] = {"ema": Ema}',
        config("{'ema': {'kind': 'mean', 'start': 2}}") + ".ema.start == 2",
    ),
    "a metric": Addition(
        "src/ablate/metrics/contrast.py",
        example("Contrast"),
        (
            "src/ablate/metrics/__init__.py",
            '    "fid": Fid(),\n',
            f'    "fid": Fid(),\n    "contrast": {named("metrics.contrast", "Contrast()")},\n',
        ),
        "'contrast' in json_schema()['$defs']['Claim']['properties']['metric']['enum']",
    ),
    "a feature space": Addition(
        "src/ablate/metrics/spaces/pixels.py",
        example("Pixels"),
        (
            "src/ablate/metrics/spaces/__init__.py",
            '    "evaluator": EvaluatorSpace,\n',
            f'    "evaluator": EvaluatorSpace,\n    "pixels": {named("metrics.spaces.pixels", "Pixels")},\n',
        ),
        config("{'evaluate': {'fid_features': 'pixels'}}") + ".evaluate.fid_features == 'pixels'",
    ),
    "a section of the report": Addition(
        "src/ablate/report/sections/winners.py",
        example("Winners"),
        (
            "src/ablate/report/sections/__init__.py",
            "        Verdicts(),\n",
            f"        Verdicts(),\n        {named('report.sections.winners', 'Winners()')},\n",
        ),
        "any(block.text == 'Winners' for block in page(gather(study(), OWN)) if isinstance(block, Heading))",
    ),
    "a format of the report": Addition(
        "src/ablate/report/formats/words.py",
        '"""Words alone."""\n\n\ndef write(results, folder):\n    """``words.txt``."""\n'
        '    (folder / "words.txt").write_text(results.baseline)\n    return "words.txt"\n',
        (
            "src/ablate/report/formats/__init__.py",
            '    "csv": csv.write,\n',
            f'    "csv": csv.write,\n    "words": {named("report.formats.words", "write")},\n',
        ),
        "write_report(study(), OWN, root / 'out', format='words').read_text() == 'plain' "
        "and 'words' in set(command_line.Format)",
    ),
    "a place where data are": Addition(
        "src/ablate/data/place.py",
        PLACE,
        (
            "src/ablate/data/place.py",
            "PLACES: tuple[type[Place], ...] = (Embedded,",
            PLACE + "PLACES: tuple[type[Place], ...] = (Cellar, Embedded,",
        ),
        "type(place_of('cellar:x')).__name__ == 'Cellar'",
    ),
    "a table of captions": Addition(
        "src/ablate/data/tables/captions_tsv.py",
        '"""A name and a text, with a tab between them."""\n\nfrom ablate.data.fields import Entry\n\n\n'
        'def read(file, on_problem):\n    """A row for each line."""\n'
        "    for line in file.read_text().splitlines():\n"
        '        name, text = line.split("\\t")\n'
        '        yield Entry(file, name, {"file_name": name, "text": text})\n',
        (
            "src/ablate/data/tables/__init__.py",
            '    "metadata.csv": metadata_csv.read,\n',
            '    "metadata.csv": metadata_csv.read,\n'
            f'    "captions.tsv": {named("data.tables.captions_tsv", "read")},\n',
        ),
        "(root / 'captions.tsv').write_text('a.png\\tA bat.') and format_of(root).name == 'imagefolder' and "
        "[row.text('text') for row in TABLES['captions.tsv'](root / 'captions.tsv', print)] == ['A bat.']",
    ),
    "an executor": Addition(
        "src/ablate/runner/executors/dry.py",
        "class Dry:\n    pass\n\n\ndef at(address):\n    return lambda plan, workers: Dry()\n",
        (
            "src/ablate/runner/executors/__init__.py",
            '{"local": local.at',
            f'{{"dry": {named("runner.executors.dry", "at")}, "local": local.at',
        ),
        "type(executor_at('dry', None)(None, 1)).__name__ == 'Dry'",
    ),
    "a sampling scheduler": Addition(
        "",
        "",
        (
            "src/ablate/experiment/schedulers.py",
            '    "DDIMScheduler",\n',
            '    "DDIMScheduler",\n    "MyScheduler",\n',
        ),
        config("{'sample': {'scheduler': 'MyScheduler'}}") + ".sample.scheduler == 'MyScheduler'",
    ),
}

SCRIPT = """
import json, sys
from pathlib import Path
root = Path(sys.argv[1])
from ablate.cli import results as command_line
from ablate.data.captions import format_of
from ablate.data.place import place_of
from ablate.data.tables import TABLES
from ablate.experiment.config import Config
from ablate.experiment.load import load_experiment, load_profile
from ablate.experiment.merge import merge
from ablate.experiment.schema import json_schema
from ablate.report.blocks import Heading
from ablate.report.results import gather
from ablate.report.sections import page
from ablate.report.write import write_report
from ablate.runner.executors import executor_at
from ablate.testing.report import study
from ablate.vocabulary import OWN
print(json.dumps({name: bool(eval(seen)) for name, seen in json.load(sys.stdin).items()}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bool]:
    """What works in a copy of the package to which each thing was added."""
    root = tmp_path_factory.mktemp("copy")
    (root / "experiments").mkdir()
    shutil.copytree(PACKAGE, root / "src" / "ablate", ignore=shutil.ignore_patterns("__pycache__", "assets"))
    (root / "src" / "ablate" / "assets").symlink_to(PACKAGE / "assets")
    for addition in ADDITIONS.values():
        if addition.row:
            file, old, new = addition.row
            text = (root / file).read_text(encoding="utf-8")
            assert text.count(old) == 1, f"{file} has no line {old!r}"
            (root / file).write_text(text.replace(old, new), encoding="utf-8")
        if addition.file and not (root / addition.file).exists():
            (root / addition.file).write_text(addition.text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(root)],
        input=json.dumps({name: addition.seen for name, addition in ADDITIONS.items()}),
        env={**os.environ, "PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, bool] = json.loads(done.stdout)
    return found


def test_each_row_of_the_table_is_tried() -> None:
    assert [what for what, _, _ in TABLE] == list(ADDITIONS)


@pytest.mark.parametrize("what", ADDITIONS)
def test_a_row_names_the_one_file_and_the_one_dict(what: str) -> None:
    addition = ADDITIONS[what]
    where, row = next((where, row) for name, where, row in TABLE if name == what)
    if addition.file:
        (place,) = re.findall(r"`([\w/.]+)`", where)
        assert addition.file == place or Path(addition.file).parent == Path(place)
    if addition.row:
        name, file = re.findall(r"`([\w/.]+)`", row)
        assert addition.row[0] == file
        assert re.search(rf"^{name}\b", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("what", ADDITIONS)
def test_what_a_row_says_is_all_that_it_takes(what: str, seen: dict[str, bool]) -> None:
    assert seen[what]
