"""An object store by its URL (S3, Google Cloud Storage, Azure), asked through ``obstore`` with patience."""

from __future__ import annotations

import math
import os
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from ablate.errors import UserError
from ablate.patience import Patience, Trouble, UnreachableError
from ablate.text import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from ablate.patience import Note

Result = TypeVar("Result")

Kind = Literal["read", "write"]
"""What a request asks for. The right to read is not that to write."""
_worked: set[tuple[str, Kind]] = set()
"""URL and kind of the requests that have worked in this process."""

FIRST = 10.0
"""Seconds after which ``reach`` gives up."""
CHUNK = 32 * 2**20
"""Bytes that one request asks for: what fails is asked for again, and no more."""
AT_ONCE = 1000
"""Names in one request to delete, at most."""

CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION; AWS_ENDPOINT_URL for other servers",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}
"""Scheme → the environment variables that say who asks."""


class Object(NamedTuple):
    """What a listing says of an object."""

    name: str
    size: int
    modified: datetime
    tag: str | None
    """Changes with the content."""


class Bucket:
    """The objects below a URL. What does not answer is waited for, and ``note`` is told so.

    What has worked in this process may work again: then a refusal is waited for, too. It may be that
    credentials are just being renewed.

    Raises (all methods):
        UserError: there is no such bucket, or access is refused.
        UnreachableError: it has not answered, or has refused what it allowed before, for minutes.
    """

    def __init__(self, url: str, note: Note) -> None:
        self.url = url
        self._note = note
        self._objects = _opened(url)

    def reach(self) -> None:
        """Sees that it answers. Raises UserError within seconds if not: it may be the wrong address."""
        try:
            self._ask("read", lambda: next(iter(self._obstore.list(self._objects)), None), FIRST)
        except UnreachableError as error:
            fix = f"Check --store, and the environment: {CREDENTIALS[self.url.partition(':')[0]]}."
            raise UserError(f"does not answer ({error.what})", where=self.url, fix=fix) from error

    @property
    def _obstore(self) -> Any:
        import obstore

        return obstore

    def get(self, name: str) -> bytes | None:
        """An object's content; None if there is none."""
        return self._or_none("read", lambda: bytes(self._obstore.get(self._objects, name).bytes()))

    def look(self, name: str) -> Object | None:
        """What a listing would say of an object; None if there is none."""
        found = self._or_none("read", lambda: self._obstore.head(self._objects, name))
        return None if found is None else _object(found)

    def put(self, name: str, content: bytes | Path) -> None:
        """Writes an object, over an older one."""
        self._ask("write", lambda: self._obstore.put(self._objects, name, content, chunk_size=CHUNK))

    def create(self, name: str, content: bytes) -> bool:
        """Writes an object if there is none of this name. Gives whether it is this one that is there."""
        from obstore.exceptions import AlreadyExistsError

        try:
            self._ask("write", lambda: self._obstore.put(self._objects, name, content, mode="create"))
        except AlreadyExistsError:
            return self.get(name) == content  # an answer may have been lost on its way
        return True

    def exchange(self, name: str, content: bytes, tag: str) -> bool:
        """Writes an object over the one that has this tag. Gives whether it had it."""
        from obstore.exceptions import PreconditionError

        try:
            self._ask("write", lambda: self._obstore.put(self._objects, name, content, mode={"e_tag": tag}))
        except (PreconditionError, FileNotFoundError):
            return self.get(name) == content
        return True

    def delete(self, names: Sequence[str]) -> None:
        """Removes objects; those that are not there are no error."""
        for first in range(0, len(names), AT_ONCE):
            some = list(names[first : first + AT_ONCE])
            self._or_none("write", lambda some=some: self._obstore.delete(self._objects, some))  # type: ignore[misc]

    def list(self, folder: str) -> Iterator[Object]:
        """The objects below a folder; 1000 of them cost a request."""
        pages = self._ask("read", lambda: list(self._obstore.list(self._objects, folder)))
        return (_object(found) for page in pages for found in page)

    def download(self, name: str, file: Path) -> None:
        """Writes an object into a file. Raises FileNotFoundError if there is none."""
        size = self._ask("read", lambda: self._obstore.head(self._objects, name))["size"]
        with file.open("wb") as out:
            for start in range(0, size, CHUNK):
                out.write(self.part(name, start, min(CHUNK, size - start)))

    def part(self, name: str, start: int, length: int) -> bytes:
        """Some bytes of an object. Raises FileNotFoundError if there is none."""
        return self._ask(
            "read", lambda: bytes(self._obstore.get_range(self._objects, name, start=start, length=length))
        )

    def _or_none(self, kind: Kind, attempt: Callable[[], Result]) -> Result | None:
        try:
            return self._ask(kind, attempt)
        except FileNotFoundError:
            return None

    def _ask(self, kind: Kind, attempt: Callable[[], Result], seconds: float = math.inf) -> Result:
        """What ``attempt`` gives, waited for at most so long."""
        has_worked = (self.url, kind) in _worked

        def explain(error: Exception) -> Trouble | None:
            trouble = trouble_of(error, self.url)
            return trouble._replace(fix="") if trouble and has_worked else trouble

        result = Patience(self.url, self._note, limit=seconds, explain=explain, then=THEN)(attempt)
        _worked.add((self.url, kind))
        return result


