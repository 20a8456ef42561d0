"""Failures of the record: which of them pass by themselves, how long to wait, and what to say.

Everything that MLflow, SQLAlchemy, a network or a disk may raise is turned into ablate's errors here.
"""

from __future__ import annotations

import errno
import re
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ablate.errors import AblateError
from ablate.patience import Note, Patience, Trouble, log
from ablate.text import first_line, visible

if TYPE_CHECKING:
    from collections.abc import Iterator


def patient_with(address: str, note: Note = log, secrets: tuple[str, ...] = ()) -> Patience:
    """That with MLflow and Optuna, and with what they are built on."""
    return Patience(address, note, secrets, explain=trouble_of, then=THEN)


THEN = "The store has all that was trained and measured. When this works again, the same command records it."


# ── addresses ────────────────────────────────────────────────────────────────────────────────────


def shown(uri: str) -> str:
    """A tracking address without user, password and query."""
    uri = visible(uri, keep="")
    if "://" not in uri or uri.startswith("sqlite:"):
        return uri
    scheme, _, rest = uri.partition("://")
    rest = rest.rpartition("@")[2]  # the last one of all: a password may hold any sign
    return f"{scheme}://{rest.partition('?')[0]}"


def secrets_of(uri: str) -> tuple[str, ...]:
    """The passwords in a tracking address, as they stand there and as they are meant."""
    if "://" not in uri:
        return ()
    found = re.findall(r"(?:password|passwd|pwd|token)=([^&]+)", uri, flags=re.IGNORECASE)
    user, at, _ = uri.partition("://")[2].partition("?")[0].rpartition("@")
    if at and ":" in user:
        found.append(user.partition(":")[2])
    both = {form for secret in found for form in (secret, unquote(secret)) if form}
    return tuple(sorted(both, key=len, reverse=True))


# ── failures ─────────────────────────────────────────────────────────────────────────────────────

PASSING = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE, errno.EBUSY),
    *(errno.EAGAIN, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ETIMEDOUT),
}
"""Failures with a file that may pass: the disk has room again, the network's disk is back."""
MISSING = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}

BROKEN = Trouble(
    "the database is broken",
    "Move the file away. The same command makes it anew and fills it from the store.",
)

WORDS: tuple[tuple[str, Trouble], ...] = (
    (
        "readonly database",
        Trouble(
            "the database may not be written to", "Give yourself the right to write to it and its folder."
        ),
    ),
    (
        "unable to open database",
        Trouble("the database cannot be opened", "Is its folder there, and may you write to it?"),
    ),
    (
        "not a database|malformed|no such (table|column)|has no column",
        BROKEN,
    ),
    (
        "database is locked|database table is locked",
        Trouble("the database is locked by another process"),
    ),
    ("disk is full|disk i/o error", Trouble("the disk is full or cannot be written to")),
    (
        "authentication failed|access denied|unauthorized|forbidden|permission denied|error code 40[13]",
        Trouble("access was refused", "Check user and password of the tracking address, and their rights."),
    ),
    (
        r"(database|role) \S+ does not exist|unknown database",
        Trouble("the server has no such database or user", "Create it there, or check the tracking address."),
    ),
    (
        "certificate verify failed",
        Trouble("its certificate cannot be verified", "See MLFLOW_TRACKING_SERVER_CERT_PATH."),
    ),
    (
        r"wrong version number|wrong_version_number|unknown protocol|record layer failure",
        Trouble(
            "what answers there does not speak https", "Write http:// where the server has no certificate."
        ),
    ),
    (
        "can't locate revision",
        Trouble(
            "this database was made by a newer version of MLflow",
            "Install that version, or choose another --tracking-uri.",
        ),
    ),
    (
        "not in a valid json format|error code 40[45]",
        Trouble("what answers there is not an MLflow server", "Check MLFLOW_TRACKING_URI or --tracking-uri."),
    ),
)
"""What is said in the words of other libraries only, in the order in which it is looked for."""

REFUSED = {
    *("BAD_REQUEST", "INVALID_PARAMETER_VALUE", "INVALID_STATE", "NOT_IMPLEMENTED"),
    *("RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "NOT_FOUND", "ENDPOINT_NOT_FOUND"),
    *("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"),
}
"""MLflow's codes of what will be refused again."""


def trouble_of(error: Exception) -> Trouble | None:
    """What a failure of MLflow or of what it is built on means; None for any other error."""
    if isinstance(error, AblateError):
        return None
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ImportError):
            package = cause.name or str(cause)
            return Trouble(f"the package {package} is not installed", f"pip install {package}")
    ours = [cause for cause in causes if _is_foreign(cause)]
    if not ours:
        return None
    words = " ".join(map(str, ours))
    of_the_system = next(filter(None, map(_of_the_system, ours)), None)
    in_words = (trouble for pattern, trouble in WORDS if re.search(pattern, words, flags=re.IGNORECASE))
    return of_the_system or next(in_words, None) or _of_mlflow(ours[0])


def _of_the_system(error: BaseException) -> Trouble | None:
    """What is wrong with a file; None for anything else."""
    if not isinstance(error, OSError) or error.filename is None:
        return None
    what = f"{error.filename}: {error.strerror}"
    if error.errno in PASSING:
        return Trouble(what)
    if error.errno in MISSING:
        return Trouble(what, "Is that where it should be? The same command makes anew what is missing.")
    return Trouble(what, "Give yourself the right to read and write there.")


def _of_mlflow(error: BaseException) -> Trouble:
    what = _first_line(error)
    hopeless = getattr(error, "error_code", None) in REFUSED or type(error).__name__ in (
        *("NoSuchModuleError", "ArgumentError", "InvalidUrlException"),
        *("UnsupportedModelRegistryStoreURIException", "DatabaseError", "ProgrammingError"),
    )
    if hopeless:
        return Trouble(
            f"MLflow refuses this: {what}",
            "Check MLFLOW_TRACKING_URI or --tracking-uri. What was trained and measured is in the store.",
        )
    return Trouble(f"no answer ({what})")


def _first_line(error: BaseException) -> str:
    # A request that failed says so in many words, and what happened at their end.
    line = first_line(error) or type(error).__name__
    reason = re.search(
        r"(Connection refused|timed out|Name or service not known|Connection reset|too many \d+ error)", line
    )
    return reason[1].lower() if reason else line[:300]


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _is_foreign(error: BaseException) -> bool:
    """Whether an error is one of those that MLflow and Optuna raise about what they cannot reach."""
    package = type(error).__module__.partition(".")[0]
    return (
        isinstance(error, OSError | sqlite3.Error)
        or type(error).__name__ == "StorageInternalError"  # Optuna's
        or package in ("mlflow", "sqlalchemy", "alembic", "requests", "urllib3")
        or package in ("psycopg2", "psycopg", "pymysql", "botocore", "boto3", "google", "azure")
    )
