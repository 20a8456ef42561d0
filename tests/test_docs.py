"""The documents say what is there: generated pages, commands, files and links."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest
import typer
import yaml
from pages import PAGES, ROOT

from ablate.cli import app

if TYPE_CHECKING:
    from pathlib import Path

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def without_comments(page: Path) -> str:
    return re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", without_comments(page), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", ["spec", "commands"])
def test_a_generated_page_is_up_to_date(name: str) -> None:
    maker = ROOT / "docs" / f"make_{name}.py"
    spec = importlib.util.spec_from_file_location(maker.stem, maker)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")
    assert written == module.page(), f"python docs/make_{name}.py writes it anew"


def test_the_site_has_every_page() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    entries = [part for entry in site["nav"] for part in entry.values()]
    listed = [file for part in entries for file in ([part] if isinstance(part, str) else files_of(part))]
    assert sorted(listed) == sorted(["index.md", *(page.name for page in (ROOT / "docs").glob("*.md"))])


def files_of(group: list[dict[str, str]]) -> list[str]:
    return [file for entry in group for file in entry.values()]


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@by_page
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", without_comments(page), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / unquote(path) if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name}: {link}"


def test_nothing_asks_for_the_ablate_of_pypi() -> None:
    """It is another project."""
    files = [*PAGES, *(ROOT / "examples").rglob("*.*"), *(ROOT / "src").rglob("*.py")]
    asking = [file for file in files if re.search(r"pip install\s+'?ablate\b", file.read_text("utf-8"))]
    assert not asking


CLUSTERS = sorted((ROOT / "examples" / "cluster").iterdir())


@pytest.mark.parametrize("file", CLUSTERS, ids=lambda file: file.name)
def test_an_example_of_a_cluster_records_on_a_server_and_marks_what_to_change(file: Path) -> None:
    """Its folder is shared, and an SQLite file must not lie there."""
    lines = file.read_text(encoding="utf-8").splitlines()
    assert any("MLFLOW_TRACKING_URI" in line and ".example" in line for line in lines)
    assert all("# change: " in line for line in lines if ".example" in line and not line.startswith("#"))


@by_page
def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(r"`((?:src|tests|docs|experiments)/[\w/.]+)`", without_comments(page)):
        assert (ROOT / name).exists(), f"{page.name}: {name}"


@by_page
def test_commands_and_their_options_exist(page: Path) -> None:
    command = typer.main.get_command(app)
    text = "\n".join(blocks(page, "sh")) + "\n".join(
        re.findall(r"`((?:\S*/)?ablate [^`]+)`", page.read_text())
    )
    for line in re.findall(r"^(?:\S*/)?ablate +(.+)$", text, flags=re.MULTILINE):
        words = line.split("#")[0].split()
        found = command
        while words and hasattr(found, "commands") and words[0] in found.commands:
            found = found.commands[words.pop(0)]
        if words[:1] == ["…"] or line.startswith("-"):
            continue
        assert not hasattr(found, "commands"), f"{page.name}: ablate {line}"
        options = {name for parameter in found.params for name in parameter.opts}
        for word in words:
            assert not word.startswith("--") or word in options, f"{page.name}: ablate {line}"


@by_page
def test_make_targets_exist(page: Path) -> None:
    for target in re.findall(r"^make (\w+)", "\n".join(blocks(page, "sh")), flags=re.MULTILINE):
        done = subprocess.run(
            ["make", "-n", "-C", str(ROOT), target], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_the_readme_shows_the_shipped_experiment() -> None:
    shown = yaml.safe_load(blocks(ROOT / "README.md", "yaml")[0])
    assert shown == yaml.safe_load((ROOT / "experiments" / "ema.yaml").read_text(encoding="utf-8"))


def test_the_readme_names_each_part_of_the_package() -> None:
    text = without_comments(ROOT / "README.md")
    layout = text[text.index("src/ablate/\n") :]
    named = set(re.findall(r"^  ([\w.]+?)/? ", layout, flags=re.MULTILINE))
    there = {
        path.name
        for path in (ROOT / "src" / "ablate").iterdir()
        if not path.name.startswith("__") and path.name != "py.typed"
    }
    assert named == there
