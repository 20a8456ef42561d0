"""Every mode of pixels that Pillow knows, in every format that can hold it: decoded right, or refused."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageCms

from ablate.data.files import FORMATS
from ablate.data.images import UnknownPixelsError, decode, load_image
from ablate.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

MODES = (
    *("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"),
    *("I", "F", "I;16", "I;16L", "I;16B", "I;16N"),
)
REFUSED = {("I", "TIFF"), ("F", "TIFF")}
"""What a file can hold and nobody can tell the range of."""

EDGE = 16
BACKGROUND = "#ff00ff"

RAMP = np.linspace(0, 255, EDGE * EDGE, dtype=np.uint8).reshape(EDGE, EDGE)
COLOURS = np.dstack([RAMP, RAMP.T, 255 - RAMP])
ALPHA = np.where(RAMP > 127, 255, 0).astype(np.uint8)


def image_of(mode: str) -> Image.Image:
    """A ramp of colours or greys, of which half is transparent where the mode can say so."""
    rgba = Image.fromarray(np.dstack([COLOURS, ALPHA]))
    grey = Image.fromarray(RAMP)
    if mode.startswith("I;16"):
        deep = Image.new(mode, (EDGE, EDGE))
        deep.frombytes((RAMP.astype(np.uint16) * 257).astype(">u2" if mode == "I;16B" else "<u2").tobytes())
        return deep
    if mode in ("I", "F", "L", "1"):
        return grey.convert(mode)
    if mode in ("LA", "La"):
        return Image.merge("LA", (grey, Image.fromarray(ALPHA))).convert(mode)
    if mode in ("P", "PA"):
        few = rgba.convert("RGB").quantize(64)
        return few if mode == "P" else few.convert("PA")
    return rgba.convert(mode if mode in ("RGBA", "RGBa") else "RGB").convert(mode)


def expected_of(image: Image.Image) -> NDArray[np.int64]:
    """RGB on the background, by the formula for alpha."""
    if image.mode.startswith("I;16"):
        return np.dstack([RAMP] * 3).astype(int)
    straight = image.convert("LA") if image.mode == "La" else image
    rgba = np.asarray(straight.convert("RGBA")).astype(float)
    alpha = rgba[..., 3:] / 255
    return np.rint(rgba[..., :3] * alpha + np.array([255, 0, 255]) * (1 - alpha)).astype(int)


def written(image: Image.Image, form: str) -> bytes | None:
    """The image as a file; None if the format cannot hold its mode."""
    buffer = io.BytesIO()
    lossless = {"lossless": True} if form == "WEBP" else {"quality": 100} if form == "JPEG" else {}
    try:
        image.save(buffer, form, **lossless)
    except (OSError, ValueError, KeyError):
        return None
    return buffer.getvalue()


def kept_mode(content: bytes, mode: str) -> bool:
    """Whether Pillow has not made another picture of it when it wrote the file."""
    with Image.open(io.BytesIO(content)) as image:
        return image.mode == mode or not (mode in ("I", "F") or mode.startswith("I;16"))


CASES = [
    pytest.param(mode, form, id=f"{mode} as {form}")
    for mode in MODES
    for form in FORMATS
    if (content := written(image_of(mode), form)) and kept_mode(content, mode)
]


def test_there_is_a_case_for_each_mode_that_a_file_can_hold() -> None:
    assert len(CASES) > 50
    modes = {case.values[0] for case in CASES}
    assert modes >= {
        "1",
        "L",
        "LA",
        "P",
        "PA",
        "RGB",
        "RGBA",
        "CMYK",
        "YCbCr",
        "LAB",
        "I",
        "F",
        "I;16",
        "I;16B",
    }


@pytest.mark.parametrize(("mode", "form"), CASES)
def test_an_image_of_any_mode_is_decoded_right_or_refused(tmp_path: Path, mode: str, form: str) -> None:
    image = image_of(mode)
    content = written(image, form)
    assert content
    path = tmp_path / "image"
    path.write_bytes(content)
    if (mode, form) in REFUSED:
        with pytest.raises(UnknownPixelsError, match="range is not known") as caught:
            decode(path)
        assert (caught.value.where, bool(caught.value.fix)) == (str(path), True)
        return
    with Image.open(path) as file:
        lost_its_alpha = not file.has_transparency_data
    expected = expected_of(image.convert("RGB") if lost_its_alpha and "A" in image.mode else image)
    difference = abs(np.asarray(decode(path, BACKGROUND).rgb).astype(int) - expected)
    lossy = form in ("JPEG", "GIF") or mode in ("YCbCr", "LAB", "HSV", "RGBa")
    assert difference.mean() < (6 if lossy else 0.6), difference.max()


# ── PNGs and TIFFs that Pillow does not write ────────────────────────────────────────────────────


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, depth: int, colour_type: int, row: bytes, key: bytes = b"", height: int = 1) -> bytes:
    """A PNG whose rows are all ``row``; ``key`` is the colour that is transparent."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    transparent = chunk(b"tRNS", key) if key else b""
    pixels = chunk(b"IDAT", zlib.compress((b"\0" + row) * height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + transparent + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("white", [True, False])
def test_a_grey_that_a_png_marks_is_transparent(tmp_path: Path, depth: int, white: bool) -> None:
    most = 2**depth - 1
    row = int(f"{most:0{depth}b}{0:0{depth}b}".ljust(8, "0"), 2).to_bytes(max(1, depth // 4), "big")
    (tmp_path / "a.png").write_bytes(png(2, depth, 0, row, struct.pack(">H", most if white else 0)))
    pixels = np.asarray(decode(tmp_path / "a.png", BACKGROUND).rgb)[0].tolist()
    assert pixels == ([[255, 0, 255], [0, 0, 0]] if white else [[255, 255, 255], [255, 0, 255]])


def test_sixteen_bits_of_colour_become_eight(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1, 16, 2, struct.pack(">3H", 0xFF00, 0x12FF, 0)))
    decoded = decode(tmp_path / "a.png")
    assert decoded.rgb.getpixel((0, 0)) == (0xFF, 0x12, 0)
    assert decoded.traits == {"deep"}


def test_a_transparent_colour_of_sixteen_bits_is_refused(tmp_path: Path) -> None:
    row = struct.pack(">3H", 0x1234, 0, 0)
    (tmp_path / "a.png").write_bytes(png(1, 16, 2, row, row))
    with pytest.raises(UnknownPixelsError, match="16 bits as transparent"):
        decode(tmp_path / "a.png")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_tiff_in_which_zero_is_white_is_not_inverted(tmp_path: Path, kind: type) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, np.iinfo(kind).max]], kind)).save(buffer, "TIFF")
    tag = struct.pack("<HHIH", 262, 3, 1, 1)  # photometric interpretation: 0 is black
    assert buffer.getvalue().count(tag) == 1
    (tmp_path / "a.tif").write_bytes(buffer.getvalue().replace(tag, struct.pack("<HHIH", 262, 3, 1, 0)))
    assert np.asarray(decode(tmp_path / "a.tif").rgb)[0, :, 0].tolist() == [255, 0]


