"""Decoding: any size and mode becomes an upright RGB square on white, and what cannot be is named."""

from __future__ import annotations

import io
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny import save

from ablate.data.images import OversizedImageError, load_image, load_images
from ablate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RED = (255, 0, 0)
WHITE = (255, 255, 255)


# ── squares ──────────────────────────────────────────────────────────────────────────────────────


def random_image(mode: str, size: tuple[int, int]) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0], bands) if bands > 1 else (size[1], size[0])
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    if mode == "1":
        return Image.fromarray(pixels > 127)
    if mode == "P":
        image = Image.fromarray(pixels).convert("RGB").quantize(16)
        image.info["transparency"] = 3
        return image
    return Image.fromarray(pixels, mode)


def on_white(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """The formula: alpha over white, then bicubic."""
    rgba = image.convert("RGBA")
    rgb = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return np.asarray(rgb.resize((size, size), Image.Resampling.BICUBIC))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
@pytest.mark.parametrize("edge", [8, 24, 40])
def test_a_square_is_put_on_white_and_resized_with_bicubic(tmp_path: Path, mode: str, edge: int) -> None:
    random_image(mode, (edge, edge)).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(load_image(tmp_path / "a.png", 24), on_white(image, 24))


def test_resizing_is_antialiased(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "a.png")
    small = load_image(tmp_path / "a.png", 16)
    assert (small.shape, small.dtype) == ((16, 16, 3), np.uint8)
    assert 100 < small[4:12, 4:12].mean() < 155
    assert np.ptp(small[4:12, 4:12]) < 40


def test_transparency_becomes_white(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert (load_image(tmp_path / "a.png", 8) == 255).all()


def test_sixteen_bits_of_grey_are_scaled_to_eight(tmp_path: Path) -> None:
    grey = np.array([[0, 256], [32768, 65535]], dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png", 2)[..., 0].tolist() == [[0, 1], [128, 255]]


def test_pixels_of_an_unknown_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(DataError, match="32 bits"):
        load_image(tmp_path / "a.tif", 4)


@pytest.mark.parametrize("mode", ["CMYK", "L", "RGB"])
def test_every_mode_of_a_jpeg_becomes_rgb(tmp_path: Path, mode: str) -> None:
    Image.new("RGB", (8, 8), RED).convert(mode).save(tmp_path / "a.jpg")
    expected = np.asarray(Image.new("RGB", (8, 8), RED).convert(mode).convert("RGB")).astype(int)
    assert abs(load_image(tmp_path / "a.jpg", 8) - expected).max() < 10


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (4, 4), colour) for colour in (RED, WHITE))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert (load_image(tmp_path / "a.gif", 4) == RED).all()


# ── oblong and turned images ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("size", "rows", "columns"), [((8, 4), 4, 8), ((4, 8), 8, 4), ((80, 20), 2, 8)])
def test_an_oblong_image_keeps_its_shape_in_the_middle_of_white(
    tmp_path: Path, size: tuple[int, int], rows: int, columns: int
) -> None:
    Image.new("RGB", size, RED).save(tmp_path / "a.png")
    red = (load_image(tmp_path / "a.png", 8) == RED).all(axis=-1)
    assert red.sum() == rows * columns
    assert (red == red[::-1]).all()
    assert (red == red[:, ::-1]).all()


@given(width=st.integers(1, 40), height=st.integers(1, 40), size=st.integers(1, 20))
def test_nothing_of_an_image_is_lost(
    tmp_path_factory: pytest.TempPathFactory, width: int, height: int, size: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "oblong.png"
    Image.new("RGB", (width, height), RED).save(path)
    loaded = load_image(path, size)
    longest = max(width, height)
    expected = max(1, round(width * size / longest)) * max(1, round(height * size / longest))
    assert (loaded == RED).all(axis=-1).sum() == expected
    assert (loaded == WHITE).all(axis=-1).sum() == size * size - expected


def test_a_long_and_thin_image_needs_little_memory(tmp_path: Path) -> None:
    Image.new("RGB", (100_000, 1), RED).save(tmp_path / "a.png")
    assert (load_image(tmp_path / "a.png", 8) == RED).all(axis=-1).any()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_an_image_is_turned_as_its_exif_data_says(tmp_path: Path, orientation: int, ending: str) -> None:
    upright = np.zeros((8, 16, 3), dtype=np.uint8)
    upright[:4, :8] = 255  # a white corner at the top left
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a.{ending}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
    middle = load_image(path, 16)[4:12]
    assert abs(middle.astype(int) - upright).mean() < 5


def test_broken_exif_data_turn_nothing(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), RED)
    image.save(tmp_path / "a.png", exif=b"Exif\0\0no TIFF header")
    assert (load_image(tmp_path / "a.png", 8) == RED).all()


# ── images that cannot be read ───────────────────────────────────────────────────────────────────


def noise(ending: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=ending)
    return buffer.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_truncated_image_is_named(tmp_path: Path, form: str) -> None:
    content = noise(form)
    (tmp_path / "a").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="cannot be read as an image") as caught:
        load_image(tmp_path / "a", 32)
    assert caught.value.where == str(tmp_path / "a")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"no image", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as an image"):
        load_image(tmp_path / "a.png", 32)


