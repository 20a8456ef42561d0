"""``ablate run``: plan → prepare → train → sample → evaluate → record, to the end or to be continued."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ablate.errors import GO_ON, RunError
from ablate.experiment import samplers
from ablate.parts.missing import require_parts
from ablate.progress import Together
from ablate.record.addresses import database_of
from ablate.record.aggregates import Aggregates
from ablate.record.databases import refuse_shared
from ablate.record.names import SPEC
from ablate.record.provenance import spec_key
from ablate.record.recorder import Recorder
from ablate.record.write import open_experiment
from ablate.records import FINISHED, Call
from ablate.runner.auditing import ask_audit, probes_of, refuse_inert
from ablate.runner.exclusive import alone, recording
from ablate.runner.executors import executor_at
from ablate.runner.forecast import HOUR, Forecast, forecast
from ablate.runner.graph import walk
from ablate.runner.needs import needs_of, needs_written, write_needs
from ablate.runner.preflight import Asked, look_ahead
from ablate.runner.rounds import SearchRounds, fixed_rounds, has_ended, measured_of, resumed
from ablate.runner.studies.pruning import end_pruned
from ablate.runner.studies.search_study import SearchStudy
from ablate.runner.studies.study import Study, is_lost, reach, results_of, study_name, study_storage
from ablate.runner.tasks import EpochDone, Took, show, tasks_of
from ablate.runner.times import Times
from ablate.text import brief, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from ablate.plan import Plan, Run
    from ablate.progress import RunProgress
    from ablate.record.identity import Parent
    from ablate.record.read import Child
    from ablate.record.write import Writer
    from ablate.records import Finding
    from ablate.runner.graph import Executor, Start, Task
    from ablate.runner.studies.study import Storage
    from ablate.runner.tasks import Event


@dataclass(frozen=True)
class Outcome:
    """What a call of ``run_experiment`` did."""

    finished: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """Run name → reason."""
    runs: int = 0
    """How many the experiment has; a search may have made it larger."""
    pruned: int = 0
    """How many of them belong to trials that a search has ended early."""
    stored: int = 0
    """How many of ``finished`` the store had the results of, so that they were only recorded."""
    report: Path | None = None
    """Its page, where one was written."""


@dataclass(frozen=True)
class Options:
    """How an experiment is run, whatever its results."""

    workers: int | None = None
    """By default as many as the executor has room for."""
    executor: str = "local"
    """Name in ``EXECUTORS``."""
    address: str | None = None
    """Where the executor is, if it is elsewhere."""
    audited: bool = True
    """Whether it is asked first what acts."""
    fail_fast: bool = False
    """Whether the first run that fails ends the command; by default the others go on."""
    reports: Path | None = None
    """Where reports will be written, if any."""
    studies: str | None = None
    """Address of the database with Optuna's studies; by default beside the record."""


def run_experiment(
    plan: Plan,
    uri: str,
    progress: RunProgress,
    options: Options = Options(),
    on_seed: Callable[[], object] = lambda: None,
) -> Outcome:
    """Runs what is missing of an experiment and records it. Results that MLflow has are not made again.

    One process at a time runs an experiment: another waits, and then finds the work done.

    Args:
        on_seed: called in the thread of the record when all runs of a seed are recorded and others follow.

    Raises:
        UserError: there is no such executor or nobody at its address, MLflow cannot be reached, something
            would fail after the training, or the audit found something inert that the spec does not expect.
        ComponentError: a pretrained part is missing and cannot be fetched.
        RunError: the machine failed, or with ``fail_fast`` a run; the same call goes on where it stopped.
    """
    start = executor_at(options.executor, options.address)
    if search := plan.experiment.spec.search:
        samplers.require(search.sampler)
    if database := database_of(uri):
        refuse_shared(database)
    studies = study_storage(uri, plan.store, options.studies)
    reach(studies, progress.say)
    name, key = plan.experiment.name, spec_key(plan)
    with alone(plan.store, key, name, progress.say) as keeper:
        together = Together(progress, keeper)
        busy = f"{name} is being recorded in {database} from another store; this command waits until it ends"
        with recording(database, key, lambda: together.say(busy)):
            writer = open_experiment(uri, name, together.say)
            return _Command(writer, uri, studies, together, options, start, on_seed).run(plan)


