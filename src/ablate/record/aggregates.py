"""A run for each variant with the means over its seeds, by which MLflow's own tables and charts compare them.

Its figures are those of the report's table, from the same functions: of each metric the mean and its 95 %
interval, and the difference to the baseline, paired over seeds, with its interval. They are made from what
MLflow has of the seeds' runs, so they can be made at any time. A variant has none until its runs and those of
the baseline have all ended: beside the means over all seeds, those over some would mislead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ablate.dotted import varied
from ablate.record import names
from ablate.record.images import top_row
from ablate.record.write import now
from ablate.records import FAILED, FINISHED, RunRecord
from ablate.report.metrics import measure
from ablate.stats import mean_interval
from ablate.store.files import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    import numpy as np
    from numpy.typing import NDArray

    from ablate.experiment.load import Experiment
    from ablate.metrics.base import Figure
    from ablate.plan import Plan
    from ablate.record.read import Child
    from ablate.record.runs import Row
    from ablate.record.write import Writer
    from ablate.stats import Interval

ROWS = 4
"""How many seeds the sheet of a variant shows, a row each."""


@dataclass(frozen=True)
class Ground:
    """The finished runs that the means of a variant are made from, in the order of their seeds."""

    ours: Sequence[Child]
    theirs: Sequence[Child]
    """The baseline's with the same seeds; none for the baseline itself."""
    complete: bool
    """Whether there is nothing more to come."""

    @property
    def seeds(self) -> str:
        """``0, 1, 2``."""
        return ", ".join(str(child.seed) for child in self.ours)

    def key(self, fields: Mapping[str, Any]) -> str:
        """A digest of the runs, and of what is said of the variant's configuration."""
        return key_of(
            {
                "ours": [child.run_id for child in self.ours],
                "theirs": [child.run_id for child in self.theirs],
                "fields": {name: str(value) for name, value in fields.items()},
            }
        )


class Aggregates:
    """The runs with the means of an experiment's variants."""

    def __init__(self, writer: Writer, parent: str) -> None:
        self._writer = writer
        self._parent = parent
        self._spaces: dict[str, dict[str, Any]] = {}
        """Run → in which spaces it was measured."""
        self._varied: tuple[Experiment | None, dict[str, dict[str, Any]]] = (None, {})
        """The fields in which the variants of the experiment differ, as it last was."""

    def keep(self, plan: Plan, variant: str | None = None) -> None:
        """Has the means of a variant say what the runs of its seeds say; those of all variants where none is
        named, or the baseline. Nothing is written where they do.

        Raises:
            UserError: files of the record are missing; and as ``connect``.
        """
        experiment, baseline = plan.experiment, plan.experiment.spec.baseline
        everyone = variant in (None, baseline)
        read: list[Child] = []
        for name in (None,) if everyone else (baseline, variant):
            read += self._writer.children(self._parent, name)
        # Of several of one variant and seed the newest that has finished, as in the report.
        runs = {(c.variant, c.seed): c for c in sorted(read, key=lambda child: child.status == FINISHED)}
        ended = {pair for pair, run in runs.items() if run.status == FAILED or self._writer.is_whole(run)}
        known, wanted, pruned = self._writer.aggregates(self._parent), set(experiment.runs), experiment.pruned
        for name in experiment.variants:
            if (everyone or name == variant) and name not in pruned:
                ground = ground_of(experiment, name, wanted, runs, ended)
                self._keep_one(plan, name, ground, known.get(name))

    def _keep_one(self, plan: Plan, variant: str, ground: Ground, known: Row | None) -> None:
        fields = {"variant": variant, **self._fields(plan.experiment)[variant]}
        key = ground.key(fields)
        right = known is not None and known.status == FINISHED and known.tags.get(names.KEY) == key
        due = ground.complete and bool(ground.ours)
        if due and (not right or (known and self._writer.lacks_page(known))):
            self._write(plan, variant, ground, fields, known)
        if known:
            marked = names.SUPERSEDED in known.tags
            if marked and (due or right):
                self._writer.restore(known.run_id, known.name)
            elif not marked and not (due or right):
                self._writer.supersede(known.run_id, known.name)

    def _write(
        self, plan: Plan, variant: str, ground: Ground, fields: Mapping[str, Any], known: Row | None
    ) -> None:
        baseline, figures = plan.experiment.spec.baseline, plan.experiment.vocabulary.figures
        records = [self._record(child) for child in (*ground.ours, *ground.theirs)]
        metrics = means(figures, records, variant, baseline)
        before, given = (known.metrics, known.params) if known else ({}, {})
        # MLflow takes no point back, and no other value for a parameter.
        metrics |= {name: math.nan for name in before if name not in metrics}
        changed = {name: value for name, value in metrics.items() if not _same(value, before.get(name))}
        new_fields = {name: value for name, value in fields.items() if name not in given}
        tags = {
            names.KEY: ground.key(fields),
            names.SEEDS: ground.seeds,
            names.NOTE: _note(ground, variant, baseline),
        }
        run_id = known.run_id if known else self._writer.begin_aggregate(self._parent, variant)
        self._writer.finish_aggregate(run_id, changed, new_fields, tags, self._sheet(ground), now())

    def _fields(self, experiment: Experiment) -> dict[str, dict[str, Any]]:
        if self._varied[0] is not experiment:
            configs = {name: config.model_dump(mode="json") for name, config in experiment.variants.items()}
            self._varied = experiment, varied(configs)
        return self._varied[1]

    def _record(self, child: Child) -> RunRecord:
        if child.run_id not in self._spaces:
            self._spaces[child.run_id] = self._writer.spaces(child.run_id)
        spaces = self._spaces[child.run_id]
        return RunRecord(
            child.variant, child.seed, child.run_id, child.status, metrics=child.metrics, **spaces
        )

    def _sheet(self, ground: Ground) -> NDArray[np.uint8] | None:
        """The first samples of the first seeds, a row each; None where there are none."""
        import numpy as np

        sheets = [self._writer.sheet(child.run_id) for child in ground.ours[:ROWS]]
        rows = [top_row(sheet, names.COLUMNS) for sheet in sheets if sheet]
        return np.vstack(rows) if rows else None


