"""A plan as plain data, with stable names: what ``ablate plan --json`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.experiment.designs import describe
from ablate.looking.warnings import absent_parts, warnings
from ablate.runner.forecast import disk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ablate.documents import experiments
    from ablate.plan import Plan
    from ablate.runner.forecast import Forecast


def plan_as_data(
    plan: Plan,
    reasons: Mapping[str, Sequence[str]],
    expected: Forecast | None,
    workers: int | None = None,
    price: float | None = None,
) -> experiments.Plan:
    """What would run, why, and what it costs; ``expected`` is None where nothing has to run."""
    spec, missing = plan.experiment.spec, plan.epochs_to_train()
    return {
        "experiment": plan.experiment.name,
        "question": spec.question,
        "design": describe(spec),
        "baseline": spec.baseline,
        "variants": {name: dict(spec.variants.get(name, {})) for name in plan.experiment.variants},
        "runs": [
            {
                "variant": run.variant,
                "seed": run.seed,
                "key": run.keys.evaluate,
                "prepared": plan.store.has("prepare", run.keys.prepare),
                "sampled": plan.store.has("sample", run.keys.sample),
                "measured": plan.store.has("evaluate", run.keys.evaluate),
            }
            for run in plan.runs
        ],
        "segments": [
            {
                "key": segment.key,
                "seed": segment.runs[0].seed,
                "variants": list(dict.fromkeys(run.variant for run in segment.runs)),
                "begin": segment.begin,
                "end": segment.end,
                "observers": len(segment.observers),
                "epochs_to_train": missing.get(segment.key, 0),
            }
            for segment in plan.segments
        ],
        "steps": {
            "asked": plan.steps_asked,
            "unique": plan.steps_unique,
            "to_train": plan.steps_to_train,
        },
        "devices": plan.devices,
        "reasons": {stage: list(lines) for stage, lines in reasons.items()},
        "warnings": [*absent_parts(plan), *warnings(plan)],
        "cost": None if expected is None else _cost(plan, expected, workers, price),
    }


def _cost(plan: Plan, expected: Forecast, workers: int | None, price: float | None) -> experiments.Cost:
    """Hours, times and money; null where nobody has measured what they follow from."""
    known = expected.known
    sizes = expected.worthwhile(workers) if known else {}
    return {
        "unknown": list(expected.unknown),
        "sources": list(expected.sources),
        "device": expected.device,
        "hours": expected.hours if known else None,
        "price": expected.hours * price if known and price is not None else None,
        "disk_bytes": disk(plan, workers or 1),
        "workers": [
            {
                "workers": size,
                "seconds": found.makespan,
                "least_seconds": found.bound,
                "price": None if price is None else expected.price(found, price),
            }
            for size, found in sizes.items()
        ],
    }
