"""What stage train stores, for those who read it, and what its keys are made of. No torch.

``train/<K[e]>/`` holds the state at the beginning of epoch e:
    unet.safetensors       the weights
    state.json             epoch, and the history of all epochs before
``moments/<K[e]>/optimizer.safetensors`` holds AdamW's moments and step counts at this state: two thirds of
what a training stores. Images are drawn without them, but no training goes on without them.
``ema/<key>/shadow.safetensors`` holds one observer's average at one state.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ablate import fingerprint
from ablate.store.files import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ablate.factors.observer import Observer
    from ablate.records import EpochRow
    from ablate.stages.keys import RunKeys
    from ablate.store import Store

SOURCES = (
    *(f"stages/{name}.py" for name in ("train", "trained", "batch", "step", "training", "ranks", "device")),
    *("diffusion/randomness.py", "diffusion/schedule.py", "diffusion/unet.py"),
    *("factors/base.py", "parts/vae.py"),
)
"""Of every training. Those of factors enter where they act."""
LIBRARIES = ("torch", "diffusers")

AVERAGE = "shadow.safetensors"
MOMENTS = "optimizer.safetensors"


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
    """A stored state of a training without its moments: the files of its weights and of the rest."""

    def __init__(self, folder: Path) -> None:
        self.weights = folder / "unet.safetensors"
        self.state = folder / "state.json"

    @property
    def history(self) -> list[EpochRow]:
        """What each epoch so far measured."""
        history: list[EpochRow] = json.loads(self.state.read_text())["history"]
        return history


def weights_file(keys: RunKeys, store: Store) -> Path:
    """The file of the weights that a run samples from: those at the end of its chain, or an observer's.
    Raises RunError if it is not in the store as it was written."""
    entry = store.sound_path(*keys.weights)
    return entry / AVERAGE if keys.observer else Trained(entry).weights


def newest_stored_state(chain: tuple[str, ...], observers: Iterable[Observer], end: int, store: Store) -> int:
    """The last state up to K[``end``] at which a training to K[``end``] can begin, 0 when there is none.

    Its weights must be stored, the average of every observer that has started by then, and the optimizer's
    moments, unless it is K[``end``] itself: there nothing is left to train.
    """

    def begins(epoch: int) -> bool:
        return _all(store.has, chain[epoch], epoch, observers, moments=epoch < end)

    return next((epoch for epoch in range(end, 0, -1) if begins(epoch)), 0)


def newest_sound_state(chain: tuple[str, ...], observers: Iterable[Observer], end: int, store: Store) -> int:
    """``newest_stored_state`` whose files are as they were written: those that a training reads. What is
    damaged is set aside."""
    while epoch := newest_stored_state(chain, observers, end, store):
        if _all(store.sound, chain[epoch], epoch, observers, moments=epoch < end):
            break
    return epoch


def _all(
    ask: Callable[[str, str], bool],
    state_key: str,
    epoch: int,
    observers: Iterable[Observer],
    *,
    moments: bool,
) -> bool:
    """Whether the answer is yes for a state, for the average of each observer that has begun by then, and,
    if they are needed, for the optimizer's moments."""
    averages = (observer_key(o, state_key) for o in observers if epoch > o.begins)
    return (
        ask("train", state_key)
        and (not moments or ask("moments", state_key))
        and all(ask("ema", key) for key in averages)
    )
