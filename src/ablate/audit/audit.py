"""The audit's questions, and its answers in words."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from ablate import fingerprint
from ablate.audit.checks import CHECKS, late_onsets
from ablate.audit.compare import Comparison, Looks, differing, first_difference, replaced, taken_back
from ablate.diffusion.samplers import DEFAULTS
from ablate.errors import AblateError
from ablate.factors import factors_of, switched_on
from ablate.plugins import blamed
from ablate.records import DIFFERENCE, Finding
from ablate.stages.failures import explained
from ablate.stages.prepare import prepare
from ablate.store.files import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from ablate.audit.compare import FieldPath
    from ablate.experiment.config import Config
    from ablate.factors.base import Factor
    from ablate.stages.keys import RunKeys
    from ablate.store import Store

SOURCES = (
    *("audit", "stages", "diffusion", "factors"),
    *("parts/vae.py", "parts/perceptual.py", "parts/evaluator.py"),
)
LIBRARIES = ("torch", "diffusers", "lpips", "open_clip_torch")

CHANGES_NOTHING = frozenset(
    {
        ("train", "checkpointing"),
        ("train", "channels_last"),
        ("train", "compile"),
        ("train", "devices"),
        ("losses", "lpips", "micro_batch"),
        ("sample", "batch"),
        ("sample", "compile"),
    }
)
"""Fields that are meant to change times and memory and no result, beside all of ``track`` and ``compute``."""


def audit(
    variants: Mapping[str, Sequence[RunKeys]],
    baseline: str,
    expect: Collection[str],
    store: Store,
    progress: Callable[[str], None],
) -> list[Finding]:
    """What acts in each variant, on real batches and before anything is trained.

    Each variant is compared with the baseline where they first differ, with itself without each factor that
    it adds, with itself with each of its fields taken back alone, and with the variants before it. Steps
    begin at the newest kept state before that epoch, or at the initial weights. A variant that cannot
    be looked at gets a warning that says why. The same question is answered from the store, if all was looked
    at.

    Args:
        variants: name → keys of its runs, one for each seed in the same order. The first seed is looked at;
            where two variants have the same keys with it, the first seed with which they differ.
        expect: variants that are known to hold something inert.
    """
    key = key_of(
        {
            "variants": [  # in their order: of two that are equal, the later one is inert
                [name, [[k.evaluate, k.config.model_dump(mode="json")] for k in runs]]
                for name, runs in variants.items()
            ],
            "baseline": baseline,
            "expect": sorted(expect),
            "code": fingerprint.of_files(SOURCES, LIBRARIES),
        }
    )

    def fill(folder: Path) -> None:
        questions = _Audit(variants, baseline, store, progress)
        found = questions.all_findings(expect)
        if questions.failed:
            raise _NotAllSeenError(found)
        (folder / "findings.json").write_text(json.dumps([asdict(finding) for finding in found]))

    try:
        text = (store.make("audit", key, {}, fill) / "findings.json").read_text()
    except _NotAllSeenError as error:
        return error.found
    return [Finding(**finding) for finding in json.loads(text)]


class _NotAllSeenError(Exception):
    """Something could not be looked at. Next time it may be: a package that was missing is there."""

    def __init__(self, found: list[Finding]) -> None:
        super().__init__()
        self.found = found


class _Audit:
    """One call of ``audit``: the variants, and the probes that were taken of them."""

    def __init__(
        self,
        variants: Mapping[str, Sequence[RunKeys]],
        baseline: str,
        store: Store,
        progress: Callable[[str], None],
    ) -> None:
        self.variants = {name: variants[name] for name in dict.fromkeys((baseline, *variants))}
        self.baseline = baseline
        self.store = store
        self.progress = progress
        self.looks = Looks(store)
        self.prepared = {(runs[0].prepare, runs[0].augmented) for runs in variants.values()}
        self.failed = False
        """Whether a variant could not be looked at."""
        self.answers: dict[str, Comparison] = {}
        """Variant → its comparison with the baseline."""

    def all_findings(self, expect: Collection[str]) -> list[Finding]:
        """The findings about all variants, the baseline first."""
        found: list[Finding] = []
        for name in self.variants:
            self.progress(f"variant {name}")
            try:
                prepare(self.variants[name][0], self.store, self.progress)
                found += self._findings(name)
            except Exception as error:
                if failure := explained(error):
                    raise failure from error  # no run would fare better
                # Whatever is wrong with one variant is recorded by its runs; the others are looked at.
                self.failed = True
                what = error.what if isinstance(error, AblateError) else f"{type(error).__name__}: {error}"
                place = f" at {where}" if (where := blamed(error)) else ""
                found.append(Finding(name, DIFFERENCE, "warning", reason=f"not looked at: {what}{place}"))
        found = [replace(f, expected=f.act == "inert" and f.variant in expect) for f in found]
        for name in expect:
            if not any(finding.expected and finding.variant == name for finding in found):
                reason = "expected to hold something inert, and all that it holds acts"
                found.append(Finding(name, "expect", "warning", reason=reason))
        return found

    def _findings(self, name: str) -> list[Finding]:
        own = [*self._on_paper(name), *self._factors(name)]
        difference = self._difference(name, own)
        return [*own, *([] if name == self.baseline else self._fields(name, own)), *difference]

    # ── a configuration by itself ────────────────────────────────────────────────────────────────

    def _on_paper(self, name: str) -> Iterator[Finding]:
        """What a configuration says against itself, but for what it shares with the baseline."""
        config, base = self.variants[name][0].config, self.variants[self.baseline][0].config
        said = set()
        if name != self.baseline:
            said = {(f.about, f.reason) for check in CHECKS for f in check(name, base)}
        for check in CHECKS:
            yield from (f for f in check(name, config) if (f.about, f.reason) not in said)

    def _factors(self, name: str) -> Iterator[Finding]:
        """Whether each factor acts that the baseline has not in the same way."""
        config, base = self.variants[name][0].config, self.variants[self.baseline][0].config
        never = {finding.about for finding in late_onsets(name, config)}
        for kind in factors_of(config).values():
            inherited = name != self.baseline and kind.asked(config) == kind.asked(base)
            factor = kind.of(config)
            if factor and not inherited and kind.field not in never and kind.off() is not None:
                yield self._factor(name, factor)

    def _factor(self, name: str, factor: Factor) -> Finding:
        """A configuration against itself without one factor, in the epoch in which that begins."""
        keys = self.variants[name][0]
        with_it = keys.with_config(replaced(keys.config, factor.on)) if factor.on else keys
        without = keys.with_config(replaced(keys.config, factor.off() or {}))
        epoch = factor.first_epoch(keys.config.train.epochs)
        compared = self.looks.compare(with_it, without, epoch)
        act, layer = compared.act(factor.enters)
        reason = _why(factor, layer, compared.ours.without_graph) if act == "inert" else ""
        if act == "active" and factor.on:
            # It acts where it is made to; whether it does as it is configured is another question.
            unreached = factor.unreached(self.looks.at(keys, compared.moment).norm)
            act, reason = ("warning", unreached) if unreached else (act, reason)
        return Finding(name, factor.field, act, layer, reason, epoch, compared.change)

    # ── a variant against others ─────────────────────────────────────────────────────────────────

    def _difference(self, name: str, own: Sequence[Finding]) -> Iterator[Finding]:
        """A variant against the baseline, and against the variants before it."""
        before = list(self.variants)[: list(self.variants).index(name)]
        pairs = {other: self._with_other_keys(name, other) for other in before}
        if same := next((other for other, pair in pairs.items() if not pair), None):
            yield Finding(name, DIFFERENCE, "inert", "batch", self._same_key(name, same, own))
            return
        if not (pair := pairs.get(self.baseline)):  # the baseline itself, which comes first
            return
        keys, base = pair
        epoch = first_difference(keys, base)
        if epoch is not None and epoch >= min(len(keys.timeline), len(base.timeline)):
            reason = f"trains {len(keys.timeline)} epochs, {self.baseline} {len(base.timeline)}"
            yield Finding(name, DIFFERENCE, "active", reason=reason, epoch=epoch)
            return
        compared = self.looks.compare(keys, base)
        finding = self._answer(name, DIFFERENCE, keys, base, compared)
        if finding.act == "inert":
            # What is known of the thing itself says more.
            layer, reason = next(
                ((f.layer, f.reason) for f in own if f.act == "inert"), (finding.layer, finding.reason)
            )
            finding = replace(finding, layer=layer, reason=reason)
        elif twin := self._twin(keys, compared):
            fields = _listed(differing(keys.config, self.variants[twin][0].config))
            reason = f"{fields} changes nothing: the same as {twin}, to the last bit"
            finding = replace(finding, act="inert", layer="batch", reason=reason)
        else:
            self.answers[name] = compared
        yield finding

    def _with_other_keys(self, name: str, other: str) -> tuple[RunKeys, RunKeys] | None:
        """The runs of two variants with the first seed that gives them different keys; None if none does."""
        pairs = zip(self.variants[name], self.variants[other], strict=False)
        return next(((a, b) for a, b in pairs if a.evaluate != b.evaluate), None)

    def _same_key(self, name: str, other: str, own: Sequence[Finding]) -> str:
        fields = differing(self.variants[name][0].config, self.variants[other][0].config)
        what = f"{_listed(fields)} changes nothing that is computed" if fields else "nothing differs"
        known = next((f.reason for f in own if f.act == "inert"), "")
        return f"the same as {other}: {known or what}"

    def _twin(self, keys: RunKeys, compared: Comparison) -> str | None:
        """A variant before that is the same to the last bit.

        One that held the same at the same moment is compared where the two themselves first differ.
        """
        for other, theirs in self.answers.items():
            same = Comparison(compared.moment, compared.ours, theirs.ours)
            if theirs.moment == compared.moment and not any(same.change.values()):
                pair = self.looks.compare(keys, self._run_with_seed(other, keys.seed))
                if not any(pair.change.values()):
                    return other
        return None

    def _run_with_seed(self, name: str, seed: int) -> RunKeys:
        return next(keys for keys in self.variants[name] if keys.seed == seed)

    # ── one field at a time ──────────────────────────────────────────────────────────────────────

    def _fields(self, name: str, own: Sequence[Finding]) -> Iterator[Finding]:
        """The fields of a variant that change nothing when each is taken back alone.

        With one field, that is the difference to the baseline. A factor that the baseline lacks was asked
        about as a whole.
        """
        config, base = self.variants[name][0].config, self.variants[self.baseline][0].config
        paths = [path for path in differing(config, base) if _is_meant_to_act(path)]
        asked = {finding.about for finding in own}
        for path in paths if len(paths) > 1 else ():
            without = taken_back(config, base, path)
            if without is None or ".".join(path) in asked or _means_the_same(config, without):
                continue
            if finding := self._field(name, path, without):
                yield finding

    def _field(self, name: str, path: FieldPath, config: Config) -> Finding | None:
        """What is wrong with one field; None where it acts, or cannot be taken back alone."""
        about = ".".join(path)
        try:
            pairs = ((keys, keys.with_config(config)) for keys in self.variants[name])
            if (pair := next(((a, b) for a, b in pairs if a.evaluate != b.evaluate), None)) is None:
                return Finding(name, about, "inert", "batch", f"{about} changes nothing that is computed")
            keys, without = pair
            if (without.prepare, without.augmented) not in self.prepared:
                return None  # no data are prepared for a question alone
            epoch = first_difference(keys, without)
            if epoch is not None and epoch >= min(len(keys.timeline), len(without.timeline)):
                return None  # one trains longer
            compared = self.looks.compare(keys, without)
        except AblateError:  # the two values do not go together, as a part's folder and that of another part
            return None
        finding = self._answer(name, about, keys, without, compared)
        return finding if finding.act in ("inert", "warning") else None

    def _answer(self, name: str, about: str, keys: RunKeys, other: RunKeys, compared: Comparison) -> Finding:
        act, layer = compared.act("batch")
        reason = ""
        if act == "inert":
            fields = differing(keys.config, other.config)
            if unreached := _unreached(fields, keys.config, other.config, compared.ours.norm):
                act, reason = "warning", unreached
            elif keys.data != other.data:
                act, reason = "warning", "the data differ, but none of the images and captions looked at do"
            elif keys.prepare != other.prepare:
                reason = "the data are prepared differently, but none of the images looked at changed"
                act = "warning"
            elif ("train", "devices") in fields:
                act, reason = "warning", "the steps looked at ran on one device"
            else:
                reason = f"with and without {_listed(fields)}, all is the same to the last bit"
        return Finding(name, about, act, layer, reason, compared.moment.epoch, compared.change)


def _why(factor: Factor, layer: str, without_graph: Collection[str]) -> str:
    """Why a factor dies in a layer, in words."""
    if layer == "gradient" and factor.name in without_graph:
        return f"{factor.title} has no path to the U-Net: its input was computed without gradient"
    return factor.reasons.get(layer, f"with and without {factor.title}, all is the same to the last bit")


def _unreached(fields: Sequence[FieldPath], config: Config, other: Config, norm: float) -> str:
    """Why two configurations that differ in one factor alone did the same; "" if that does not explain it."""
    changed = [kind for kind in factors_of(config).values() if kind.of(config) != kind.of(other)]
    if len(changed) != 1:
        return ""
    (kind,) = changed
    for path in fields:
        back = taken_back(config, other, path)
        if back is None or kind.of(back) == kind.of(config):  # a field of something else
            return ""
    reasons = [factor.unreached(norm) for c in (config, other) if (factor := kind.of(c))]
    return reasons[0] if reasons and all(reasons) else ""


def _is_meant_to_act(path: FieldPath) -> bool:
    """Whether a field is meant to change results."""
    return path[0] not in ("track", "compute") and path not in CHANGES_NOTHING


def _means_the_same(config: Config, other: Config) -> bool:
    """Whether two configurations say the same in other words: an epoch as a share, training's noise again,
    an option that holds anyway and has another default in diffusers."""

    def meant(config: Config) -> tuple[object, ...]:
        factors = switched_on(config)
        return (
            {name: factor.first_epoch(config.train.epochs) for name, factor in factors.items()},
            {name: factor.contribution() for name, factor in factors.items()},
            config.sampling_noise,
            DEFAULTS | config.sample.options,
            config.sample.model_dump(exclude={"noise", "options"}),
            config.model_dump(mode="json", exclude={"losses", "augmentation", "ema", "sample"}),
        )

    return meant(config) == meant(other)


def _listed(fields: Sequence[FieldPath]) -> str:
    shown = [".".join(path) for path in fields]
    return ", ".join(shown[:3]) + (", …" if len(shown) > 3 else "")
