"""Synthetic experiments: what MLflow would give back, from seeded random numbers."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ablate.records import ExperimentRecord, Finding, RunRecord, Verification
from ablate.report.results import Results, gather
from ablate.report.write import write_report
from ablate.vocabulary import OWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

EPOCHS, STEPS = 12, 48
ONSET = 8
"""Epoch at which the variants with LPIPS leave the others' trunk."""

EFFECTS = {
    "none": (0.0, 0.0, 0.0, 0.0, 0.0),
    "from-start": (-4.0, -0.004, 0.008, 0.004, 0.02),
    "mid-way-stale": (12.3, 0.011, -0.02, -0.012, -0.15),
    "lpips-late": (0.3, 0.0005, 0.004, -0.001, 0.0),
    "as-published": (0.0, 0.0, 0.0, 0.0, 0.0),
}
"""Shift of FID, KID, CLIP-I, CLIP-T against the baseline, and of the accuracies."""

OVERRIDES: dict[str, dict[str, Any]] = {
    "none": {},
    "from-start": {"ema": {"decay": 0.99, "start": "0%"}},
    "mid-way-stale": {"ema": {"decay": 0.99, "start": "50%", "shadow": "initial"}},
    "lpips-late": {"losses": {"lpips": {"weight": 0.1, "start": ONSET}, "kl": None}},
    "as-published": {
        "losses": {"lpips": {"weight": 0.1, "start": ONSET, "form": "as-published"}, "kl": None}
    },
}
CLAIMS: list[dict[str, Any]] = [
    {
        "text": "EMA added in the middle made results worse.",
        "source": "a README",
        "variant": "mid-way-stale",
        "against": "none",
        "metric": "fid",
        "direction": "higher",
    },
    {
        "text": "EMA from the start costs agreement with the prompt.",
        "variant": "from-start",
        "against": "none",
        "metric": "clip_t",
        "direction": "lower",
    },
    {
        "text": "LPIPS improves results.",
        "source": "a README",
        "variant": "lpips-late",
        "against": "none",
        "metric": "fid",
        "direction": "lower",
        "must": "supported",
    },
    {
        "text": "LPIPS makes an epoch longer, twice as long or more.",
        "variant": "lpips-late",
        "against": "none",
        "metric": "seconds_per_epoch",
        "direction": "higher",
        "margin": 10.0,
        "must": "supported",
    },
    {
        "text": "The published form changes no result.",
        "variant": "as-published",
        "against": "none",
        "metric": "fid",
        "direction": "equal",
        "margin": 1e-6,
    },
]
FINDINGS = [
    Finding("none", "train.gradient_clip", "active", epoch=0, changes={"batch": 0.0, "update": 0.3}),
    Finding("none", "sample.guidance", "warning", reason="guidance 8 needs a prediction without caption"),
    Finding("from-start", "ema", "passive", changes={"update": 0.0, "EMA weights": 2e-3, "images": 1.1e-4}),
    Finding(
        "from-start",
        "difference",
        "passive",
        changes={"batch": 0.0, "loss": 0.0, "update": 0.0, "EMA weights": 1.234e-3, "images": 1.1e-4},
    ),
    Finding("lpips-late", "losses.lpips", "active", epoch=ONSET),
    Finding(
        "lpips-late",
        "difference",
        "active",
        epoch=ONSET,
        changes={"batch": 0.0, "loss": 0.51, "gradient": 1.7, "clipped gradient": 0.93, "update": 0.08},
    ),
    Finding(
        "as-published",
        "losses.lpips",
        "inert",
        layer="gradient",
        reason="the LPIPS term has no path to the U-Net: its input was computed without gradient",
        epoch=ONSET,
        expected=True,
    ),
    Finding(
        "as-published",
        "difference",
        "inert",
        layer="gradient",
        reason="the LPIPS term has no path to the U-Net: its input was computed without gradient",
        epoch=ONSET,
        changes={"batch": 0.0, "loss": 0.51, "gradient": 0.0, "clipped gradient": 0.0, "update": 0.0},
        expected=True,
    ),
]
PUBLISHED = {
    "source": "a README",
    "setting": "256 px game monsters, 300 epochs; FID in Inception's features",
    "results": [
        {"metric": "fid", "value": 82.6531, "variant": "lpips-late", "baseline": 90.0},
        {"metric": "clip_t", "value": 0.291647, "variant": "lpips-late", "baseline": 0.27},
        {"metric": "seconds_per_epoch", "value": 660.0, "variant": "none", "baseline": None},
        {"metric": "seconds_per_epoch", "value": 1620.0, "variant": "lpips-late", "baseline": None},
    ],
}
VERIFIED = Verification(
    seed=0,
    shared_seconds=201.0,
    separate_seconds=dict.fromkeys(OVERRIDES, 121.0),
    equal=dict.fromkeys(OVERRIDES, True),
)
PROMPTS = {
    f"{number}_main.png": f"A {colour} {body} monster with {feature}. The monster is {action}."
    for number, (colour, body, feature, action) in enumerate(
        (c, b, f, a)
        for c, a in (("red", "attacking"), ("blue", "standing"), ("grey", "dying"), ("pink", "being hit"))
        for b, f in (("slime", "a crown"), ("octopus", "one big eye"), ("bird", "horns"))
    )
}


