"""The digest of a data folder: exactly what a run reads counts, however it is linked, and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
import pytest
from tiny import save, write_imagefolder, write_task

from ablate import fingerprint
from ablate.data import captions
from ablate.errors import DataError
from ablate.experiment.config import Part
from ablate.fingerprint import Contents

if TYPE_CHECKING:
    from collections.abc import Iterator


def digest(folder: Path, cache: Path = Path("/nowhere/digests.json")) -> str:
    return Contents(cache).of_data(folder)


def beside(root: Path) -> Path:
    """Six images with captions beside them, one in a folder."""
    for number in range(5):
        save(root / f"{number}.png", number)
        (root / f"{number}.txt").write_text(f"bat, number {number}")
    save(root / "more" / "5.png", 5)
    (root / "more" / "5.caption").write_text("a bat")
    return root


def read_files(folder: Path) -> list[Path]:
    return [path for _, path in captions.read(folder).by_role()]


# ── what counts ──────────────────────────────────────────────────────────────────────────────────


def changed_one_by_one(folder: Path) -> Iterator[tuple[str, str]]:
    """Each file that is read, and the digest after it got another content that is as good."""
    for path in read_files(folder):
        before = path.read_bytes()
        if path.suffix == ".parquet":
            pd.read_parquet(path).to_parquet(path, compression="gzip")
        else:
            path.write_bytes(before + b"\n")  # as good as before in JSON, in text and behind an image's end
        yield path.relative_to(folder).as_posix(), digest(folder)
        path.write_bytes(before)


def test_every_file_that_is_read_counts(data_set: Path) -> None:
    before = digest(data_set)
    after = dict(changed_one_by_one(data_set))
    assert len(after) >= 6  # captions, four training images, one of the test
    assert before not in after.values()
    assert len(set(after.values())) == len(after)
    assert digest(data_set) == before


def test_every_caption_beside_an_image_counts(tmp_path: Path) -> None:
    before = digest(beside(tmp_path))
    after = dict(changed_one_by_one(tmp_path))
    assert {"0.txt", "0.png", "more/5.caption", "more/5.png"} <= after.keys()
    assert before not in after.values()


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "Thumbs.db", "README.md", "train/.DS_Store", "train/notes.txt", "train/unnamed.png",
     "test/._7_main.png", "validation/metadata.jsonl", ".git/index", "test/unnamed_0.png"],
)  # fmt: skip
def test_a_file_that_nothing_reads_does_not_count(data_set: Path, name: str) -> None:
    before = digest(data_set)
    (data_set / name).parent.mkdir(exist_ok=True)
    (data_set / name).write_text("{}")
    assert digest(data_set) == before


@pytest.mark.parametrize("name", [".DS_Store", "._0.png", "notes.txt", "more/README.md", ".cache/a.png"])
def test_beside_captions_a_file_that_is_neither_does_not_count(tmp_path: Path, name: str) -> None:
    before = digest(beside(tmp_path))
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("bat")
    assert digest(tmp_path) == before


def test_a_real_image_that_comes_later_counts(data_set: Path) -> None:
    before = digest(data_set)
    save(data_set / "test" / "8_main.png", 50)
    assert digest(data_set) != before


def test_names_count(tmp_path: Path) -> None:
    before = digest(beside(tmp_path))
    for ending in (".png", ".txt"):
        (tmp_path / f"4{ending}").rename(tmp_path / f"7{ending}")
    assert digest(tmp_path) != before


def test_two_images_that_change_places_count(data_set: Path) -> None:
    before = digest(data_set)
    first, second = data_set / "train" / "2_attack1_9.png", data_set / "train" / "10_attack1_0.png"
    first.rename(data_set / "x")
    second.rename(first)
    (data_set / "x").rename(second)
    assert digest(data_set) != before


def test_what_is_no_data_set_says_what_its_format_says(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a data set"):
        digest(tmp_path)
    write_task(tmp_path)
    (tmp_path / "test.json").unlink()
    with pytest.raises(DataError, match="does not exist"):
        digest(tmp_path)


# ── links ────────────────────────────────────────────────────────────────────────────────────────


def linked_root(real: Path, link: Path) -> None:
    link.symlink_to(real)


def linked_twice(real: Path, link: Path) -> None:
    between = link.with_name("between")
    between.symlink_to(real)
    link.symlink_to(between)


def linked_folders(real: Path, link: Path) -> None:
    link.mkdir()
    for path in real.iterdir():
        (link / path.name).symlink_to(path)


def linked_files(real: Path, link: Path) -> None:
    for path in real.rglob("*"):
        if path.is_file():
            (link / path.relative_to(real)).parent.mkdir(parents=True, exist_ok=True)
            (link / path.relative_to(real)).symlink_to(path)


def hard_linked(real: Path, link: Path) -> None:
    shutil.copytree(real, link, copy_function=os.link)


def copied(real: Path, link: Path) -> None:
    shutil.copytree(real, link)


WAYS = [linked_root, linked_twice, linked_folders, linked_files, hard_linked, copied]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("write", [write_task, write_imagefolder, beside], ids=lambda write: write.__name__)
class TestLinks:
    def test_equal_content_has_one_digest(self, tmp_path: Path, way: Way, write: Write) -> None:
        write(tmp_path / "real")
        way(tmp_path / "real", tmp_path / "link")
        assert digest(tmp_path / "link") == digest(tmp_path / "real")

    def test_other_content_behind_the_same_links_has_another(
        self, tmp_path: Path, way: Way, write: Write
    ) -> None:
        write(tmp_path / "real")
        way(tmp_path / "real", tmp_path / "link")
        before = digest(tmp_path / "link")
        image = captions.read(tmp_path / "link").train[0].path
        save(image.resolve(), 99)
        assert digest(tmp_path / "link") != before


if TYPE_CHECKING:
    from collections.abc import Callable

    Way = Callable[[Path, Path], None]
    Write = Callable[[Path], object]


def test_a_folder_that_leads_back_to_itself_is_read_once(tmp_path: Path) -> None:
    before = digest(beside(tmp_path / "data"))
    (tmp_path / "data" / "again").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "more" / "up").symlink_to("..")
    assert digest(tmp_path / "data") == before


def test_folders_that_lead_to_each_other_end(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        for other in ("a", "b", "c"):
            (tmp_path / name / other).symlink_to(tmp_path / other)
    beside(tmp_path)
    digest(tmp_path)


class Broken(NamedTuple):
    break_it: Callable[[Path], None]
    what: str


BROKEN = {
    "a link to itself": Broken(lambda path: path.symlink_to(path), "leads back to itself"),
    "a link to nowhere": Broken(lambda path: path.symlink_to(path.with_name("x")), "leads nowhere"),
    "a FIFO": Broken(os.mkfifo, "not an ordinary file"),
    "a folder": Broken(lambda path: path.mkdir(), "not an ordinary file"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_frame_that_is_no_file_is_an_error_and_not_waited_for(task_folder: Path, case: str) -> None:
    frame = task_folder / "train" / "10_attack1_0.png"
    frame.unlink()
    BROKEN[case].break_it(frame)
    with pytest.raises(DataError, match=BROKEN[case].what) as caught:
        digest(task_folder)
    assert caught.value.where == str(frame)


# ── reading again ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def read_again(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files whose bytes were read. All files count as settled."""
    names: list[str] = []
    of_file = fingerprint.file_digest
    monkeypatch.setattr(fingerprint, "file_digest", lambda path: names.append(path.name) or of_file(path))
    monkeypatch.setattr(fingerprint, "SETTLED", -1)
    return names


