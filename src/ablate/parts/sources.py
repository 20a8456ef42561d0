"""The files of pretrained parts: whether they are on this machine, where, and how they get there.

What is on this machine is read without asking its hub, so after `ablate fetch` no run needs a network.
Nothing here imports torch but the download of one of its files: looking must not take seconds.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from huggingface_hub import constants

from ablate.errors import ComponentError
from ablate.paths import expanded
from ablate.store.files import file_digest
from ablate.text import in_one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

Names = tuple[str, ...]

SECONDS = 5.0
"""How long a hub has to answer before it counts as out of reach."""
PATIENCE = 60.0
"""Seconds without a byte until a download is given up."""


@dataclass(frozen=True)
class Folder:
    """Files in a local folder: ``place`` is looked in, and one whole set of ``needed`` will do."""

    place: Path
    needed: tuple[Names, ...]
    address: str = ""
    """What has to answer for a download: nothing."""

    def found(self) -> tuple[Path, ...]:
        """The files of the first set that is whole; empty if none is."""
        sets = (tuple(self.place / name for name in names) for names in self.needed)
        return next((files for files in sets if all(file.is_file() for file in files)), ())


@dataclass(frozen=True)
class HubFiles:
    """Files in one folder of a Hugging Face repository, kept in huggingface_hub's cache."""

    repository: str
    needed: tuple[Names, ...]
    subfolder: str = ""
    revision: str = "main"

    @property
    def place(self) -> Path:
        """The cache that everything on this machine shares that uses huggingface_hub."""
        return Path(constants.HF_HUB_CACHE)

    @property
    def address(self) -> str:
        """The public hub, or ``HF_ENDPOINT``."""
        return str(constants.ENDPOINT)

    def found(self) -> tuple[Path, ...]:
        """The files of the first set that is in the cache; empty if none is."""
        return next(filter(None, map(self._cached, self.needed)), ())

    def _cached(self, names: Names) -> tuple[Path, ...]:
        from huggingface_hub import try_to_load_from_cache
        from huggingface_hub.errors import HFValidationError

        try:
            cached = [
                try_to_load_from_cache(self.repository, self._path(name), revision=self.revision)
                for name in names
            ]
        except HFValidationError:  # no repository can have this name
            return ()
        files = tuple(Path(file) for file in cached if isinstance(file, str))
        return files if len(files) == len(names) else ()

    def fetch(self) -> None:
        """Downloads these files and not the whole repository; goes on where it was interrupted."""
        from huggingface_hub import snapshot_download

        names = {self._path(name) for names in self.needed for name in names}
        snapshot_download(self.repository, revision=self.revision, allow_patterns=sorted(names))

    def _path(self, name: str) -> str:
        return f"{self.subfolder}/{name}" if self.subfolder else name


@dataclass(frozen=True)
class TorchFile:
    """One file at an address, kept where torch.hub and torchvision keep theirs."""

    address: str
    sha256: str = ""
    """How the file's digest begins, if that is known."""

    @property
    def place(self) -> Path:
        """``torch.hub.get_dir()``, which could only be asked after importing torch."""
        cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
        home = os.environ.get("TORCH_HOME", f"{cache}/torch")
        return expanded(home, ComponentError) / "hub" / "checkpoints"

    @property
    def needed(self) -> tuple[Names, ...]:
        """The one file."""
        return ((self.address.rsplit("/", 1)[1],),)

    def found(self) -> tuple[Path, ...]:
        """The one file; empty if it is not there."""
        return Folder(self.place, self.needed).found()

    def check(self) -> None:
        """Raises ValueError if the file is not the one that is published."""
        (file,) = self.found()
        if not file_digest(file).startswith(self.sha256):
            raise ValueError(f"not the published file: its SHA-256 does not begin {self.sha256}")

    def fetch(self) -> None:
        """Downloads the file and checks its digest. Of an interrupted download nothing stays."""
        from torch import hub

        self.place.mkdir(parents=True, exist_ok=True)
        patience = socket.getdefaulttimeout()
        socket.setdefaulttimeout(PATIENCE)  # torch.hub sets none: a lost connection would be waited for
        try:
            hub.download_url_to_file(self.address, str(self.place / self.needed[0][0]), self.sha256 or None)
        finally:
            socket.setdefaulttimeout(patience)


Source = Folder | HubFiles | TorchFile
"""Where the files of a part are, or come from."""


def ready(source: Source, what: str) -> tuple[Path, ...]:
    """The files of ``source``, downloaded if they are not on this machine yet.

    Raises ComponentError, within seconds, if ``what`` is not here and cannot be fetched.
    """
    if files := source.found():
        return files
    if isinstance(source, Folder):
        raise ComponentError(
            f"{what} cannot be loaded: the folder lacks {lacking(source)}",
            where=str(source.place),
            fix="A part's folder must be complete. Only safetensors are read.",
        )
    if silence := out_of_reach([source.address])[source.address]:
        raise ComponentError(
            f"{what} is not there, and {host(source)} cannot be reached ({silence})",
            where=str(source.place),
            fix="With a network, `ablate fetch` with the experiment's --profile and --set downloads it.",
        )
    try:
        source.fetch()
    except Exception as error:
        # huggingface_hub, httpx, urllib and torch all have errors of their own.
        raise ComponentError(
            f"{what} could not be downloaded ({in_one_line(error)})",
            where=source.address,
            fix="Give the same command again: it goes on with what is still missing.",
        ) from error
    if files := source.found():
        return files
    raise ComponentError(
        f"{what} could not be downloaded: there is no {lacking(source)}",
        where=source.address,
        fix="Choose one that has these files, or give a folder. Only safetensors are read.",
    )


def lacking(source: Source) -> str:
    """Names of the files that are not in a source's place."""
    sets = ([name for name in names if not (source.place / name).is_file()] for names in source.needed)
    return " or ".join(", ".join(names) for names in sets)


def host(source: Source) -> str:
    """The machine that a source is downloaded from."""
    return urlsplit(source.address).hostname or source.address


def out_of_reach(addresses: Iterable[str]) -> dict[str, str]:
    """Why each address does not answer; "" for one that does. All are asked at once."""
    reasons = dict.fromkeys(addresses, f"no answer in {SECONDS:g} s")

    def ask(address: str) -> None:
        reasons[address] = _ask(address)

    # Threads, because a look-up of a name keeps to no time limit.
    threads = [threading.Thread(target=ask, args=(address,), daemon=True) for address in reasons]
    for thread in threads:
        thread.start()
    end = time.monotonic() + SECONDS
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return dict(reasons)


def _ask(address: str) -> str:
    if constants.HF_HUB_OFFLINE and address == constants.ENDPOINT:
        return "HF_HUB_OFFLINE is set"
    try:
        # Unlike a socket, this goes through a proxy where one is set. Half the time, for a second address.
        urlopen(Request(address, method="HEAD"), timeout=SECONDS / 2).close()
    except HTTPError:
        return ""  # a refusal is an answer
    except (OSError, HTTPException, ValueError) as error:
        cause = getattr(error, "reason", error)
        return getattr(cause, "strerror", None) or str(cause)
    return ""
