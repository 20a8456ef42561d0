"""Samplers of a search: what they need is asked for before the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ablate.errors import UserError
from ablate.experiment import samplers

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec


def test_each_sampler_can_be_made_here() -> None:
    for name, make in samplers.SAMPLERS.items():
        samplers.require(name)
        assert make(0, 4)


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(samplers, "find_spec", nothing)
    samplers.require("tpe")
    with pytest.raises(UserError, match="needs the package cmaes") as error:
        samplers.require("cma-es")
    assert "pip install cmaes" in str(error.value)