@dataclass(frozen=True)
class _Command:
    """A call of ``run_experiment`` that is alone with its experiment."""

    writer: Writer
    uri: str
    studies: Storage
    progress: RunProgress
    options: Options
    start: Start
    on_seed: Callable[[], object]

    def run(self, plan: Plan) -> Outcome:
        """Finds what is missing, tries what could fail later, and has the rest done and recorded."""
        writer, key, search = self.writer, spec_key(plan), plan.experiment.spec.search
        before = writer.own_parent(plan, key)
        if search and before:
            plan = resumed(plan, writer, before.run_id)
            end_pruned(plan.experiment, writer, before.run_id)
        complete = supersede_others(plan, writer, before, self.progress.say) if before else set()
        waiting = waiting_runs(plan, complete)
        if before and not waiting and (not search or has_ended(plan, writer, before.run_id)):
            _mend(plan, writer, before, self.studies, self.progress.say)
            return Outcome(runs=len(plan.runs), pruned=_pruned(plan))
        if not before:
            _say_others(plan, writer, self.progress.say)
        writer.client.reach()
        require_parts(plan.experiment.variants.values(), plan.experiment.spec.profile)
        with ExitStack() as ends:
            needs = needs_of(plan, goes_on=bool(search))
            with needs_written(plan.store, key, plan.experiment.file, needs):
                plan.store.clear_leftovers()
                for segment in plan.segments:  # also from others that train the same and do not need it
                    plan.store.keep("train", segment.key)
                measured = {run.name for run in waiting if plan.store.has("evaluate", run.keys.evaluate)}
                running = ends.enter_context(self.start(plan, self.options.workers))
                workers = running.free
                findings = self._look_ahead(plan, waiting, running, workers)
            parent = writer.begin_parent(plan, key, before)
            writer.log_findings(parent.run_id, findings)
            recorder = self._work(plan, waiting, running, workers, parent)
        writer.end_parent(parent.run_id, failed=bool(recorder.failed))
        done = resumed(plan, writer, parent.run_id) if search else plan
        stored = len(measured.intersection(recorder.finished))
        return Outcome(recorder.finished, recorder.failed, len(done.runs), _pruned(done), stored)

    def _look_ahead(
        self, plan: Plan, waiting: Sequence[Run], running: Executor, workers: int
    ) -> list[Finding] | None:
        """What the audit has found, if it is asked for. Raises UserError for what would fail after the
        training, and for what does nothing and should."""
        probes = probes_of(plan)
        reports = self.options.reports
        look_ahead(Asked(plan, probes, waiting, self.uri, reports, workers, running, self.progress))
        findings = ask_audit(probes, running, self.progress) if self.options.audited else None
        refuse_inert(findings or (), probes.experiment)
        return findings

    def _work(
        self, plan: Plan, waiting: Sequence[Run], running: Executor, workers: int, parent: Parent
    ) -> Recorder:
        """Round after round to the end, beside a forecast. Gives who has recorded it."""
        writer, progress = self.writer, self.progress
        times = Times(plan.store, f"runs of {plan.experiment.name}")
        expected = forecast(plan, waiting, times)
        # Nobody knows which trials a search will propose.
        foreseen = expected.known and not plan.experiment.spec.search
        if foreseen:
            _say_forecast(expected, workers, progress.say)
        epochs, names, began = 0, list[str](), time.monotonic()
        with Recorder(plan, writer, parent.run_id) as recorder, times:
            for grown, some in rounds(plan, self.studies, parent, writer, waiting, progress.say):
                recorder.begin(some)
                epochs += sum(replace(grown, runs=tuple(some)).epochs_to_train().values())
                names += [run.name for run in some]
                progress.begin(epochs, names)
                stop = self.options.fail_fast
                run_round(grown, some, running, recorder, progress, times, self.on_seed, fail_fast=stop)
                recorder.flush()
        seconds = time.monotonic() - began
        writer.log_call(parent.run_id, _call(expected, workers, times.worked, seconds, foreseen=foreseen))
        return recorder