def study(
    folder: Path,
    variants: Sequence[str] = tuple(EFFECTS),
    seeds: Sequence[int] = range(8),
    samples: bool = True,
) -> ExperimentRecord:
    """Variants that differ in training: claims of each verdict, findings of each kind, published figures."""
    claims = [claim for claim in CLAIMS if {claim["variant"], claim["against"]} <= set(variants)]
    return _record(
        "synthetic",
        "Does an average of the weights help, and does LPIPS?",
        {variant: OVERRIDES[variant] for variant in variants},
        [
            _run(variant, seed, EFFECTS[variant], folder if samples else None)
            for variant in variants
            for seed in seeds
        ],
        claims=claims,
        expect={"as-published": "inert"},
        published=PUBLISHED if "lpips-late" in variants else None,
        findings=[finding for finding in FINDINGS if finding.variant in variants],
        verified=VERIFIED if "as-published" in variants else None,
    )


def factorial() -> ExperimentRecord:
    """LPIPS (2 levels) × EMA (3 levels) × guidance (2 levels); LPIPS and EMA interact in FID."""
    factors: dict[str, dict[str, Any]] = {
        "lpips": {"off": {}, "on": {"losses": {"lpips": {"weight": 0.1, "start": ONSET}, "kl": None}}},
        "ema": {
            "off": {},
            "late": {"ema": {"decay": 0.99, "start": "50%"}},
            "early": {"ema": {"decay": 0.99, "start": "0%"}},
        },
        "guidance": {"1.5": {}, "3": {"sample": {"guidance": 3.0}}},
    }
    variants, runs = {}, []
    for lpips, ema, guidance in product(*factors.values()):
        name = f"lpips-{lpips}.ema-{ema}.guidance-{guidance}"
        variants[name] = factors["lpips"][lpips] | factors["ema"][ema] | factors["guidance"][guidance]
        average = {"off": 0.0, "late": -2.0, "early": -4.0}[ema] * (0.25 if lpips == "on" else 1.0)
        shift = average - 1.5 * (lpips == "on")
        effect = (shift, shift / 1e3, 0.0, 0.01 * (guidance == "3"), 0.0)
        runs += [_run(name, seed, effect) for seed in range(4)]
    return _record(
        "factorial", "Do an average and LPIPS help each other?", variants, runs, factors=factors, findings=[]
    )


def schedulers() -> ExperimentRecord:
    """Three schedulers with two or three numbers of steps each, on one training."""
    ways = {
        "dpm": ("DPMSolverMultistepScheduler", (6, 12, 25), 3.0),
        "ddim": ("DDIMScheduler", (6, 12, 25), 8.0),
        "ddpm": ("DDPMScheduler", (12, 50), 40.0),
    }
    variants, runs = {}, []
    for short, (scheduler, steps, bias) in ways.items():
        for count in steps:
            name = f"{short}-{count}"
            variants[name] = {"sample": {"scheduler": scheduler, "steps": count}}
            effect = (60 * bias / count**1.5, 0.05 * bias / count**1.5, 0.0, -0.1 * bias / count**1.5, 0.0)
            runs += [_run(name, seed, effect, evaluations=2 * count) for seed in range(4)]
    return _record("schedulers", "Which scheduler?", variants, runs, baseline="dpm-12", findings=[])


def noises() -> ExperimentRecord:
    """Each of four trainings, sampled with three noises."""
    variants = {f"noise-{number}": {"sample": {"seed": number}} for number in range(3)}
    runs = [
        _run(name, seed, (0.5 * number, 0.0, 0.0, 0.0, 0.0))
        for number, name in enumerate(variants)
        for seed in range(4)
    ]
    return _record("noises", "Where does the spread come from?", variants, runs)


