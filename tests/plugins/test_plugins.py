"""What is wrong with a plug-in is said with its file and line, and costs no more than what it touches."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ablate import vocabulary
from ablate.errors import SpecError
from ablate.experiment.load import load_experiment
from ablate.fingerprint import of_added_metrics
from ablate.parts.missing import needed_parts
from ablate.plugins import DICTS, Plugin
from ablate.records import BESIDE_METRICS, CURVES, LABELS
from ablate.stages.keys import RunKeys
from ablate.vocabulary import OWN, vocabulary_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablate.fingerprint import Contents
    from ablate.records import ExperimentRecord
    from tests.conftest import Done

LOSS = """
from typing import ClassVar
from ablate.factors.base import Loss

class {title}(Loss):
    name: ClassVar[str] = "{name}"
    label: ClassVar[str] = "{name}"
    power: int = 2

    def loss(self, step, frozen):
        return {value}

LOSSES = {{"{name}": {title}}}
"""


def loss(name: str = "mine", value: str = "step.prediction.abs()") -> str:
    return LOSS.format(title=name.title(), name=name, value=value)


def vocabulary_with(*sources: str) -> Any:
    return vocabulary_of(tuple(Plugin(f"plugin{n}.py", source) for n, source in enumerate(sources)))


def test_without_a_plug_in_the_vocabulary_is_the_package_s_own() -> None:
    assert vocabulary_of(()) is OWN


def test_rows_are_added_after_the_package_s_own() -> None:
    added = vocabulary_with(loss("mine"), loss("other"))
    assert list(added.losses) == [*OWN.losses, "mine", "other"]
    assert added.losses["mine"].field == "losses.mine"
    assert OWN.losses.keys() == {"mse", "lpips", "kl"}


METRIC = """
from ablate.metrics.base import ImageMetric
from ablate.diffusion import randomness
import ablate.factors.kl

class Percentile(ImageMetric):
    lower_is_better = False
    label = key = "bright"

    def __init__(self, share):
        self.share = share

    def scores(self, measured):
        return measured.images.mean((1, 2, 3)) * self.share

def made(power):
    class Loss:
        pass
    return Loss

METRICS = {"bright": Percentile(90)}
"""


def test_what_an_object_is_made_with_counts_as_its_class_s_text() -> None:
    ninety, ninety_five = (Plugin("m.py", METRIC.replace("90", share)) for share in ("90", "95"))
    assert ninety.text_of("Percentile") != ninety_five.text_of("Percentile")
    assert "Percentile(90)" in ninety.text_of("Percentile")


@pytest.mark.parametrize(
    "made",
    [
        "METRICS = {'bright': by_function(90)}\n\ndef by_function(share):\n    return Percentile(share)",
        "METRICS = {'bright': Percentile.of(90)}",
        "by_lambda = lambda share: Percentile(share)\nMETRICS = {'bright': by_lambda(90)}",
        "METRICS = dict(bright=Percentile(90))",
        "METRICS = {'bright': made_of(Percentile, 90)}\n\ndef made_of(kind, share):\n    return kind(share)",
        "from copy import replace\nDEFAULT = Percentile(1)\nMETRICS = {'bright': replace(DEFAULT, share=90)}",
    ],
)
def test_it_counts_however_the_object_is_made(made: str) -> None:
    source = METRIC.replace('METRICS = {"bright": Percentile(90)}', made)
    ninety, ninety_five = (Plugin("m.py", source.replace("90", share)) for share in ("90", "95"))
    assert ninety.text_of("Percentile") != ninety_five.text_of("Percentile")


def test_what_an_object_of_the_package_s_own_class_is_made_with_counts_as_well() -> None:
    source = (
        "from ablate.metrics.accuracy import Accuracy\nMETRICS = {'accuracy_x': Accuracy('x', ['a', 'b'])}"
    )
    two, three = (Plugin("m.py", text) for text in (source, source.replace("'b'", "'b', 'c'")))
    assert of_added_metrics((two,)) != of_added_metrics((three,))
    assert of_added_metrics(()) == {}


@pytest.mark.parametrize("sign", ["\f", "\v", "\x1c", "\x85", "\u2028"])
def test_the_last_line_of_a_class_counts_whatever_signs_stand_above(sign: str) -> None:
    above = f"# a comment {sign} goes on\n" if sign != "\f" else "\f\n"
    plain, doubled = (Plugin("m.py", above + loss(value=value)) for value in ("step.t", "step.t * 2"))
    assert plain.text_of("Mine") != doubled.text_of("Mine")


def test_a_class_that_no_statement_defines_has_the_text_of_the_whole_file() -> None:
    plugin = Plugin("m.py", METRIC)
    assert plugin.text_of("Loss") == METRIC


def test_every_module_of_the_package_that_is_imported_counts_however_it_is() -> None:
    imported = Plugin("m.py", METRIC).imported()
    assert {"ablate.metrics.base", "ablate.diffusion.randomness", "ablate.factors.kl"} <= imported


def test_each_dict_that_a_plug_in_may_have_says_what_it_holds() -> None:
    assert tuple(vocabulary._KINDS) == DICTS


OBSERVER = """
from typing import Literal
from ablate.factors.ema import Ema

