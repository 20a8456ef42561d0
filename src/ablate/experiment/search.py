"""``search:`` of a spec as it is written: what is searched, for what, by whom and how long."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from ablate.experiment.choices import choice
from ablate.experiment.names import MetricName, Name, Overrides
from ablate.experiment.pruners import Pruner
from ablate.experiment.samplers import ONE_OBJECTIVE, SAMPLERS, WITH_CANDIDATES
from ablate.fields import FieldError, Finite, Model, Positive, Seed, Seeds

MOST_CLAIMS = 100
"""With the least ``alpha``, what the sign-flip test can still decide: it gives no p below 0.00001."""
MOST = 10**300
"""Whole numbers beyond it have no fractional form."""


def _is_number(value: Any) -> Any:
    if type(value) is int and abs(value) > MOST:
        raise ValueError("is too large a number")
    if type(value) is int or (type(value) is float and math.isfinite(value)):
        return value
    raise ValueError("must be a finite number")


def _is_option(value: Any) -> Any:
    if value is None or isinstance(value, bool | str) or type(value) in (int, float):
        return value
    raise ValueError("must be a single value (more than one field at once is a level of a factor)")


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Number = Annotated[int | float, BeforeValidator(_is_number)]
Option = Annotated[Any, BeforeValidator(_is_option)]
Options = Annotated[
    tuple[Option, ...],
    BeforeValidator(_as_list),
    Field(strict=False, min_length=1),
    WithJsonSchema({}),  # a single value, or a list
]

if TYPE_CHECKING:
    SamplerName = str
else:
    SamplerName = choice(SAMPLERS)


class Domain(Model):
    """What a field may be: a range of numbers, or one of some options. A list is short for options."""

    low: Number | None = None
    """Least value."""
    high: Number | None = None
    """Largest value."""
    log: bool = False
    """Whether as many values are tried from 0.01 to 0.1 as from 0.1 to 1."""
    step: Number | None = None
    """Distance of neighbouring values; of whole numbers it is 1."""
    options: Annotated[tuple[Option, ...] | None, Field(strict=False, min_length=2)] = None
    """The values, where they are not a range."""
    when: dict[str, Options] = {}
    """The field exists only where another one, or a factor, has this value, or one of these."""

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        return {"options": value} if isinstance(value, list) else value

    @model_validator(mode="after")
    def _is_range_or_options(self) -> Self:
        if self.options is not None:
            ends = [name for name in ("low", "high", "step") if getattr(self, name) is not None]
            if given := [*ends, *(["log"] if self.log else [])]:
                raise FieldError("options are not a range of numbers", given[0])
            if twice := [o for n, o in enumerate(self.options) if o in self.options[:n]]:
                raise FieldError(f"{twice[0]!r} is there twice", "options")
            return self
        if self.low is None or self.high is None:
            missing = "low" if self.low is None else "high"
            raise FieldError("is missing: a domain has low and high, or options", missing)
        if self.low >= self.high:
            raise FieldError(f"low {self.low} must be less than high {self.high}", "low", "high")
        if self.log and self.low <= 0:
            raise FieldError(f"log needs a low above 0, not {self.low}", "low")
        if self.log and self.step is not None:
            raise FieldError("log and step do not go together", "step")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise FieldError(f"step must be more than 0 and at most {self.high - self.low}", "step")
        return self

    @property
    def whole(self) -> bool:
        """Whether it is a range of whole numbers."""
        return all(isinstance(number, int) for number in (self.low, self.high, self.step or 0))

    def with_fractions(self) -> Domain:
        """The same range for a field that takes fractions: whole numbers are just a way to write it."""
        made = {name: float(value) for name in ("low", "high", "step") if (value := getattr(self, name))}
        return self if self.options is not None else self.model_copy(update={"low": 0.0, **made})


class Constraint(Model):
    """What a trial must keep to, whatever it brings."""

    metric: MetricName
    at_most: Finite | None = None
    at_least: Finite | None = None

    @model_validator(mode="after")
    def _has_one_limit(self) -> Self:
        if (self.at_most is None) == (self.at_least is None):
            raise FieldError("needs one of at_most and at_least", "metric")
        return self

    def excess(self, value: float) -> float:
        """How far a value is beyond the limit; at most 0 where it keeps to it."""
        return value - self.at_most if self.at_most is not None else (self.at_least or 0.0) - value


class Confirm(Model):
    """What comes after the search: its best trials again, with seeds that it never saw."""

    best: Positive = 1
    """How many trials."""
    seeds: Seeds
    """With these the baseline and each of them runs again."""
    path: bool = False
    """Whether the way from the baseline to the best one is walked, change by change."""


class Search(Model):
    """What is searched, for what, by whom and how long. The baseline is the profile with ``config``."""

    factors: dict[Name, Annotated[dict[Name, Overrides], Field(min_length=2)]] = {}
    """Factor → level → overrides, as in a factorial design: a trial has one level of each."""
    fields: dict[str, Domain] = {}
    """Dotted field of the configuration → what it may be."""
    objectives: Annotated[tuple[MetricName, ...], Field(strict=False, min_length=1, max_length=3)]
    """Metrics or costs that are to be as good as possible, in the mean over the seeds."""
    constraints: Annotated[tuple[Constraint, ...], Field(strict=False)] = ()
    """What a trial must keep to."""
    sampler: SamplerName = "tpe"
    """The sampler that proposes trials."""
    seed: Seed = 0
    """Of the sampler."""
    acquisition: Literal["improvement", "per-cost"] = "improvement"
    """What becomes a trial: what the sampler proposes, or, of four proposals, the one that costs the
    least training. The first round is the sampler's own."""
    pruner: Pruner | None = None
    """What ends unpromising trials early."""
    trials: Annotated[int, Field(ge=1, le=10_000)]
    """Number of trials."""
    round: Positive = 4
    """Trials per round."""
    budget: Positive | None = None
    """Stops proposing once this many optimizer steps are trained."""
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Hours of a command after which no further round is proposed; the same command goes on."""
    enqueue: Annotated[tuple[dict[str, Option], ...], Field(strict=False)] = ()
    """Trials that come first: field or factor → value. What is left out, the sampler proposes."""
    confirm: Confirm | None = None
    """What comes after the search."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if not self.fields and not self.factors:
            raise FieldError("has neither fields nor factors, so there is nothing to search", "fields")
        if len(set(self.objectives)) < len(self.objectives):
            raise FieldError("an objective is there twice", "objectives")
        if self.sampler in ONE_OBJECTIVE and len(self.objectives) > 1:
            raise FieldError(f"{self.sampler} can search for one objective only", "sampler")
        if self.acquisition == "per-cost" and self.sampler not in WITH_CANDIDATES:
            among = ", ".join(WITH_CANDIDATES)
            raise FieldError(
                f"{self.sampler} makes one proposal at a time; {among} make several", "acquisition"
            )
        if self.pruner and len(self.objectives) > 1:
            raise FieldError("trials can be pruned by one objective only", "pruner")
        if len(self.enqueue) > self.trials:
            raise FieldError(f"these are more than the {self.trials} trials", "enqueue")
        if self.confirm and self.confirm.best > self.trials:
            raise FieldError(f"there are only {self.trials} trials", "confirm.best")
        if self.claims > MOST_CLAIMS:
            what = (
                f"these would be {self.claims} claims, one for each objective, and {MOST_CLAIMS} are the most"
            )
            raise FieldError(what, "confirm.best")
        return self

    @property
    def claims(self) -> int:
        """How many it makes when it is confirmed: each of the best trials is better in each objective."""
        return self.confirm.best * len(self.objectives) if self.confirm else 0
