"""Where the data are: what ``data.path`` may say, and all that follows from it.

A new kind of place is a class here and its name in ``PLACES``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from ablate.data import hub
from ablate.errors import DataError
from ablate.paths import expanded
from ablate.store.files import key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablate.fingerprint import Contents
    from ablate.store import Store

    Progress = Callable[[str], None]


class Found(NamedTuple):
    """What ``ablate doctor`` says about a place."""

    state: Literal["ok", "note", "wrong"]
    """``wrong``: nothing can be trained on it here."""
    found: str
    mend: str = ""
    """What to do about it."""


@dataclass(frozen=True)
class Place(ABC):
    """Where a data set is, by the ``path`` that the configuration's ``data.path`` gives."""

    path: str

    @classmethod
    @abstractmethod
    def takes(cls, path: str) -> bool:
        """Whether ``path`` means a place of this kind."""

    @property
    def name(self) -> str:
        """What the data set is called in the record."""
        return Path(self.path).name

    @abstractmethod
    def identity(self, contents: Contents) -> str:
        """What stands for the data in keys. Raises DataError if they must be here and are not."""

    @abstractmethod
    def folder(self, store: Store, identity: str, progress: Progress) -> Path:
        """The data set's folder, made in the store when it is first needed. Raises DataError.

        ``identity`` is what ``identity`` has said; ``progress`` is told what is downloaded.
        """

    @abstractmethod
    def training_images(self, store: Store, contents: Contents) -> int:
        """Number of training images. Raises DataError for an unknown format, and for a data set of the hub
        that is not here yet."""

    @abstractmethod
    def prompts(self, store: Store, contents: Contents) -> int:
        """Number of test prompts. Raises DataError as ``training_images``."""

    @abstractmethod
    def look(self) -> Found:
        """Whether a run finds its data here. Changes nothing."""


class Embedded(Place):
    """The data set that this package draws."""

    NAME: ClassVar[str] = "sprites"

    @classmethod
    def takes(cls, path: str) -> bool:
        """Its name alone."""
        return path == cls.NAME

    def identity(self, contents: Contents) -> str:
        """Digest of the generator."""
        return contents.of_generator(sources=("data/sprites.py",), libraries=("numpy", "pillow"))

    def folder(self, store: Store, identity: str, progress: Progress) -> Path:
        """Drawn into the store."""
        from ablate.data import sprites

        return _kept(store, identity, sprites.generate)

    def training_images(self, store: Store, contents: Contents) -> int:
        """Two of each of 320 monsters in each of 5 actions, known without what draws them."""
        return 3200

    def prompts(self, store: Store, contents: Contents) -> int:
        """Two of each of 64 other monsters."""
        return 128

    def look(self) -> Found:
        """It is always here."""
        return Found("ok", "embedded")


class Hub(Place):
    """A data set of the Hugging Face hub: ``hub:owner/name`` or ``hub:owner/name@revision``."""

    @classmethod
    def takes(cls, path: str) -> bool:
        """What begins with ``hub:``."""
        return path.startswith(hub.PREFIX)

    def identity(self, contents: Contents) -> str:
        """Its name, as for the hub's parts: a key is known before anything is downloaded."""
        return self.path

    def folder(self, store: Store, identity: str, progress: Progress) -> Path:
        """Downloaded and exported into the store."""

        return _kept(store, identity, lambda folder: hub.export_hub(self.path, folder, progress))

    def training_images(self, store: Store, contents: Contents) -> int:
        """Of the exported data set."""
        return contents.training_images(self._exported(store))

    def prompts(self, store: Store, contents: Contents) -> int:
        """Of the exported data set."""
        return contents.prompts(self._exported(store))

    def _exported(self, store: Store) -> Path:
        key = key_of({"data": self.path})
        if not store.has("data", key):
            fix = f"Fetch it: ablate data fetch {self.path}"
            raise DataError("the data set is not in the store yet", where=f"data.path: {self.path}", fix=fix)
        return store.fetched("data", key)

    def look(self) -> Found:
        """The hub is not asked."""
        return Found("note", f"{self.path} comes from the hub when it is first needed")


class Folder(Place):
    """A folder on this machine."""

    @classmethod
    def takes(cls, path: str) -> bool:
        """Any path may be one."""
        return True

    @property
    def _folder(self) -> Path:
        return expanded(self.path, DataError)

    def identity(self, contents: Contents) -> str:
        """Digest of what is read of it. Raises DataError, too, where that is not a data set."""
        if not self._folder.is_dir():
            fix = f"Give a folder with captioned images, or {Embedded.NAME} for the embedded data set."
            raise DataError("there is no such data folder", where=f"data.path: {self.path}", fix=fix)
        return contents.of_data(self._folder)

    def folder(self, store: Store, identity: str, progress: Progress) -> Path:
        """The folder itself; the store gets no copy."""
        return self._folder

    def training_images(self, store: Store, contents: Contents) -> int:
        """Counted in its captions."""
        return contents.training_images(self._folder)

    def prompts(self, store: Store, contents: Contents) -> int:
        """Counted in the file that has them."""
        return contents.prompts(self._folder)

    def look(self) -> Found:
        """Whether there is a folder. What is in it is for ``ablate data check``."""
        try:
            if self._folder.is_dir():
                return Found("ok", f"in {self.path}")
        except DataError as error:
            return Found("wrong", f"{error.where}: {error.what}", error.fix)
        return Found("wrong", f"there is no folder {self.path}", "put it there, or --set data.path=FOLDER")


def _kept(store: Store, identity: str, fill: Callable[[Path], None]) -> Path:
    """A data set in the store, which ``fill`` first writes into an empty folder."""
    ingredients = {"data": identity}
    return store.make("data", key_of(ingredients), ingredients, fill)


PLACES: tuple[type[Place], ...] = (Embedded, Hub, Folder)
"""The first that takes a path has it."""


def place_of(path: str) -> Place:
    """The place that ``data.path`` means. It need not exist."""
    return next(kind for kind in PLACES if kind.takes(path))(path)


def path_to(folder: Path) -> str:
    """What ``data.path`` has to say for ``folder``: ``./sprites`` where the name alone means another."""
    path = str(folder)
    return path if isinstance(place_of(path), Folder) else f"./{path}"