class Mine(Ema):
    kind: Literal["mine"] = "mine"
    scales: tuple[int, ...] = (1, 2)

OBSERVERS = {"mine": Mine}
"""

WRONG = {
    "no Python": ("x = (", "plugin0.py:1: the plug-in cannot be loaded: SyntaxError: "),
    "fails": ("\n1 / 0", "plugin0.py:2: the plug-in cannot be loaded: ZeroDivisionError: division by zero"),
    "missing module": ("import nowhere", "plugin0.py:1: the plug-in cannot be loaded: ModuleNotFoundError: "),
    "ends": (
        "import sys\nsys.exit()",
        "plugin0.py:2: the plug-in cannot be loaded: SystemExit: it ends the program",
    ),
    "nothing": ("LOSSES = {}", "plugin0.py: the plug-in adds nothing\n  Give it one of LOSSES, "),
    "no dict": ("LOSSES = [1]", "plugin0.py: LOSSES must be a dict of names"),
    "exists": (loss("kl"), "plugin0.py: LOSSES['kl']: the name exists already"),
    "a cost": (
        "from ablate.metrics.fid import Fid\nMETRICS = {'seconds_per_image': Fid()}",
        "plugin0.py: METRICS['seconds_per_image'] calls itself 'fid'",
    ),
    "wrong kind": ("LOSSES = {'x': dict}", "LOSSES['x'] must be a class derived from Loss\n  Loss is in "),
    "a class, not an object": (
        "from ablate.metrics.fid import Fid\nMETRICS = {'x': Fid}",
        "METRICS['x'] must be an object of a class derived from Metric",
    ),
    "lacks": (
        "from ablate.factors.base import Loss\n"
        "class X(Loss):\n    name = 'x'\n    label = 'x'\nLOSSES = {'x': X}",
        "LOSSES['x'] lacks loss",
    ),
    "other name": (loss("mine").replace('{"mine"', '{"yours"'), "LOSSES['yours'] calls itself 'mine'"),
    "no name": (loss("mine").replace('"mine"', '"a b"'), "LOSSES['a b']: not a name"),
    "pydantic's name": (loss("copy"), "LOSSES['copy']: not a name"),
    "no label": (
        "from ablate.metrics.fid import Fid\nclass X(Fid):\n    key, label = 'x', ''\nMETRICS = {'x': X()}",
        "METRICS['x'] lacks a label",
    ),
    "no direction": (
        METRIC.replace("    lower_is_better = False\n", ""),
        "METRICS['bright'] does not say what is better\n  Set `lower_is_better` to True or False.",
    ),
    "a type that is not there": (
        "from __future__ import annotations\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    from pathlib import Path\n" + loss().replace("power: int = 2", "file: Path = None"),
        "LOSSES['mine']: the type of a field cannot be read: ",
    ),
    "a type that no spec can write": (
        "from torch import Tensor\n" + loss().replace("power: int = 2", "file: Tensor = None"),
        "LOSSES['mine']: the type of a field cannot be read: ",
    ),
    "an observer with a list": (
        OBSERVER.replace("tuple[int, ...] = (1, 2)", "list[int] | None = None"),
        "OBSERVERS['mine']: an observer's field cannot be a list, a dict or a set, as `scales` is",
    ),
    "section exists": (
        "from ablate.report.sections.gaps import Gaps\nSECTIONS = {'gaps': Gaps()}",
        "SECTIONS['gaps']: the name exists already",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_plug_in_that_cannot_be_used_is_refused_with_its_place(case: str) -> None:
    source, message = WRONG[case]
    with pytest.raises(SpecError) as caught:
        vocabulary_with(source)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", [*BESIDE_METRICS, *(f"{begins}x" for begins in (*CURVES, LABELS))])
def test_a_metric_under_whose_name_a_run_has_something_else_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match=rf"plugin0\.py: METRICS\['{name}'\]: ") as caught:
        vocabulary_with(METRIC.replace('"bright"', f'"{name}"'))
    assert "one of the two would be lost" in caught.value.fix


def test_two_plug_ins_cannot_add_one_name_or_have_one_file_name() -> None:
    with pytest.raises(SpecError, match="the name exists already"):
        vocabulary_with(loss("mine"), loss("mine"))
    with pytest.raises(SpecError, match="has the same file name"):
        vocabulary_of((Plugin("a/x.py", loss("mine")), Plugin("b/x.py", loss("other"))))


# ── in a spec ────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def spec(tmp_path: Path, write_spec: Callable[..., Path]) -> Callable[..., Path]:
    """A spec with a plug-in beside it, and a variant ``it`` with some overrides."""

    def write(overrides: dict[str, Any], source: str = loss()) -> Path:
        (tmp_path / "mine.py").write_text(source)
        variants = {"plain": {}, "it": overrides}
        return write_spec(tmp_path, plugins=["mine.py"], variants=variants, claims=[], seeds=[0])

    return write


def test_a_plug_in_s_field_is_read_and_checked_like_any_other(spec: Callable[..., Path]) -> None:
    found = load_experiment(spec({"losses": {"mine": {"power": 3}}}))
    assert found.variants["it"].losses.mine.power == 3
    assert found.variants["plain"].losses.mine is None
    path = spec({"losses": {"mine": {"power": "three", "pwer": 1}}})
    with pytest.raises(SpecError) as caught:
        load_experiment(path)
    said = str(caught.value)
    assert "variants.it.losses.mine.power: must be a whole number, not 'three'" in said
    assert "variants.it.losses.mine.pwer: unknown field" in said
    assert "Did you mean `power`?" in said
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if '"power"' in text)
    assert f"tiny.yaml:{line}:" in said


def test_a_kind_that_no_one_added_is_refused_with_those_that_exist(spec: Callable[..., Path]) -> None:
    with pytest.raises(
        SpecError, match=r"augmentation\.kind: must be one of none, flip, strong, not 'cutout'"
    ):
        load_experiment(spec({"augmentation": {"kind": "cutout"}}))


def test_a_field_of_another_kind_asks_for_the_kind(spec: Callable[..., Path]) -> None:
    cutout = (Path(__file__).parents[2] / "examples" / "own_parts.py").read_text()
    with pytest.raises(SpecError, match=r"augmentation\.size: unknown field") as caught:
        load_experiment(spec({"augmentation": {"kind": "flip", "size": 0.5}}, source=cutout))
    assert "write `kind` as well" in str(caught.value)


def test_without_the_plug_in_its_loss_is_an_unknown_field(
    tmp_path: Path, write_spec: Callable[..., Path]
) -> None:
    path = write_spec(tmp_path, variants={"plain": {}, "late": {"losses": {"mine": {}}}})
    with pytest.raises(SpecError, match=r"losses\.mine: unknown field"):
        load_experiment(path)
    (tmp_path / "mine.py").write_text(loss())
    assert load_experiment(path, plugins=[tmp_path / "mine.py"]).variants["late"].losses.mine


def test_a_missing_plug_in_is_named(tmp_path: Path, write_spec: Callable[..., Path]) -> None:
    path = write_spec(tmp_path, plugins=["nowhere.py"])
    with pytest.raises(SpecError, match=r"nowhere\.py: there is no such plug-in"):
        load_experiment(path)


def test_a_configuration_travels_to_a_process_with_the_text_it_was_made_with(
    spec: Callable[..., Path], tmp_path: Path
) -> None:
    config = load_experiment(spec({"losses": {"mine": {"power": 3}}})).variants["it"]
    sent = pickle.dumps(config)
    (tmp_path / "mine.py").unlink()
    back = pickle.loads(sent)
    assert back == config
    assert back.vocabulary.plugins[0].source == loss()


def test_fields_that_json_writes_otherwise_are_read_and_travel(spec: Callable[..., Path]) -> None:
    fields = "scales: tuple[int, ...] = (1, 2)\n    mode: Mode = Mode.A\n    file: Path = Path('a')"
    above = "from enum import Enum\nfrom pathlib import Path\nclass Mode(Enum):\n    A = 'a'\n    B = 'b'\n"
    source = above + loss().replace("power: int = 2", fields)
    written = {"scales": [3, 4], "mode": "b", "file": "x/y"}
    for own in ({}, written):
        config = load_experiment(spec({"losses": {"mine": own}}, source=source)).variants["it"]
        assert pickle.loads(pickle.dumps(config)) == config
    assert config.losses.mine.model_dump(mode="json", include=set(written)) == written
    with pytest.raises(SpecError, match=r"scales\[1\]: must be a whole number, not 'x'"):
        load_experiment(spec({"losses": {"mine": {"scales": [1, "x"]}}}, source=source))


SPACE = """
from ablate.metrics.spaces.base import FeatureSpace

