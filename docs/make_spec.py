"""Writes ``docs/spec.md`` from the models of ``ablate.experiment``: ``python docs/make_spec.py``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.experiment.config import (
    Components,
    Compute,
    Config,
    Data,
    Evaluate,
    Losses,
    Noise,
    Part,
    Sample,
    Track,
    Train,
    UNet,
)
from ablate.experiment.load import load_profile, profile_names
from ablate.experiment.pruners import Pruner
from ablate.experiment.schema import json_schema
from ablate.experiment.search import Confirm, Constraint, Domain, Search
from ablate.experiment.spec import Claim, ExperimentSpec, Published, PublishedResult
from ablate.factors import LOSSES, LR_SCHEDULES, OBSERVERS, WEIGHTINGS
from ablate.factors.augmentation import Augmentation
from ablate.fields import meanings

if TYPE_CHECKING:
    from pydantic import BaseModel

PAGE = Path(__file__).parent / "spec.md"

OUTER: dict[str, type[BaseModel]] = {
    "A search": Search,
    "A domain": Domain,
    "A constraint": Constraint,
    "A pruner": Pruner,
    "A confirmation": Confirm,
    "A claim": Claim,
    "Published figures": Published,
    "A published figure": PublishedResult,
}
"""Title → model of the fields of an experiment that are not a variant's configuration."""

SECTIONS: dict[str, tuple[type[BaseModel], ...]] = {
    "components": (Components, Part),
    "data": (Data,),
    "unet": (UNet,),
    "noise": (Noise,),
    "train": (Train,),
    "lr_schedule": tuple(LR_SCHEDULES.values()),
    "losses": (Losses,),
    **{loss.field: (loss,) for loss in LOSSES.values() if loss.field},
    "weighting": tuple(WEIGHTINGS.values()),
    "augmentation": (Augmentation,),
    "ema": tuple(OBSERVERS.values()),
    "sample": (Sample,),
    "evaluate": (Evaluate,),
    "track": (Track,),
    "compute": (Compute,),
}
"""Part of a variant's configuration → the models that describe it."""

REFERENCES = {
    "Betas": "β as in [noise](#noise)",
    "Config": "overrides",
    "Noise": "as [noise](#noise)",
    "Part": "part",
}
"""Model → how a field that holds one is called."""

TYPES = {
    "boolean": "`true` or `false`",
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "object": "mapping",
    "null": "`null`",
    "any": "single value, or a list",
}
"""JSON's types in words."""

HEAD = """\
# The spec

Generated from the models by `python docs/make_spec.py`; do not edit.

Look up here what a field means and which values it takes. An experiment is one YAML file. The configuration
of a variant is made in four layers: its **profile**, the spec's `config`, `--set` from the command line,
and the variant's overrides. Each layer overrides the one before; mappings are merged key by key. `null`
switches something off. A mapping in place of `null` switches it on again, with defaults for the fields that
it leaves out. Unknown fields are refused, and a mistake is shown with its line.

`ablate schema > experiment.schema.json` writes the JSON schema. With it, editors can complete fields.

A **position** is an epoch (`130`) or a share of all epochs (`43%`). Epochs count from 0:
`0` is the first one.

## The experiment

"""

DESIGN = """\
### The design

An experiment has one of four designs. Three of them are fixed and have at most 256 variants. [Design an
experiment](experiments.md) says when to choose which.

**`variants`**, one at a time: you write out each variant, and `baseline` names the one that the others are
compared with.

<!-- planned only: the designs are run in experiments.md, a search in tests/test_search.py -->
```yaml
question: Does an average of the weights help?
baseline: plain
variants:
  plain: {}
  averaged:
    ema: {decay: 0.995}
seeds: [0, 1, 2, 3, 4, 5]
```

**`factors`**, a full factorial: one variant for each combination of levels. Its name is `<factor>-<level>`
for each factor, joined by dots. The first levels make the baseline, here `lpips-off.ema-off`.

<!-- planned only: the designs are run in experiments.md, a search in tests/test_search.py -->
```yaml
question: Do LPIPS and an average of the weights help, and do they help each other?
factors:
  lpips:
    off: {}
    on:
      losses: {lpips: {weight: 0.1}}
  ema:
    off: {}
    on:
      ema: {decay: 0.995}
seeds: [0, 1, 2, 3, 4, 5]
```

**`leave_one_out`**, the parts of a recipe: the baseline `full` has all of them, each overriding the ones
before, and `no-<part>` has all except one.

<!-- planned only: the designs are run in experiments.md, a search in tests/test_search.py -->
```yaml
question: Which part of the recipe is needed?
leave_one_out:
  lpips:
    losses: {lpips: {weight: 0.1}}
  ema:
    ema: {decay: 0.995}
seeds: [0, 1, 2, 3, 4, 5]
```

**`search`**: a sampler proposes trials, round by round, over the ranges and options that you give.
[Search for a setting](search.md) says how. The baseline `baseline` is the profile with `config`.

<!-- planned only: the designs are run in experiments.md, a search in tests/test_search.py -->
```yaml
question: Which sampling is best?
search:
  fields:
    sample.steps: {low: 4, high: 24, log: true}
    sample.guidance: {low: 1, high: 3}
  objectives: [fid]
  trials: 20
  confirm: {best: 2, seeds: [1, 2, 3, 4, 5, 6, 7]}
seeds: [0]
```

A name has 1 to 64 letters, digits and `. _ -`; this also holds for the combined names of variants. You can
write numbers, `on` and `off` as names without quotes; `true`, `false` and `null` need quotes.

"""