def ground_of(
    experiment: Experiment,
    variant: str,
    wanted: AbstractSet[tuple[str, int]],
    runs: Mapping[tuple[str, int], Child],
    ended: AbstractSet[tuple[str, int]],
) -> Ground:
    """What the means of a variant are made from.

    Args:
        wanted: (variant, seed) of all runs of the experiment.
        runs: (variant, seed) → the run that counts.
        ended: those of them that nothing will be added to.
    """
    baseline = experiment.spec.baseline
    found = Ground((), (), complete=False)
    for seeds in seeds_of(experiment):
        mine = [(variant, seed) for seed in sorted(seeds) if (variant, seed) in wanted]
        others = [(baseline, seed) for _, seed in mine if variant != baseline]
        ours, theirs = (
            [runs[pair] for pair in some if pair in runs and runs[pair].status == FINISHED]
            for some in (mine, others)
        )
        found = Ground(ours, theirs, complete=bool(mine) and {*mine, *others} <= ended)
        if found.complete:
            break
    return found


def seeds_of(experiment: Experiment) -> Iterator[Sequence[int]]:
    """The seeds over which a variant has its means, the best ones first: once a search has confirmed a trial,
    fresh seeds count, as in the report, and not those that it was chosen by."""
    confirm = experiment.spec.search and experiment.spec.search.confirm
    if confirm and experiment.confirmed:
        yield confirm.seeds
    yield experiment.spec.seeds


def means(
    figures: Mapping[str, Figure], runs: Sequence[RunRecord], variant: str, baseline: str
) -> dict[str, float]:
    """The metrics of a variant's run: ``fid``, ``fid.lower``, ``fid.upper``, ``fid.difference`` and its
    bounds, and so on, and how many ``seeds`` it has. What one seed cannot say is left out.

    A dot, for no metric has one in its name. With a slash, MLflow would show the bounds before the means.

    Args:
        runs: finished ones of the variant and of the baseline.
    """
    found: dict[str, float] = {"seeds": sum(run.variant == variant for run in runs)}
    for key, figure in figures.items():
        metric = measure(key, figure, runs, baseline)
        if metric and (interval := metric.intervals.get(variant)):
            found |= _bounded(key, interval)
            if variant != baseline and (paired := metric.paired(variant, baseline)):
                # As ``differences`` has it, but without a test, which takes longer than all the rest.
                found |= _bounded(f"{key}.difference", mean_interval(list(paired.values())))
    return found


def _bounded(name: str, interval: Interval) -> dict[str, float]:
    values = {name: interval.mean, f"{name}.lower": interval.low, f"{name}.upper": interval.high}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _same(value: float, other: float | None) -> bool:
    return other is not None and (value == other or (math.isnan(value) and math.isnan(other)))


def _note(ground: Ground, variant: str, baseline: str) -> str:
    """What MLflow's UI says above the figures."""
    against = f" `.difference`: to {baseline}, paired over seeds." if variant != baseline else ""
    return (
        f"Means over the seeds {ground.seeds}. `.lower` and `.upper`: 95 % interval (Student's t).{against} "
        f"The images: a row for each of the first {ROWS} seeds."
    )
