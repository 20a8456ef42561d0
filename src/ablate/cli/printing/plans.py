"""What is printed of an experiment before it runs: its variants, its trunks, its cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from ablate.cli.printing import out, print_table
from ablate.experiment.designs import describe
from ablate.looking.warnings import absent_parts, warnings
from ablate.plan import drawn_at_random
from ablate.text import duration, in_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ablate.plan import Plan
    from ablate.runner.forecast import Forecast


def print_plan(plan: Plan, reasons: dict[str, list[str]]) -> None:
    """The design, variants × seeds, the trunks, steps to train against steps asked for, and why."""
    spec, said = plan.experiment.spec, [*absent_parts(plan), *warnings(plan)]
    out().print(f"[bold]{escape(spec.question)}[/]\n{escape(describe(spec))}\n")
    _print_variants(plan)
    _print_trunks(plan)
    asked, unique, missing = plan.steps_asked, plan.steps_unique, plan.steps_to_train
    out().print(
        f"Optimizer steps: {asked} asked for, {unique} unique "
        f"([bold]{unique / asked:.1%}[/] of those asked for), {missing} still to train."
    )
    if spec.search:
        guess = drawn_at_random(plan)
        out().print(
            f"The search asks for {guess.steps_asked} steps in all, the baseline's included. If its "
            f"{spec.search.trials} trials were drawn at random, {guess.steps_unique} "
            f"([bold]{guess.steps_unique / guess.steps_asked:.1%}[/]) would be trained."
        )
    if marks := plan.experiment.marks:
        after = ", ".join(mark.words for mark in marks)
        out().print(f"That is the most: trials are pruned after {after}, and trained no further.")
    stored = {
        stage: sum(plan.store.has(stage, getattr(run.keys, stage)) for run in plan.runs)
        for stage in ("prepare", "sample", "evaluate")
    }
    total = len(plan.runs)
    out().print(
        f"In the store: prepared data for {stored['prepare']} of {total} runs, samples of "
        f"{stored['sample']}, results of {stored['evaluate']}."
    )
    out().print(f"Class of device: {escape('; '.join(plan.devices))}.")
    if not reasons:
        out().print("Nothing has to run.")
    for stage, lines in reasons.items():
        shown = "; ".join(lines[:6]) + (f"; and {len(lines) - 6} more" if len(lines) > 6 else "")
        out().print(f"[bold]{stage}[/] has to run: {escape(shown)}")
    print_warnings(said)


def print_cost(plan: Plan, expected: Forecast, workers: int | None, price: float | None) -> None:
    """What a plan takes: hours, time for numbers of workers, disk, money; or what of it nobody knows."""
    from ablate.runner.forecast import disk

    if not expected.known:
        what = f" of: {escape('; '.join(expected.unknown))}" if expected.sources else ""
        out().print(
            f"Cost: not known. No run in this store has measured the time{what}. --measure takes a few steps "
            f"of it, or run the first seed (--seeds {plan.experiment.spec.seeds[0]})."
        )
        return
    hours, device = expected.hours, expected.device
    money = f", {hours * price:.2f} at {price:g} an hour" if price is not None else ""
    needed = disk(plan, workers or 1)
    room = f" At least {in_bytes(needed)} of disk." if needed is not None else ""
    ground = escape(expected.ground)
    out().print(f"Cost: {hours:.2f} {device}-hours{money}, by what {ground} took.{room}")
    head = ["workers", "time", "no order can beat"]
    head += ["price, all paid to the end"] if price is not None else []
    rows: list[list[str]] = []
    for size, found in expected.worthwhile(workers).items():
        rows.append([str(size), duration(found.makespan), duration(found.bound)])
        if price is not None:
            rows[-1].append(f"{expected.price(found, price):.2f}")
    print_table(head, rows)


def print_warnings(said: Iterable[str]) -> None:
    """What is worth knowing before the run and does not stop it."""
    for warning in said:
        out().print(f"[bold yellow]warning:[/] {escape(warning)}")


def _print_variants(plan: Plan) -> None:
    spec = plan.experiment.spec
    rows = []
    for name in plan.experiment.variants:
        runs = [run for run in plan.runs if run.variant == name]
        done = sum(plan.store.has("evaluate", run.keys.evaluate) for run in runs)
        label = f"{name} (baseline)" if name == spec.baseline else name
        overrides = escape(_words(spec.variants.get(name, {})) or "–")
        rows.append([label, overrides, ", ".join(str(r.seed) for r in runs), f"{done} of {len(runs)}"])
    print_table(["variant", "overrides", "seeds", "results in the store"], rows)


def _print_trunks(plan: Plan) -> None:
    """One line for each segment that differs in more than its seed."""
    missing = plan.epochs_to_train()
    shapes: dict[tuple[int, int, tuple[str, ...], int], list[tuple[int, int]]] = {}
    for segment in plan.segments:
        variants = tuple(dict.fromkeys(run.variant for run in segment.runs))
        shape = (segment.begin, segment.end, variants, len(segment.observers))
        shapes.setdefault(shape, []).append((segment.runs[0].seed, missing.get(segment.key, 0)))
    rows = []
    for (begin, end, variants, observers), each in shapes.items():
        seeds = ", ".join(str(seed) for seed, _ in each)
        epochs = sum(epochs for _, epochs in each)
        rows.append([f"epochs {begin}–{end}", ", ".join(variants), str(observers), seeds, str(epochs)])
    print_table(["trained once", "for the variants", "EMA observers", "seeds", "epochs to train"], rows)


def _words(overrides: object, prefix: str = "") -> str:
    if not isinstance(overrides, dict):
        return f"{prefix} = {overrides}"
    return ", ".join(
        _words(value, f"{prefix}.{name}" if prefix else str(name)) for name, value in overrides.items()
    )
