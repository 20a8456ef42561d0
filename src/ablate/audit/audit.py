"""The audit's questions, and its answers in words."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ablate import fingerprint
from ablate.audit.checks import CHECKS, late_onsets, onsets
from ablate.audit.probe import Moment, Probe, changes, probe
from ablate.errors import AblateError
from ablate.keys import Observer, newest_stored_link
from ablate.records import LAYERS, Finding
from ablate.spec.config import Config, epoch_of
from ablate.stages.failures import explained
from ablate.stages.prepare import prepare
from ablate.store import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    from ablate.keys import RunKeys
    from ablate.store import Store

DIFFERENCE = "difference"
"""What a finding is about that compares a variant with the baseline."""


@dataclass(frozen=True)
class Ingredient:
    """Something that a configuration switches on, and that can be taken out of it."""

    field: str
    words: str
    off: dict[str, Any]
    """Overrides that take it out."""
    enters: str
    """The first layer in which it shows."""
    on: Mapping[str, Any]
    """Overrides that make it act in any step, where it would act in some only."""

    def section(self, config: Config) -> Any:
        """The fields that belong to it; None where it is switched off."""
        match self.field:
            case "train.gradient_clip":
                clip = config.train.gradient_clip
                return clip and (clip, config.train.clip)
            case "ema":
                return config.ema and (config.ema, config.sample.weights)
            case field:
                return None if field not in onsets(config) else _value(config, field)


INGREDIENTS = (
    Ingredient("losses.lpips", "the LPIPS term", {"losses": {"lpips": None}}, "loss", {}),
    Ingredient("losses.kl", "the KL term", {"losses": {"kl": None}}, "loss", {}),
    Ingredient("augmentation", "the augmentation", {"augmentation": {"kind": "none"}}, "batch", {}),
    Ingredient(
        "train.gradient_clip",
        "clipping",
        {"train": {"gradient_clip": None}},
        "clipped gradient",
        {"train": {"gradient_clip": 1e-3}},
    ),
    Ingredient("ema", "the average", {"ema": None}, "EMA weights", {}),
)
"""All that is asked of one configuration by itself: does it act here?"""


def audit(
    variants: Mapping[str, RunKeys],
    baseline: str,
    expect: Collection[str],
    store: Store,
    progress: Callable[[str], None],
) -> list[Finding]:
    """What acts in each variant, with one seed and on real batches, before anything is trained.

    Each variant is compared with the baseline where they first differ, and with itself without each
    thing that it adds to the baseline. Steps begin at the newest stored state before that epoch, or
    at the initial weights. A variant that cannot be looked at gets a warning that says why. The same
    question is answered from the store.

    Args:
        variants: name → keys of its run with one seed.
        expect: variants that are known to hold something inert.
    """
    key = key_of(
        {
            "variants": {
                name: [k.evaluate, k.config.model_dump(mode="json")] for name, k in variants.items()
            },
            "baseline": baseline,
            "expect": sorted(expect),
            "code": fingerprint.of_stage("audit"),
        }
    )

    def fill(folder: Path) -> None:
        found = _audit(variants, baseline, expect, store, progress)
        (folder / "findings.json").write_text(json.dumps([asdict(finding) for finding in found]))

    text = (store.make("audit", key, {}, fill) / "findings.json").read_text()
    return [Finding(**finding) for finding in json.loads(text)]


def _audit(
    variants: Mapping[str, RunKeys],
    baseline: str,
    expect: Collection[str],
    store: Store,
    progress: Callable[[str], None],
) -> list[Finding]:
    probes: dict[tuple[str, Moment], Probe] = {}

    def look(keys: RunKeys, moment: Moment) -> Probe:
        """What several questions are about, above all the baseline, is looked at once."""
        question = (keys.config.model_dump_json(), moment)
        if question not in probes:
            probes[question] = probe(keys, moment, store)
        return probes[question]

    base, found = variants[baseline], list[Finding]()
    for name in (baseline, *(name for name in variants if name != baseline)):
        progress(f"audit of {name}")
        keys = variants[name]
        try:
            prepare(keys, store, progress)
            own = list(_of_itself(name, keys, base if name != baseline else None, look, store))
            others = {other: variants[other] for other in dict.fromkeys((baseline, *variants))}
            found += [*own, *_difference(name, others, baseline, own, look, store)]
        except Exception as error:
            if failure := explained(error):
                raise failure from error  # no run would fare better
            # Whatever is wrong with one variant is recorded by its runs; the others are looked at.
            what = error.what if isinstance(error, AblateError) else f"{type(error).__name__}: {error}"
            found.append(Finding(name, DIFFERENCE, "warning", reason=f"not looked at: {what}"))
    found = [replace(f, expected=f.act == "inert" and f.variant in expect) for f in found]
    for name in expect:
        if not any(finding.expected and finding.variant == name for finding in found):
            reason = "expected to hold something inert, and all that it holds acts"
            found.append(Finding(name, "expect", "warning", reason=reason))
    return found


def _of_itself(
    name: str, keys: RunKeys, base: RunKeys | None, look: Callable[..., Probe], store: Store
) -> Iterator[Finding]:
    """What a configuration says against itself, and whether each thing in it acts.

    What it shares with the baseline is said of the baseline only.
    """
    said = {(f.about, f.reason) for check in CHECKS for f in (check(name, base.config) if base else ())}
    for check in CHECKS:
        yield from (f for f in check(name, keys.config) if (f.about, f.reason) not in said)
    never = {finding.about for finding in late_onsets(name, keys.config)}
    for ingredient in INGREDIENTS:
        section = ingredient.section(keys.config)
        inherited = base is not None and section == ingredient.section(base.config)
        if section and not inherited and ingredient.field not in never:
            yield _ingredient(name, keys, ingredient, look, store)


def _ingredient(
    name: str, keys: RunKeys, ingredient: Ingredient, look: Callable[..., Probe], store: Store
) -> Finding:
    """A configuration against itself without one thing, in the epoch in which that begins."""
    config = keys.config
    with_it = keys.with_config(replaced(config, ingredient.on)) if ingredient.on else keys
    without = keys.with_config(replaced(config, ingredient.off))
    epoch = epoch_of(onsets(config).get(ingredient.field, 0), config.train.epochs)
    moment = _moment(with_it, without, epoch, store)
    ours = look(with_it, moment)
    change = changes(ours, look(without, moment))
    act, layer = _act(change, ingredient.enters)
    reason = _reason(ingredient, layer, ours) if act == "inert" else ""
    return Finding(name, ingredient.field, act, layer, reason, epoch, change)


def _difference(
    name: str,
    variants: Mapping[str, RunKeys],
    baseline: str,
    own: list[Finding],
    look: Callable[..., Probe],
    store: Store,
) -> Iterator[Finding]:
    """A variant against the baseline, where they first differ."""
    keys, base = variants[name], variants[baseline]
    before = list(variants)[: list(variants).index(name)]
    for other in before:
        if variants[other].evaluate == keys.evaluate:
            fields = differing(keys.config, variants[other].config)
            what = f"{_listed(fields)} changes nothing that is computed" if fields else "nothing differs"
            reason = next((f.reason for f in own if f.act == "inert"), "")
            reason = f"the same key as {other}: {reason or what}"
            yield Finding(name, DIFFERENCE, "inert", "batch", reason)
            return
    if name == baseline:
        return
    epoch = first_difference(keys, base)
    if epoch is not None and epoch >= min(len(keys.timeline), len(base.timeline)):
        reason = f"trains {len(keys.timeline)} epochs, {baseline} {len(base.timeline)}"
        yield Finding(name, DIFFERENCE, "active", reason=reason, epoch=epoch)
        return
    starts = [o.start for o in (_observer(keys), _observer(base)) if o]
    moment = _moment(keys, base, min(starts, default=0) if epoch is None else epoch, store)
    ours, theirs = look(keys, moment), look(base, moment)
    change = changes(ours, theirs)
    act, layer = _act(change, "batch")
    reason = ""
    if act == "inert":
        fields = differing(keys.config, base.config)
        limits = [k.config.train.gradient_clip or float("inf") for k in (keys, base)]
        if fields == ["train.gradient_clip"] and ours.norm < min(limits):
            act = "warning"
            reason = f"no gradient was clipped in the steps looked at: the largest norm was {ours.norm:.2g}"
        else:
            reason = f"{_listed(fields)}: the same from there on, to the last bit"
            # What is known of the thing itself says more.
            layer, reason = next(((f.layer, f.reason) for f in own if f.act == "inert"), (layer, reason))
    yield Finding(name, DIFFERENCE, act, layer, reason, moment.epoch, change)


def _moment(keys: RunKeys, other: RunKeys, epoch: int, store: Store) -> Moment:
    """The newest state before ``epoch`` that both stand on."""
    shared = sum(a == b for a, b in zip(keys.chain, other.chain, strict=False)) - 1
    start = newest_stored_link(keys.chain, (), min(epoch, shared), store) if shared > 0 else 0
    starts = sorted({o.start for o in (_observer(keys), _observer(other)) if o})
    ways = [k.config.sample.model_dump(exclude={"weights"}) for k in (keys, other)]
    seeds = [k.sample_seed for k in (keys, other)]
    groups = [k.config.train.accumulation for k in (keys, other)]
    return Moment(
        epoch,
        start,
        tuple(starts),
        sampling_differs=ways[0] != ways[1] or seeds[0] != seeds[1],
        accumulation_differs=groups[0] != groups[1],
    )


def _observer(keys: RunKeys) -> Observer | None:
    """The average that is kept, whether or not it is sampled."""
    return Observer.of(keys.config.ema, keys.config.train.epochs)


def first_difference(keys: RunKeys, other: RunKeys) -> int | None:
    """The first epoch that two runs do not share; None where they share all of their training."""
    pairs = zip(keys.chain, other.chain, strict=False)
    shared = next((link for link, (a, b) in enumerate(pairs) if a != b), None)
    if shared is not None:
        return max(shared - 1, 0)
    return None if len(keys.chain) == len(other.chain) else min(len(keys.chain), len(other.chain)) - 1


def _act(change: Mapping[str, float], enters: str) -> tuple[str, str]:
    """What a difference does, and the layer where it dies if it does nothing."""
    if change["update"]:
        return "active", ""
    if change["images"] or change["scores"]:
        return "passive", ""
    last = max((number for number, layer in enumerate(LAYERS) if change[layer]), default=-1)
    return "inert", LAYERS[max(last + 1, LAYERS.index(enters))]


REASONS = {
    ("losses.lpips", "loss"): "the LPIPS term adds nothing to the loss",
    ("losses.lpips", "gradient"): "the gradient of the LPIPS term is zero",
    ("losses.kl", "loss"): "the KL term adds nothing to the loss",
    ("losses.kl", "gradient"): "the gradient of the KL term is zero",
    (
        "augmentation",
        "batch",
    ): "the latents are those of the unchanged images: a cache bypasses the augmentation",
    (
        "train.gradient_clip",
        "clipped gradient",
    ): "the optimizer sees the gradient as it was: clipping comes after its step",
    ("ema", "EMA weights"): "the average equals the weights",
    ("ema", "images"): "the average is kept, and the images are drawn from the weights themselves",
}
"""Why something dies in a layer, in words."""


def _reason(ingredient: Ingredient, layer: str, probed: Probe) -> str:
    if layer == "gradient" and ingredient.field.removeprefix("losses.") in probed.without_graph:
        return f"{ingredient.words} has no path to the U-Net: its input was computed without gradient"
    otherwise = f"{ingredient.words}: the same from there on, to the last bit"
    return REASONS.get((ingredient.field, layer), otherwise)


def replaced(config: Config, overrides: Mapping[str, Any]) -> Config:
    """``config`` with some fields replaced."""

    def put(model: Any, fields: Mapping[str, Any]) -> Any:
        new = {k: put(getattr(model, k), v) if isinstance(v, dict) else v for k, v in fields.items()}
        return model.model_copy(update=new)

    changed: Config = put(config, overrides)
    return changed


def differing(config: Config, other: Config) -> list[str]:
    """Fields in which two configurations differ, dotted."""

    def flat(value: Any, prefix: str = "") -> dict[str, Any]:
        if not isinstance(value, dict) or not value:
            return {prefix: value}
        return {k: v for name, inner in value.items() for k, v in flat(inner, f"{prefix}.{name}").items()}

    a, b = flat(config.model_dump(mode="json")), flat(other.model_dump(mode="json"))
    fields = dict.fromkeys([*a, *b])
    return [field.lstrip(".") for field in fields if field not in a or field not in b or a[field] != b[field]]


def _value(config: Config, field: str) -> Any:
    value: Any = config
    for name in field.split("."):
        value = getattr(value, name)
    return value


def _listed(fields: list[str]) -> str:
    return ", ".join(fields[:3]) + (", …" if len(fields) > 3 else "")
