"""The documents that ``--json`` prints, and their JSON schemas: ``ablate schema --json-of plan``.

What makes a document has its type here as its own, so mypy sees a field that is missing or has another name.
Fields stay as they are; new ones may be added.
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, create_model
from pydantic.json_schema import GenerateJsonSchema

from ablate.documents import checks, experiments, house, runs
from ablate.errors import UserError

DOCUMENTS: dict[str, Any] = {
    "plan": experiments.Plan,
    "audit": list[experiments.Finding],
    "verify": experiments.Verification,
    "show": runs.Shown,
    "compare": runs.Comparison,
    "next": experiments.Next,
    "status": house.Status,
    "gc": house.Removable,
    "rm": house.Doomed,
    "doctor": list[checks.Answer],
    "data check": checks.DataCheck,
    "kit check": checks.KitCheck,
}
"""Command → what it prints with ``--json``."""


class _Untitled(GenerateJsonSchema):
    """Without titles of fields, which would only repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def document_schema(command: str) -> dict[str, Any]:
    """The JSON schema of what a command of ``DOCUMENTS`` prints.

    It is open, because a later version may add fields.

    Raises:
        UserError: there is no such command.
    """
    if command not in DOCUMENTS:
        fix = f"There are: {', '.join(DOCUMENTS)}."
        raise UserError("no such command has --json", where=f"--json-of {command}", fix=fix)
    read_below = ConfigDict(use_attribute_docstrings=True)  # what stands below each field
    holder = create_model("Holder", __config__=read_below, document=(DOCUMENTS[command], ...))
    schema = holder.model_json_schema(schema_generator=_Untitled)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"ablate {command} --json",
        **schema["properties"]["document"],
        "$defs": schema["$defs"],
    }
