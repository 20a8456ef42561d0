"""Configuration → keys: the hash of exactly what can change each stage's output. Pure, no torch.

What a stage's key is made of is said in its own file: ``prepared``, ``trained``, ``sampled``, ``evaluated``.

The state keys of a training are a chain, one an epoch: ``K[0] = H(seed, model, data, optimizer, numerics)``
and ``K[e+1] = H(K[e], what acts in epoch e)``. Two variants share their training exactly as long as their
state keys are equal.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ablate import factors, fingerprint
from ablate.data.place import place_of
from ablate.parts import PARTS
from ablate.stages import evaluated, prepared, sampled, trained
from ablate.store.files import key_of

if TYPE_CHECKING:
    from ablate.experiment.config import Config
    from ablate.factors import Acting
    from ablate.factors.base import Factor
    from ablate.factors.observer import Observer
    from ablate.fingerprint import Contents


class RunKeys:
    """The keys of one run (variant × seed), each with the ingredients it is made of."""

    # Kept beside the keys: a source that is edited while a run goes on must not change what entries say.
    prepare_ingredients = cached_property(prepared.ingredients)
    augmented_ingredients = cached_property(prepared.augmented_ingredients)
    root_ingredients = cached_property(trained.ingredients)
    sample_ingredients = cached_property(sampled.ingredients)
    evaluate_ingredients = cached_property(evaluated.ingredients)

    def __init__(self, config: Config, seed: int, contents: Contents, until: int | None = None) -> None:
        self.config = config
        self.seed = seed
        self.contents = contents
        self.numerics = fingerprint.numerics(config.compute)
        self.epochs = config.train.epochs if until is None else until
        """The length of the chain."""

    def at(self, epoch: int | None) -> RunKeys:
        """The keys of this run as it stands after ``epoch`` of its epochs: its samples and figures there.
        After the last one, or with None, the run's own."""
        if epoch is None or epoch >= self.epochs:
            return self
        return RunKeys(self.config, self.seed, self.contents, epoch)

    @cached_property
    def whole(self) -> RunKeys:
        """The keys of the run at its end: what it is known by."""
        if self.epochs == self.config.train.epochs:
            return self
        return RunKeys(self.config, self.seed, self.contents)

    def with_config(self, config: Config) -> RunKeys:
        """The keys of another configuration with the same seed."""
        return RunKeys(config, self.seed, self.contents)

    def part(self, name: str) -> str:
        """What stands for the part of ``components.<name>``."""
        return PARTS[name](getattr(self.config.components, name)).identity(self.contents)

    @cached_property
    def data(self) -> str:
        """What stands for the data set."""
        return place_of(self.config.data.path).identity(self.contents)

    @cached_property
    def prepare(self) -> str:
        """Key of the cached latents and text states."""
        return key_of(self.prepare_ingredients)

    @cached_property
    def augmented(self) -> str | None:
        """Key of the cached augmented forms; None where images are augmented anew at each step."""
        augmentation = self.config.augmentation
        cached = augmentation.kind != "none" and augmentation.variants is not None
        return key_of(self.augmented_ingredients) if cached else None

    @cached_property
    def chain(self) -> tuple[str, ...]:
        """K[0] … K[epochs]."""
        state_keys = [key_of(self.root_ingredients)]
        for acting in self.timeline:
            state_keys.append(key_of({"previous": state_keys[-1], "active": acting}))
        return tuple(state_keys)

    @cached_property
    def timeline(self) -> tuple[dict[str, Any], ...]:
        """What each epoch adds to the chain: factor → its contribution, its parts and its source."""
        epochs: list[dict[str, Any]] = []
        for begin, end in pairwise([*self._acting_from, self.config.train.epochs]):
            added = {factor.name: self._contribution(factor) for factor in self._acting_from[begin]}
            epochs += [added] * (end - begin)
        return tuple(epochs[: self.epochs])

    def acting(self, epoch: int) -> Acting:
        """The factors that act in an epoch."""
        return self._acting_from[max(onset for onset in self._acting_from if onset <= epoch)]

    @cached_property
    def _acting_from(self) -> dict[int, Acting]:
        """Each epoch from which other factors act than before → those that do."""
        return {epoch: factors.acting(self.config, epoch) for epoch in factors.onsets(self.config)}

    def _contribution(self, factor: Factor) -> dict[str, Any]:
        parts = {name: self.part(name) for name in factor.parts}
        ahead = {"epochs": self.config.train.epochs} if factor.looks_ahead else {}
        return {**factor.contribution(), **ahead, **parts, "code": fingerprint.of_class(type(factor))}

    def state_ingredients(self, epoch: int) -> dict[str, Any]:
        """What the state at K[epoch] was made of, in a form in which two states can be compared."""
        changes = {
            f"from epoch {number}": acting
            for number, acting in enumerate(self.timeline[:epoch])
            if number == 0 or acting != self.timeline[number - 1]
        }
        return {**self.root_ingredients, "epochs": epoch, "timeline": changes}

    @cached_property
    def watching(self) -> Observer | None:
        """The observer that is kept, whether or not its weights are sampled; None if it has not begun by the
        end of the chain."""
        observer = self.config.ema and self.config.ema.resolved(self.config.train.epochs)
        return observer if observer and observer.begins < self.epochs else None

    @cached_property
    def observer(self) -> Observer | None:
        """The observer whose weights are sampled; None for the weights themselves."""
        return self.watching if self.config.sample.weights == "ema" else None

    @property
    def weights(self) -> tuple[str, str]:
        """The stage and the key of the entry that holds the weights to sample: ``train``, or ``ema``."""
        if self.observer:
            return "ema", trained.observer_key(self.observer, self.chain[-1])
        return "train", self.chain[-1]

    @property
    def sample_seed(self) -> int:
        """The seed of the sampling noise."""
        return self.seed if self.config.sample.seed is None else self.config.sample.seed

    def previews(self) -> list[tuple[int, str]]:
        """(epoch, key) of every preview that this run may have."""
        every = self.config.track.preview_every
        epochs = range(every, len(self.chain), every) if every else ()
        return [(epoch, key_of(sampled.preview_ingredients(self, epoch))) for epoch in epochs]

    @cached_property
    def sample(self) -> str:
        """Key of the samples."""
        return key_of(self.sample_ingredients)

    @cached_property
    def evaluate(self) -> str:
        """Key of the scores: the identity of the whole run."""
        return key_of(self.evaluate_ingredients)
