"""Data sets of the hub are written as an imagefolder. Here they come from memory and from a local folder."""

from __future__ import annotations

import json
import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image
from tiny import DESCRIPTIONS, TEST, TRAIN, captions, write_imagefolder, write_lines

from ablate.data.captions import read
from ablate.data.entries import caption
from ablate.data.hub import export_hub, write_splits
from ablate.data.images import load_image
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

datasets = pytest.importorskip("datasets")


def ignore(_: str) -> None:
    """Progress that nobody wants to see."""


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def bomb() -> bytes:
    """A small file that says of itself that it has 4 billion pixels."""
    buffer = BytesIO()
    Image.new("1", (1, 1)).save(buffer, "BMP")
    content = bytearray(buffer.getvalue())
    content[18:26] = (65_536).to_bytes(4, "little") * 2
    return bytes(content)


def loaded(images: list[Any], **columns: list[Any]) -> Any:
    """A split as ``load_dataset`` gives it."""
    rows = datasets.Dataset.from_dict({"picture": [{"bytes": b, "path": None} for b in images], **columns})
    return rows.cast_column("picture", datasets.Image())


def metadata(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


@pytest.fixture
def export(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """Exports a data set by its name. ``load_dataset`` takes a local folder for one of the hub."""
    monkeypatch.chdir(tmp_path)
    for variable in ("HF_DATASETS_CACHE", "HF_MODULES_CACHE"):
        monkeypatch.setattr(datasets.config, variable, str(tmp_path_factory.mktemp("cache")), raising=False)

    def call(name: str) -> Path:
        export_hub(name, tmp_path / "exported", ignore)
        return tmp_path / "exported"

    return call


def test_a_data_set_keeps_its_captions_groups_and_pixels(tmp_path: Path, export: Callable[..., Path]) -> None:
    source = tmp_path / "someone" / "monsters"
    write_imagefolder(source)
    (source / "test" / "8_main.png").write_bytes(png(0))
    # `datasets` wants the same types in all splits, and each image to be there.
    same = [
        line | {"text": [line["text"]], "group": str(line["group"])} for line in metadata(source / "test")
    ]
    write_lines(source / "test" / "metadata.jsonl", same)
    exported = export("hub:someone/monsters")
    train = read(exported).train
    found = {(tuple(caption(i, n) for n in range(len(DESCRIPTIONS))), i.group) for i in train}
    assert found == {(tuple(captions(action)), group) for group, action in TRAIN.values()}
    before = read(source).train
    assert {load_image(i.path, 4).tobytes() for i in train} == {
        load_image(i.path, 4).tobytes() for i in before
    }
    assert {prompt.text for prompt in read(exported).prompts} == {text for _, text, _ in TEST.values()}


def test_images_are_written_as_they_are_in_their_order(tmp_path: Path) -> None:
    images = [png(seed) for seed in range(12)]
    write_splits({"train": loaded(images, text=[f"Image {n}." for n in range(12)])}, tmp_path, ignore, "it")
    written = sorted((tmp_path / "train").glob("*.png"), key=lambda path: int(path.stem))
    assert [path.read_bytes() for path in written] == images
    assert [line["text"] for line in metadata(tmp_path / "train")] == [f"Image {n}." for n in range(12)]


def test_a_data_set_without_a_test_split_gets_one(tmp_path: Path) -> None:
    write_splits({"train": loaded([png(n) for n in range(20)], text=["A bat."] * 20)}, tmp_path, ignore, "it")
    assert (len(read(tmp_path).train), len(read(tmp_path).prompts)) == (16, 4)


def test_images_without_a_text_are_left_out_and_counted(tmp_path: Path) -> None:
    said: list[str] = []
    split = loaded([png(0), png(1), png(2)], caption=["A bat.", " ", None])
    write_splits({"train": split}, tmp_path, said.append, "hub:a/b")
    assert [line["file_name"] for line in metadata(tmp_path / "train")] == ["0.png"]
    assert said[-1] == "exported hub:a/b, train; 2 images without a text were left out"


@pytest.mark.parametrize(
    ("splits", "what"),
    [
        ({"test": lambda: loaded([png(0)], text=["A bat."])}, "no split named train"),
        ({"train": lambda: loaded([png(0)], label=["A bat."])}, "no column text or caption or prompt"),
        ({"train": lambda: datasets.Dataset.from_dict({"text": ["A bat."]})}, "no column of images"),
        ({"train": lambda: loaded([b"no image"], text=["A bat."])}, "image is of no known format"),
        ({"train": lambda: loaded([None], text=["A bat."])}, "the image is missing"),
        (
            {"train": lambda: loaded([bomb()], text=["A bat."])},
            "too large .DecompressionBombError",
        ),
    ],
)
def test_a_data_set_of_another_shape_is_refused(
    tmp_path: Path, splits: dict[str, Callable[[], Any]], what: str
) -> None:
    with pytest.raises(DataError, match=what) as caught:
        write_splits({name: make() for name, make in splits.items()}, tmp_path, ignore, "hub:a/b")
    assert caught.value.where.startswith("hub:a/b")


@pytest.mark.parametrize("name", ["hub:", "hub:mnist", "hub:a/b/c", "hub:../b/c", "hub:a/b@", "hub:a/b@r v"])
def test_a_name_that_is_none_is_refused(export: Callable[..., Path], name: str) -> None:
    with pytest.raises(DataError, match="not the name of a data set"):
        export(name)


def test_a_data_set_that_cannot_be_reached_is_an_error(export: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match="cannot be loaded"):
        export("hub:nobody/nothing@main")


def test_without_the_package_the_command_that_installs_it_is_named(
    export: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError) as caught:
        export("hub:someone/monsters")
    assert "pip install datasets" in caught.value.fix
