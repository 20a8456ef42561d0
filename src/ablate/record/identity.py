"""Which experiment is which: what a parent run in MLflow is told apart by.

Settings alone do not tell: two clones may have one tracking server, and other data or other code under the
same names. So a parent also says from which folder and spec file it was recorded (its *place*), and what its
data and its runs are. A command goes on in a parent of its own place, or in one of which all is the same as
here. It never supersedes what was recorded from somewhere else.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.data.place import Folder, place_of
from ablate.errors import DataError, UserError
from ablate.fingerprint import DIGESTS, Contents
from ablate.record import names
from ablate.store.files import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ablate.plan import Plan


@dataclass(frozen=True)
class Parent:
    """A parent run as its tags describe it. What older versions did not write is empty."""

    run_id: str
    key: str
    """Of the resolved spec."""
    place: str
    store: str
    folder: str
    data: str
    content: str
    running: bool
    """Whether its runs are being recorded, or were when the command was killed: MLflow does not tell."""

    @classmethod
    def of_tags(cls, run_id: str, tags: Mapping[str, str], *, running: bool) -> Parent:
        """The parent run with these tags."""
        which = (names.KEY, names.PLACE, names.STORE, names.FOLDER, names.DATA, names.CONTENT)
        key, place, store, folder, data, content = (str(tags.get(name, "")) for name in which)
        return cls(run_id, key, place, store, folder, data, content, running)

    def __str__(self) -> str:
        return f"run {self.run_id}, recorded from {self.folder or 'a folder that is not known'}"


def identity_tags(plan: Plan, database: Path | None) -> dict[str, str]:
    """What the parent run of a plan is told apart by, beside its settings."""
    return {
        names.PLACE: here(plan, database),
        names.STORE: plan.store.identity,
        names.FOLDER: this_folder(),
        **content_tags(plan),
    }


def this_folder() -> str:
    """The folder that the command is given in, as it is shown."""
    return f"{socket.gethostname()}:{Path.cwd()}"[:500]


def content_tags(plan: Plan) -> dict[str, str]:
    """What the results of a plan are made of."""
    proposed = {proposal.name for proposal in plan.experiment.proposals}
    seeds = plan.experiment.spec.seeds
    runs = sorted(
        (run.name, run.keys.whole.evaluate)
        for run in plan.runs
        if run.variant not in proposed and run.seed in seeds  # what a search adds is its result
    )
    return {names.DATA: data_of(plan) or "", names.CONTENT: key_of({"runs": runs})}


def here(plan: Plan, database: Path | None) -> str:
    """The place that commands on a plan are given in.

    As seen from an SQLite file, with which it may move; with a server, on this machine.
    """
    return place_seen(plan.experiment.file, database.parent if database else None)


def place_seen(spec: Path, base: Path | None) -> str:
    """The place that commands on a spec are given in: the current folder and that of the spec, as seen from
    the folder ``base``, with which they may move; without one, on this machine."""
    folder, spec = Path.cwd(), spec.absolute()
    if base is None:
        seen = {"host": socket.gethostname(), "folder": str(folder), "spec": str(spec)}
    else:
        base = base.resolve()
        seen = {"folder": _seen_from(base, folder), "spec": _seen_from(base, spec)}
    return key_of(seen)


def _seen_from(base: Path, path: Path) -> str:
    try:
        return Path(os.path.relpath(path.resolve(), base)).as_posix()
    except ValueError:  # on Windows, on another drive
        return path.as_posix()


def data_of(plan: Plan) -> str | None:
    """A digest of the data of all variants; None where they are not on this machine.

    What the package draws and what a hub has goes by its name: the same everywhere.
    """
    places = {place_of(config.data.path) for config in plan.experiment.variants.values()}
    contents = plan.runs[0].keys.contents if plan.runs else Contents(plan.store.root / DIGESTS)
    try:
        data = [place.identity(contents) if isinstance(place, Folder) else place.path for place in places]
    except DataError:
        return None
    return key_of({"data": sorted(data)})


def own(
    plan: Plan,
    parents: Sequence[Parent],
    place: str,
    keys_of: Callable[[str], set[str]],
    *,
    alone: bool,
) -> Parent | None:
    """The parent, of those with a plan's settings, that a run of it goes on in; None where it begins one.

    Args:
        keys_of: gives the keys of a parent's children that count.
        alone: whether nobody else can be recording in one of them. Otherwise one that is RUNNING from another
            place and another store is left alone: from this store, nobody else runs the experiment now.
    """
    if mine := [parent for parent in parents if parent.place == place]:
        return mine[0]
    content = content_tags(plan)[names.CONTENT]
    keys = {run.keys.whole.evaluate for run in plan.runs}
    for parent in parents:
        if parent.running and parent.place and parent.store != plan.store.identity and not alone:
            continue
        if parent.content == content or (not parent.content and set() != keys_of(parent.run_id) <= keys):
            return parent
    return None


def readable(plan: Plan, parents: Sequence[Parent], place: str, note: Callable[[str], None]) -> Parent | None:
    """The parent, of those with a plan's settings, that is read; None where there is none.

    It is the one of this place; else one of the same data; else the only one, if the data are not here, or
    if nobody knows where it was recorded.

    Raises:
        UserError: there are only those of other data, or several and nothing to choose by.
    """
    if mine := [parent for parent in parents if parent.place == place]:
        return mine[0]
    if not parents:
        return None
    data = data_of(plan)
    if same := [parent for parent in parents if parent.data == data]:
        return same[0]
    name = plan.experiment.name
    if len(parents) == 1 and (data is None or not parents[0].place):
        if data is not None:
            note(f"what MLflow has of {name} ({parents[0]}) may be of other data than those here")
        return parents[0]
    found = "; ".join(map(str, parents))
    if data is None:
        what = f"MLflow has {name} with these settings more than once, and its data are not here to tell"
        fix = "Give the command in the folder that it was recorded from, or put its data here."
    else:
        what = f"MLflow has {name} with these settings, but of other data than those here"
        fix = "Give the command in the folder that it was recorded from, or run it here: `ablate run`."
    raise UserError(what, where=found, fix=fix)


def changed(parent: Parent, tags: Mapping[str, str]) -> dict[str, str]:
    """Those of ``tags`` that a parent has with another value."""
    known = {names.DATA: parent.data, names.CONTENT: parent.content}
    return {name: value for name, value in tags.items() if known[name] != value}
