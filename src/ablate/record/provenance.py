"""What an experiment is and where its results come from: its identity, the code, the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ablate.hardware import device_class, words
from ablate.store.files import key_of

if TYPE_CHECKING:
    from ablate.plan import Plan

PACKAGES = ("torch", "diffusers", "transformers", "lpips", "open_clip_torch", "clean-fid", "mlflow", "optuna")


def spec_record(plan: Plan) -> dict[str, Any]:
    """The resolved spec and each variant's whole configuration, as they go into the parent run."""
    experiment = plan.experiment
    searching = experiment.spec.search is not None
    made = {
        "name": experiment.name,
        "file": os.path.relpath(experiment.file) if experiment.file.name else "",
        "options": list(experiment.options),
        "spec": experiment.spec.model_dump(mode="json", exclude=None if searching else {"search"}),
        "configs": {name: config.model_dump(mode="json") for name, config in experiment.variants.items()},
    }
    if searching:
        seeds, pruned = len(experiment.spec.seeds), experiment.pruned
        made["search"] = {
            "proposals": [asdict(proposal) for proposal in experiment.proposals],
            "confirmed": list(experiment.confirmed),
            "trained": dict(experiment.trained),
            "scored": [asdict(scored) for scored in experiment.scored],
            "asked": {
                run.variant: seeds * run.keys.config.train.epochs * plan.steps_per_epoch(run)
                for run in plan.runs
                if run.variant in pruned
            },
        }
    return made


def spec_key(plan: Plan) -> str:
    """The identity of a resolved spec: what its parent run is found again by.

    Without defaults, so that a field that is new in a later version leaves recorded experiments as they are.
    Without ``compute.gpus``, which may change between two commands: it only says how many tasks share a GPU.
    Without what a search has proposed: that is its result.
    """
    experiment = plan.experiment
    spec = experiment.spec.model_dump(mode="json", exclude_defaults=True)
    variants = experiment.variants
    if experiment.spec.search:
        spec = {name: value for name, value in spec.items() if name not in ("variants", "claims")}
        variants = {experiment.spec.baseline: variants[experiment.spec.baseline]}
    configs = {
        name: config.model_dump(mode="json", exclude_defaults=True, exclude={"compute": {"gpus"}})
        for name, config in variants.items()
    }
    return key_of({"name": plan.experiment.name, "spec": spec, "configs": configs})


def provenance(plan: Plan) -> dict[str, str]:
    """Commit, Python, platform, device and the packages' versions."""
    compute = next(iter(plan.experiment.variants.values())).compute
    return {
        "ablate": version("ablate"),
        "commit": git_commit(),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": words(device_class(compute.device)),
        **{package: version(package) for package in PACKAGES},
        **{f"plug-in {plugin.name}": plugin.digest for plugin in plan.experiment.vocabulary.plugins},
    }


def git_commit() -> str:
    """The commit of the working folder, ``+`` if files differ from it; empty outside a repository."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + "+" * bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return ""
