"""What ``ablate data check`` says about a data set: a function for each kind of remark, listed in REMARKS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.data.remarks import entries, files, pictures, texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ablate.data.remarks.base import DataSet, Remark

REMARKS: tuple[Callable[[DataSet], Iterator[Remark]], ...] = (
    entries.mistakes,
    files.broken_images,
    entries.frames,
    files.unread,
    texts.long,
    pictures.equal,
    entries.torn_groups,
    entries.prompts_without_image,
    entries.unread_fields,
    entries.held_out,
    pictures.relabelled,
    texts.shared,
    pictures.changes,
    files.links,
)