EXPECT = """\
### What is expected

The probability that any verdict of the experiment is wrong is at most `alpha`, however many claims it has
(Holm's correction). *n* seeds give no *p* below 2^(1−n), so more claims need more seeds. `ablate plan` warns
if there are too few, and says how many would be enough.

`expect` names variants that are known to hold something without effect. If the audit finds such a thing in
any other variant, it stops the run. `published` has results from elsewhere, which the report prints next to
its own.

<!-- planned only: the designs are run in experiments.md, a search in tests/test_search.py -->
```yaml
question: Does a published loss do anything?
baseline: plain
variants:
  plain: {}
  as-published:
    losses: {kl: {form: as-published}}
seeds: [0, 1, 2, 3, 4, 5]
alpha: 0.05
claims:
  - text: The KL loss improves FID.
    source: A paper, section 4
    variant: as-published
    against: plain
    metric: fid
    direction: lower
expect:
  as-published: inert
published:
  source: A paper, table 2
  setting: other data at 256 px, 300 epochs, FID in the features of Inception
  results:
    - {metric: fid, value: 12.3, baseline: 13.4, variant: as-published}
```

"""

BODY = """\
## The configuration

`config` and each variant may override any of these fields. The last columns show the values of the profiles.

"""


def page() -> str:
    """The whole page."""
    schema = json_schema()
    parts = [HEAD, table(ExperimentSpec, schema["properties"], {}), "\n", DESIGN, EXPECT]
    for title, model in OUTER.items():
        fields = schema["$defs"][model.__name__]["properties"]
        parts += [f"### {title}\n\n", paragraph(model), table(model, fields, {}), "\n"]
    parts.append(BODY)
    profiles = {name: load_profile(name) for name in profile_names()}
    covered = {name.split(".")[0] for name in SECTIONS}
    assert covered == set(Config.model_fields), "a part of the configuration is missing here"
    for name, models in SECTIONS.items():
        parts.append(f"### {name}\n\n")
        for model in models:
            schema = model.model_json_schema()
            values = {profile: dig(data, name) for profile, data in profiles.items()}
            if model is Part:
                parts.append("A part is a string, which is its `source`, or:\n\n")
                values = {}
            else:
                parts.append(paragraph(model))
            parts += [table(model, schema["properties"], values), "\n"]
    return "".join(parts).rstrip() + "\n"


def paragraph(model: type[BaseModel]) -> str:
    """What a model's docstring says."""
    return flat(model.__doc__ or "") + "\n\n"


def table(model: type[BaseModel], properties: dict[str, Any], profiles: dict[str, Any]) -> str:
    """A row a field: name, values, meaning, and the profiles' values."""
    head = ["field", "values", "meaning", *profiles]
    rows = [head, [":--"] * len(head)]
    said = meanings(model)
    for name, field in model.model_fields.items():
        meaning = flat(said.get(name, ""))
        off = not all(isinstance(values, dict) for values in profiles.values())
        if (off or not profiles) and not field.is_required() and field.default not in ("", {}):
            meaning = f"{meaning} Default: {shown(field.default)}.".strip()
        rows.append([f"`{name}`", kind(properties[name]), meaning or "–"])
        for values in profiles.values():
            rows[-1].append(shown(values.get(name)) if isinstance(values, dict) else "off")
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def kind(schema: dict[str, Any]) -> str:
    """Which values a field takes, in words."""
    if "anyOf" in schema:
        options = list(dict.fromkeys(kind(option) for option in schema["anyOf"]))
        return "position" if "percentage" in options else " or ".join(options)
    if "$ref" in schema:
        return REFERENCES.get(schema["$ref"].rsplit("/", 1)[1], "mapping")
    if choices := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        return ", ".join(f"`{value}`" for value in choices)
    if schema.get("type") == "array":
        return f"list: {kind(schema['items'])}"
    return (
        "percentage"
        if "%" in schema.get("pattern", "")
        else TYPES[schema.get("type", "any")] + bounds(schema)
    )


def bounds(schema: dict[str, Any]) -> str:
    """`` > 0, < 1``: the limits of a number that a reader would want to know."""
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [
        f"{sign} {schema[name]:g}" for name, sign in signs.items() if abs(schema.get(name, 1e9)) < 1_000_000
    ]
    return f" {', '.join(limits)}" if limits else ""


def shown(value: Any) -> str:
    """A value as YAML writes it; a mapping in full stands in its own section."""
    match value:
        case None:
            return "`null`"
        case dict() if value:
            if set(value) == {"source", "subfolder"}:
                return f"`{value['source']}`" + (f" / `{value['subfolder']}`" if value["subfolder"] else "")
            return "see below"
        case list() | tuple():
            return "`[" + ", ".join(map(str, value)) + "]`"
        case _:
            return f"`{value}`"


def dig(data: Any, path: str) -> Any:
    """``data["losses"]["lpips"]`` for ``losses.lpips``."""
    for key in path.split("."):
        data = data[key]
    return data


def flat(text: str) -> str:
    """A docstring in one line of Markdown."""
    text = re.sub(r"``(.+?)``", r"`\1`", re.sub(r"\s+", " ", text).strip())
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