def _mend(plan: Plan, writer: Writer, parent: Parent, studies: Storage, say: Callable[[str], None]) -> None:
    """Of a finished experiment, makes good what was deleted, or what a killed process had not come to."""
    write_needs(plan)
    writer.mend_parent(parent.run_id, plan)
    if writer.status(parent.run_id) != FINISHED or is_lost(studies):
        agree(plan, studies, parent, writer, say)
        writer.end_parent(parent.run_id, failed=False)


def _pruned(plan: Plan) -> int:
    return sum(run.keys is not run.keys.whole for run in plan.runs)


def rounds(
    plan: Plan,
    studies: Storage,
    parent: Parent,
    writer: Writer,
    waiting: Sequence[Run],
    say: Callable[[str], None],
) -> Iterator[tuple[Plan, list[Run]]]:
    """Round after round: the plan so far, and the runs that come next."""
    if plan.experiment.spec.search:
        study = open_search_study(plan, studies, parent, say)
        return SearchRounds(plan, study, writer, parent.run_id, say)(waiting)
    return fixed_rounds(plan, waiting, open_study(plan, studies, parent, say), writer, parent.run_id)


def agree(plan: Plan, studies: Storage, parent: Parent, writer: Writer, say: Callable[[str], None]) -> None:
    """Makes the study of a finished experiment say what MLflow says."""
    children = writer.children(parent.run_id)
    if plan.experiment.spec.search:
        study = open_search_study(plan, studies, parent, say)
        measured = measured_of(plan.experiment, children)
        study.agree(plan.experiment.trials, measured, set(), plan.experiment.scored)
    else:
        results = results_of(children, plan.experiment.spec.seeds)
        open_study(plan, studies, parent, say).agree(results)


def supersede_others(
    plan: Plan, writer: Writer, parent: Parent, say: Callable[[str], None]
) -> set[tuple[str, str]]:
    """Marks results of other code or data as superseded, and names them; the means of variants are then of
    those that count. Gives variant and key of each run that MLflow has."""
    keys = {run.keys.whole.evaluate for run in plan.runs}
    old = [child for child in writer.children(parent.run_id) if child.key not in keys]
    lost = [child for child in old if _is_lost_trial(child, plan)]
    if lost:
        say(
            f"{plan.experiment.name}: {SPEC} of MLflow's run {parent.run_id} is gone, and with it what the "
            "search has proposed. It begins again, and takes from the store what is there: with the same "
            "results it proposes the same."
        )
    if changed := sorted({child.name for child in old if child not in lost}):
        say(
            f"{plan.experiment.name}: the code or the data have changed. What MLflow has of "
            f"{', '.join(changed)} is superseded: it stays there, and no longer counts."
        )
    complete = writer.keep_current(parent.run_id, keys)
    writer.keep_content(parent, plan)
    Aggregates(writer, parent.run_id).keep(plan)
    return complete


def waiting_runs(plan: Plan, complete: Collection[tuple[str, str]]) -> list[Run]:
    """The runs whose results MLflow lacks, and that no pruner has ended."""
    pruned = plan.experiment.pruned
    return [
        run
        for run in plan.runs
        if run.variant not in pruned and (run.variant, run.keys.evaluate) not in complete
    ]


def _is_lost_trial(child: Child, plan: Plan) -> bool:
    """Whether a run belongs to a trial of a search, and the record has lost what that has proposed."""
    searching, known = plan.experiment.spec.search is not None, plan.experiment.variants
    return searching and not plan.experiment.proposals and child.variant not in known


