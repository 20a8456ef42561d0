"""``ablate init``: a first spec fits the images and the machine, runs as it is, and replaces nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from ablate.data.place import Folder, place_of
from ablate.errors import DataError, SpecError, UserError
from ablate.experiment.load import load_experiment
from ablate.first_spec import SETTINGS, first_spec
from ablate.kit.build import trained_on
from ablate.kit.check import PARTS
from ablate.kit.dataset import load

if TYPE_CHECKING:
    from tests.conftest import Ablate

ROOT = Path(__file__).parents[1]
DESIGNS = [*sorted((ROOT / "experiments").glob("*.yaml")), ROOT / "examples" / "own-parts.yaml"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with 40 images and their captions in ``my photos``."""
    (tmp_path / "my photos").mkdir()
    for number in range(40):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "my photos" / f"{number}.png")
        (tmp_path / "my photos" / f"{number}.txt").write_text(f"picture {number}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


PHOTOS = Path("my photos")


def test_a_first_spec_asks_one_question_of_the_images_in_sizes_that_fit_them(here: Path) -> None:
    first = first_spec(PHOTOS)
    experiment = load_experiment(first.file)
    assert first.file == Path("my-photos.yaml")
    assert "32 to train on, 8 held out as prompts, 8 to 9 px" in first.file.read_text()
    config = experiment.variants["averaged"]
    assert (config.data.path, config.data.size) == ("my photos", 32)
    assert config.components.vae.source == "kits/my-photos"
    assert (config.train.batch, config.train.epochs) == (4, 30)
    assert len(experiment.spec.seeds) == 6 and len(experiment.spec.claims) == 1


@pytest.mark.parametrize(
    ("images", "batch", "epochs"), [(3, 3, 30), (200, 16, 30), (3200, 16, 7), (50_000, 16, 4)]
)
def test_a_training_is_about_as_long_whatever_the_number_of_images(
    images: int, batch: int, epochs: int
) -> None:
    config = SETTINGS["sprites"](PHOTOS, "photos", images).config
    assert config["train"] == {"epochs": epochs, "batch": batch}


def test_large_images_and_a_gpu_get_the_full_size(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ablate.first_spec.gpus", lambda: ("NVIDIA H100",))
    monkeypatch.setattr("ablate.first_spec.LARGE_SETS", 30)
    assert first_spec(PHOTOS, out=here / "little.yaml").setting.profile == "sprites"
    monkeypatch.setattr("ablate.first_spec.LARGE_IMAGES", 8)
    first = first_spec(PHOTOS)
    assert first.setting.profile == "maplestory" and not first.setting.kit
    assert load_experiment(first.file).variants["last"].data.path == "my photos"


@pytest.mark.parametrize("design", DESIGNS, ids=lambda file: file.stem)
def test_a_design_is_taken_over_with_its_comments(
    here: Path, monkeypatch: pytest.MonkeyPatch, design: Path
) -> None:
    seen = first_spec(PHOTOS).report
    monkeypatch.setattr("ablate.first_spec.check_data", lambda *_: seen)
    taken, given = load_experiment(first_spec(PHOTOS, design=design).file), load_experiment(design)
    same = {"question", "variants", "factors", "leave_one_out", "baseline", "seeds", "claims", "expect"}
    assert taken.spec.model_dump(include=same) == given.spec.model_dump(include=same)
    assert all(config.data.path == "my photos" for config in taken.variants.values())
    comments = {line for line in design.read_text().splitlines() if line.lstrip().startswith("#")}
    assert comments <= set(taken.file.read_text().splitlines())


def test_a_design_in_braces_is_taken_over_as_well(here: Path) -> None:
    (here / "json.yaml").write_text(
        json.dumps(
            {
                "question": "Why?",
                "baseline": "a",
                "variants": {"a": {}, "b": {"ema": {"decay": 0.9}}},
                "seeds": [0],
            }
        )
    )
    assert list(load_experiment(first_spec(PHOTOS, design=here / "json.yaml").file).variants) == ["a", "b"]


def test_a_design_that_does_not_fit_is_named_and_leaves_nothing(here: Path) -> None:
    design = "question: Why?\nbaseline: a\nvariants: {a: {}, b: {train: {devices: 3}}}\nseeds: [0]\n"
    (here / "long.yaml").write_text(design)
    with pytest.raises(UserError, match="this design does not fit") as caught:
        first_spec(PHOTOS, design=Path("long.yaml"))
    assert caught.value.where == "long.yaml"
    assert not (here / "my-photos-long.yaml").exists()


@pytest.mark.parametrize("plugins", ["5", "own.py", "[5]"])
def test_a_design_whose_plug_ins_are_no_list_is_refused_as_by_run(
    here: Path, ablate: Ablate, plugins: str
) -> None:
    design = f"question: Why?\nbaseline: a\nvariants: {{a: {{}}, b: {{}}}}\nseeds: [0]\nplugins: {plugins}\n"
    (here / "five.yaml").write_text(design)
    done = ablate("init", "my photos", "--from", "five.yaml", folder=here)
    assert done.code == 2 and "Traceback" not in done.shown
    assert done.err == ablate("plan", "five.yaml", folder=here).err
    assert not (here / "my-photos-five.yaml").exists()


def test_a_folder_that_is_called_like_the_embedded_data_set_is_the_one_that_is_trained_on(here: Path) -> None:
    (here / "my photos").rename(here / "sprites")
    config = load_experiment(first_spec(Path("sprites")).file).variants["averaged"]
    assert config.data.path == "./sprites"
    assert isinstance(place_of(config.data.path), Folder)


def test_a_folder_that_links_to_itself_is_refused_in_words(here: Path) -> None:
    (here / "loop").symlink_to("loop")
    with pytest.raises(DataError):
        first_spec(Path("loop"))


def test_a_spec_is_written_whole_or_not_at_all(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(source: Path, target: Path) -> None:
        assert "seeds:" in source.read_text()
        raise KeyboardInterrupt

    monkeypatch.setattr("os.link", killed)
    with pytest.raises(KeyboardInterrupt):
        first_spec(PHOTOS)
    assert [path.name for path in here.iterdir()] == ["my photos"]


def test_no_spec_is_replaced(here: Path) -> None:
    file = first_spec(PHOTOS).file
    written = file.read_text()
    assert first_spec(PHOTOS).file == file
    file.write_text(written + "# mine\n")
    with pytest.raises(UserError, match="there is another file of this name"):
        first_spec(PHOTOS)
    assert file.read_text() == written + "# mine\n"


def test_data_that_cannot_be_trained_on_are_refused_in_words(here: Path) -> None:
    (PHOTOS / "3.png").write_bytes(b"broken")
    with pytest.raises(DataError, match="images that cannot be read: 1") as caught:
        first_spec(PHOTOS)
    assert "ablate data check" in caught.value.fix
    assert not list(here.glob("*.yaml"))


def test_a_profile_that_does_not_exist_is_named(here: Path) -> None:
    with pytest.raises(SpecError, match="there is no profile"):
        first_spec(PHOTOS, profile="huge")


def test_a_kit_that_is_there_is_taken_and_the_last_lines_say_how_to_go_on(ablate: Ablate, here: Path) -> None:
    manifest = {"data": {"sha256": load(PHOTOS).sha256()}, "parts": {part: {"sha256": ""} for part in PARTS}}
    kit = here / "kits" / "my-photos"
    kit.mkdir(parents=True)
    (kit / "kit.json").write_text(json.dumps(manifest))
    done = ablate("init", "my photos", folder=here)
    assert done.code == 0, done.shown
    assert done.out.splitlines()[-1].split(maxsplit=3)[-1] == "ablate run my-photos.yaml"
    assert trained_on(kit, PHOTOS)
    (PHOTOS / "3.txt").write_text("another caption")
    done = ablate("init", "my photos", folder=here)
    assert done.code == 2 and "this kit was trained on other data" in done.err
