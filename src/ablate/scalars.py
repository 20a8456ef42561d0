"""What is a number, a truth value or nothing in YAML 1.2, where any other plain word is text; and how to
write YAML that is read like this.

PyYAML follows YAML 1.1: to it ``off`` is a truth value, and ``1e-3`` is text.
"""

from __future__ import annotations

import re

import yaml

TAGS = "tag:yaml.org,2002:"
NULL, BOOL, INT, FLOAT, MERGE = (TAGS + kind for kind in ("null", "bool", "int", "float", "merge"))

# Of YAML 1.2's core schema.
_PATTERNS = (
    (NULL, r"~|null|Null|NULL|"),
    (BOOL, r"true|True|TRUE|false|False|FALSE"),
    (INT, r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    (FLOAT, r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"),
    (FLOAT, r"[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN"),
    (MERGE, r"<<"),
)
SCALARS = [(tag, re.compile(rf"^(?:{pattern})\Z")) for tag, pattern in _PATTERNS]
"""Tag → what a plain scalar of it looks like."""


class Dumper(yaml.SafeDumper):
    """PyYAML's, which also quotes a text that only YAML 1.2 takes for a number, such as ``1e3``."""

    yaml_implicit_resolvers = {**yaml.SafeDumper.yaml_implicit_resolvers, None: SCALARS}  # noqa: RUF012
