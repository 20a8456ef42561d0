"""What to know before a run: what a plan cannot decide, what it ignores, and what is not here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablate.data.place import Embedded
from ablate.hardware import gpus
from ablate.parts.base import EMBEDDED_KIT
from ablate.parts.missing import mend, needed_parts, not_here
from ablate.stats import seeds_for_alpha, smallest_p, spend
from ablate.text import plural

if TYPE_CHECKING:
    from ablate.plan import Plan
    from ablate.store import Store


def warnings(plan: Plan) -> list[str]:
    """What to know before the run: entries of the store that are ignored, a folder that is not meant, several
    classes of device, too few seeds for the claims."""
    return [
        *_ignored(plan.store),
        *_folder_not_meant(plan),
        *_several_devices(plan),
        *_too_few_seeds(plan),
        *_between_looks(plan),
    ]


def _ignored(store: Store) -> list[str]:
    """Says that entries of another version of ablate take up room and nothing else."""
    if not (count := len(store.of_other_formats())):
        return []
    entries, are = ("entry", "is") if count == 1 else ("entries", "are")
    return [
        f"{count} {entries} in {store.address} {are} of another version of ablate: ignored, and can be "
        "deleted."
    ]


def _folder_not_meant(plan: Plan) -> list[str]:
    """Says that a folder has the name of the embedded data set, or of its kit, and is not what is read."""
    if not Path(Embedded.NAME).is_dir():
        return []
    configs = plan.experiment.variants.values()
    of_kit = any(part and part.source == EMBEDDED_KIT.name for each in configs for _, part in each.components)
    of_data = any(each.data.path == Embedded.NAME for each in configs)
    fields = [*(["data.path"] if of_data else []), *(["components"] if of_kit else [])]
    name = Embedded.NAME
    return [
        f"{field}: {name} is what comes with ablate, not the folder {name} that is here: that is ./{name}."
        for field in fields
    ]


def absent_parts(plan: Plan) -> list[str]:
    """Says which parts a run would lack, and what gets them. The run itself refuses to begin without them.

    Raises:
        ComponentError: a part can be nowhere.
    """
    experiment = plan.experiment
    commands: dict[str, list[str]] = {}
    needed = (part for config in experiment.variants.values() for part in needed_parts(config))
    for part, source in not_here(needed):
        commands.setdefault(mend(part, source, experiment.spec.profile), []).append(part.label)
    return [
        f"not on this machine: {', '.join(labels)}. Before the run: {command}"
        for command, labels in commands.items()
    ]


def _several_devices(plan: Plan) -> list[str]:
    """Says that variants would be compared over devices, and which GPUs of this machine nothing runs on."""
    said = []
    if len(plan.devices) > 1:
        classes = "; ".join(f"{', '.join(variants)} on {device}" for device, variants in plan.devices.items())
        said.append(
            f"the variants run on different classes of device, so pairs compare these too: {classes}."
        )
    if any(run.keys.numerics["device"] == "cuda" for run in plan.runs):
        first, *others = gpus() or ("",)
        if others := sorted({name for name in others if name != first}):
            said.append(
                f"this machine has other GPUs as well ({', '.join(others)}): everything runs on {first}, so "
                "that pairs are compared on one class of device. CUDA_VISIBLE_DEVICES chooses another."
            )
    return said


def _too_few_seeds(plan: Plan) -> list[str]:
    """Says that no p value can be small enough. Claims of "equal" have another test, without such a limit."""
    spec = plan.experiment.spec
    if spec.search and spec.search.confirm:
        seeds = len(spec.search.confirm.seeds)
        too_few = _cannot_decide(spec.search.claims, seeds, spec.alpha)
        return [f"search.confirm: {plural(seeds, 'seed')} cannot decide {too_few}"] if too_few else []
    claims = len(spec.claims)
    if all(claim.direction == "equal" for claim in spec.claims):
        return []
    if not spec.looks:
        seeds, too_few = len(spec.seeds), _cannot_decide(claims, len(spec.seeds), spec.alpha)
        return [f"{plural(seeds, 'seed')} cannot decide {too_few}"] if too_few else []
    return [
        f"the look at {plural(look.seeds, 'seed')} cannot decide {too_few}"
        for look in spend(spec.looks, spec.alpha)
        if (too_few := _cannot_decide(claims, look.seeds, look.alpha))
    ]


def _cannot_decide(claims: int, seeds: int, alpha: float) -> str:
    """Why no claim can be decided with these seeds at this level; empty if one can."""
    if smallest_p(seeds) <= alpha / claims:
        return ""
    return (
        f"whether something is higher or lower: the exact sign-flip test gives no p below "
        f"{smallest_p(seeds):.2g}, and α = {alpha:.3g} over {plural(claims, 'claim')} (Holm) asks for "
        f"{alpha / claims:.2g}. {seeds_for_alpha(claims, alpha)} seeds could."
    )


def _between_looks(plan: Plan) -> list[str]:
    """Says that some seeds are in no look."""
    looks, seeds = plan.experiment.spec.looks, len(plan.experiment.spec.seeds)
    if not looks or seeds in looks:
        return []
    seen = max((n for n in looks if n < seeds), default=0)
    judged = f"the claims are judged with the first {seen}" if seen else "no claim is judged"
    planned = ", ".join(map(str, looks))
    return [f"no look is planned at {plural(seeds, 'seed')} (but at {planned}), so {judged}."]
