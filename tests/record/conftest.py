"""An empty MLflow database, and an experiment of three runs that is recorded in it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from ablate.experiment.load import load_experiment
from ablate.plan import Plan, make_plan
from ablate.record.provenance import spec_key
from ablate.record.write import Writer, open_experiment
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ablate.fingerprint import Contents


@pytest.fixture
def uri(databases: Path, tmp_path: Path) -> str:
    shutil.copy(databases / "mlflow.db", tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def writer(uri: str) -> Writer:
    return open_experiment(uri, "tiny")


@pytest.fixture
def plan(write_spec: Callable[..., Path], contents: Contents, tmp_path: Path) -> Plan:
    """Variants ``plain`` and ``twin`` of the same configuration, and ``other``; one seed."""
    variants = {"plain": {}, "twin": {}, "other": {"train": {"batch": 8}}}
    spec = write_spec(tmp_path, variants=variants, seeds=[0], claims=[])
    return make_plan(load_experiment(spec), Store(tmp_path / "store"), contents)


@pytest.fixture
def parent(writer: Writer, plan: Plan) -> str:
    return writer.begin_parent(plan, spec_key(plan), None).run_id
