"""Data sets with something wrong in them: what ``check`` finds is what a run would stumble over."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from oddities import drawn, examples, says_what_where_and_what_to_do
from PIL import Image

from ablate.data import captions
from ablate.data.check import check_data
from ablate.data.images import load_image
from ablate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from oddities import Home, Try

FIELDS = ("file_name", "text", "caption", "group")
VALUES: list[Any] = [
    *(
        None,
        True,
        0,
        -1,
        1.5,
        "",
        " ",
        "\n",
        "x",
        "0.png",
        "1.PNG",
        "../../README.md",
        "/etc/hosts",
        "a\x00b",
    ),
    *(
        ".",
        "train/0.png",
        "./0.png",
        "0.png/",
        "é.png",
        "x" * 300,
        "\x1b[31m.png",
        "C:\\0.png",
        "-rf",
        "*.png",
    ),
    *([], [""], ["a", ""], ["a", None], ["a", 1], [["a"]], {}, {"a": "b"}, "\ufeffphoto", "\u0000"),
    "a" * 10_000,
]
LINES = [
    *("", "{", "}", "[]", "null", "1", '"text"', "{}", '{"file_name": "0.png"}', '{"text": "x"}', "not json"),
    *('{"file_name": "0.png", "text": "a", "text": "b"}', '{"file_name": "0.png", "text": NaN}', "\x00"),
    *('{"file_name": "0.png", "text": "x"} {}', '{"file_name": "0.png", "text": "\\ud800"}', "[" * 2000),
    *("{'file_name': '0.png', 'text': 'x'}", '{"file_name": "0.png", "text": Infinity}', "\ufeff{}"),
]
ENCODINGS = ("utf-16", "utf-8-sig", "latin-1", "utf-32")


def replace_line(folder: Path, line: int, text: str) -> None:
    """Another text in place of a line."""
    file = folder / "train" / "metadata.jsonl"
    if file.is_file():
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        lines[line % len(lines)] = text
        file.write_text("\n".join(lines), encoding="utf-8", errors="surrogateescape")


def rewrite(folder: Path, line: int, field: str, value: Any) -> None:
    """Another value in a field of a line."""
    replace_line(
        folder, line, json.dumps({"file_name": f"{line}.png", "text": f"photo {line}", field: value})
    )


def write_bytes(folder: Path, name: str, content: bytes) -> None:
    """Other bytes in place of a file."""
    file = folder / "train" / name
    if file.is_file() and not file.is_symlink():
        file.write_bytes(content)


def cut_off(folder: Path, name: str, length: int) -> None:
    """The first bytes of a file alone."""
    file = folder / "train" / name
    if file.is_file() and not file.is_symlink():
        file.write_bytes(file.read_bytes()[:length])


def turn_into(folder: Path, name: str, kind: str) -> None:
    """Something that is not a file in place of one."""
    path = folder / "train" / name
    if not os.path.lexists(path) or path.is_dir():
        return
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind == "link to nothing":
        path.symlink_to("nowhere")
    elif kind == "text":
        path.write_text("no image")


def encode(folder: Path, encoding: str) -> None:
    """The captions in another encoding."""
    file = folder / "train" / "metadata.jsonl"
    if file.is_file():
        text = file.read_bytes().decode("utf-8", "replace")
        file.write_bytes(text.encode(encoding, "replace"))


def add(folder: Path, name: str, text: str) -> None:
    """One more file."""
    (folder / name).parent.mkdir(exist_ok=True)
    if not os.path.lexists(folder / name):
        (folder / name).write_text(text)


names = st.sampled_from([f"{number}.png" for number in range(8)])
harms = st.one_of(
    st.tuples(st.just(rewrite), st.integers(0, 8), st.sampled_from(FIELDS), st.sampled_from(VALUES)),
    st.tuples(st.just(replace_line), st.integers(0, 8), st.sampled_from(LINES)),
    st.tuples(st.just(write_bytes), names, st.binary(max_size=40)),
    st.tuples(st.just(cut_off), st.one_of(names, st.just("metadata.jsonl")), st.integers(0, 120)),
    st.tuples(
        st.just(turn_into),
        st.one_of(names, st.just("metadata.jsonl")),
        st.sampled_from(["folder", "pipe", "loop", "link to nothing", "text", "nothing"]),
    ),
    st.tuples(st.just(encode), st.sampled_from(ENCODINGS)),
    st.tuples(
        st.just(add),
        st.sampled_from(
            ["metadata.jsonl", "test/metadata.jsonl", "train/metadata.csv", "train/0.txt", "train_info.json"]
        ),
        st.sampled_from(
            ["", "{}", "[]", "file_name,text\n0.png,x\n", '{"file_name": "0.png", "text": "x"}\n']
        ),
    ),
)


def harmed(home: Home, some: list[tuple[Any, ...]]) -> Path:
    """A copy of the user's pictures to which something was done."""
    folder = home.folder / "harmed"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(home.folder / "photos", folder)
    for harm, *arguments in some:
        harm(folder, *arguments)
    return folder


def use(folder: Path) -> None:
    """What a run does with a data set. Raises DataError."""
    found = captions.read(folder)
    for path in [image.path for image in found.train] + [p.reference for p in found.prompts if p.reference]:
        assert load_image(path, 8).shape == (8, 8, 3)


@examples(100, 250)
def test_what_check_calls_trainable_can_be_used_and_nothing_else(home: Home, many: int) -> None:
    seen: Counter[bool] = Counter()

    @drawn(many)
    @given(st.lists(harms, min_size=1, max_size=3))
    def each(some: list[tuple[Any, ...]]) -> None:
        folder = harmed(home, some)
        problem = None
        try:
            use(folder)
        except DataError as error:
            problem = error
        try:
            trainable = check_data(folder).trainable
        except DataError:
            trainable = False
        seen[trainable] += 1
        assert trainable == (problem is None), problem
        if problem:
            assert str(folder) in problem.where, problem
            assert problem.fix, problem
            assert str(problem).isprintable() or "\n" in str(problem)

    each()
    assert seen[False] > 0.4 * many, seen
    assert seen[True] > 0.04 * many, seen


def test_the_commands_say_so_and_change_nothing(home: Home, give: Try) -> None:
    @drawn(25)
    @given(st.lists(harms, min_size=1, max_size=2))
    def each(some: list[tuple[Any, ...]]) -> None:
        harmed(home, some)
        checked = give("data", "check", "harmed")
        planned = give("plan", "study.yaml", "--set", "data.path=harmed")
        if planned.code:
            assert checked.code == 2
            says_what_where_and_what_to_do(planned, "harmed")

    each()


def test_bytes_of_an_image_that_have_changed_are_decoded_or_refused(home: Home) -> None:
    whole = Image.open(home.folder / "photos" / "train" / "0.png")
    kinds = {}
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"):
        file = io.BytesIO()
        whole.save(file, kind)
        kinds[kind] = file.getvalue()
    broken = home.folder / "broken.png"
    seen: Counter[str] = Counter()

    @drawn(150)
    @given(
        st.sampled_from(sorted(kinds)),
        st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
        st.integers(0, 400),
    )
    def each(kind: str, changes: list[tuple[int, int]], length: int) -> None:
        content = bytearray(kinds[kind])
        for at, byte in changes:
            content[at % len(content)] = byte
        broken.write_bytes(content[: length + 20])
        try:
            assert load_image(broken, 8).shape == (8, 8, 3)
            seen["decoded"] += 1
        except DataError as error:
            seen["refused"] += 1
            assert str(broken) in error.where
            assert error.fix

    each()
    assert seen["refused"] > 60, seen