def kept(folder: Path) -> str:
    """The digest, kept for the next command."""
    contents = Contents(folder.parent / "digests.json")
    found = contents.of_data(folder)
    contents.save()
    return found


def test_what_has_not_changed_is_not_read_again(tmp_path: Path, read_again: list[str]) -> None:
    write_imagefolder(tmp_path / "data")
    before = kept(tmp_path / "data")
    assert len(read_again) == 7
    read_again.clear()
    assert kept(tmp_path / "data") == before
    assert read_again == []
    save(tmp_path / "data" / "train" / "2_attack1_9.png", 99)
    assert kept(tmp_path / "data") != before
    assert read_again == ["2_attack1_9.png"]


def of_the_same_size_and_date(path: Path) -> bytes:
    """Another content for a file."""
    return path.read_bytes()[:-1] + b"!"


def written_over(path: Path) -> None:
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    path.write_bytes(of_the_same_size_and_date(path))
    os.utime(path, ns=times)


def exchanged(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(of_the_same_size_and_date(path))
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


def linked_elsewhere(path: Path) -> None:
    exchanged(path)
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


@pytest.mark.parametrize("change", [written_over, exchanged, linked_elsewhere], ids=lambda way: way.__name__)
def test_another_file_of_the_same_size_and_date_is_noticed(
    tmp_path: Path, read_again: list[str], change: Callable[[Path], None]
) -> None:
    write_imagefolder(tmp_path / "data")
    before = kept(tmp_path / "data")
    change(tmp_path / "data" / "train" / "2_attack1_9.png")
    assert kept(tmp_path / "data") != before


def test_what_was_written_a_moment_ago_is_read_again(
    tmp_path: Path, read_again: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fingerprint, "SETTLED", 10**12)
    write_imagefolder(tmp_path / "data")
    assert kept(tmp_path / "data") == kept(tmp_path / "data")
    assert len(read_again) == 2 * 7


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": ["b"]}', '{"a": "b"}'])
def test_kept_digests_that_are_damaged_are_made_anew(tmp_path: Path, text: str) -> None:
    write_imagefolder(tmp_path / "data")
    (tmp_path / "digests.json").write_text(text)
    assert kept(tmp_path / "data") == digest(tmp_path / "data")


# ── pretrained parts ─────────────────────────────────────────────────────────────────────────────


def of_part(folder: Path) -> str:
    return Contents(Path("/nowhere/digests.json")).of_part(Part(source=str(folder)))


def write_part(folder: Path) -> None:
    (folder / "weights").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "weights" / "model.safetensors").write_text("weights")


