"""The experiment as its YAML file says it: question, design, seeds, claims, published figures."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ablate.experiment.choices import choice, retyped
from ablate.experiment.names import MetricName, Name, Overrides
from ablate.experiment.search import MOST_CLAIMS, Constraint, Search
from ablate.fields import FieldError, Finite, Model, Positive, Seeds
from ablate.metrics import COSTS
from ablate.stats import SMALLEST_P, spend
from ablate.vocabulary import OWN, Vocabulary

DEFAULT_PROFILE = "sprites"


class Claim(Model):
    """A sentence written before the run; the report gives its verdict."""

    text: str
    """The sentence, in plain words."""
    source: str = ""
    """Where the claim was made."""
    variant: str
    """Name of the variant that the claim is about."""
    against: str
    """Name of the variant that it is compared with."""
    metric: MetricName
    direction: Literal["higher", "lower", "equal"]
    """How ``metric`` of ``variant`` compares with that of ``against``. FID and KID: lower is better."""
    margin: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Smallest difference that counts; ``equal`` needs it."""
    must: Literal["supported"] | None = None
    """``supported``: ``ablate report --check`` fails where the verdict is another."""

    @model_validator(mode="after")
    def _equal_needs_margin(self) -> Self:
        if self.direction == "equal" and self.margin is None:
            raise FieldError(
                "equal needs a margin, the largest difference that still counts as none", "direction"
            )
        return self


class PublishedResult(Model):
    """One figure of a publication, and the variant of this experiment that stands for it."""

    metric: MetricName
    value: Finite
    variant: str
    """Name of the variant whose figure is printed beside it."""
    baseline: Finite | None = None
    """The figure that the publication compared itself with."""

    @model_validator(mode="after")
    def _times_are_above_zero(self) -> Self:
        for field in ("value", "baseline"):
            if self.metric in COSTS and (time := getattr(self, field)) is not None and time <= 0:
                raise FieldError(f"a time is above zero, not {time:g}", field)
        return self


class Published(Model):
    """Figures published elsewhere. The report prints them beside its own, with both settings."""

    source: Annotated[str, Field(min_length=1)]
    setting: Annotated[str, Field(min_length=1)]
    """Data, size, training and features behind the published figures, in a sentence."""
    results: Annotated[tuple[PublishedResult, ...], Field(strict=False, min_length=1)]


class ExperimentSpec(Model):
    """One YAML file as written: a question, a profile, a design, seeds and claims.

    The design is one of ``variants``, ``factors``, ``leave_one_out`` and ``search``.
    """

    question: Annotated[str, Field(min_length=1)]
    """What the experiment is to answer."""
    profile: str = DEFAULT_PROFILE
    """Name of the base configuration."""
    plugins: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """Python files that add losses, metrics and the like; paths start from the spec's folder."""
    config: Overrides = {}
    """Overrides of the profile that all variants share; ``--set`` adds to them."""
    baseline: str = ""
    """Name of the variant that the others are compared with; ``variants`` needs it."""
    variants: dict[Name, Overrides] = {}
    """One at a time: name → overrides. ``{}`` is the profile itself."""
    factors: dict[Name, Annotated[dict[Name, Overrides], Field(min_length=2)]] = {}
    """Factorial: factor → level → overrides. A variant for each combination of levels; the baseline is
    that of all first levels."""
    leave_one_out: dict[Name, Overrides] = {}
    """Parts of a recipe: name → overrides. The baseline ``full`` has all parts, ``no-<name>`` lacks one."""
    search: Search | None = None
    """What a sampler proposes, round by round."""
    seeds: Seeds
    """Each variant runs once with each seed; the same seed pairs them."""
    alpha: Annotated[float, Field(ge=0.001, lt=1)] = 0.05
    """Largest share of experiments in which any verdict may be wrong, where nothing has an effect."""
    looks: Annotated[tuple[Positive, ...], Field(strict=False, max_length=100)] = ()
    """Numbers of seeds after which the claims are judged, each with a part of ``alpha``. ``seeds`` may then
    grow up to the last number, whatever earlier looks have said. By default once, after all seeds."""
    claims: Annotated[tuple[Claim, ...], Field(strict=False, max_length=MOST_CLAIMS)] = ()
    """What was expected before the run."""
    expect: dict[str, Literal["inert"]] = {}
    """Variants that are known to hold something that does nothing; the audit stops at any other."""
    published: Published | None = None
    """Figures of a publication, to be printed beside the measured ones."""

    @model_validator(mode="after")
    def _looks_can_be_taken(self) -> Self:
        if not self.looks:
            return self
        if self.search:
            raise FieldError("a search looks at its trials round by round", "looks")
        if any(later <= earlier for earlier, later in pairwise(self.looks)):
            raise FieldError("must be numbers of seeds that rise, such as [6, 9, 12]", "looks")
        if len(self.seeds) > self.looks[-1]:
            raise FieldError(
                f"{len(self.seeds)} seeds are more than the last look, at {self.looks[-1]}, may see", "seeds"
            )
        strictest = min(look.alpha for look in spend(self.looks, self.alpha)) / max(1, len(self.claims))
        if strictest < SMALLEST_P:
            raise FieldError(
                f"a look has {strictest:.1g} of alpha for a claim, and the sign-flip test gives no p below "
                f"{SMALLEST_P:.1g}: plan fewer looks, or make fewer claims",
                "looks",
            )
        return self


@cache
def spec_model(vocabulary: Vocabulary) -> type[ExperimentSpec]:
    """``ExperimentSpec`` whose claims and published results may be about all metrics of a vocabulary."""
    if vocabulary is OWN:
        return ExperimentSpec
    claim = retyped(Claim, metric=choice(vocabulary.figures))
    result = retyped(PublishedResult, metric=choice(vocabulary.figures))
    results = Annotated[tuple[result, ...], Field(strict=False, min_length=1)]  # type: ignore[valid-type]
    published = retyped(Published, results=results)
    claims = Annotated[tuple[claim, ...], Field(strict=False, max_length=MOST_CLAIMS)]  # type: ignore[valid-type]
    figure = choice(vocabulary.figures)
    constraint = retyped(Constraint, metric=figure)
    objectives = Annotated[tuple[figure, ...], Field(strict=False, min_length=1, max_length=3)]  # type: ignore[valid-type]
    constraints = Annotated[tuple[constraint, ...], Field(strict=False)]  # type: ignore[valid-type]
    search = retyped(Search, objectives=objectives, constraints=constraints)
    return retyped(ExperimentSpec, claims=claims, published=published | None, search=search | None)
