"""Documents of ``--json`` against their schemas."""

from __future__ import annotations

import jsonschema

from ablate.documents import document_schema


def validate(document: object, command: str) -> None:
    """What ``command`` has printed is as its schema says, and has no field that the schema does not name."""
    schema = document_schema(command)
    for part in schema["$defs"].values():
        part["additionalProperties"] = False
    jsonschema.validate(document, schema)
