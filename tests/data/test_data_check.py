"""``ablate data check``: what it says of a good data set, and of one with everything wrong."""

from __future__ import annotations

import json
import shutil
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from rich.console import Console
from tiny import TRAIN, save, write_lines, write_task

from ablate.cli.printing.checks import print_data_report
from ablate.data.captions import read
from ablate.data.check import FEW, check_data
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Ablate


def remarks(folder: Path) -> dict[str, tuple[str, ...]]:
    """What is remarked, without the infos, and where."""
    return {remark.what: remark.places for remark in check_data(folder).remarks if remark.level != "info"}


def change(file: Path, **entries: Any) -> None:
    """Puts other entries into a JSON file, or other fields into its entries; None takes an entry out."""
    content = json.loads(file.read_text())
    for name, fields in entries.items():
        content[name] = fields and content.get(name, {}) | fields
    file.write_text(json.dumps({name: entry for name, entry in content.items() if entry}))


def printed(folder: Path) -> str:
    """What a user reads, with the folder called DATA."""
    console = Console(file=StringIO(), width=80)
    print_data_report(check_data(folder), console)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().replace(str(folder), "DATA")


def test_only_the_missing_real_image_is_remarked(data_set: Path) -> None:
    report = check_data(data_set)
    assert remarks(data_set) == {"prompts without a real image": ("8_main.png: A bat: with “quotes”.",)}
    assert report.trainable


def test_the_counts_come_first(task_folder: Path) -> None:
    first = printed(task_folder).splitlines()[0]
    assert first == (
        "DATA: the task's format, 4 training images in 2 groups, 2 prompts, 1 of them with a real image"
    )


# ── each remark ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def root(task_folder: Path) -> Path:
    """A data set about which there is nothing to say."""
    save(task_folder / "test" / "8_main.png", 99)
    assert remarks(task_folder) == {}
    return task_folder


def test_missing_frames(root: Path) -> None:
    change(root / "train_info.json", **{"10_attack1": {"num_frames": 3}})
    assert remarks(root) == {"entries with missing frames, or too many": ("10_attack1: 2 of 3 frames",)}


@pytest.mark.parametrize("name", ["train/1.png", "train/10_attack1_1.JPG", "test/9_main.webp", "1.tiff"])
def test_images_that_no_entry_names(root: Path, name: str) -> None:
    (root / name).touch()
    assert remarks(root) == {"images that no entry names": (name,)}


def test_entries_without_an_image(root: Path) -> None:
    for frame in (0, 2):
        (root / "train" / f"10_attack1_{frame}.png").rename(root / "train" / f"10_atack1_{frame}.png")
    found = remarks(root)
    assert found["entries without an image"] == (
        "train_info.json: 10_attack1: there is no image train/10_attack1_<frame>.png",
    )
    assert found["images that no entry names"] == ("train/10_atack1_0.png", "train/10_atack1_2.png")
    assert not check_data(root).trainable


def test_empty_texts(root: Path) -> None:
    change(root / "test.json", **{"7_main": {"text_prompt": " "}})
    assert remarks(root)["entries with empty text"] == ("test.json: 7_main.text_prompt: is empty",)
    assert not check_data(root).trainable


@pytest.mark.parametrize("file", ["train_info.json", "test.json"])
def test_a_file_that_cannot_be_read_is_the_only_error(root: Path, file: str) -> None:
    (root / file).write_text("{")
    (mistake,) = remarks(root)["other mistakes"]
    assert mistake.startswith(f"{file}: line 1, column 2: is not valid JSON")
    assert "images that no entry names" not in remarks(root)
    assert not check_data(root).trainable


@pytest.mark.parametrize("name", ["train/2_attack1_9.png", "test/7_main.png"])
def test_images_that_cannot_be_read(root: Path, name: str) -> None:
    (root / name).write_bytes((root / name).read_bytes()[:60])
    (place,) = remarks(root)["images that cannot be read"]
    assert place.startswith(f"{name}: cannot be read as an image (")
    assert not check_data(root).trainable


