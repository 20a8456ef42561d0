"""Writes ``docs/spec.md`` from the models of ``ablate.spec.config``: ``python docs/make_spec.py``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.spec.config import (
    Augmentation,
    Claim,
    Components,
    Compute,
    Config,
    Data,
    Ema,
    Evaluate,
    ExperimentSpec,
    Kl,
    Losses,
    Lpips,
    Noise,
    Part,
    Sample,
    Track,
    Train,
    UNet,
)
from ablate.spec.load import load_profile, profile_names
from ablate.spec.schema import json_schema

if TYPE_CHECKING:
    from pydantic import BaseModel

PAGE = Path(__file__).parent / "spec.md"

SECTIONS: dict[str, tuple[type[BaseModel], ...]] = {
    "components": (Components, Part),
    "data": (Data,),
    "unet": (UNet,),
    "noise": (Noise,),
    "train": (Train,),
    "losses": (Losses,),
    "losses.lpips": (Lpips,),
    "losses.kl": (Kl,),
    "augmentation": (Augmentation,),
    "ema": (Ema,),
    "sample": (Sample,),
    "evaluate": (Evaluate,),
    "track": (Track,),
    "compute": (Compute,),
}
"""Part of a variant's configuration → the models that describe it."""

REFERENCES = {"Config": "overrides", "Noise": "as [noise](#noise)", "Part": "part"}
"""Model → how a field that holds one is called."""

TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "object": "mapping",
    "null": "`null`",
}
"""JSON's types in words."""

HEAD = """\
# The spec

Generated from the models by `python docs/make_spec.py`; do not edit.

An experiment is one YAML file. A variant's configuration is its **profile**, then the spec's `config`,
then `--set` from the command line, then the variant's own overrides; each is put onto the one before,
mappings key by key. `null` switches something off. Unknown fields are refused, and a mistake is shown
with its line.

`ablate schema > experiment.schema.json` writes the JSON schema, with which editors complete fields.

A **position** is an epoch (`130`) or a share of all epochs (`43%`).

## The experiment

"""

BODY = """\
## The configuration

`config` and each variant may override any of these fields. The last columns are the profiles' values.

"""


def page() -> str:
    """The whole page."""
    definitions = json_schema()["$defs"]
    parts = [HEAD, table(ExperimentSpec, json_schema()["properties"], {}), "\n### A claim\n\n"]
    parts += [paragraph(Claim), table(Claim, definitions["Claim"]["properties"], {}), "\n", BODY]
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
    for name, field in model.model_fields.items():
        meaning = flat(field.description or "")
        off = not all(isinstance(values, dict) for values in profiles.values())
        if (off or not profiles) and not field.is_required() and field.default != "":
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
    if schema["type"] == "array":
        return f"list: {kind(schema['items'])}"
    return "percentage" if "%" in schema.get("pattern", "") else TYPES[schema["type"]] + bounds(schema)


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
