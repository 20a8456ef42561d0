"""Settings and fixtures of the whole test suite. The environment is set before anything heavy is imported."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.pop("MLFLOW_TRACKING_URI", None)

import gc
import json
import random
import shutil
import sys
import uuid
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import pytest
from filelock import FileLock
from hypothesis import settings

from ablate.data import sprites
from ablate.experiment.config import Config
from ablate.experiment.load import load_profile
from ablate.experiment.merge import expand, merge
from ablate.fingerprint import Contents
from ablate.stages.keys import RunKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hubs import Caches

    from ablate.records import ExperimentRecord

settings.register_profile(
    "untimed", deadline=None
)  # how long an example takes says nothing on a shared machine
settings.load_profile("untimed")

GOLDEN = Path(__file__).parent / "golden"

TINY: dict[str, Any] = {
    "components": "sprites",
    "unet": {
        "block_out_channels": [16],
        "down_block_types": ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"],
        "norm_num_groups": 8,
    },
    "noise": {"schedule": "scaled_linear", "prediction": "epsilon"},
    "train": {"epochs": 3, "batch": 16, "learning_rate": 1e-3},
    "sample": {"scheduler": "DPMSolverMultistepScheduler", "steps": 3, "guidance": 3.0, "batch": 4},
    "track": {"preview_every": 2, "preview_prompts": 2},
    "compute": {"device": "cpu"},
}
"""The smallest setting in which everything happens: with ``data_folder``, two steps an epoch."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write the expected outputs in tests/golden anew"
    )
    parser.addoption(
        "--random-order", metavar="SEED", help="shuffle files and the tests in each: no test may need another"
    )


LONGEST = (
    "test_audit",
    "test_end_to_end",
    "test_experiments",
    "test_one_place",
    "test_train",
    "test_docs_run",
    "test_ranks",
    "test_kill",
    "test_benchmarks",
    "test_kit",
    "test_mcp",
    "test_many_machines",
    "test_train_together",
    "test_status",
    "test_prepare",
    "test_prepare_kill",
    "test_record_faults",
    "test_executors",
    "test_search",
    "test_search_study",
    "test_odd_specs",
    "test_odd_options",
    "test_figures",
    "test_error_rates",
)
"""Files that take longest, begun in this order: no process ends with one while the others are done."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest files first; or all files, and the tests within each, in an order that a seed draws."""
    if seed := config.getoption("--random-order"):
        order = random.Random(seed)
        files = {item.path: order.random() for item in items}
        items.sort(key=lambda item: (files[item.path], order.random()))
    else:
        place = {name: number for number, name in enumerate(LONGEST)}
        items.sort(key=lambda item: place.get(item.path.stem, len(place)))


def pytest_sessionstart() -> None:
    """What imports make stays: to look for garbage in it meanwhile takes a quarter of their time."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Garbage is looked for among what tests make, not in the libraries, and not at each few objects."""
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


@pytest.fixture(scope="module")
def cheap_collection() -> None:
    """statsmodels' Holm collects garbage each time: half a second, unless it leaves out what was there."""
    import statsmodels.stats.multitest  # noqa: F401

    gc.collect()
    gc.freeze()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare text with ``tests/golden/<name>``; ``pytest --update-golden`` writes the file instead."""

    def check(name: str, text: str) -> None:
        file = GOLDEN / name
        if request.config.getoption("--update-golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert file.exists(), f"no {file}: run pytest --update-golden and read what it wrote"
        assert text == file.read_text(encoding="utf-8"), "pytest --update-golden writes it anew"

    return check


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A folder that the first process to ask for it fills, for all processes of this call of pytest."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, filled = root / f"shared-{name}", root / f"shared-{name}.filled"
        with FileLock(f"{folder}.lock"):
            if not filled.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                filled.touch()
        return folder

    return make


# ── the tiny setting ─────────────────────────────────────────────────────────────────────────────


class MakeConfig(Protocol):
    def __call__(self, *overrides: dict[str, Any]) -> Config: ...


class MakeKeys(Protocol):
    def __call__(self, *overrides: dict[str, Any], seed: int = 0) -> RunKeys: ...


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 training images of four monsters and 6 test prompts with images, in the task's format."""
    root = tmp_path_factory.mktemp("data")
    (root / "train").mkdir()
    (root / "test").mkdir()
    held_out = sprites.held_out()
    everyone = list(enumerate(sprites.monsters()))
    train, test = {}, {}
    for number, monster in [pair for pair in everyone if pair[1] not in held_out][::100]:
        for kind, action in enumerate(list(sprites.ACTIONS)[:4]):
            train[f"{number}_{action}1"] = {
                "original_name": "_".join(monster),
                "given_description": sprites.descriptions(monster),
                "action_description": sprites.action_sentence(action),
                "num_frames": 2,
            }
            for frame in range(2):
                pixels = sprites.draw(monster, action, np.random.default_rng((number, kind, frame)))
                sprites._save(pixels, root / "train" / f"{number}_{action}1_{frame}.png")
    for number, monster in [pair for pair in everyone if pair[1] in held_out][::11]:
        description, action = sprites.descriptions(monster)[0], sprites.action_sentence("stand")
        test[f"{number}_stand1"] = {
            "image_name": f"{number}_stand1.png",
            "given_description": description,
            "action_description": action,
            "text_prompt": f"{description} {action}",
        }
        pixels = sprites.draw(monster, "stand", np.random.default_rng(number))
        sprites._save(pixels, root / "test" / f"{number}_stand1.png")
    (root / "train_info.json").write_text(json.dumps(train))
    (root / "test.json").write_text(json.dumps(test))
    assert (len(list((root / "train").iterdir())), len(test)) == (32, 6)
    return root


