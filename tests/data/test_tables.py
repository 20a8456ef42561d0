"""Tables of captions: what each takes, and what it says about a file that is not as it should be."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from tiny import save

from ablate.data.captions import format_of, read
from ablate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("0.png", "1.png", "bats/2.jpg")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of three images without captions."""
    for seed, name in enumerate(NAMES):
        save(tmp_path / name, seed)
    return tmp_path


def captions(root: Path) -> dict[str, tuple[str, ...]]:
    """Captions of all images, also of the one that is held out."""
    found = read(root)
    assert format_of(root).name == "imagefolder"
    texts = {image.path.relative_to(root).as_posix(): image.descriptions for image in found.train}
    return texts | {str(p.reference.relative_to(root)): (p.text,) for p in found.prompts if p.reference}


def error(root: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read(root)
    assert caught.value.fix
    return caught.value


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────

ROWS = '0.png,"a bat, small"\n1.png,a bat\nbats/2.jpg,"two\nbats"\n'
EXPECTED = {"0.png": ("a bat, small",), "1.png": ("a bat",), "bats/2.jpg": ("two\nbats",)}


@pytest.mark.parametrize("field", ["text", "caption", "prompt"])
def test_a_csv_names_its_columns_in_the_first_line(images: Path, field: str) -> None:
    (images / "metadata.csv").write_text(f"file_name,{field}\n{ROWS}")
    assert captions(images) == EXPECTED


def test_a_csv_of_windows_reads_the_same(images: Path) -> None:
    text = f"file_name,text\n{ROWS}".replace("\n", "\r\n") + "\r\n"
    (images / "metadata.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert {name: (text.replace("\r\n", "\n"),) for name, (text,) in captions(images).items()} == EXPECTED


def test_a_csv_may_have_groups_and_other_columns(images: Path) -> None:
    (images / "metadata.csv").write_text(
        "id,file_name,group,text\n7,0.png,bats,a\n8,1.png,,b\n9,bats/2.jpg,3,c\n"
    )
    found = read(images)
    assert {entry.group for entry in (*found.train, *found.prompts)} == {"bats", "1.png", "3"}


def test_numbers_in_a_csv_are_texts(images: Path) -> None:
    (images / "metadata.csv").write_text("file_name,text\n0.png,3\n1.png,NaN\nbats/2.jpg,null\n")
    assert captions(images) == {"0.png": ("3",), "1.png": ("NaN",), "bats/2.jpg": ("null",)}


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("", "line 1", "has no column file_name, but nothing"),
        ("file_name;text\n0.png;a\n", "line 1", "has no column file_name, but 'file_name;text'"),
        ("0.png,a\n1.png,b\n", "line 1", "has no column file_name, but '0.png', 'a'"),
        ("file_name,text,text\n0.png,a,b\n", "line 1", "has the column 'text' twice"),
        ("file_name,text\n0.png,a\n\n1.png,b, c\n", "line 4", "has 3 cells where the header has 2"),
        ('file_name,text\n0.png,"a\nb"\n1.png\n', "line 4", "has 1 cells where the header has 2"),
        ('file_name,text\n0.png,a\n1.png,"b\n', "line 3", "is not valid CSV"),
        ('file_name,text\n0.png,"a" b\n', "line 2", "is not valid CSV"),
        ("file_name,text\n0.png,a\n1.png,\n", "line 3.text", "is empty"),
        ("file_name,text\n0.png,a\n0.png,b\n", "line 3.file_name", "is also the name of line 2"),
        ("file_name\n0.png\n", "line 2.text", "is missing"),
        ("file_name,text\n", "", "has no entries"),
    ],
)
def test_a_csv_that_is_wrong_is_named_with_its_line(images: Path, text: str, place: str, what: str) -> None:
    (images / "metadata.csv").write_text(text)
    found = error(images)
    assert found.where == f"{images / 'metadata.csv'}" + (f": {place}" if place else "")
    assert what in found.what


# ── Parquet ──────────────────────────────────────────────────────────────────────────────────────


