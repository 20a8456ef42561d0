"""Refuses data and parts that are not what a run's keys were made from: it may be hours since then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.data.place import place_of
from ablate.errors import ComponentError, DataError
from ablate.fingerprint import DIGESTS, Contents
from ablate.parts import PARTS

if TYPE_CHECKING:
    from ablate.stages.keys import RunKeys
    from ablate.store import Store

CHANGED = "changed while the command was running"
FIX = "Give the same command again."


def refuse_other_data(keys: RunKeys, store: Store) -> None:
    """Raises DataError if the data are not those that the keys are made of."""
    path = keys.config.data.path
    if place_of(path).identity(Contents(store.root / DIGESTS)) != keys.data:
        raise DataError(f"the data were {CHANGED}", where=f"data.path: {path}", fix=FIX)


def refuse_other_parts(keys: RunKeys, store: Store, *names: str) -> None:
    """Raises ComponentError if parts of ``components`` are not those that the keys are made of.

    Called when they have been loaded: what is put in their place later does no harm.
    """
    contents = Contents(store.root / DIGESTS)
    for name in names:
        reference = getattr(keys.config.components, name)
        if reference and (part := PARTS[name](reference)).identity(contents) != keys.part(name):
            where = f"components.{name}: {part.shown}"
            raise ComponentError(f"the {part.title} was {CHANGED}", where=where, fix=FIX)
    contents.save()  # the next task only looks whether the files are the same
