"""The JSON schema of a spec file, with which editors complete fields and show what they mean.

``# yaml-language-server: $schema=…`` in the first line of a spec names the file it was saved in.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from ablate.experiment.config import config_model
from ablate.experiment.designs import DESIGNS
from ablate.experiment.load import profile_names
from ablate.experiment.names import NAME
from ablate.experiment.pruners import PRUNERS
from ablate.experiment.spec import spec_model
from ablate.fields import meanings
from ablate.vocabulary import OWN, Vocabulary


class _Described(GenerateJsonSchema):
    """With what each field means, and without a title for it, which would only repeat its name."""

    def model_schema(self, schema: Any) -> Any:
        made = super().model_schema(schema)
        for name, meaning in meanings(schema["cls"]).items():
            if meaning and name in made["properties"]:
                made["properties"][name]["description"] = meaning
        return made

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def json_schema(vocabulary: Vocabulary = OWN) -> dict[str, Any]:
    """The schema of a spec. Overrides, wherever they stand, are a ``Config`` with every field optional."""
    schema = spec_model(vocabulary).model_json_schema(schema_generator=_Described)
    config = config_model(vocabulary).model_json_schema(schema_generator=_Described)
    parts = config.pop("$defs")
    parts["Config"] = {**config, "description": "Overrides of the profile; what is left out stays."}
    for part in parts.values():
        # Any subset of fields is an override. Defaults would mislead: the profile's values hold.
        part.pop("required", None)
        for field in part.get("properties", {}).values():
            field.pop("default", None)
            _any_kind(field)
    for short in ("Components", "Part"):
        parts[short] = {
            "description": parts[short].pop("description"),
            "anyOf": [{"type": "string"}, parts[short]],
        }
    overrides = {"$ref": "#/$defs/Config"}
    fields = schema["properties"]
    fields["profile"]["enum"] = profile_names()
    fields["config"] = {"description": fields["config"]["description"], **overrides}
    fields["variants"] = _named(fields["variants"], overrides)
    fields["leave_one_out"] = _named(fields["leave_one_out"], overrides)
    levels = _named({"type": "object", "minProperties": 2}, overrides)
    fields["factors"] = _named(fields["factors"], levels)
    searched = schema["$defs"]["Search"]["properties"]
    searched["factors"] = _named(searched["factors"], levels)
    domain = searched["fields"]["additionalProperties"]
    searched["fields"]["additionalProperties"] = {"anyOf": [{"type": "array"}, domain]}
    searched["pruner"]["anyOf"].insert(0, {"enum": list(PRUNERS)})
    return {
        **schema,
        "oneOf": [{"required": [design]} for design in DESIGNS],
        "dependentRequired": {"variants": ["baseline"], "baseline": ["variants"]},
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "ablate experiment",
        "$defs": schema["$defs"] | parts,
    }


def _any_kind(field: dict[str, Any]) -> None:
    """Of a section that leaves out its ``kind``, several models may be right."""
    for place in (field, *field.get("anyOf", ())):
        if "oneOf" in place:
            place["anyOf"] = place.pop("oneOf")


def _named(field: dict[str, Any], inner: dict[str, Any]) -> dict[str, Any]:
    """A field that holds names → ``inner``, in words that editors understand."""
    kept = {key: value for key, value in field.items() if key in ("type", "description", "minProperties")}
    return {**kept, "propertyNames": {"pattern": NAME}, "additionalProperties": inner}