@pytest.fixture(scope="session")
def generated(shared: Callable[..., Path]) -> Path:
    """The embedded data set as the generator writes it, with an image of each action. To read only."""
    return shared("generated", lambda folder: sprites.generate(folder, frames=1))


@pytest.fixture(scope="session")
def make_config(data_folder: Path) -> MakeConfig:
    """The profile ``sprites`` made tiny, with overrides put onto it."""
    base = reduce(merge, [load_profile("sprites"), expand(TINY), {"data": {"path": str(data_folder)}}])

    def make(*overrides: dict[str, Any]) -> Config:
        return Config.model_validate(reduce(merge, map(expand, overrides), base))

    return make


@pytest.fixture(scope="session")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """Digests of the data and the kit, shared by all tests that do not change them."""
    return Contents(tmp_path_factory.mktemp("digests") / "digests.json")


@pytest.fixture(scope="session")
def make_keys(make_config: MakeConfig, contents: Contents) -> MakeKeys:
    """The keys of a run in the tiny setting with overrides."""

    def make(*overrides: dict[str, Any], seed: int = 0) -> RunKeys:
        return RunKeys(make_config(*overrides), seed, contents)

    return make


# ── whole experiments ────────────────────────────────────────────────────────────────────────────

SPEC: dict[str, Any] = {
    "question": "Does anything help when next to nothing is trained?",
    "baseline": "plain",
    "variants": {
        "plain": {},
        "late": {
            "losses": {"lpips": {"weight": 0.1, "start": 2, "images": 4}, "kl": {"weight": 0.01, "start": 1}},
            "ema": {"decay": 0.9, "start": 1},
        },
    },
    "seeds": [0, 1],
    "claims": [
        {
            "text": "The late losses help.",
            "variant": "late",
            "against": "plain",
            "metric": "fid",
            "direction": "lower",
        }
    ],
}
"""Two variants that share epoch 0, two seeds: four runs."""


@pytest.fixture(scope="session")
def command() -> Callable[..., list[str]]:
    """The installed console script with arguments, as a new process takes them."""
    script = shutil.which("ablate", path=str(Path(sys.executable).parent))
    assert script, "ablate is not installed beside this Python"
    return lambda *arguments: [script, *arguments]


