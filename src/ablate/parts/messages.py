"""What is said when a part cannot be loaded.

Apart from the code that loads: that code is in the keys of stored results, and other words change none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.errors import ComponentError
from ablate.text import in_one_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from ablate.parts.sources import Source


def no_folder(folder: Path) -> ComponentError:
    """A reference that can only be meant as a path, to a folder that is not there."""
    return ComponentError(
        "the folder does not exist",
        where=str(folder),
        fix="Check the path, or train a kit there with `ablate kit build`.",
    )


def not_loadable(title: str, shown: str, source: Source, error: Exception) -> ComponentError:
    """Files that are there and that the library cannot load."""
    fetched = f"Delete them in {source.place}; `ablate fetch` downloads them again."
    return ComponentError(
        f"the {title} cannot be loaded from there ({in_one_line(error)})",
        where=shown,
        fix=f"Its files are broken, or hold something else. {fetched if source.address else 'Replace them.'}",
    )


def tokens_differ(tokenizer: int, encoder: int, shown: str) -> ComponentError:
    """A tokenizer with another number of tokens than its text encoder."""
    return ComponentError(
        f"the tokenizer has {tokenizer} tokens, the text encoder {encoder}",
        where=shown,
        fix="The tokenizer's files are broken or belong to another model.",
    )


def no_evaluator(source: str) -> ComponentError:
    """Neither a folder nor a name in open_clip's table."""
    return ComponentError(
        "is neither a folder that is there nor a model that open_clip can download",
        where=source,
        fix="Check the path, or name architecture:weights as in ViT-B-32:openai.",
    )


def no_network(networks: Iterable[str], shown: str) -> ComponentError:
    """Neither a folder nor one of LPIPS' networks."""
    return ComponentError(
        f"is neither a folder that is there nor one of {', '.join(networks)}",
        where=shown,
        fix="Check the path, or name one of the networks.",
    )
