"""Where the data are: each kind of place has an identity, a folder, a number of images and an answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from ablate.data import captions, hub
from ablate.data.place import Embedded, Folder, Found, Hub, path_to, place_of
from ablate.errors import DataError
from ablate.store import Store
from ablate.store.files import key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ablate.fingerprint import Contents

HUB = "hub:owner/name"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the data sets that were exported from a hub on which all are of two images."""
    names: list[str] = []

    def export(name: str, folder: Path, progress: Callable[[str], None]) -> None:
        names.append(name)
        (folder / "train").mkdir()
        for number in range(2):
            Image.new("RGB", (8, 8)).save(folder / "train" / f"{number}.png")
        lines = [json.dumps({"file_name": f"{number}.png", "text": "A monster."}) for number in range(2)]
        (folder / "train" / "metadata.jsonl").write_text("\n".join(lines))

    monkeypatch.setattr(hub, "export_hub", export)
    return names


def quiet(text: str) -> None:
    pass


@pytest.mark.parametrize(
    ("path", "kind", "name"),
    [
        ("sprites", Embedded, "sprites"),
        (HUB, Hub, "name"),
        ("hub:owner/name@main", Hub, "name@main"),
        ("./sprites", Folder, "sprites"),
        ("data/maplestory", Folder, "maplestory"),
        ("~/data", Folder, "data"),
    ],
)
def test_a_path_means_one_kind_of_place(path: str, kind: type, name: str) -> None:
    place = place_of(path)
    assert type(place) is kind
    assert place.name == name


@pytest.mark.parametrize(
    ("folder", "path"),
    [
        ("photos", "photos"),
        ("sprites", "./sprites"),
        ("hub:a", "./hub:a"),
        ("/sprites", "/sprites"),
    ],
)
def test_the_path_to_a_folder_means_that_folder(folder: str, path: str) -> None:
    assert path_to(Path(folder)) == path
    assert type(place_of(path)) is Folder


def test_a_home_of_nobody_is_refused_in_words(contents: Contents) -> None:
    with pytest.raises(DataError, match="there is no user nobody-here") as caught:
        place_of("~nobody-here/photos").identity(contents)
    assert caught.value.fix == "Did you mean ~/nobody-here/photos?"
    assert place_of("~nobody-here/photos").look().state == "wrong"


def test_the_embedded_data_set_is_drawn_into_the_store_once(
    store: Store, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Path] = []
    monkeypatch.setattr("ablate.data.sprites.generate", drawn.append)
    place = place_of("sprites")
    identity = place.identity(contents)
    assert identity.startswith("generator:")
    for _ in range(2):
        assert place.folder(store, identity, quiet) == store.path("data", key_of({"data": identity}))
    assert len(drawn) == 1


def test_the_images_of_the_embedded_data_set_are_counted_without_drawing_them(
    store: Store, contents: Contents
) -> None:
    assert place_of("sprites").training_images(store, contents) == 3200
    assert not store.root.exists()


def test_a_data_set_of_the_hub_is_exported_once_and_goes_into_keys_by_its_name(
    store: Store, contents: Contents, exported: list[str]
) -> None:
    place = place_of(HUB)
    identity = place.identity(contents)
    assert identity == HUB
    folders = {place.folder(store, identity, quiet) for _ in range(2)}
    assert folders == {store.path("data", key_of({"data": HUB}))}
    assert exported == [HUB]


def test_a_data_set_of_the_hub_can_be_counted_when_it_is_in_the_store(
    store: Store, contents: Contents, exported: list[str]
) -> None:
    place = place_of(HUB)
    with pytest.raises(DataError, match="not in the store yet") as caught:
        place.training_images(store, contents)
    assert caught.value.fix == f"Fetch it: ablate data fetch {HUB}"
    folder = place.folder(store, HUB, quiet)
    assert place.training_images(store, contents) == len(captions.read(folder).train)
    assert exported == [HUB]


def test_a_folder_is_used_where_it_lies(store: Store, contents: Contents, data_folder: Path) -> None:
    place = place_of(str(data_folder))
    identity = place.identity(contents)
    assert identity == contents.of_data(data_folder)
    assert place.folder(store, identity, quiet) == data_folder
    assert place.training_images(store, contents) == len(captions.read(data_folder).train)
    assert not store.root.exists()


def test_the_doctor_hears_whether_the_data_are_here(tmp_path: Path) -> None:
    assert place_of("sprites").look() == Found("ok", "embedded")
    assert place_of(HUB).look() == Found("note", f"{HUB} comes from the hub when it is first needed")
    assert place_of(str(tmp_path)).look() == Found("ok", f"in {tmp_path}")
    assert place_of(str(tmp_path / "nowhere")).look().state == "wrong"