class Done(NamedTuple):
    """How a call of ``ablate`` ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def shown(self) -> str:
        """All that was printed."""
        return self.out + self.err


class Ablate(Protocol):
    def __call__(self, *arguments: str, folder: Path | None = None) -> Done: ...


def call_here(patch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> int:
    """The exit code of ``ablate`` in this process, which has imported everything already; without workers."""
    from here import Here

    from ablate.__main__ import main

    patch.setenv("COLUMNS", "200")
    for module in ("auditing", "verify", "rehearsal"):
        patch.setattr(f"ablate.runner.{module}.LocalExecutor", Here)
    patch.setattr("ablate.runner.executors.EXECUTORS", {"local": lambda address: Here.of})
    patch.chdir(folder)
    # MLflow keeps a connection for each address: a relative one would lead to the folder of another test.
    patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    patch.setattr(sys, "argv", ["ablate", *arguments])
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0


@pytest.fixture(scope="session")
def in_this_process() -> Callable[..., int]:
    """``call_here``, also for what outlives a test."""
    return call_here


@pytest.fixture
def ablate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Ablate:
    """Calls ``ablate`` in a folder, by default an empty one; see ``call_here``."""
    empty = tmp_path / "workplace"

    def call(*arguments: str, folder: Path | None = None) -> Done:
        if folder is None:
            empty.mkdir(exist_ok=True)
        code = call_here(monkeypatch, folder or empty, *arguments)
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """No figure is drawn for reports in markdown, for tests that look at none: it takes seconds."""
    monkeypatch.setattr("ablate.report.formats.markdown.png", lambda draw: b"")


@pytest.fixture(scope="session")
def databases(shared: Callable[..., Path]) -> Path:
    """A folder with empty, migrated databases of MLflow and Optuna: a copy is faster than migrations."""

    def fill(folder: Path) -> None:
        from ablate.record.client import connect
        from ablate.runner.studies.study import Study

        connect(f"sqlite:///{folder / 'mlflow.db'}", to_write=True)
        Study(folder / "optuna.db", "template", ["plain"])

    return shared("databases", fill)


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """The smallest setting in which everything happens."""
    return TINY


@pytest.fixture(scope="session")
def write_spec(data_folder: Path) -> Callable[..., Path]:
    """Writes ``tiny.yaml``, SPEC in the tiny setting with some fields replaced or, by None, left out."""

    def write(folder: Path, **fields: Any) -> Path:
        spec = {**SPEC, "config": merge(TINY, {"data": {"path": str(data_folder)}}), **fields}
        spec = {name: value for name, value in spec.items() if value is not None}
        (folder / "tiny.yaml").write_text(json.dumps(spec, indent=1))
        return folder / "tiny.yaml"

    return write


@pytest.fixture(scope="session")
def make_workplace(databases: Path, write_spec: Callable[..., Path]) -> Callable[..., Path]:
    """Fills a folder with ``tiny.yaml`` and empty databases, ready for ``ablate run tiny.yaml``."""

    def make(folder: Path, **fields: Any) -> Path:
        for name in ("mlflow.db", "optuna.db"):
            shutil.copy(databases / name, folder / name)
        write_spec(folder, **fields)
        return folder

    return make


@pytest.fixture(scope="session")
def finished(make_workplace: Callable[..., Path], shared: Callable[..., Path]) -> Path:
    """A folder in which ``ablate run tiny.yaml`` has run undisturbed. Tests may add to it only, or write the
    report again: ``first-reports`` holds it as the run left it.
    """

    def fill(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            assert call_here(patch, make_workplace(folder), "run", "tiny.yaml") == 0
        shutil.copytree(folder / "reports", folder / "first-reports")

    return shared("finished", fill)


@pytest.fixture(scope="session")
def read_record() -> Callable[[Path], ExperimentRecord]:
    """What MLflow knows of ``tiny.yaml`` in a workplace."""
    from ablate.experiment.load import load_experiment
    from ablate.plan import make_plan
    from ablate.record.read import read_experiment
    from ablate.store import Store

    def read(folder: Path) -> ExperimentRecord:
        experiment = load_experiment(folder / "tiny.yaml")
        plan = make_plan(experiment, Store(folder / ".ablate"), Contents(folder / "no digests"))
        record = read_experiment(f"sqlite:///{folder / 'mlflow.db'}", plan)
        assert record
        return record

    return read


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of a server that speaks S3, with an empty bucket ``ablate``."""
    from servers import s3_server

    with s3_server() as address:
        yield address


@pytest.fixture
def bucket(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty folder in a bucket, for this process and those that it starts; an empty cache."""
    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "ablate",
        "AWS_SECRET_ACCESS_KEY": "S3cretPw",
        "AWS_REGION": "us-east-1",
        "ABLATE_CACHE": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    return f"s3://ablate/{tmp_path.name}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def nfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that lies on a network file system, if one believes the table of mounts."""
    (folder := tmp_path / "nfs").mkdir()
    (table := tmp_path / "mounts").write_text(f"disk / ext4 rw 0 0\nserver:/ {folder} nfs4 rw 0 0\n")
    monkeypatch.setattr("ablate.mounts.TABLE", table)
    return folder


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Caches:
    """The libraries' caches of downloads, empty, and hubs that are out of reach."""
    from hubs import Caches

    return Caches(tmp_path / "caches", monkeypatch)


# ── a U-Net, and the global generator ────────────────────────────────────────────────────────────


@pytest.fixture(scope="session")
def make_unet() -> Callable[[int], Any]:
    """A small U-Net with cross-attention and the initial weights of a seed."""
    from ablate.diffusion.unet import build_unet

    arguments = {
        "sample_size": 8,
        "layers_per_block": 1,
        "block_out_channels": (16, 16),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 96,
        "attention_head_dim": 8,
        "norm_num_groups": 8,
    }
    return lambda seed: build_unet(arguments, 4, seed)


@pytest.fixture
def global_rng_stays() -> Iterator[None]:
    """Fails a test that moves torch's global generator."""
    import torch

    before = torch.get_rng_state()
    yield
    assert torch.equal(before, torch.get_rng_state()), "the global generator was used"