THEN = "What was made is in this machine's cache. When the bucket answers again, the same command goes on."


def _object(found: Any) -> Object:
    return Object(found["path"], found["size"], found["last_modified"], found["e_tag"])


def _opened(url: str) -> Any:
    """obstore's object for a URL. Raises UserError if it cannot be one."""
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        fix = "pip install obstore"
        raise UserError("a store in a bucket needs the package obstore", where=url, fix=fix) from error
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "") + os.environ.get("AWS_ENDPOINT_URL_S3", "")
    options: Any = {"connect_timeout": "5s", "timeout": "120s", "allow_http": "http://" in endpoint}
    once: Any = {"max_retries": 0, "retry_timeout": timedelta(seconds=5)}  # the patience is ours
    try:
        return from_url(url, client_options=options, retry_config=once)
    except (BaseError, ValueError) as error:
        scheme = url.partition(":")[0]
        fix = f"Write s3://BUCKET/FOLDER, gs://… or az://…, and set {CREDENTIALS[scheme]}."
        raise UserError(_first_line(error), where=url, fix=fix) from error


NO_BUCKET = "NoSuchBucket"
"""What S3 says where nothing can be written; obstore says that the object is not there."""
HOPELESS = (
    (
        f"{NO_BUCKET}|ContainerNotFound|bucket does not exist",
        "there is no such bucket",
        "Make it, or check --store and the address of the server.",
    ),
    (
        r"169\.254\.(169\.254|170\.2)|token request|must be specified|credential",
        "there are no credentials for it",
        "Set {}.",
    ),
    (
        "PermissionDenied|Unauthenticated|InvalidAccessKeyId|SignatureDoesNotMatch|AccessDenied|Forbidden",
        "access was refused",
        "Set {}. They need the right to read, write, list and delete there.",
    ),
    (
        "NotSupported|InvalidPath|BadScheme|InvalidUri|builder error|InvalidBucketName",
        "",
        "Check --store and the address of the server.",
    ),
)
"""What obstore says of failures that no waiting mends where nothing has worked → in words, and what to do."""


def trouble_of(error: Exception, url: str) -> Trouble | None:
    """What a failure of obstore means; None for any other error, and for what its callers handle."""
    kind, gone = type(error).__name__, isinstance(error, FileNotFoundError) and NO_BUCKET in str(error)
    if type(error).__module__.partition(".")[0] != "obstore" and not gone:
        return None
    if kind in ("AlreadyExistsError", "PreconditionError"):
        return None
    words = f"{kind}: {error}"
    for pattern, what, fix in HOPELESS:
        if re.search(pattern, words):
            return Trouble(what or _first_line(error), fix.format(CREDENTIALS[url.partition(":")[0]]))
    return Trouble(f"no answer ({_first_line(error)})")


def _first_line(error: Exception) -> str:
    line = first_line(error) or type(error).__name__
    return re.sub(r"Error performing \S+ \S+ in \S+?s( - |, )|^Generic \w+ error: ", "", line)[:200]
