"""A store by its address: a folder, or the URL of a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.errors import UserError
from ablate.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

BUCKETS = ("s3", "gs", "az")
"""Schemes of URLs that are buckets."""


def is_bucket(address: str) -> bool:
    """Whether an address is a URL, and not a folder."""
    return "://" in address


def open_store(address: str, note: Callable[[str], None] = lambda text: None) -> Store:
    """The store at an address: ``.ablate``, ``s3://bucket/folder``.

    Raises:
        UserError: it is no such address. Whether it can be used is seen by ``reach``.
    """
    if not is_bucket(address):
        return Store(address, note)
    if (scheme := address.partition("://")[0]) not in BUCKETS:
        fix = "Write a folder, or s3://BUCKET/FOLDER, gs://BUCKET/FOLDER, az://CONTAINER/FOLDER."
        raise UserError(f"ablate has no store in {scheme}://", where="--store", fix=fix)
    from ablate.store.remote import BucketStore

    return BucketStore(address.rstrip("/"), note)