@given(data=st.data(), form=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"]))
def test_no_damage_gets_a_traceback(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, form: str
) -> None:
    content = bytearray(noise(form))
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, min(200, len(content) - 1)) | st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content)
    try:
        assert load_image(path, 8).shape == (8, 8, 3)
    except DataError as error:
        assert error.where == str(path)


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        load_image(tmp_path / "a.png", 32)


@pytest.mark.parametrize("size", [(8001, 8000), (10_000, 10_000), (20_000, 20_000)])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path, size: tuple[int, int]) -> None:
    buffer = io.BytesIO()
    Image.new("1", size).save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue()[:100])  # decoding it would find it truncated
    with pytest.raises(OversizedImageError, match="the limit is 64 megapixels"):
        load_image(tmp_path / "a.png", 32)


# ── many images ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    files = [tmp_path / f"{number}.png" for number in range(25)]
    for number, path in enumerate(files):
        save(path, number)
    return files


@pytest.mark.parametrize("workers", [0, 2])
def test_chunks_hold_the_images_in_their_order(paths: list[Path], workers: int) -> None:
    chunks = list(load_images(paths, 8, workers=workers, chunk=4))
    assert [len(chunk) for chunk in chunks] == [4, 4, 4, 4, 4, 4, 1]
    assert np.array_equal(np.concatenate(chunks), np.stack([load_image(path, 8) for path in paths]))


def test_loading_can_begin_at_any_image(paths: list[Path]) -> None:
    whole = np.concatenate(list(load_images(paths, 8, chunk=4)))
    rest = np.concatenate(list(load_images(paths[8:], 8, chunk=4)))
    assert np.array_equal(rest, whole[8:])


def test_of_no_images_there_are_no_chunks() -> None:
    assert list(load_images([], 8, workers=2)) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_is_named_after_the_chunks_before_it(paths: list[Path], workers: int) -> None:
    paths[9].write_bytes(b"no image")
    chunks = load_images(paths, 8, workers=workers, chunk=4)
    assert [len(next(chunks)), len(next(chunks))] == [4, 4]
    with pytest.raises(DataError, match="cannot be read as an image") as caught:
        next(chunks)
    assert caught.value.where == str(paths[9])


@pytest.mark.parametrize("workers", [0, 2])
def test_memory_does_not_grow_with_the_images(paths: list[Path], workers: int) -> None:
    many, edge, chunk = paths * 120, 64, 32
    held: list[Any] = []
    tracemalloc.start()
    try:
        for images in load_images(many, edge, workers=workers, chunk=chunk):
            if not held:
                time.sleep(2)  # what is not held back piles up
            held = [images]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(held[0]) == len(many) % chunk
    bytes_of_chunk = chunk * edge * edge * 3
    assert peak < 12 * bytes_of_chunk < len(many) / chunk * bytes_of_chunk / 5