def test_oversized_images(root: Path) -> None:
    Image.new("1", (9000, 9000)).save(root / "test" / "7_main.png")
    (place,) = remarks(root)["images of more than 64 megapixels"]
    assert place.startswith("test/7_main.png: has 9000 × 9000 pixels")
    assert not check_data(root).trainable


@pytest.mark.parametrize(("words", "tokens"), [(75, 77), (76, 78)])
def test_long_captions(root: Path, words: int, tokens: int) -> None:
    text = " ".join(["bat"] * words)
    change(root / "test.json", **{"7_main": {"text_prompt": text}})
    expected = {"captions of more than 77 tokens": (f"{tokens} tokens: {text}",)} if tokens > 77 else {}
    assert remarks(root) == expected


def test_images_of_the_test_that_are_trained_with_whatever_their_files(root: Path) -> None:
    with Image.open(root / "train" / "10_attack1_0.png") as image:
        image.convert("RGBA").save(root / "test" / "7_main.png", "TIFF")
    expected = ("test/7_main.png = train/10_attack1_0.png",)
    assert remarks(root) == {"images in both splits": expected}


def test_images_that_are_there_twice(root: Path) -> None:
    for frame in (9, 10):
        shutil.copy(root / "train" / "10_attack1_0.png", root / "train" / f"2_attack1_{frame}.png")
    twice = next(r for r in check_data(root).remarks if r.what == "images repeated in the training split")
    assert twice.places == ("train/2_attack1_9.png = train/2_attack1_10.png = train/10_attack1_0.png",)
    assert twice.level == "info"


def test_groups_that_are_torn_apart(root: Path) -> None:
    content = json.loads((root / "test.json").read_text())
    change(root / "test.json", **{"7_main": None, "10_main": content["7_main"]})
    expected = ("10: 2 in training, 1 in test",)
    assert remarks(root) == {"groups in both splits": expected}


def test_what_decoding_changes(root: Path) -> None:
    Image.new("LA", (8, 4)).save(root / "test" / "7_main.png")
    infos = {remark.what: remark.places for remark in check_data(root).remarks}
    assert infos == {
        "images that are not square (16.7% of all)": ("test/7_main.png",),
        "images with transparent pixels": ("test/7_main.png",),
        "pixel formats that become RGB": ("LA: 1",),
        "sizes that become data.size": ("4 × 4: 5", "8 × 4: 1"),
    }


def test_a_training_stops_where_the_check_finds_an_error(data_set: Path) -> None:
    from ablate.data.images import load_image

    assert check_data(data_set).trainable
    (data_set / "train" / "2_attack1_9.png").write_bytes(b"")
    assert not check_data(data_set).trainable
    with pytest.raises(DataError):
        _ = [load_image(image.path, 4) for image in read(data_set).train]


# ── what is done without a word ──────────────────────────────────────────────────────────────────


def infos(folder: Path) -> dict[str, tuple[str, ...]]:
    return {remark.what: remark.places for remark in check_data(folder).remarks if remark.level == "info"}


def test_files_that_nothing_reads(root: Path) -> None:
    (root / "notes.txt").touch()
    (root / "train" / ".DS_Store").touch()
    assert remarks(root) == {}
    assert infos(root)["other files that nothing reads"] == ("notes.txt", "train/.DS_Store")


def test_links(root: Path) -> None:
    (root / "train").rename(root.with_name("elsewhere"))
    (root / "train").symlink_to("../elsewhere")
    (root / "test" / "7_main.png").rename(root / "real.png")
    (root / "test" / "7_main.png").symlink_to(root / "real.png")
    shown = infos(root)["links"]
    assert shown == (f"test/7_main.png → {root / 'real.png'}", "train → ../elsewhere")


