"""``ablate doctor --store``: is everything in the store as it was written?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.doctor import Answer
from ablate.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ablate.store import Store


def check_store(
    store: Store, progress: Callable[[int, int], None], *, named: bool = True
) -> Iterator[Answer]:
    """An answer for each entry that is damaged, and one for all. Reads every file; changes nothing.

    Args:
        progress: told how many entries of how many have been read.
        named: whether somebody has named the store. Where nobody has, it need not be there yet.
    """
    about = f"store {store.address}"
    in_a_folder = store.address == str(store.root)
    if in_a_folder and not store.root.exists():
        if named:
            yield Answer(about, "wrong", "there is no such folder")
        else:
            yield Answer(about, "ok", "nothing has run here yet")
        return
    entries = list(store.listed())
    damaged = 0
    for number, (stage, key) in enumerate(entries, start=1):
        damage = store.damage(stage, key)
        progress(number, len(entries))
        if damage and store.has(stage, key):  # it may have gone in the meantime
            damaged += 1
            mend = "ablate run sets it aside and makes it again where an experiment needs it"
            yield Answer(str(store.path(stage, key)), "wrong", damage, mend)
    counted = plural(len(entries), "entry", "entries")
    if damaged:
        yield Answer(about, "wrong", f"{damaged} of {counted} damaged")
    else:
        yield Answer(about, "ok", f"{counted}, each as it was written")
