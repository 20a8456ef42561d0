"""Configuration → keys: the hash of exactly what can change each stage's output. Pure, no torch.

The state keys of a training are a chain, one an epoch: ``K[0] = H(seed, model, data, optimizer, numerics)``
and ``K[e+1] = H(K[e], what acts in epoch e)``. Two variants share their training exactly as long as their
state keys are equal.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from ablate import factors, fingerprint
from ablate.data.place import place_of
from ablate.parts import PARTS
from ablate.store import file_digest, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from ablate.experiment.config import Config
    from ablate.factors import Acting
    from ablate.factors.base import Factor
    from ablate.factors.observer import Observer
    from ablate.fingerprint import Contents
    from ablate.metrics.spaces.base import FeatureSpace
    from ablate.store import Store

Ingredients = dict[str, Any]


def observer_ingredients(observer: Observer, state_key: str) -> Ingredients:
    """What an observer's state beside the training's state ``state_key`` is made of."""
    code = fingerprint.of_class(type(observer))
    return {"state": state_key, "start": observer.begins, **observer.contribution(), "code": code}


def observer_key(observer: Observer, state_key: str) -> str:
    """Key of an observer's state beside the training's state ``state_key``."""
    return key_of(observer_ingredients(observer, state_key))


class RunKeys:
    """The keys of one run (variant × seed), each with the ingredients it is made of."""

    def __init__(self, config: Config, seed: int, contents: Contents) -> None:
        self.config = config
        self.seed = seed
        self._contents = contents
        self.numerics = fingerprint.numerics(config.compute)

    def with_config(self, config: Config) -> RunKeys:
        """The keys of another configuration with the same seed."""
        return RunKeys(config, self.seed, self._contents)

    def _part(self, name: str) -> str:
        return self._contents.of_part(getattr(self.config.components, name))

    @cached_property
    def data(self) -> str:
        """What stands for the data set."""
        return place_of(self.config.data.path).identity(self._contents)

    @cached_property
    def prepare_ingredients(self) -> Ingredients:
        """Data, frozen parts and image size."""
        return {
            "data": self.data,
            "size": self.config.data.size,
            "vae": self._part("vae"),
            "text_encoder": self._part("text_encoder"),
            "tokenizer": self._part("tokenizer"),
            "numerics": self.numerics,
            "code": fingerprint.of_stage("prepare"),
        }

    @cached_property
    def prepare(self) -> str:
        """Key of the cached latents and text states."""
        return key_of(self.prepare_ingredients)

    @cached_property
    def augmented_ingredients(self) -> Ingredients:
        """The prepared images, and the forms that are made of each. The same for all seeds."""
        randomness = "diffusion/randomness.py"
        return {
            "prepare": self.prepare,
            "augmentation": self.config.augmentation.contribution(),
            "code": {
                **fingerprint.of_class(type(self.config.augmentation)),
                randomness: fingerprint.of_stage("train")[randomness],
            },
        }

    @cached_property
    def augmented(self) -> str | None:
        """Key of the cached augmented forms; None where images are augmented anew at each step."""
        augmentation = self.config.augmentation
        cached = augmentation.kind != "none" and augmentation.variants is not None
        return key_of(self.augmented_ingredients) if cached else None

    @cached_property
    def root_ingredients(self) -> Ingredients:
        """All of K[0]. Not the number of epochs: training longer continues the same chain. Not what the
        factors take from ``train``: it enters the chain while they act."""
        taken = {"epochs", "learning_rate", "gradient_clip", "clip"}
        train = self.config.train.model_dump(mode="json", exclude=taken)
        return {
            "seed": self.seed,
            "unet": self.config.unet.model_dump(mode="json"),
            "noise": self.config.noise.model_dump(mode="json"),
            "train": train,
            "prepare": self.prepare,
            "numerics": self.numerics,
            "code": fingerprint.of_stage("train"),
        }

    @cached_property
    def chain(self) -> tuple[str, ...]:
        """K[0] … K[epochs]."""
        state_keys = [key_of(self.root_ingredients)]
        for acting in self.timeline:
            state_keys.append(key_of({"previous": state_keys[-1], "active": acting}))
        return tuple(state_keys)

    @cached_property
    def timeline(self) -> tuple[Ingredients, ...]:
        """What each epoch adds to the chain: factor → its contribution, its parts and its source."""
        epochs = range(self.config.train.epochs)
        return tuple({f.name: self._contribution(f) for f in self.acting(epoch)} for epoch in epochs)

    def acting(self, epoch: int) -> Acting:
        """The factors that act in an epoch."""
        return factors.acting(self.config, epoch)

    def _contribution(self, factor: Factor) -> Ingredients:
        parts = {name: self._part(name) for name in factor.parts}
        return {**factor.contribution(), **parts, "code": fingerprint.of_class(type(factor))}

    def state_ingredients(self, epoch: int) -> Ingredients:
        """What the state at K[epoch] was made of, in a form in which two states can be compared."""
        changes = {
            f"from epoch {number}": acting
            for number, acting in enumerate(self.timeline[:epoch])
            if number == 0 or acting != self.timeline[number - 1]
        }
        return {**self.root_ingredients, "epochs": epoch, "timeline": changes}

    @cached_property
    def watching(self) -> Observer | None:
        """The observer that is kept, whether or not its weights are sampled; None if it never begins."""
        return self.config.ema and self.config.ema.resolved(self.config.train.epochs)

    @cached_property
    def observer(self) -> Observer | None:
        """The observer whose weights are sampled; None for the weights themselves."""
        return self.watching if self.config.sample.weights == "ema" else None

    @property
    def weights(self) -> tuple[str, str]:
        """The stage and the key of the entry that holds the weights to sample: ``train``, or ``ema``."""
        if self.observer:
            return "ema", observer_key(self.observer, self.chain[-1])
        return "train", self.chain[-1]

    @property
    def sample_seed(self) -> int:
        """The seed of the sampling noise."""
        return self.seed if self.config.sample.seed is None else self.config.sample.seed

    def preview_ingredients(self, epoch: int) -> Ingredients:
        """The state and the number of prompts. Not the sampler: runs on one trunk share previews."""
        return {"state": self.chain[epoch], "prompts": self.config.track.preview_prompts}

    def previews(self) -> list[tuple[int, str]]:
        """(epoch, key) of every preview that this run may have."""
        every = self.config.track.preview_every
        epochs = range(every, len(self.chain), every) if every else ()
        return [(epoch, key_of(self.preview_ingredients(epoch))) for epoch in epochs]

    @cached_property
    def sample_ingredients(self) -> Ingredients:
        """The trained weights, the prompts (they are part of the prepared data) and the sampler."""
        return {
            "state": self.chain[-1],
            "observer": self.observer and observer_ingredients(self.observer, self.chain[-1]),
            "seed": self.sample_seed,
            # The observer says which weights are meant.
            "sample": self.config.sample.model_dump(mode="json", exclude={"weights", "seed"}),
            "numerics": self.numerics,
            "code": fingerprint.of_stage("sample"),
        }

    @cached_property
    def sample(self) -> str:
        """Key of the samples."""
        return key_of(self.sample_ingredients)

    @property
    def _space(self) -> type[FeatureSpace]:
        return self.config.vocabulary.spaces[self.config.evaluate.fid_features]

    @property
    def space_ingredients(self) -> Ingredients:
        """What the feature space is made of beside the evaluator and the package's code."""
        code = fingerprint.of_plugins([self._space])
        return {**self._feature_network, **({"space": code} if code else {})}

    @property
    def _feature_network(self) -> Ingredients:
        """The network of the feature space, by the content of a file that the user names; without one it is
        what the code says. The evaluator is an ingredient anyway."""
        name = self._space.part
        part = getattr(self.config.components, name) if name else None
        if part is None:
            return {}
        (file,) = PARTS[name](part).files()
        return {name: _content(file)}

    @cached_property
    def evaluate_ingredients(self) -> Ingredients:
        """The samples, the evaluator and the real images they are compared with."""
        return {
            "sample": self.sample,
            "evaluator": self._part("evaluator"),
            **self.space_ingredients,
            "evaluate": self.config.evaluate.model_dump(mode="json"),
            "code": fingerprint.of_stage("evaluate")
            | fingerprint.of_plugins(self.config.vocabulary.metrics.values()),
        }

    @cached_property
    def evaluate(self) -> str:
        """Key of the scores: the identity of the whole run."""
        return key_of(self.evaluate_ingredients)


@cache
def _content(file: Path) -> str:
    return f"content:{file_digest(file)[:32]}"


def differences(new: Mapping[str, Any], old: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Which ingredients differ, in words: ``train.batch: 32 → 64``, ``diffusion/ema.py changed``."""
    found = []
    for name in sorted(set(new) | set(old)):
        a, b = old.get(name), new.get(name)
        if a == b:
            continue
        label = name if prefix == "" or prefix.endswith("code.") else prefix + name
        if isinstance(a, dict) and isinstance(b, dict):
            found += differences(b, a, f"{label}.")
        elif ".py" in name or name in ("data", "prepare", "state", "previous", "sample"):
            found.append(f"{label} changed")
        else:
            found.append(f"{label}: {a} → {b}")
    return found


def newest_stored_state(chain: tuple[str, ...], observers: Iterable[Observer], end: int, store: Store) -> int:
    """The last state up to K[``end``] from which a training can go on, 0 when there is none.

    Its state must be stored, and the average of every observer that has started by then.
    """
    for epoch in range(end, 0, -1):
        started = [observer for observer in observers if epoch > observer.begins]
        if store.has("train", chain[epoch]) and all(
            store.has("ema", observer_key(o, chain[epoch])) for o in started
        ):
            return epoch
    return 0
