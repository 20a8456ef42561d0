"""Emoji in three styles as a data set: some are drawn in two styles in training, and asked for in the third.

``python examples/emoji/fetch.py data/emoji`` fetches four packages with npm and writes two imagefolders:

- ``data/emoji``: for each of 192 emoji the picture in one of its styles is held out and is in ``test/``; the
  other pictures, its own two among them, are in ``train/``;
- ``data/emoji-seen``: the same ``test/``, and the pictures that were held out are in ``train/`` as well.

The pictures are Noto Emoji (Google, Apache-2.0), Twemoji (Twitter and other contributors, CC-BY-4.0: name
them where the pictures are shown) and Fluent Emoji (Microsoft, MIT); the captions are Unicode's names and
keywords, collected by emojibase (MIT). Skin tones are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAMES = "emojibase-data@17.0.0"
STYLES = {  # the words of a caption: its package, and the folder in it
    "Noto emoji": ("emoji-datasource-google@16.0.0", "package/img/google/64"),
    "Twemoji": ("emoji-datasource-twitter@16.0.0", "package/img/twitter/64"),
    "Fluent 3D emoji": ("@lobehub/fluent-emoji-3d@1.1.0", "package/assets"),
}
HELD_OUT = 192
FLAGS = 9
"""Group of emojibase. Flags look nearly the same in all styles, so none is held out."""


@dataclass(frozen=True)
class Picture:
    """An emoji in one style."""

    emoji: str
    style: str
    content: bytes
    suffix: str
    captions: list[str]

    @property
    def file(self) -> str:
        """Its name in the data set."""
        return f"{self.style.split()[0].lower()}-{self.emoji}{self.suffix}"


def main() -> None:
    """Fetch, split, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path, help="folder of the data set; -seen is written beside it")
    parser.add_argument("--packages", type=Path, help="folder with the four packages as .tgz, instead of npm")
    arguments = parser.parse_args()
    seen = arguments.out.with_name(arguments.out.name + "-seen")
    for folder in (arguments.out, seen):
        if folder.exists():
            sys.exit(f"{folder} is there already: move it away, or name another folder")
    with tempfile.TemporaryDirectory() as downloads:
        packages = arguments.packages or Path(downloads)
        if not arguments.packages:
            fetch(packages)
        emoji, found = pictures(packages)
    held = held_out(emoji, found)
    train = [picture for picture in found if picture not in held]
    write(arguments.out, train, held)
    write(seen, found, held)
    print(f"{arguments.out}: {len(train)} pictures to train on, {len(held)} held out; {seen}: {len(found)}")


def fetch(folder: Path) -> None:
    """The packages, each as a .tgz."""
    for package in (NAMES, *(package for package, _ in STYLES.values())):
        print(f"fetching {package}", flush=True)
        subprocess.run(
            ["npm", "pack", "--silent", package], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )


def pictures(packages: Path) -> tuple[list[dict[str, Any]], list[Picture]]:
    """What emojibase says of each emoji, in Unicode's order, and each picture of one."""
    with opened(packages, NAMES) as archive:
        known = json.loads(read(archive, "package/en/data.json"))
    emoji = {plain(each["hexcode"]): each for each in known}
    found = []
    for style, (package, folder) in STYLES.items():
        with opened(packages, package) as archive:
            files = {
                plain(Path(name).stem): name
                for name in archive.getnames()
                if Path(name).parent == Path(folder)
            }
            for code in emoji.keys() & files.keys():
                content, suffix = read(archive, files[code]), Path(files[code]).suffix
                found.append(Picture(code, style, content, suffix, captions(emoji[code], style)))
    order = {code: number for number, code in enumerate(emoji)}
    found.sort(key=lambda picture: (order[picture.emoji], picture.style))
    return list(emoji.values()), found


def captions(emoji: dict[str, Any], style: str) -> list[str]:
    """The name, and the name with the keywords. Both name the style."""
    name, words = emoji["label"], ", ".join(emoji.get("tags", []))
    return [f"{name}, {style}", *([f"{name} ({words}), {style}"] if words else [])]


def held_out(emoji: list[dict[str, Any]], found: list[Picture]) -> list[Picture]:
    """One picture of each of HELD_OUT emoji, by the SHA-256 of their codes; the three styles in turns."""
    by_emoji: dict[str, dict[str, Picture]] = {}
    for picture in found:
        by_emoji.setdefault(picture.emoji, {})[picture.style] = picture
    copies = Counter(picture.content for picture in found)
    drawn = [plain(each["hexcode"]) for each in emoji if each.get("group") not in (None, FLAGS)]
    different = [code for code in drawn if all_its_own(by_emoji.get(code, {}), copies)]
    different.sort(key=lambda code: hashlib.sha256(code.encode()).hexdigest())
    styles = list(STYLES)
    return [by_emoji[code][styles[number % 3]] for number, code in enumerate(different[:HELD_OUT])]


def all_its_own(pictures: dict[str, Picture], copies: Counter[bytes]) -> bool:
    """Whether there are three, and no other emoji or style has one of them, which would give it away."""
    return len(pictures) == len(STYLES) and all(copies[picture.content] == 1 for picture in pictures.values())


def write(folder: Path, train: list[Picture], test: list[Picture]) -> None:
    """An imagefolder."""
    for split, content in (("train", train), ("test", test)):
        (folder / split).mkdir(parents=True)
        rows = []
        for picture in content:
            (folder / split / picture.file).write_bytes(picture.content)
            rows.append({"file_name": picture.file, "text": picture.captions})
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / split / "metadata.jsonl").write_text(lines, encoding="utf-8")


def plain(code: str) -> str:
    """A code as all packages write it: in small letters, without variation selectors."""
    return code.lower().replace("-fe0f", "")


def opened(packages: Path, package: str) -> tarfile.TarFile:
    """A package by name and version, as npm names its file."""
    return tarfile.open(packages / (package.removeprefix("@").replace("/", "-").replace("@", "-") + ".tgz"))


def read(archive: tarfile.TarFile, name: str) -> bytes:
    """The bytes of a file in an archive."""
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is not a file")
    return file.read()


if __name__ == "__main__":
    main()