def test_fields_that_nothing_reads(imagefolder: Path) -> None:
    lines = [{"file_name": name, "text": "a", "caption": "b", "labl": 3} for name in TRAIN]
    write_lines(imagefolder / "train" / "metadata.jsonl", lines)
    assert infos(imagefolder)["fields that nothing reads"] == ("caption: 4", "labl: 4")


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Forty images with captions beside them, eight of which are held out."""
    for number in range(40):
        save(tmp_path / f"{number}.png", number)
        (tmp_path / f"{number}.txt").write_text(f"bat number {number}")
    return tmp_path


def test_images_that_are_held_out(flat: Path) -> None:
    held_out = infos(flat)["images held out for the test"]
    assert held_out == tuple(prompt.image_name for prompt in read(flat).prompts)
    assert len(held_out) == 8


def test_identical_images_and_what_a_split_does_to_them(flat: Path) -> None:
    tested = read(flat).prompts[0].image_name
    trained = [image.path.name for image in read(flat).train[:3]]
    shutil.copy(flat / trained[0], flat / tested)
    shutil.copy(flat / trained[1], flat / trained[2])
    found = remarks(flat)
    assert found["images in both splits"] == (f"{tested} (held out) = {trained[0]}",)
    assert set(found["sets of identical images in several groups"]) == {
        f"{trained[0]} = {tested}",
        f"{trained[1]} = {trained[2]}",
    }
    assert "here 1 of the 2 sets" in printed(flat)
    assert len(infos(flat)["sets of identical images with different captions"]) == 2
    assert "images repeated in the training split" not in infos(flat)


def test_identical_images_of_one_group_are_not_torn(flat: Path) -> None:
    shutil.copy(flat / "3.png", flat / "5.png")
    lines = [
        {"file_name": f"{n}.png", "text": "a bat", "group": "z" if n in (3, 5) else n} for n in range(40)
    ]
    write_lines(flat / "metadata.jsonl", lines)
    assert "sets of identical images in several groups" not in remarks(flat)
    assert infos(flat)["images repeated in the training split"] == ("3.png = 5.png",)


def test_captions_that_images_share(flat: Path) -> None:
    for number in (1, 2, 3):
        (flat / f"{number}.txt").write_text("a bat")
    assert infos(flat)["captions that pictures of several groups share"] == ("3 pictures: a bat",)


def test_what_is_odd_about_images(root: Path) -> None:
    files = sorted((root / "train").glob("*.png"))
    Image.new("CMYK", (4, 4)).save(files[0], "JPEG")
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(files[1], "PNG", save_all=True, append_images=frames[1:])
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(files[2], "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.new("RGB", (4, 4), "green").save(files[3], "JPEG", exif=exif, icc_profile=lab)
    found = infos(root)
    for what, place in (
        ("animations, and files of several pages", files[1]),
        ("images of 16 bits a channel", files[2]),
        ("images that their EXIF data turn", files[3]),
        ("images with a colour profile other than sRGB", files[3]),
    ):
        assert found[what] == (f"train/{place.name}",)
    assert set(found["pixel formats that become RGB"]) == {"CMYK: 1", "I;16: 1"}


def test_pixels_of_an_unknown_range(root: Path) -> None:
    Image.fromarray(np.ones((4, 4), np.float32)).save(root / "test" / "7_main.png", "TIFF")
    (place,) = remarks(root)["images whose pixels have no known meaning"]
    assert place.startswith("test/7_main.png: cannot be read as an image (its pixels are numbers of 32 bits")


def test_all_that_is_wrong_with_json_is_listed(root: Path) -> None:
    (root / "test.json").write_text(
        '{"7_main": {"image_name": "7_main.png", "text_prompt": "A bat."},\n'
        '"7_main": {"image_name": "8_main.png", "text_prompt": "A bat.", "text_prompt": "A cat."},\n'
        '"9_main": {"image_name": "7_MAIN.png", "text_prompt": NaN},\n'
        '"10_main": {"image_name": "8_Main.png", "text_prompt": 3}, "11_main": []}'
    )
    found = check_data(root).remarks[0]
    assert found.what == "other mistakes"
    assert [place.partition(": ")[2].partition(":")[0] for place in found.places] == [
        "line 2, column 1",
        "line 2, column 65",
        "line 3, column 55",
        "9_main.text_prompt",
        "10_main.image_name",
        "11_main",
    ]


def test_all_of_many_places_are_listed_when_asked_for(ablate: Ablate, root: Path) -> None:
    for number in range(10):
        (root / f"{number}.txt").touch()
    few, all_of_them = ablate("data", "check", str(root)), ablate("data", "check", str(root), "--all")
    assert "and 7 more" in few.shown
    assert "--all lists every place" in few.shown
    assert [f"    {number}.txt" in all_of_them.shown for number in range(10)] == [True] * 10
    assert "--all" not in all_of_them.shown


# ── many images ──────────────────────────────────────────────────────────────────────────────────


def test_many_images_are_decoded_by_workers_and_counted(tmp_path: Path) -> None:
    lines = []
    for number in range(FEW + 20):
        pixels = np.full((2, 2, 3), [number % 256, number // 256, 0], dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines.append({"file_name": f"{number}.png", "text": "A bat."})
    write_lines(tmp_path / "metadata.jsonl", lines)
    (tmp_path / "7.png").write_bytes(b"no image")
    counts: list[tuple[int, int]] = []
    report = check_data(tmp_path, lambda done, total: counts.append((done, total)))
    assert counts[-1] == (FEW + 20, FEW + 20)
    assert counts == sorted(set(counts))
    assert [remark.what for remark in report.remarks] == [
        "images that cannot be read",
        "images held out for the test",
        "captions that pictures of several groups share",
        "sizes that become data.size",
    ]


# ── the command ──────────────────────────────────────────────────────────────────────────────────


def test_the_command_exits_with_0_where_there_are_only_warnings(ablate: Ablate, data_set: Path) -> None:
    done = ablate("data", "check", str(data_set))
    assert done.code == 0
    assert "warning: prompts without a real image: 1" in done.shown
    assert done.shown.endswith("You can train on it.\n")


def test_the_command_exits_with_2_where_there_is_an_error(ablate: Ablate, root: Path) -> None:
    (root / "test" / "7_main.png").write_bytes(b"")
    done = ablate("data", "check", str(root))
    assert done.code == 2
    assert "error: images that cannot be read: 1" in done.shown


def test_the_command_exits_with_2_where_there_is_no_data_set(ablate: Ablate, tmp_path: Path) -> None:
    done = ablate("data", "check", str(tmp_path))
    assert done.code == 2
    assert "is not a data set" in done.shown


# ── everything at once ───────────────────────────────────────────────────────────────────────────


def test_the_report_on_a_broken_data_set_is_the_golden_one(
    golden: Callable[[str, str], None], tmp_path: Path
) -> None:
    write_task(tmp_path)
    train = tmp_path / "train"
    entry = {"given_description": ["A ghost."], "action_description": "", "num_frames": 1}
    long = {**entry, "given_description": ["A " + "very " * 80 + "long [bold]worm[/]."], "num_frames": 2}
    change(
        tmp_path / "train_info.json",
        **{"3_main": entry, "4_main": entry, "5_main": {**entry, "given_description": [""]}, "6_main": long},
        **{"7_main": entry, "11_main": {**entry, "given_description": "A ghost."}, "12_main": entry},
    )
    for seed, name in enumerate(
        ["5_main_0", "6_main_0", "11_main_0", *(f"9_main_{n}" for n in range(5))], 20
    ):
        save(train / f"{name}.png", seed)
    (train / "3_main_0.png").write_bytes((train / "2_attack1_9.png").read_bytes()[:60])
    shutil.copy(tmp_path / "test" / "7_main.png", train / "7_main_0.png")
    Image.new("1", (9000, 9000)).save(train / "12_main_0.png")
    Image.new("LA", (8, 4)).save(tmp_path / "test" / "8_main.png")
    change(tmp_path / "test.json", **{"13_main": {"image_name": "13_main.png", "text_prompt": "A ghost."}})
    golden("data_check.txt", printed(tmp_path))