# ── odd files ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("width", "height"), [(0, 1), (1, 0), (0, 0)])
def test_an_image_without_pixels_is_refused(tmp_path: Path, width: int, height: int) -> None:
    (tmp_path / "a.png").write_bytes(png(width, 8, 0, b"\0" * width, height=height))
    with pytest.raises(DataError, match="cannot be read as an image"):
        load_image(tmp_path / "a.png", 8)


@pytest.mark.parametrize("fit", ["pad", "crop"])
@pytest.mark.parametrize("size", [(1, 10_000), (10_000, 1), (1, 1), (3, 2)])
def test_the_thinnest_image_becomes_a_square(tmp_path: Path, fit: str, size: tuple[int, int]) -> None:
    Image.new("RGB", size, "red").save(tmp_path / "a.png")
    square = load_image(tmp_path / "a.png", 8, fit="crop" if fit == "crop" else "pad")
    assert square.shape == (8, 8, 3)
    assert (square == (255, 0, 0)).all(axis=-1).any()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("ending", [".png", ".jpg", ".gif", ""])
def test_the_content_decides_and_not_the_ending(tmp_path: Path, form: str, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    Image.new("RGB", (4, 4), "red").save(path, form)
    assert (abs(load_image(path, 4).astype(int) - (255, 0, 0)) < 10).all()


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_pictures_the_first_is_taken_and_it_is_known(tmp_path: Path, form: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue", "lime")]
    lossless = {"lossless": True} if form == "WEBP" else {}
    frames[0].save(tmp_path / "a", form, save_all=True, append_images=frames[1:], **lossless)
    decoded = decode(tmp_path / "a")
    assert decoded.rgb.getpixel((1, 1)) == (255, 0, 0)
    assert "animated" in decoded.traits


@pytest.mark.parametrize(
    "exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*" + b"\xff" * 40]
)
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_data_turn_nothing(tmp_path: Path, form: str, exif: bytes) -> None:
    Image.new("RGB", (8, 4), "red").save(tmp_path / "a", form, exif=exif)
    decoded = decode(tmp_path / "a")
    assert (decoded.rgb.size, decoded.traits) == ((8, 4), frozenset())


@pytest.mark.parametrize("profile", ["sRGB", "LAB", "damaged"])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_colour_profile_is_not_applied_and_does_no_harm(tmp_path: Path, form: str, profile: str) -> None:
    known = profile != "damaged"
    content = ImageCms.ImageCmsProfile(ImageCms.createProfile(profile)).tobytes() if known else b"no profile"
    Image.new("RGB", (4, 4), (200, 100, 50)).save(tmp_path / "a", form, icc_profile=content)
    decoded = decode(tmp_path / "a")
    assert (abs(np.asarray(decoded.rgb).astype(int) - (200, 100, 50)) < 10).all()
    assert decoded.profile == content


# ── making squares ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("size", "box"), [((24, 8), (8, 0, 16, 8)), ((8, 24), (0, 8, 8, 16)), ((8, 8), (0, 0, 8, 8))]
)
def test_cropping_keeps_the_middle(tmp_path: Path, size: tuple[int, int], box: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    left, top, right, bottom = box
    assert np.array_equal(load_image(tmp_path / "a.png", 8, fit="crop"), pixels[top:bottom, left:right])


@pytest.mark.parametrize("background", ["white", "black", "#ff00ff", "rebeccapurple"])
def test_padding_and_transparency_become_the_background(tmp_path: Path, background: str) -> None:
    Image.new("RGBA", (8, 4), (255, 0, 0, 0)).save(tmp_path / "a.png")
    expected = Image.new("RGB", (1, 1), background).getpixel((0, 0))
    assert (load_image(tmp_path / "a.png", 8, background=background) == expected).all()


def test_what_is_cropped_is_transparent_where_it_was(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 4), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert (load_image(tmp_path / "a.png", 8, fit="crop", background="lime") == (0, 255, 0)).all()