def search(folder: Path | None = None, objectives: Sequence[str] = ("fid",)) -> ExperimentRecord:
    """Twenty trials with seed 0 over LPIPS, its weight, steps and guidance, the two best confirmed with fresh
    seeds. With one objective every fourth trial was pruned; one has failed. Samples lie in ``folder``."""
    rng = np.random.default_rng(0)
    proposals, runs, scored = [], [], []
    for number in range(20):
        name = f"trial-{number:04d}"
        params: dict[str, Any] = {"lpips": str(rng.choice(["off", "on"]))}
        if params["lpips"] == "on":
            params["losses.lpips.weight"] = float(10 ** rng.uniform(-2, 0))
        params |= {"sample.steps": int(rng.integers(4, 25)), "sample.guidance": float(rng.uniform(1, 3))}
        proposals.append(
            {"name": name, "params": params, "kind": "trial", "round": number // 5, "reason": ""}
        )
        # FID falls with more steps, is best at guidance 2, and LPIPS helps a little.
        fid = 60 / params["sample.steps"] + 8 * (params["sample.guidance"] - 2) ** 2
        effect = (fid - 2 * (params["lpips"] == "on"), 0.0, 0.0, 0.0, 0.0)
        run = _run(name, 0, effect, folder, evaluations=2 * params["sample.steps"])
        if number == 7:
            run = replace(run, status="FAILED", reason="the loss is not finite", metrics={})
        elif len(objectives) == 1:
            for mark in (4, 8):
                pruned = mark == 8 and number % 4 == 3
                scored.append(
                    {"trial": name, "step": mark, "value": run.metrics["fid"] + 32 / mark, "pruned": pruned}
                )
            if scored[-1]["pruned"]:
                run = replace(run, status="KILLED", reason="pruned after 8 epochs", metrics={})
        runs.append(run)
    searched = {run.variant: run.metrics["fid"] for run in runs if run.status == "FINISHED"}
    confirmed = sorted(searched, key=searched.__getitem__)[:2]
    runs += [_run("none", seed, (3.0, 0.0, 0.0, 0.0, 0.0), folder) for seed in range(4)]
    runs += [_run(name, seed, (0.0,) * 5, folder) for name in confirmed for seed in (1, 2, 3)]
    trained = {"none": 12 * STEPS, "confirmation": 9 * 12 * STEPS} | {
        p["name"]: (12 - ONSET) * STEPS * (p["params"]["lpips"] == "on") for p in proposals
    }
    domain = {"low": None, "high": None, "log": False, "step": None, "options": None, "when": {}}
    fields = {
        "losses.lpips.weight": {"low": 0.01, "high": 1.0, "log": True, "when": {"lpips": ["on"]}},
        "sample.steps": {"low": 4, "high": 24},
        "sample.guidance": {"low": 1.0, "high": 3.0},
    }
    spec = {
        "factors": {"lpips": {"off": {}, "on": OVERRIDES["lpips-late"]}},
        "fields": {name: domain | given for name, given in fields.items()},
        "objectives": list(objectives),
        "constraints": [],
        "sampler": "tpe",
        "trials": 20,
        "round": 5,
        "pruner": {"kind": "hyperband"} if scored else None,
        "confirm": {"best": 2, "seeds": [1, 2, 3], "path": False},
    }
    variants: dict[str, dict[str, Any]] = {name: {} for name in ("none", *searched)}
    record = _record("searching", "Which setting is best?", variants, runs, search=spec)
    return replace(
        record,
        spec=record.spec | {"seeds": [0]},
        findings=[],
        search={
            "proposals": proposals,
            "confirmed": confirmed,
            "trained": trained,
            "scored": scored,
            "asked": {each["trial"]: 12 * STEPS for each in scored if each["pruned"]},
        },
    )


def changed(
    record: ExperimentRecord, variant: str, seed: int | None = None, **fields: Any
) -> ExperimentRecord:
    """The record with fields of one variant's runs replaced; ``metrics`` are merged."""

    def change(run: RunRecord) -> RunRecord:
        if run.variant != variant or seed not in (None, run.seed):
            return run
        return replace(run, **fields | {"metrics": {**run.metrics, **fields.get("metrics", {})}})

    return replace(record, runs=[change(run) for run in record.runs])


def _record(
    name: str,
    question: str,
    variants: Mapping[str, dict[str, Any]],
    runs: Sequence[RunRecord],
    *,
    baseline: str | None = None,
    findings: Sequence[Finding] | None = None,
    verified: Verification | None = None,
    **fields: Any,
) -> ExperimentRecord:
    return ExperimentRecord(
        name=name,
        spec={
            "question": question,
            "profile": "sprites",
            "config": {},
            "baseline": baseline or next(iter(variants)),
            "variants": dict(variants),
            "seeds": sorted({run.seed for run in runs}),
            "alpha": 0.05,
            **fields,
        },
        configs={variant: _config(overrides) for variant, overrides in variants.items()},
        parent_run_id="p" * 32,
        experiment_id="1",
        runs=runs,
        provenance={"commit": "0123abc", "python": "3.11.9", "torch": "2.15.0", "device": "cpu"},
        findings=findings,
        verified=verified,
    )


def _config(overrides: Mapping[str, Any]) -> dict[str, Any]:
    config = {
        "data": {"path": "sprites", "size": 32},
        "train": {"epochs": EPOCHS, "learning_rate": 1e-3},
        "losses": {"lpips": None, "kl": None},
        "ema": None,
        "sample": {
            "scheduler": "DPMSolverMultistepScheduler",
            "options": {},
            "steps": 12,
            "guidance": 1.5,
            "seed": None,
        },
    }
    return config | overrides | {"sample": config["sample"] | overrides.get("sample", {})}


def _run(
    variant: str,
    seed: int,
    effect: tuple[float, ...],
    folder: Path | None = None,
    evaluations: int = 24,
) -> RunRecord:
    # The published form of LPIPS changes nothing: its results are those of the baseline.
    rng = np.random.default_rng([seed, *variant.replace("as-published", "none").encode()])
    level = np.random.default_rng(seed).normal(0, 1, 4)
    fid, kid, clip_i, clip_t, accuracy = effect
    noise = rng.normal(0, 1, 8)
    epochs, links = range(EPOCHS), _links(variant, seed)
    # What an epoch measures belongs to its link: equal links, equal losses and times.
    draws = [np.random.default_rng(list(bytes.fromhex(link))).normal(0, 1, 3) for link in links]
    has_lpips = _training(variant) != ""
    history = {
        "loss_mse": [(e, 0.12 + 0.9 * np.exp(-e / 2) + 0.01 * draws[e][0]) for e in epochs],
        "epoch_seconds": [(e, 10.0 + 0.1 * draws[e][1] + 14.5 * (has_lpips and e >= ONSET)) for e in epochs],
    }
    if has_lpips:
        history["loss_lpips"] = [(e, 0.3 + 0.01 * draws[e][2] - 0.01 * e) for e in epochs if e >= ONSET]
    return RunRecord(
        variant=variant,
        seed=seed,
        run_id=hashlib.sha256(f"{variant} {seed}".encode()).hexdigest()[:32],
        status="FINISHED",
        metrics={
            "fid": 60 + fid + 3 * level[0] + noise[0],
            "kid": 0.05 + kid + 0.003 * level[1] + 0.001 * noise[1],
            "clip_i": 0.8 + clip_i + 0.01 * level[2] + 0.003 * noise[2],
            "clip_t": 0.29 + clip_t + 0.004 * level[3] + 0.001 * noise[3],
            "accuracy_body": min(0.9 + accuracy + 0.01 * noise[4], 1.0),
            "accuracy_colour": min(0.8 + accuracy + 0.02 * noise[5], 1.0),
            "labels_body": 8.0,
            "labels_colour": 8.0,
            "images": 512.0,
            "reference_images": 512.0,
            "feature_dimension": 128.0,
            "sample_seconds": 21.0,
            "seconds_per_epoch": history["epoch_seconds"][-1][1],
            "seconds_per_image": 0.0017 * evaluations * (1 + 0.05 * noise[6]),
            "evaluations_per_image": float(evaluations),
        },
        history=history,
        links=links,
        steps_per_epoch=STEPS,
        feature_space="sprites-clip",
        evaluator="sprites-clip",
        samples=folder and _samples(folder / f"{variant}-{seed}", rng),
        prompts=PROMPTS if folder else {},
    )


def _training(variant: str) -> str:
    """What the training of a variant has beside the others': EMA observes and does not change it."""
    if variant in ("lpips-late", "as-published"):
        return variant
    return "lpips-on" if "lpips-on" in variant else ""


def _links(variant: str, seed: int) -> list[str]:
    """A chain: what changes training changes it from its onset on."""
    key, links = f"seed {seed}", []
    for epoch in range(EPOCHS):
        key = hashlib.sha256(f"{key} {_training(variant) if epoch >= ONSET else ''}".encode()).hexdigest()
        links.append(key)
    return links


def _samples(folder: Path, rng: np.random.Generator) -> Path:
    folder.mkdir()
    for name in PROMPTS:
        pixels = np.kron(rng.integers(0, 255, (4, 4, 3), dtype=np.uint8), np.ones((2, 2, 1), np.uint8))
        Image.fromarray(pixels).save(folder / name)
    return folder


def gathered(record: ExperimentRecord, now: datetime | None = None) -> Results:
    """The results of an experiment without plug-ins."""
    return gather(record, OWN, now)


def written(
    record: ExperimentRecord, out: Path, *, format: str = "markdown", now: datetime | None = None
) -> Path:
    """The report of an experiment without plug-ins."""
    return write_report(record, OWN, out, format=format, now=now)
