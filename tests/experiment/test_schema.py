"""The schema that editors read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import create_model

from ablate.experiment import yaml
from ablate.experiment.config import Config
from ablate.experiment.schema import json_schema
from ablate.fields import Model, meanings

SHIPPED = sorted(Path(__file__).parents[2].glob("experiments/*.yaml"))


def test_schema_is_json_and_says_what_it_is() -> None:
    schema = json.loads(json.dumps(json_schema()))
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["title"] == "ablate experiment"
    assert schema["required"] == ["question", "seeds"]
    assert schema["additionalProperties"] is False


def test_config_variants_parts_and_levels_are_partial_configurations() -> None:
    schema = json_schema()
    fields, config = schema["properties"], {"$ref": "#/$defs/Config"}
    assert fields["config"]["$ref"] == "#/$defs/Config"
    assert fields["variants"]["additionalProperties"] == config
    assert fields["leave_one_out"]["additionalProperties"] == config
    assert fields["factors"]["additionalProperties"]["additionalProperties"] == config
    assert list(schema["$defs"]["Config"]["properties"]) == list(Config.model_fields)
    for name, part in schema["$defs"].items():
        own = ("Claim", "Published", "PublishedResult", "Search", "Confirm", "Constraint", "Pruner")
        assert name in own or "required" not in part


class Shape(Model):
    """What stands below a class is not a field's."""

    size: int
    """Its edge,
    in pixels."""
    name: str


class Disc(Shape):
    size: int
    round: bool = True
    """Always."""


def test_a_field_means_what_stands_below_it_in_the_class_that_it_comes_from() -> None:
    assert meanings(Shape) == {"size": "Its edge,\nin pixels.", "name": ""}
    assert meanings(Disc) == {"size": "", "round": "Always.", "name": ""}
    assert meanings(create_model("Made", __base__=Disc)) == meanings(Disc)


VARIANTS = {"variants": {"a": {}}, "baseline": "a"}
FACTORS = {"factors": {"ema": {"off": {}, "on": {"ema": {"decay": 0.9}}}}}
RECIPE = {"leave_one_out": {"ema": {"ema": {"decay": 0.9}}}}


@pytest.mark.parametrize("design", [VARIANTS, FACTORS, RECIPE])
def test_each_design_agrees_with_the_schema(design: dict[str, Any]) -> None:
    jsonschema.validate({"question": "Why?", "seeds": [0], **design}, json_schema())


@pytest.mark.parametrize(
    "design",
    [
        {},
        {"variants": {"a": {}}},
        VARIANTS | FACTORS,
        FACTORS | RECIPE,
        FACTORS | {"baseline": "ema-off"},
        {"factors": {"ema": {"on": {}}}},
        {"factors": {"ema": {"on": {"emma": {}}, "off": {}}}},
        {"leave_one_out": {"a/b": {}}},
    ],
)
def test_what_is_no_design_does_not(design: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"question": "Why?", "seeds": [0], **design}, json_schema())


def test_fields_are_described_by_their_docstrings() -> None:
    parts = json_schema()["$defs"]
    assert parts["Ema"]["properties"]["start"]["description"] == "Epoch of the first update."
    assert "DDIMScheduler" in parts["Sample"]["properties"]["scheduler"]["enum"]


def test_profiles_are_offered() -> None:
    assert json_schema()["properties"]["profile"]["enum"] == ["maplestory", "sprites"]


def test_every_reference_leads_somewhere() -> None:
    schema = json_schema()

    def follow(node: Any) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                assert node["$ref"].removeprefix("#/$defs/") in schema["$defs"]
            for value in node.values():
                follow(value)
        elif isinstance(node, list):
            for value in node:
                follow(value)

    follow(schema)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_experiments_agree_with_the_schema(file: Path) -> None:
    jsonschema.validate(yaml.read(file).data, json_schema())