def _say_others(plan: Plan, writer: Writer, say: Callable[[str], None]) -> None:
    """Names the experiments with the same settings that are not this one."""
    for other in writer.parents(spec_key(plan)):
        which = "in a run that goes on there, or was killed" if other.running else "but of other data or code"
        say(
            f"MLflow has {plan.experiment.name} with these settings, {which} ({other}). "
            "That stays as it is: these runs are recorded apart from it."
        )


def _say_forecast(expected: Forecast, workers: int, say: Callable[[str], None]) -> None:
    seconds = expected.on(workers).makespan
    say(f"about {duration(seconds)} of work are ahead, by what {expected.ground} took")


def _call(expected: Forecast, workers: int, worked: float, seconds: float, *, foreseen: bool) -> Call:
    """What a call of ``run_experiment`` was expected to take, where it was ``foreseen``, and what it took."""
    return Call(
        workers=workers,
        device=expected.device,
        expected_seconds=expected.on(workers).makespan if foreseen else None,
        expected_hours=expected.hours if foreseen else None,
        seconds=seconds,
        hours=worked * expected.devices / HOUR,
    )


def open_study(plan: Plan, studies: Storage, parent: Parent, note: Callable[[str], None]) -> Study:
    """The study of a recorded experiment, made where there is none."""
    name = study_name(plan.experiment.name, parent.key, parent.place)
    return Study(studies, name, list(plan.experiment.variants), note)


def open_search_study(
    plan: Plan, studies: Storage, parent: Parent, note: Callable[[str], None]
) -> SearchStudy:
    """The study of a recorded search, made where there is none."""
    search, figures = plan.experiment.spec.search, plan.experiment.vocabulary.figures
    assert search
    directions = ["minimize" if figures[m].lower_is_better else "maximize" for m in search.objectives]
    name = study_name(plan.experiment.name, parent.key, parent.place)
    return SearchStudy(studies, name, search, directions, note)


def run_round(
    plan: Plan,
    runs: Sequence[Run],
    executor: Executor,
    recorder: Recorder,
    progress: RunProgress,
    times: Times,
    on_seed: Callable[[], object] = lambda: None,
    *,
    fail_fast: bool = False,
) -> None:
    """Brings ``runs`` to their results or to a failure, and records both as they come. Calls ``on_seed`` in
    the thread of the record for each seed that is complete but the last.

    Raises:
        RunError: with ``fail_fast``, for the first task that fails.
    """
    # Once, for everyone: asked again, the store may hold more, and there would be other tasks.
    tasks = {task.name: task for task in tasks_of(plan, runs)}
    open_seeds = Counter(run.seed for run in runs)
    open_variants = Counter(run.variant for run in runs)
    run_of = {run.name: run for run in runs}

    def on_event(event: Event) -> None:
        if isinstance(event, Took):
            times.add(event.kind, event.units, event.seconds)
        elif not isinstance(event, EpochDone):
            show(event, progress)
        elif event.task in tasks:  # what an earlier round said may come late, when its runs are complete
            progress.epoch(event.task, event.epochs, event.history[-1], event.memory)
            recorder.epoch(tasks[event.task].runs, event.history, event.preview)

    def on_end(task: Task, reason: str) -> None:
        if reason:
            recorder.fail(task.runs, reason)
            progress.failed(task.name, brief(reason))
            if fail_fast:
                raise RunError(f"{task.name} failed, and with --fail-fast that ends the command", fix=GO_ON)
        else:
            if task.name in run_of:
                recorder.finish(task.name)
            progress.done(task.name)
        if run := run_of.get(task.name):
            open_variants[run.variant] -= 1
            if not open_variants[run.variant]:
                recorder.sum_up(plan, run.variant)
            open_seeds[run.seed] -= 1
            if not open_seeds[run.seed] and any(open_seeds.values()):
                recorder.then(on_seed)

    walk(list(tasks.values()), executor, on_event, on_end)
