"""A store with the tiny data set prepared, copied for each test that writes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import torch

from ablate.stages.prepare import prepare
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import MakeKeys

torch.set_num_threads(1)


def quiet(_: str) -> None:
    """Progress that nobody wants to see."""


@pytest.fixture(scope="session")
def prepared_store(make_keys: MakeKeys, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("prepared") / "store")
    prepare(make_keys(), store, quiet)
    return store


@pytest.fixture
def new_store(prepared_store: Store, tmp_path: Path) -> Callable[[str], Store]:
    """A store of its own for each name, in which only the data is prepared."""

    def make(name: str) -> Store:
        shutil.copytree(prepared_store.root, tmp_path / name)
        return Store(tmp_path / name)

    return make


@pytest.fixture
def store(new_store: Callable[[str], Store]) -> Store:
    return new_store("store")