class Deep(FeatureSpace):
    part = "{part}"
    name = "deep"

    def features(self, images):
        return images.reshape(len(images), -1)

SPACES = {{"deep": Deep}}
"""


@pytest.mark.parametrize("part", ["perceptual", "vae", "evaluator"])
def test_the_content_of_a_space_s_part_is_in_the_keys_and_a_run_needs_it(
    spec: Callable[..., Path], contents: Contents, part: str
) -> None:
    file = spec({"evaluate": {"fid_features": "deep"}}, source=SPACE.format(part=part))
    config = load_experiment(file).variants["it"]
    made_of = RunKeys(config, 0, contents).evaluate_ingredients
    assert made_of[part].startswith("content:")
    assert f"parts/{part}.py" in made_of["space"]
    assert part in {needed.field for needed in needed_parts(config)}


def test_a_part_that_there_is_not_is_refused_with_those_that_exist(spec: Callable[..., Path]) -> None:
    with pytest.raises(SpecError, match="Deep needs a part 'lpips', and there is no such part") as caught:
        load_experiment(spec({}, source=SPACE.format(part="lpips")))
    assert "perceptual" in caught.value.fix


def test_a_section_of_another_kind_keeps_what_all_kinds_have(spec: Callable[..., Path]) -> None:
    cutout = (Path(__file__).parents[2] / "examples" / "own_parts.py").read_text()
    base = {"augmentation": {"kind": "cutout", "size": 0.5, "start": 1}}
    path = spec({"augmentation": {"kind": "flip"}}, source=cutout)
    data = json.loads(path.read_text())
    data["config"] |= base
    path.write_text(json.dumps(data))
    found = load_experiment(path).variants
    assert found["plain"].augmentation.size == 0.5
    assert found["it"].augmentation.model_dump() == {"kind": "flip", "start": 1, "variants": None}


# ── an error inside ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("blank_figures")
def test_an_error_inside_fails_that_variant_only_and_names_the_line(
    make_workplace: Callable[..., Path],
    ablate: Callable[..., Done],
    read_record: Callable[[Path], ExperimentRecord],
    tmp_path: Path,
) -> None:
    variants = {"plain": {}, "it": {"losses": {"mine": {}}}}
    folder = make_workplace(tmp_path, plugins=["mine.py"], variants=variants, claims=[], seeds=[0])
    (folder / "mine.py").write_text(loss(value="step.prediction.no_such_thing()"))
    audited = ablate("audit", "tiny.yaml", folder=folder)
    assert "not looked at: AttributeError" in audited.out + audited.err
    assert "mine.py:11" in audited.out + audited.err
    done = ablate("run", "tiny.yaml", "--no-audit", folder=folder)
    assert done.code == 1
    runs = {run.variant: run for run in read_record(folder).runs}
    assert (runs["plain"].status, runs["it"].status) == ("FINISHED", "FAILED")
    assert "mine.py:11: AttributeError" in runs["it"].reason
    assert "Traceback" in runs["it"].reason
    assert "return step.prediction.no_such_thing()" in runs["it"].reason