@pytest.mark.parametrize("name", [".DS_Store", "weights/._model.safetensors", ".cache/huggingface/x.lock"])
def test_of_a_part_hidden_files_do_not_count(tmp_path: Path, name: str) -> None:
    write_part(tmp_path)
    before = of_part(tmp_path)
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    assert of_part(tmp_path) == before


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_of_a_part_links_are_followed(tmp_path: Path, way: Way) -> None:
    write_part(tmp_path / "real")
    way(tmp_path / "real", tmp_path / "link")
    before = of_part(tmp_path / "link")
    assert before == of_part(tmp_path / "real")
    if way is not copied:
        (tmp_path / "real" / "weights" / "model.safetensors").write_text("others")
        assert of_part(tmp_path / "link") != before


def test_a_part_whose_folder_leads_back_to_itself_has_a_digest(tmp_path: Path) -> None:
    write_part(tmp_path)
    before = of_part(tmp_path)
    (tmp_path / "weights" / "again").symlink_to(tmp_path)
    assert of_part(tmp_path) == before


def test_keeping_digests_takes_no_lock(nfs: Path) -> None:
    contents = Contents(nfs / fingerprint.DIGESTS)
    contents.of_file(Path(fingerprint.__file__))
    contents.save()
    assert [file.name for file in nfs.iterdir()] == [fingerprint.DIGESTS]


def test_a_name_that_is_not_utf_8_counts_as_any_other(tmp_path: Path) -> None:
    part = Part(source=str(tmp_path))
    digests = set()
    for name in (b"w\xff", b"w\xfe"):
        file = tmp_path / os.fsdecode(name)
        file.write_bytes(b"weights")
        digests.add(Contents(Path("/nowhere/digests.json")).of_part(part))
        file.unlink()
    assert len(digests) == 2
