"""Locks in a bucket: an object that its holder creates if there is none, and writes again and again.

As with a lease in a shared folder, a waiting process takes it over when it has not changed for ``LEASE``
seconds; of several that want to, the bucket lets one.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from filelock import Timeout

from ablate.errors import AblateError
from ablate.locks import HEARTBEAT, LEASE, lives, this_host

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablate.store.bucket import Bucket

PAUSE = 1.0
"""Seconds between two looks at a claim that somebody else holds."""


class Claim:
    """A lock among all that reach a bucket. ``acquired`` is called each time when it is held.

    Like a lock of ``filelock``: ``acquire`` raises Timeout with ``blocking=False`` where another holds it.
    """

    def __init__(self, bucket: Bucket, name: str, acquired: Callable[[], None]) -> None:
        self._bucket, self._name, self._acquired = bucket, name, acquired
        self._token = uuid.uuid4().hex
        self._released = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, *, blocking: bool | None = None) -> Self:
        """Waits until nobody else holds it, and holds it."""
        seen, since = "", time.monotonic()
        while not self._bucket.create(self._name, self._text()):
            if (found := self._bucket.look(self._name)) is None:
                continue
            tag = found.tag or ""
            if tag != seen:
                seen, since = tag, time.monotonic()
            left = time.monotonic() - since >= LEASE or _is_of_the_dead(self._bucket.get(self._name))
            if left and self._bucket.exchange(self._name, self._text(), tag):
                break
            if blocking is False:
                raise Timeout(self._name)
            time.sleep(PAUSE)
        self._released.clear()
        self._thread = threading.Thread(target=self._renew, name="claim", daemon=True)
        self._thread.start()
        self._acquired()
        return self

    def release(self) -> None:
        """Lets go of it."""
        self._released.set()
        if self._thread:
            self._thread.join()
        if _content(self._bucket.get(self._name)).get("token") == self._token:
            self._bucket.delete([self._name])

    def __enter__(self) -> Self:
        # ``with lock.acquire(…)`` enters what is held already.
        return self if self._thread and not self._released.is_set() else self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def _text(self) -> bytes:
        content = {"host": this_host(), "process": os.getpid(), "token": self._token}
        return json.dumps(content | {"time": time.time()}).encode()

    def _renew(self) -> None:
        while not self._released.wait(HEARTBEAT):
            try:
                found = self._bucket.get(self._name)
                if _content(found).get("token") != self._token:
                    return  # somebody has taken it over: then both do the work, which is no harm
                self._bucket.put(self._name, self._text())
            except AblateError:
                continue  # the bucket is away: what is to be stored waits for it, too


def is_claimed(bucket: Bucket, name: str) -> bool:
    """Whether a process holds a claim. Waits for nobody and writes nothing."""
    found = bucket.look(name)
    if found is None or (datetime.now(UTC) - found.modified).total_seconds() > LEASE:
        return False
    return not _is_of_the_dead(bucket.get(name))


def _is_of_the_dead(text: bytes | None) -> bool:
    """Whether a claim was made by a process of this machine, and of this container, that has ended."""
    content = _content(text)
    return content.get("host") == this_host() and not lives(int(str(content.get("process", 0))))


def _content(text: bytes | None) -> dict[str, object]:
    try:
        content: dict[str, object] = json.loads(text or b"{}")
    except ValueError:
        return {}
    return content
