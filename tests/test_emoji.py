"""The recipe of examples/emoji: from packages to a data set that ablate reads, and a spec that fits it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablate.data.check import check_data
from ablate.experiment.load import load_experiment

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "examples" / "emoji"
EMOJI = {"1F3BB": "violin", "1F47B": "ghost", "2764-FE0F": "red heart", "1F43A": "wolf", "1F98A": "fox"}
FLAG = "1F1F3-1F1F4"
FOLDERS = {
    "emoji-datasource-google-16.0.0": "package/img/google/64/{}.png",
    "emoji-datasource-twitter-16.0.0": "package/img/twitter/64/{}.png",
    "lobehub-fluent-emoji-3d-1.1.0": "package/assets/{}.webp",
}


def picture(seed: int, kind: str) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 64, 4), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **({"lossless": True} if kind == "webp" else {}))
    return file.getvalue()


def package(folder: Path, name: str, files: dict[str, bytes]) -> None:
    with tarfile.open(folder / f"{name}.tgz", "w:gz") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the recipe was run on packages with five emoji and a flag; the wolf is a copy of the fox."""
    folder = tmp_path_factory.mktemp("emoji")
    known = [{"hexcode": code, "label": name, "group": 3, "tags": ["old"]} for code, name in EMOJI.items()]
    known.append({"hexcode": FLAG, "label": "flag: Norway", "group": 9})
    package(
        folder,
        "emojibase-data-17.0.0",
        {"package/en/data.json": json.dumps(known).encode()},
    )
    for style, (name, path) in enumerate(FOLDERS.items()):
        codes = [*EMOJI, FLAG]
        seeds = {code: 10 * style + number for number, code in enumerate(codes)}
        seeds["1F43A"] = seeds["1F98A"]
        kind = path.rsplit(".", 1)[1]
        files = {path.format(code.lower()): picture(seed, kind) for code, seed in seeds.items()}
        package(folder, name, files)
    command = [sys.executable, str(RECIPE / "fetch.py"), "data/emoji", "--packages", "."]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


def captions(folder: Path) -> list[str]:
    return [json.loads(line)["text"][0] for line in (folder / "metadata.jsonl").read_text().splitlines()]


def test_what_is_asked_for_is_in_training_in_the_other_two_styles_alone(made: Path) -> None:
    asked, trained = captions(made / "data/emoji/test"), captions(made / "data/emoji/train")
    assert not set(asked) & set(trained)
    names = Counter(text.rpartition(", ")[0] for text in trained)
    assert {text.rpartition(", ")[0] for text in asked} == {"violin", "ghost", "red heart"}
    assert names == {"violin": 2, "ghost": 2, "red heart": 2, "wolf": 3, "fox": 3, "flag: Norway": 3}


def test_the_styles_are_asked_for_in_turns(made: Path) -> None:
    styles = {text.rpartition(", ")[2] for text in captions(made / "data/emoji/test")}
    assert styles == {"Noto emoji", "Twemoji", "Fluent 3D emoji"}


def test_the_second_data_set_has_all_in_training_and_the_same_prompts(made: Path) -> None:
    assert captions(made / "data/emoji-seen/test") == captions(made / "data/emoji/test")
    assert len(captions(made / "data/emoji-seen/train")) == 18


def test_the_recipe_replaces_no_folder(made: Path) -> None:
    command = [sys.executable, str(RECIPE / "fetch.py"), "data/emoji", "--packages", "."]
    again = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "data/emoji is there already" in again.stderr


@pytest.mark.parametrize("folder", ["emoji", "emoji-seen"])
def test_ablate_can_train_on_them(made: Path, folder: str) -> None:
    report = check_data(made / "data" / folder)
    assert report.trainable
    assert len(report.data.read.prompts) == len(report.data.read.references) == 3


def test_the_spec_goes_with_them() -> None:
    experiment = load_experiment(RECIPE / "emoji.yaml")
    paths = {config.data.path for config in experiment.variants.values()}
    assert paths == {"data/emoji", "data/emoji-seen"}
    assert {"accuracy_style", "accuracy_emoji"} <= experiment.vocabulary.metrics.keys()
