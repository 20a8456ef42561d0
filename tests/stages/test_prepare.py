"""Prepare: what is encoded, how it is stored, and that an interruption changes neither."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import Encoder
from PIL import Image
from torch.nn.modules.module import register_module_forward_hook

from ablate.data import captions
from ablate.data.entries import caption
from ablate.data.images import load_image
from ablate.errors import ComponentError, DataError
from ablate.factors.strong import strong
from ablate.fingerprint import Contents
from ablate.parts.vae import VaePart
from ablate.stages.keys import RunKeys
from ablate.stages.prepare import augmented, batch_size, encode_texts, prepare, to_model, to_uint8
from ablate.store import Store
from ablate.store.files import file_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ablate.stages.prepared import Prepared
    from tests.conftest import MakeKeys

MANY = 276
"""Images that make three chunks where ``small_batches`` are: of 8, 8 and 2 batches."""


class Interrupted(Exception):  # noqa: N818 – it is not an error
    """Stands for whatever ends a process."""


def quiet(_: str) -> None:
    """Progress that nobody wants to see."""


def make_data(folder: Path, number: int, size: int) -> Path:
    """``number`` images of random blocks, each with its own caption, and three prompts with images."""
    noise = np.random.default_rng(0)
    for split, count in (("train", number), ("test", 3)):
        (folder / split).mkdir(parents=True)
        for image in range(count):
            blocks = noise.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
            pixels = blocks.repeat(8, 0).repeat(8, 1)
            Image.fromarray(pixels).save(folder / split / f"{image}_0.png", compress_level=1)
    train = {str(image): {"given_description": [f"A monster {image}."]} for image in range(number)}
    test = {str(image): {"image_name": f"{image}_0.png", "text_prompt": "A monster."} for image in range(3)}
    (folder / "train_info.json").write_text(json.dumps(train))
    (folder / "test.json").write_text(json.dumps(test))
    return folder


def fast_vae(folder: Path) -> dict[str, dict[str, str]]:
    """A VAE with so few channels that 256 px are encoded in no time, as ``components`` name it."""
    vae = AutoencoderKL(
        block_out_channels=(2,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=1,
    )
    vae.save_pretrained(folder / "vae")
    return {"vae": {"source": str(folder / "vae")}}


@contextmanager
def encoded_batches() -> Iterator[list[int]]:
    """Sizes of the batches that a VAE encodes within the block."""
    sizes: list[int] = []

    def note(module: Any, inputs: Any, _: Any) -> None:
        if isinstance(module, Encoder):
            sizes.append(len(inputs[0]))

    handle = register_module_forward_hook(note)
    yield sizes
    handle.remove()


@torch.no_grad()
def latents_of(images: torch.Tensor, keys: RunKeys) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of the VAE's posterior for uint8 images, all in one batch, scaled."""
    vae = VaePart(keys.config.components.vae).load()
    posterior = vae.encode(to_model(images)).latent_dist
    return posterior.mean * vae.config.scaling_factor, posterior.std * vae.config.scaling_factor


def digests(folder: Path) -> dict[str, str]:
    return {file.name: file_digest(file) for file in folder.iterdir()}


# ── what is stored ───────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def prepared(make_keys: MakeKeys, prepared_store: Store) -> Prepared:
    return prepare(make_keys(), prepared_store, quiet)


def test_latents_are_the_posterior_of_the_images_to_the_last_bit(
    prepared: Prepared, make_keys: MakeKeys, data_folder: Path
) -> None:
    images = [load_image(image.path, 32) for image in captions.read(data_folder).train]
    assert torch.equal(prepared.images, torch.from_numpy(np.stack(images)))
    mean, std = latents_of(prepared.images, make_keys())
    assert torch.equal(prepared.mean, mean)
    assert torch.equal(prepared.std, std)


