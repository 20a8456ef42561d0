"""A profile by itself, with overrides: the configuration that commands without an experiment are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.spec.config import Config
from ablate.spec.load import _parse_set, _put_together, _validate, load_profile
from ablate.spec.problems import Layer, explain, refuse
from ablate.spec.yaml import Document

if TYPE_CHECKING:
    from collections.abc import Sequence


def load_config(profile: str, sets: Sequence[str] = ()) -> Config:
    """The complete configuration of a profile.

    Args:
        profile: its name.
        sets: overrides, ``a.b.c=value`` each, the value in YAML; later ones win.

    Raises:
        SpecError: there is no such profile, or an override is wrong.
    """
    written = Layer(Document(f"profile {profile}", None), load_profile(profile))
    layers = [written, *(_parse_set(text) for text in sets)]
    config, errors = _validate(Config, _put_together(layers))
    refuse(explain(errors, Config, layers), f"profile {profile}")
    assert config  # there is one without problems
    return config
