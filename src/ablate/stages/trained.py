"""What stage train stores, for those who read it, and what its keys are made of. No torch.

``train/<K[e]>/`` holds the state at the beginning of epoch e:
    unet.safetensors       the weights
    optimizer.safetensors  AdamW's moments and step counts
    state.json             epoch, and the history of all epochs before
``ema/<key>/shadow.safetensors`` holds one observer's average at one state.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ablate import fingerprint
from ablate.store import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ablate.factors.observer import Observer
    from ablate.records import EpochRow
    from ablate.stages.keys import RunKeys
    from ablate.store import Store

SOURCES = (
    *(f"stages/{name}.py" for name in ("train", "trained", "batch", "step", "training", "device")),
    *("diffusion/randomness.py", "diffusion/schedule.py", "diffusion/unet.py"),
    *("factors/base.py", "parts/vae.py"),
)
"""Of every training. Those of factors enter where they act."""
LIBRARIES = ("torch", "diffusers")

AVERAGE = "shadow.safetensors"


def ingredients(keys: RunKeys) -> dict[str, Any]:
    """All of K[0]. Not the number of epochs: training longer continues the same chain. Not what the
    factors take from ``train``: it enters the chain while they act."""
    taken = {"epochs", "learning_rate", "gradient_clip", "clip"}
    return {
        "seed": keys.seed,
        "unet": keys.config.unet.model_dump(mode="json"),
        "noise": keys.config.noise.model_dump(mode="json"),
        "train": keys.config.train.model_dump(mode="json", exclude=taken),
        "prepare": keys.prepare,
        "numerics": keys.numerics,
        "code": fingerprint.of_files(SOURCES, LIBRARIES),
    }


def observer_ingredients(observer: Observer, state_key: str) -> dict[str, Any]:
    """What an observer's average beside the training's state ``state_key`` is made of."""
    code = fingerprint.of_class(type(observer))
    return {"state": state_key, "start": observer.begins, **observer.contribution(), "code": code}


def observer_key(observer: Observer, state_key: str) -> str:
    """Key of an observer's average beside the training's state ``state_key``."""
    return key_of(observer_ingredients(observer, state_key))


class Trained:
    """A stored state of a training: the files of its weights, of the optimizer's moments and of the rest."""

    def __init__(self, folder: Path) -> None:
        self.weights = folder / "unet.safetensors"
        self.moments = folder / "optimizer.safetensors"
        self.state = folder / "state.json"

    @property
    def history(self) -> list[EpochRow]:
        """What each epoch so far measured."""
        history: list[EpochRow] = json.loads(self.state.read_text())["history"]
        return history


def weights_file(keys: RunKeys, store: Store) -> Path:
    """The file of the weights that a run samples from: those at the end of its chain, or an observer's."""
    entry = store.path(*keys.weights)
    return entry / AVERAGE if keys.observer else Trained(entry).weights


def newest_stored_state(chain: tuple[str, ...], observers: Iterable[Observer], end: int, store: Store) -> int:
    """The last state up to K[``end``] from which a training can go on, 0 when there is none.

    Its state must be stored, and the average of every observer that has started by then.
    """
    for epoch in range(end, 0, -1):
        averages = (observer_key(o, chain[epoch]) for o in observers if epoch > o.begins)
        if store.has("train", chain[epoch]) and all(store.has("ema", key) for key in averages):
            return epoch
    return 0