def test_each_image_has_the_states_of_its_captions_and_row_0_is_the_empty_one(
    prepared: Prepared, make_keys: MakeKeys, data_folder: Path
) -> None:
    parts, images = make_keys().config.components, captions.read(data_folder).train
    assert [len(rows) for rows in prepared.captions] == [len(image.descriptions) for image in images]
    texts = ["", caption(images[0], 0), caption(images[-1], 1)]
    rows = [0, prepared.captions[0][0], prepared.captions[-1][1]]
    torch.testing.assert_close(prepared.states[rows], encode_texts(texts, parts, torch.device("cpu")))


def test_each_prompt_has_the_state_of_its_text_and_its_real_image(
    prepared: Prepared, make_keys: MakeKeys, data_folder: Path
) -> None:
    for prompt in prepared.prompts:
        expected = encode_texts([prompt["text"]], make_keys().config.components, torch.device("cpu"))
        torch.testing.assert_close(prepared.states[prompt["state"]], expected[0])
        image = load_image(data_folder / "test" / prompt["image_name"], 32)
        assert np.array_equal(prepared.references[prompt["reference"]], image)


def test_prompts_without_real_images_leave_no_references(
    make_keys: MakeKeys, data_folder: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(data_folder, tmp_path / "data")
    shutil.rmtree(data / "test")
    prepared = prepare(make_keys({"data": {"path": str(data)}}), Store(tmp_path / "store"), quiet)
    assert prepared.references.shape == (0, 32, 32, 3)
    assert {prompt["reference"] for prompt in prepared.prompts} == {None}


def test_what_is_opened_is_the_file_and_no_copy_of_it(make_keys: MakeKeys, store: Store) -> None:
    prepared = prepare(make_keys(), store, quiet)
    for name in ("images", "mean", "std", "references", "states"):
        tensor = getattr(prepared, name)
        with (prepared.folder / f"{name}.npy").open("r+b") as file:
            file.seek(-tensor.element_size(), 2)
            file.write(bytes(tensor.element_size()))
        assert tensor.flatten()[-1] == 0


def test_the_second_use_reads_no_data_and_encodes_nothing(
    make_keys: MakeKeys, data_folder: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(data_folder, tmp_path / "data")
    keys, store = make_keys({"data": {"path": str(data)}}), Store(tmp_path / "store")
    first = prepare(keys, store, quiet)
    shutil.rmtree(data)
    said: list[str] = []
    with encoded_batches() as batches:
        second = prepare(keys, store, said.append)
    assert (batches, said) == ([], [])
    assert torch.equal(second.mean, first.mean)


def test_a_damaged_image_ends_it_with_its_name_and_leaves_no_entry(
    make_keys: MakeKeys, data_folder: Path, tmp_path: Path
) -> None:
    data = shutil.copytree(data_folder, tmp_path / "data")
    damaged = sorted((data / "train").iterdir())[-1]
    damaged.write_bytes(damaged.read_bytes()[:-40])
    store = Store(tmp_path / "store")
    with pytest.raises(DataError, match=damaged.name):
        prepare(make_keys({"data": {"path": str(data)}}), store, quiet)
    assert list(store.entries("prepare")) == []


def test_a_data_set_of_the_hub_is_exported_once(
    make_keys: MakeKeys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")  # which takes a folder of this name for a data set of the hub
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        folder = tmp_path / "owner" / "name" / split
        folder.mkdir(parents=True)
        for number in range(3):
            Image.new("RGB", (32, 32), (40 * number, 0, 0)).save(folder / f"{number}.png")
        lines = [json.dumps({"file_name": f"{n}.png", "text": f"Monster {n}."}) for n in range(3)]
        (folder / "metadata.jsonl").write_text("\n".join(lines))
    store, path = Store(tmp_path / "store"), {"data": {"path": "hub:owner/name"}}
    prepared = prepare(make_keys(path), store, quiet)
    assert prepared.images[:, 0, 0, 0].tolist() == [0, 40, 80]
    shutil.rmtree(tmp_path / "owner")
    assert prepare(make_keys(path, {"data": {"size": 16}}), store, quiet).images.shape == (3, 16, 16, 3)
    with pytest.raises(DataError):
        prepare(make_keys({"data": {"path": "hub:owner/other"}}), store, quiet)
    assert len(list(store.entries("data"))) == 1


# ── at any size ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("size", "images"), [(8, 64), (32, 64), (128, 64), (256, 16), (512, 4), (1024, 1), (4096, 1)]
)
def test_large_images_are_encoded_in_smaller_batches(size: int, images: int) -> None:
    assert batch_size(size) == images


def test_memory_does_not_grow_with_the_number_of_images(
    make_keys: MakeKeys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ablate.stages.prepare.CHUNK", 1)  # small chunks, so that few images make many
    data = make_data(tmp_path / "data", 320, 256)  # 20 chunks of 3 MB
    keys = make_keys({"data": {"path": str(data), "size": 256}, "components": fast_vae(tmp_path)})
    peaks: list[int] = []

    def progress(text: str) -> None:
        if text.startswith("encoding images"):
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()

    # Arrays are counted here. What the process holds also depends on what its allocator gives back.
    tracemalloc.start()
    try:
        prepared = prepare(keys, Store(tmp_path / "store"), progress)
    finally:
        tracemalloc.stop()
    assert len(peaks) == 21
    # The readers are ten chunks ahead at most, and have been after the first ten.
    assert max(peaks[11:]) < 1.1 * max(peaks[:11]) < prepared.images.nbytes


# ── interruptions ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def many(make_keys: MakeKeys, tmp_path_factory: pytest.TempPathFactory) -> RunKeys:
    folder = tmp_path_factory.mktemp("many")
    data = make_data(folder / "data", MANY, 16)
    return make_keys({"data": {"path": str(data), "size": 16}, "components": fast_vae(folder)})


def make_small(patch: pytest.MonkeyPatch) -> None:
    """Batches are small, so that few images make many; and one process reads images: each that is started
    imports for a while, and the bytes are the same."""
    patch.setattr("ablate.stages.prepare.BATCH", 16)
    patch.setattr("ablate.stages.prepare.TEXTS", 64)
    patch.setattr("ablate.stages.prepare.READERS", 1)


@pytest.fixture(scope="module")
def undisturbed(many: RunKeys, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    with pytest.MonkeyPatch.context() as patch:
        make_small(patch)
        return digests(prepare(many, store, quiet).folder)


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)


def interrupted(keys: RunKeys, store: Store, at: str, work: Callable[..., object] = prepare) -> list[int]:
    """Ends the work when it says ``at``; the batches that it has encoded until then."""

    def progress(text: str) -> None:
        if text == at:
            raise Interrupted

    with encoded_batches() as batches, pytest.raises(Interrupted):
        work(keys, store, progress)
    return batches


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize(
    ("at", "done", "left"),
    [
        ("encoding images 128/276", [16] * 8, [16] * 9 + [4]),
        ("encoding images 276/276", [16] * 17 + [4], []),
        ("encoding captions 64/278", [16] * 17 + [4], []),
        ("encoding captions 278/278", [16] * 17 + [4], []),
    ],
)
def test_interrupted_work_goes_on_where_it_stopped_to_the_same_bytes(
    many: RunKeys, undisturbed: dict[str, str], tmp_path: Path, at: str, done: list[int], left: list[int]
) -> None:
    store = Store(tmp_path)
    assert interrupted(many, store, at) == done
    assert list(store.entries("prepare")) == []
    with encoded_batches() as batches:
        folder = prepare(many, store, quiet).folder
    assert batches == left
    assert digests(folder) == undisturbed


@pytest.mark.usefixtures("small_batches")
def test_what_was_written_of_an_unfinished_chunk_is_written_again(
    many: RunKeys, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    store = Store(tmp_path)
    interrupted(many, store, "encoding images 128/276")
    (work,) = (tmp_path / "work").iterdir()
    with (work / "images.npy").open("ab") as file:
        file.write(bytes(100 * 16 * 16 * 3))
    with (work / "mean.npy").open("ab") as file:
        file.write(bytes(7))
    assert digests(prepare(many, store, quiet).folder) == undisturbed


@pytest.mark.usefixtures("small_batches")
def test_nothing_is_left_of_the_work_when_it_is_done(many: RunKeys, tmp_path: Path) -> None:
    store = Store(tmp_path)
    interrupted(many, store, "encoding captions 278/278")
    (work,) = (tmp_path / "work").iterdir()
    unfinished = shutil.copytree(work, tmp_path / "copy")
    prepare(many, store, quiet)
    assert not work.exists()
    unfinished.rename(work)  # as if the process had been killed before it could clear it away
    prepare(many, store, quiet)
    assert not work.exists()


# ── augmented forms ──────────────────────────────────────────────────────────────────────────────


def test_the_two_forms_of_flip_are_each_image_and_its_mirror_image(make_keys: MakeKeys, store: Store) -> None:
    keys = make_keys({"augmentation": {"kind": "flip", "variants": 2}})
    prepared, forms = prepare(keys, store, quiet), augmented(keys, store, quiet)
    assert forms.images.shape == (32, 2, 32, 32, 3)
    assert torch.equal(forms.images[:, 0], prepared.images)
    assert torch.equal(forms.images[:, 1], prepared.images.flip(2))
    assert torch.equal(forms.mean[:, 0], prepared.mean)
    assert torch.equal(forms.std[:, 0], prepared.std)
    assert torch.equal(forms.mean[:, 1], latents_of(prepared.images.flip(2), keys)[0])


def test_a_form_is_drawn_for_its_row_alone_and_encoded_as_it_is_stored(
    make_keys: MakeKeys, store: Store
) -> None:
    keys = make_keys({"augmentation": {"kind": "strong", "variants": 3}})
    prepared, forms = prepare(keys, store, quiet), augmented(keys, store, quiet)
    for row, number in ((0, 0), (5, 0), (31, 2)):
        image = to_model(prepared.images[row : row + 1])
        drawn = to_uint8(strong(image, "augmentation", "strong", number, row))
        assert torch.equal(forms.images[row, number], drawn[0])
    assert len({tuple(form.flatten().tolist()) for form in forms.images.flatten(0, 1)}) == 3 * 32
    mean, std = latents_of(forms.images[:, 2], keys)
    assert torch.equal(forms.mean[:, 2], mean)
    assert torch.equal(forms.std[:, 2], std)


def test_rows_and_forms_are_drawn_together(make_keys: MakeKeys, store: Store) -> None:
    keys = make_keys({"augmentation": {"kind": "flip", "variants": 2}})
    prepared, forms = prepare(keys, store, quiet), augmented(keys, store, quiet)
    rows, drawn = torch.tensor([4, 9, 4]), torch.tensor([1, 0, 0])
    assert torch.equal(
        forms.images[rows, drawn],
        torch.stack([prepared.images[4].flip(1), prepared.images[9], prepared.images[4]]),
    )
    assert forms.mean[rows, drawn].shape == prepared.mean[rows].shape


def test_forms_are_made_once_for_all_seeds_and_only_where_they_are_asked_for(
    make_keys: MakeKeys, store: Store
) -> None:
    prepare(make_keys({"augmentation": {"kind": "flip"}}), store, quiet)
    prepare(make_keys({"augmentation": {"kind": "none", "variants": 2}}), store, quiet)
    assert list(store.entries("augmented")) == []
    cached = {"augmentation": {"kind": "flip", "variants": 2}}
    prepare(make_keys(cached), store, quiet)
    with encoded_batches() as batches:
        prepare(make_keys(cached, {"augmentation": {"start": 2}}, seed=1), store, quiet)
    assert batches == []
    assert len(list(store.entries("augmented"))) == 1


def test_the_key_of_forms_changes_with_what_they_are_made_of(make_keys: MakeKeys) -> None:
    base = {"augmentation": {"kind": "flip", "variants": 2}}
    others = ({"augmentation": {"variants": 3}}, {"augmentation": {"kind": "strong"}}, {"data": {"size": 16}})
    found = {make_keys(base, other).augmented for other in ({}, *others)}
    assert None not in found
    assert len(found) == 1 + len(others)


@pytest.mark.usefixtures("small_batches")
def test_interrupted_forms_go_on_where_they_stopped_to_the_same_bytes(many: RunKeys, tmp_path: Path) -> None:
    config = many.config.model_copy(
        update={"augmentation": many.config.augmentation.model_copy(update={"kind": "flip", "variants": 2})}
    )
    keys = many.with_config(config)
    assert keys.augmented
    prepare(many, Store(tmp_path / "one"), quiet)
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    at_once = augmented(keys, Store(tmp_path / "one"), quiet)
    done = interrupted(keys, Store(tmp_path / "other"), "encoding augmented images 192/276", augmented)
    with encoded_batches() as left:
        resumed = augmented(keys, Store(tmp_path / "other"), quiet)
    assert (sum(done), sum(left)) == (2 * 192, 2 * (MANY - 192))
    assert digests(resumed.folder) == digests(at_once.folder)


# ── data that change meanwhile ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("moment", ["reading the data set", "encoding images 0/16", "encoding captions 0/18"])
def test_data_that_change_while_they_are_prepared_are_refused_and_nothing_is_kept(
    tmp_path: Path, make_keys: MakeKeys, moment: str
) -> None:
    data, store = make_data(tmp_path / "data", 16, 16), Store(tmp_path / "store")
    overrides = {"data": {"path": str(data), "size": 16}, "components": fast_vae(tmp_path)}
    keys = RunKeys(make_keys(overrides).config, 0, Contents(tmp_path / "digests.json"))
    moments: list[str] = []

    def change(text: str) -> None:
        moments.append(text)
        if text == moment:
            shutil.copy(data / "train" / "1_0.png", data / "train" / "0_0.png")

    with pytest.raises(DataError, match="were changed while the command was running"):
        prepare(keys, store, change)
    assert moment in moments
    assert not store.has("prepare", keys.prepare)
    assert not (store.root / "work" / f"prepare-{keys.prepare}").exists()


def test_of_data_that_change_nothing_is_kept_after_an_error_either(
    tmp_path: Path, make_keys: MakeKeys
) -> None:
    data, store = make_data(tmp_path / "data", 16, 16), Store(tmp_path / "store")
    overrides = {"data": {"path": str(data), "size": 16}, "components": fast_vae(tmp_path)}
    keys = RunKeys(make_keys(overrides).config, 0, Contents(tmp_path / "digests.json"))

    def change(text: str) -> None:
        if text == "encoding captions 0/18":
            shutil.copy(data / "train" / "1_0.png", data / "train" / "0_0.png")
            raise RuntimeError("out of something")

    with pytest.raises(DataError, match="were changed while the command was running"):
        prepare(keys, store, change)
    assert not (store.root / "work" / f"prepare-{keys.prepare}").exists()


def test_a_part_that_is_replaced_while_data_are_prepared_is_refused_and_nothing_is_kept(
    tmp_path: Path, make_keys: MakeKeys
) -> None:
    data, store = make_data(tmp_path / "data", 16, 16), Store(tmp_path / "store")
    overrides = {"data": {"path": str(data), "size": 16}, "components": fast_vae(tmp_path)}
    keys = RunKeys(make_keys(overrides).config, 0, Contents(tmp_path / "digests.json"))

    def replace(text: str) -> None:
        if text == "encoding captions 0/18":
            fast_vae(tmp_path)  # with other weights

    with pytest.raises(ComponentError, match="the VAE was changed while the command was running"):
        prepare(keys, store, replace)
    assert not store.has("prepare", keys.prepare)
    assert not (store.root / "work" / f"prepare-{keys.prepare}").exists()


def test_data_that_have_changed_since_the_keys_were_made_are_not_read(
    tmp_path: Path, make_keys: MakeKeys
) -> None:
    data, store = make_data(tmp_path / "data", 16, 16), Store(tmp_path / "store")
    keys = RunKeys(
        make_keys({"data": {"path": str(data), "size": 16}}).config, 0, Contents(tmp_path / "d.json")
    )
    assert keys.prepare
    (data / "train" / "0_0.png").write_bytes((data / "train" / "1_0.png").read_bytes())
    with pytest.raises(DataError, match="were changed"):
        prepare(keys, store, quiet)
    assert not store.has("prepare", keys.prepare)
