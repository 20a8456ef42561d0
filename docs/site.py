"""Hooks of mkdocs: the README is the first page, and links to files outside ``docs/`` lead to the repository.

`make docs` builds the site; it says nothing that the files do not say.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent


def on_files(files: Files, config: Any, **_: object) -> Files:
    """Adds the README as the first page, and the pictures that it shows."""
    files.append(File.generated(config, "index.md", content=(ROOT / "README.md").read_text("utf-8")))
    for picture in sorted((ROOT / "reports").glob("*/*.png")):
        name = picture.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Rewrites links: from the README into ``docs/``, and from all pages to files outside of it."""
    here = ROOT if page.file.src_uri == "index.md" else ROOT / "docs"

    def lead(match: re.Match[str]) -> str:
        words, target, anchor = match["words"], match["target"], match["anchor"] or ""
        there = (here / target).resolve()
        if "://" in target or not target or not there.exists():
            return match[0]
        if there == ROOT / "README.md":
            return f"{words}(index.md{anchor})"
        if there.is_relative_to(ROOT / "docs"):
            return f"{words}({there.relative_to(ROOT / 'docs').as_posix()}{anchor})"
        if there.suffix == ".png":
            return f"{words}({there.relative_to(ROOT).as_posix()})"
        name = there.relative_to(ROOT).as_posix()
        return f"`{name}`" if words == f"[{name}]" else f"{words[1:-1]} (`{name}`)"

    return re.sub(r"(?P<words>!?\[[^\]]*\])\((?P<target>[^)#\s]*)(?P<anchor>#[^)\s]*)?\)", lead, markdown)
