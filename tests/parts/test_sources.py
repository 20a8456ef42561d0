"""Files of parts: found on this machine without a network, downloaded once, refused within seconds."""

from __future__ import annotations

import hashlib
import shutil
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from hubs import NOWHERE, Caches, Hub, serving

from ablate.errors import ComponentError
from ablate.parts import sources
from ablate.parts.sources import Folder, HubFiles, TorchFile, out_of_reach, ready

if TYPE_CHECKING:
    from collections.abc import Iterator

NEEDED = (("config.json", "weights.safetensors"), ("all.json",))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    with serving(tmp_path / "hub") as server:
        yield server


def write(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(name)


@pytest.mark.parametrize("names", NEEDED)
def test_a_folder_has_a_part_if_one_whole_set_of_files_is_there(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    write(tmp_path, *names, "something else")
    assert Folder(tmp_path, NEEDED).found() == tuple(tmp_path / name for name in names)


def test_an_incomplete_folder_has_no_part_and_says_what_it_lacks(tmp_path: Path) -> None:
    write(tmp_path, "config.json")
    assert not Folder(tmp_path, NEEDED).found()
    with pytest.raises(ComponentError, match=r"lacks weights\.safetensors or all\.json") as caught:
        ready(Folder(tmp_path, NEEDED), "the part")
    assert caught.value.where == str(tmp_path)


@pytest.mark.parametrize("subfolder", ["", "inner"])
@pytest.mark.parametrize("revision", ["main", "refs/pr/15"])
def test_what_the_hub_s_cache_holds_is_found_without_a_network(
    caches: Caches, subfolder: str, revision: str
) -> None:
    folder = caches.repository("owner/name", revision) / subfolder
    write(folder, *NEEDED[0])
    files = ready(HubFiles("owner/name", NEEDED, subfolder, revision), "the part")
    assert files == tuple(folder / name for name in NEEDED[0])


def test_half_a_part_another_revision_or_an_impossible_name_is_not_found(caches: Caches) -> None:
    write(caches.repository("owner/half"), "config.json")
    write(caches.repository("owner/name"), *NEEDED[0])
    assert not HubFiles("owner/half", NEEDED).found()
    assert not HubFiles("owner/name", NEEDED, revision="refs/pr/15").found()
    assert not HubFiles("a name: of nothing", NEEDED).found()


def test_torch_s_folder_in_the_home_of_nobody_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", "~nobody-here/torch")
    with pytest.raises(ComponentError, match="there is no user nobody-here"):
        _ = TorchFile("https://example.org/weights.pt").place


@pytest.mark.parametrize("variable", ["TORCH_HOME", "XDG_CACHE_HOME", "HOME"])
def test_torch_s_files_are_looked_for_where_torch_keeps_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    assert TorchFile("https://x.org/y.pth").place == Path(torch.hub.get_dir(), "checkpoints")


def test_a_file_of_torch_is_downloaded_once(caches: Caches, hub: Hub) -> None:
    write(hub.root, "weights.pth")
    source = TorchFile(f"{hub.address}/weights.pth", hashlib.sha256(b"weights.pth").hexdigest()[:8])
    assert ready(source, "the part") == ready(source, "the part") == (caches.checkpoints / "weights.pth",)
    assert hub.asked == ["weights.pth"]


def test_a_file_of_torch_is_downloaded_into_a_folder_that_is_not_there_yet(caches: Caches, hub: Hub) -> None:
    write(hub.root, "weights.pth")
    shutil.rmtree(caches.torch)
    assert ready(TorchFile(f"{hub.address}/weights.pth"), "the part") == (caches.checkpoints / "weights.pth",)


def test_a_file_of_another_digest_is_refused_and_not_kept(caches: Caches, hub: Hub) -> None:
    write(hub.root, "weights.pth")
    with pytest.raises(ComponentError, match="invalid hash"):
        ready(TorchFile(f"{hub.address}/weights.pth", "0000"), "the part")
    assert not any(caches.checkpoints.iterdir())


def test_a_hub_s_files_are_downloaded_once_and_no_others(caches: Caches, hub: Hub) -> None:
    caches.connect(hub.address)
    write(hub.root / "owner" / "name" / "inner", *NEEDED[0], "weights.bin")
    write(hub.root / "owner" / "name", "weights.safetensors")
    source = HubFiles("owner/name", NEEDED, "inner")
    files = ready(source, "the part")
    assert ready(source, "the part") == files
    assert [file.read_text() for file in files] == [file.name for file in files] == list(NEEDED[0])
    assert sorted(hub.asked) == [f"owner/name/inner/{name}" for name in NEEDED[0]]


def test_an_interrupted_download_goes_on_with_what_is_missing(caches: Caches, hub: Hub) -> None:
    caches.connect(hub.address)
    write(hub.root / "owner" / "name", *NEEDED[0])
    source = HubFiles("owner/name", NEEDED)
    weights = ready(source, "the part")[1]
    weights.resolve().unlink()
    weights.unlink()
    hub.asked.clear()
    assert ready(source, "the part")[1].read_text() == "weights.safetensors"
    assert hub.asked == ["owner/name/weights.safetensors"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("owner/pickle", r"there is no config\.json, weights\.safetensors or all\.json"),
        ("owner/none", "RepositoryNotFoundError"),
        ("not a name", "HFValidationError"),
    ],
)
def test_a_repository_without_the_files_is_refused(caches: Caches, hub: Hub, name: str, reason: str) -> None:
    caches.connect(hub.address)
    write(hub.root / "owner" / "pickle", "config.json", "weights.bin")
    with pytest.raises(ComponentError, match=f"the part could not be downloaded.*{reason}"):
        ready(HubFiles(name, NEEDED), "the part")


def test_a_part_that_cannot_be_fetched_is_refused_with_its_place_and_the_remedy(caches: Caches) -> None:
    source = HubFiles("owner/name", NEEDED)
    with pytest.raises(
        ComponentError, match=r"127\.0\.0\.1 cannot be reached \(Connection refused\)"
    ) as caught:
        ready(source, "the part")
    assert caught.value.where == str(caches.hub)
    assert "ablate fetch" in caught.value.fix


def test_a_hub_that_stays_silent_is_given_up_after_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        reasons = out_of_reach([address, f"{address}/other"])
    assert time.monotonic() - start < 2
    assert all(reasons.values()), reasons


def test_a_refusal_is_an_answer(hub: Hub) -> None:
    assert out_of_reach([f"{hub.address}/nothing"]) == {f"{hub.address}/nothing": ""}


def test_a_switched_off_hub_is_not_asked(caches: Caches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert out_of_reach([NOWHERE]) == {NOWHERE: "HF_HUB_OFFLINE is set"}
