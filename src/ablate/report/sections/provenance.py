"""Where the numbers come from: the runs, the code, the experiment's file."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import yaml

from ablate.report.blocks import Block, Code, Fold, Heading, Table, Text, code
from ablate.report.section import Section
from ablate.report.words import line
from ablate.scalars import Dumper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.report.results import Results


class Provenance(Section):
    """What it takes to find the runs and to run them again."""

    name = "provenance"

    def blocks(self, results: Results) -> list[Block]:
        """Always there."""
        record, baseline = results.record, results.baseline
        file = record.file or f"experiments/{record.name}.yaml"
        blocks: list[Block] = [
            Heading("Where the numbers come from"),
            Text(
                f"MLflow experiment {code(record.experiment_id)}, parent run {code(record.parent_run_id)}. "
                "Every run holds its parameters, per-epoch metrics, per-image scores and samples. "
                f"The figures of each run: [runs.csv]({quote(record.name)}/runs.csv)."
            ),
            Fold("The MLflow run of each variant and seed", [_runs(results)]),
        ]
        if record.provenance:
            entries = sorted(record.provenance.items(), key=lambda entry: entry[0].lower())
            blocks.append(Table([], [[name, line(str(value))] for name, value in entries], words=2))
        blocks += [
            Text("To run it again:"),
            Code("sh", _commands([file, *record.options], str(record.provenance.get("commit", "")))),
            Fold(f"The experiment, as it ran ({file})", [_yaml(_as_written(results))]),
        ]
        if baseline in record.configs:
            blocks.append(Fold(f"The whole configuration of {baseline}", [_yaml(record.configs[baseline])]))
        return blocks


def _runs(results: Results) -> Table:
    rows = [[run.variant, str(run.seed), run.status, code(run.run_id)] for run in results.runs.values()]
    return Table(["variant", "seed", "status", "MLflow run"], rows)


def _commands(arguments: Sequence[str], commit: str) -> str:
    run = shlex.join(["ablate", "run", *arguments])
    if not commit:
        return run
    changed = "  # and changes that were not committed" if commit.endswith("+") else ""
    return f"git checkout {commit.rstrip('+')}{changed}\n{run}"


def _as_written(results: Results) -> dict[str, Any]:
    """The spec in a form that runs again: with the design itself instead of what it expands to."""
    spec, expanded = dict(results.record.spec), set[str]()
    if spec.get("factors") or spec.get("leave_one_out"):
        expanded = {"baseline", "variants"}
    if results.searched:
        expanded = {"baseline", "variants", "claims"}
        spec["seeds"] = results.searched.seeds
    written = {field: value for field, value in spec.items() if value and field not in expanded}
    if claims := written.get("claims"):
        written["claims"] = [{field: value for field, value in claim.items() if value} for claim in claims]
    return written


def _yaml(mapping: Mapping[str, Any]) -> Code:
    """A mapping as YAML in its own order; tuples become lists."""
    plain = json.loads(json.dumps(mapping, default=str))
    return Code("yaml", yaml.dump(plain, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100))
