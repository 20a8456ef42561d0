"""What a report was drawn from: the same again need not be drawn again."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ablate.records import ExperimentRecord, RunRecord
    from ablate.vocabulary import Vocabulary

INDEX = "README.md"
"""The page that lists all reports of a folder."""

LIBRARIES = ("matplotlib", "numpy", "optuna", "pandas", "pillow", "scikit-learn", "scipy", "statsmodels")
"""On which figures and numbers depend."""


@dataclass(frozen=True)
class Drawn:
    """A report as it was drawn, remembered in a hidden file beside it."""

    source: str
    """Digest of all that it was made from."""
    page: str
    """The path to show, in the folder of reports."""
    files: dict[str, str]
    """The report's files → their digests."""
    run: str = ""
    """The parent run that it is on. Older versions did not say."""
    settings: str = ""
    """Digest of the spec with all configurations."""

    @classmethod
    def read(cls, memory: Path) -> Drawn | None:
        """What a file remembers; None where there is none, or one of something else."""
        try:
            return cls(**json.loads(memory.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, memory: Path) -> None:
        """Remembers it."""
        aside = memory.with_name(f"{memory.name}.new")
        aside.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
        aside.replace(memory)

    def is_whole(self, out: Path) -> bool:
        """Whether all files are there, and nobody has edited one."""
        return digests(out, self.files) == self.files


def page_of(name: str) -> str:
    """The file of an experiment's report. ``readme`` would be the index where upper case is lower case."""
    return f"{name}-report.md" if f"{name}.md".lower() == INDEX.lower() else f"{name}.md"


def digests(folder: Path, files: Iterable[str]) -> dict[str, str]:
    """File → SHA-256 of its bytes, of those that are there."""
    paths = {file: folder / file for file in files}
    return {file: _digest(path.read_bytes()) for file, path in paths.items() if path.is_file()}


def settings_of(spec: Mapping[str, Any], configs: Mapping[str, Any]) -> str:
    """A digest of what an experiment is to do, as it goes into its record; of a search, not what it found."""
    if spec.get("search"):
        spec = {**spec, "variants": {}, "claims": []}
        configs = {spec["baseline"]: configs[spec["baseline"]]}
    return _digest(json.dumps([spec, configs], sort_keys=True).encode())


def source_of(record: ExperimentRecord, vocabulary: Vocabulary, *more: object) -> str:
    """A digest of what a report is made from: record, plug-ins, the package, libraries, and ``more``."""
    runs = [replace(run, samples=None) for run in record.runs]
    parts = (
        json.dumps(asdict(replace(record, runs=runs)), sort_keys=True, default=str),
        [_samples(run) for run in record.runs],
        vocabulary.plugins,
        _code(),
        [version(library) for library in LIBRARIES],
        sys.version,
        more,
    )
    return _digest(repr(parts).encode())


def _samples(run: RunRecord) -> list[tuple[str, int]]:
    """Names and sizes. Which images they are, the run's identity says: they are recorded once."""
    return sorted((file.name, file.stat().st_size) for file in run.samples.iterdir()) if run.samples else []


@cache
def _code() -> str:
    """A digest of the package."""
    package = Path(__file__).parents[1]
    files = sorted(file for kind in ("py", "css", "js") for file in package.rglob(f"*.{kind}"))
    return _digest("".join(_digest(file.read_bytes()) for file in files).encode())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