def write_parquet(root: Path, **columns: Any) -> None:
    pd.DataFrame(columns).to_parquet(root / "metadata.parquet")


def test_a_parquet_may_hold_lists_of_texts(images: Path) -> None:
    write_parquet(images, file_name=NAMES, caption=[["a", "b"], ["c"], ["d"]], width=[1, 2, 3])
    assert captions(images)["0.png"] in (("a", "b"), ("a",))


@pytest.mark.parametrize(
    ("columns", "place", "what"),
    [
        ({"text": ["a"]}, "row 1.file_name", "is missing"),
        ({"file_name": ["0.png", "1.png"], "text": ["a", None]}, "row 2.text", "is missing"),
        ({"file_name": ["0.png"], "text": [3.5]}, "row 1.text", "holds a number"),
        (
            {"file_name": ["0.png", "0.PNG"], "text": ["a", "b"]},
            "row 2.file_name",
            "is also the name of row 1",
        ),
    ],
)
def test_a_row_that_is_wrong_is_named(images: Path, columns: dict[str, Any], place: str, what: str) -> None:
    write_parquet(images, **columns)
    found = error(images)
    assert found.where == f"{images / 'metadata.parquet'}: {place}"
    assert what in found.what


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no table", b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_no_parquet_is_named(images: Path, content: bytes) -> None:
    (images / "metadata.parquet").write_bytes(content)
    assert "cannot be read as Parquet" in error(images).what


# ── captions.json ────────────────────────────────────────────────────────────────────────────────

LIST = [{"file_name": name, "text": name} for name in NAMES]


@pytest.mark.parametrize(
    "content",
    [
        {name: name for name in NAMES},
        {name: [name] for name in NAMES},
        {name: {"caption": name} for name in NAMES},
        LIST,
    ],
)
def test_captions_may_be_an_object_or_a_list(images: Path, content: object) -> None:
    (images / "captions.json").write_text(json.dumps(content))
    assert captions(images) == {name: (name,) for name in NAMES}


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ('{"0.png": "a",\n "0.png": "b"}', "line 2, column 2", "is there twice"),
        ('{"0.png": "a", "0.PNG": "b"}', "0.PNG.file_name", "is also the name of 0.png"),
        ('{"0.png": 3}', "0.png.text", "holds a number"),
        ('{"0.png": null}', "0.png.text", "is missing"),
        ('{"0.png": ["a", null]}', "0.png.text", "holds nothing where a string"),
        ('{"0.png": "\\u200b "}', "0.png.text", "is empty"),
        ('[{"file_name": "0.png", "text": "a"}, "b"]', "entry 2", "holds a string where an object"),
        ('{"9.png": "a"}', "9.png.file_name", "there is no image 9.png"),
        ('{"images": [], "annotations": []}', "images.text", "is an empty list"),
        ("{}", "", "has no entries"),
        ("[]", "", "has no entries"),
        ('"a"', "", "holds a string where an object or a list"),
    ],
)
def test_captions_that_are_wrong_are_named(images: Path, text: str, place: str, what: str) -> None:
    (images / "captions.json").write_text(text)
    found = error(images)
    assert found.where == f"{images / 'captions.json'}" + (f": {place}" if place else "")
    assert what in found.what


# ── more than one ────────────────────────────────────────────────────────────────────────────────


def test_two_tables_in_one_folder_are_refused(images: Path) -> None:
    (images / "metadata.csv").write_text(f"file_name,text\n{ROWS}")
    (images / "captions.json").write_text("{}")
    assert "metadata.csv and captions.json" in error(images).what


def test_each_split_may_have_a_table_of_its_own_kind(tmp_path: Path) -> None:
    save(tmp_path / "train" / "0.png")
    save(tmp_path / "test" / "1.png", 1)
    (tmp_path / "train" / "metadata.csv").write_text("file_name,text\n0.png,a bat\n")
    (tmp_path / "test" / "1.txt").write_text("another bat")
    found = read(tmp_path)
    assert [image.descriptions for image in found.train] == [("a bat",)]
    assert [prompt.text for prompt in found.prompts] == ["another bat"]
    assert not found.held_out
