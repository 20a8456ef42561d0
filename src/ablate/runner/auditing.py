"""The audit of an experiment by a worker, and what is refused for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.experiment.problems import locate, refuse
from ablate.experiment.trials import probed
from ablate.parts.missing import require_parts
from ablate.plan import regrown
from ablate.records import DIFFERENCE
from ablate.runner.executors.local import LocalExecutor
from ablate.runner.graph import Task, ask
from ablate.runner.preflight import try_variants
from ablate.runner.tasks import audit, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ablate.experiment.load import Experiment
    from ablate.experiment.problems import Problem
    from ablate.plan import Plan
    from ablate.progress import RunProgress
    from ablate.records import Finding
    from ablate.runner.graph import Executor


def probes_of(plan: Plan) -> Plan:
    """What is tried and audited before the work: an experiment itself; of a search, the ends of its space."""
    return regrown(plan, probed(plan.experiment)) if plan.experiment.spec.search else plan


def audit_experiment(plan: Plan, progress: RunProgress) -> list[Finding]:
    """What acts in each variant of an experiment (of ``probes_of`` it), asked with its first seed. Shows it
    as well.

    Raises:
        UserError: a variant cannot be sampled or measured.
    """
    require_parts(plan.experiment.variants.values(), plan.experiment.spec.profile)
    with LocalExecutor.of(plan, 1) as executor:
        try_variants(plan, executor, progress)
        return ask_audit(plan, executor, progress)


def ask_audit(plan: Plan, executor: Executor, progress: RunProgress) -> list[Finding]:
    """As ``audit_experiment``, asked of an executor that is there."""
    spec = plan.experiment.spec
    variants = {
        name: [run.keys for run in plan.runs if run.variant == name] for name in plan.experiment.variants
    }
    progress.note("audit", "a few steps of each variant")

    question = Task("audit", (), audit, (variants, spec.baseline, tuple(spec.expect)), ())
    findings: list[Finding] = ask(question, executor, lambda event: show(event, progress))
    progress.findings(findings)
    return findings


def refuse_inert(findings: Sequence[Finding], experiment: Experiment) -> None:
    """Stops at what was meant to act and does not.

    Raises:
        UserError: findings are inert and not expected to be; each with the line of its field.
    """
    inert = [finding for finding in findings if finding.act == "inert" and not finding.expected]
    expected = ", ".join(f"{name}: inert" for name in dict.fromkeys(finding.variant for finding in inert))
    fix = (
        "Narrow the space of the search, or --no-audit runs without the check."
        if experiment.spec.search
        else f"Change it or remove it. If it is what you study, write `expect: {{{expected}}}`; --no-audit "
        "runs without the check."
    )
    # Where a field of a variant does nothing, that the whole does nothing follows.
    named = {finding.variant for finding in inert if finding.about != DIFFERENCE}
    told = [finding for finding in inert if finding.about != DIFFERENCE or finding.variant not in named]
    refuse((_does_nothing(finding, experiment, fix) for finding in told), experiment.name)


def _does_nothing(finding: Finding, experiment: Experiment, fix: str) -> Problem:
    """Where the variant itself is written, even if it says of its field only what the profile says."""
    layers = experiment.layers[finding.variant]
    own = [layer for layer in layers if layer.prefix[:1] not in ((), ("config",))]
    path = () if finding.about == DIFFERENCE else tuple(finding.about.split("."))
    return locate(path, own or layers).problem(path, f"does nothing: {finding.reason}", fix)
