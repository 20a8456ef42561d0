"""The tokenizer of OpenAI's CLIP, made of the vocabulary that open_clip brings: nothing is downloaded."""

from __future__ import annotations

import gzip
import json
from importlib.util import find_spec
from pathlib import Path

from ablate.parts.sources import Folder
from ablate.store.cache import cache_root
from ablate.store.files import write_file

FILES = ("tokenizer_config.json", "vocab.json", "merges.txt")
PRINTABLE = (range(0x21, 0x7F), range(0xA1, 0xAD), range(0xAE, 0x100))
"""Bytes that stand for themselves in a vocabulary of byte pairs; the others have letters from U+0100 on."""
MERGES = 49152 - 256 - 2
"""How many of open_clip's merges OpenAI's CLIP has."""
START, END = "<|startoftext|>", "<|endoftext|>"
CONFIG = {
    "tokenizer_class": "CLIPTokenizer",
    "model_max_length": 77,
    "bos_token": START,
    "eos_token": END,
    "unk_token": END,
    "pad_token": END,
}


def clip_tokenizer() -> Folder:
    """The folder with the tokenizer, made if it is not there: beside the caches of buckets.

    Tokens and merges are those of the files on the hub, byte by byte.
    """
    folder = Folder(cache_root() / "clip-tokenizer", (FILES,))
    if not folder.found():
        merges = _merges()
        contents = (json.dumps(CONFIG), json.dumps(_vocabulary(merges), ensure_ascii=False), _lines(merges))
        for name, text in zip(FILES, contents, strict=True):
            write_file(folder.place / name, text)
    return folder


def _merges() -> list[str]:
    """``i n``, ``t h``, …: read from the file that the package brings, because to import it takes seconds."""
    package = find_spec("open_clip")
    assert package and package.origin
    file = Path(package.origin).parent / "bpe_simple_vocab_16e6.txt.gz"
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return lines.read().split("\n")[1 : MERGES + 1]


def _vocabulary(merges: list[str]) -> dict[str, int]:
    letters = [chr(code) for some in PRINTABLE for code in some]
    letters += [chr(256 + number) for number in range(256 - len(letters))]
    at_the_end = [f"{letter}</w>" for letter in letters]
    tokens = [*letters, *at_the_end, *(merge.replace(" ", "") for merge in merges), START, END]
    return {token: number for number, token in enumerate(tokens)}


def _lines(merges: list[str]) -> str:
    return "\n".join(["#version: 0.2", *merges, ""])
