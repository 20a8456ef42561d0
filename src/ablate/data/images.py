"""Decodes images: of any size and mode, upright, on a background, as squares."""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ablate.data.files import FORMATS
from ablate.data.parallel import map_chunks
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

Fit = Literal["pad", "crop"]
"""How what is not square becomes one: padded at its shorter sides, or cut at its longer ones."""

WHITE = "#ffffff"

MOST_PIXELS = 64_000_000
"""Of one image. A small file can decode to gigabytes; one of 64 megapixels takes 1 GB in between."""


class OversizedImageError(DataError):
    """An image has more pixels than are decoded."""


class UnknownPixelsError(DataError):
    """An image's pixels are numbers whose meaning cannot be told."""


class Decoded(NamedTuple):
    """An image in its own size."""

    rgb: Image.Image
    """Upright, RGB, on the background."""
    mode: str
    """Pillow's name for the file's kind of pixels."""
    traits: frozenset[str]
    """What decoding did not keep: ``animated``, ``turned``, ``transparent``, ``deep`` (16 bits a channel)."""
    profile: bytes
    """The ICC profile of its colours, which is not applied; empty if it has none."""


def load_image(path: Path, size: int, *, fit: Fit = "pad", background: str = WHITE) -> NDArray[np.uint8]:
    """An image as uint8 [size, size, 3], resized with antialiasing.

    Upright as its EXIF data says; of an animation the first frame. What is not square is padded with
    ``background``, or cropped to its middle; what is transparent lies on ``background``, a colour in
    Pillow's words. Raises DataError if the file is missing, truncated, no image, or larger than
    ``MOST_PIXELS``.
    """
    return np.array(_square(decode(path, background).rgb, size, fit, background), dtype=np.uint8)


def load_images(
    paths: Sequence[Path],
    size: int,
    *,
    fit: Fit = "pad",
    background: str = WHITE,
    workers: int = 0,
    chunk: int = 64,
) -> Iterator[NDArray[np.uint8]]:
    """The images of ``paths`` in their order, uint8 [chunk, size, size, 3]; the last chunk may be shorter.

    ``workers`` processes decode, and hold at most two chunks each; 0 decodes in this one. Raises
    DataError as ``load_image`` does when the chunk of the image is reached, and RunError if a worker dies.
    """
    load = partial(_load_chunk, size=size, fit=fit, background=background)
    return map_chunks(load, paths, chunk=chunk, workers=workers)


def decode(path: Path, background: str = WHITE) -> Decoded:
    """An image in its own size. Errors as ``load_image``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if path.exists() and not path.is_file():
                raise _unreadable(path, "it is not an ordinary file")  # reading a FIFO would never end
            with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise _oversized(path, f"{image.width} × {image.height}")
                if not image.width * image.height:
                    raise _unreadable(path, "it has no pixels")
                return _decoded(image, background)
    except FileNotFoundError:
        fix = "Check the data set's folder."
        raise DataError("the image does not exist", where=str(path), fix=fix) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _oversized(path, f"more than {Image.MAX_IMAGE_PIXELS}") from None
    except UnknownPixelsError as error:
        what = f"cannot be read as an image ({error.what})"
        raise UnknownPixelsError(what, where=str(path), fix=error.fix) from None
    except DataError:
        raise
    except UnidentifiedImageError:
        raise _unreadable(path, "it is not a " + ", ".join(FORMATS[:-1]) + f" or {FORMATS[-1]}") from None
    except Exception as error:  # Pillow's readers raise nearly everything for damaged files
        raise _unreadable(path, str(error) or type(error).__name__) from error


def suffix(file: IO[bytes]) -> str:
    """The usual ending of an image's format, such as ".png". Raises UnidentifiedImageError."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(file, formats=FORMATS) as image:
            return f".{(image.format or '').lower()}"


def _load_chunk(paths: Sequence[Path], size: int, fit: Fit, background: str) -> NDArray[np.uint8]:
    return np.stack([load_image(path, size, fit=fit, background=background) for path in paths])


def _decoded(image: Image.Image, background: str) -> Decoded:
    raw_modes = [str(tile[3]) for tile in getattr(image, "tile", ())]
    traits = {"deep"} if any(";16" in mode for mode in raw_modes) else set()
    # JPEGs of phones hold a preview or a depth map as a second picture: that is not an animation.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        traits.add("animated")
    image.load()
    _mend_transparency(image, raw_modes)
    with suppress(Exception):  # a broken EXIF block says nothing about the orientation
        if image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
            ImageOps.exif_transpose(image, in_place=True)
            traits.add("turned")
    rgb, transparent = _to_rgb(image, background)
    if transparent:
        traits.add("transparent")
    return Decoded(rgb, image.mode, frozenset(traits), image.info.get("icc_profile") or b"")


def _mend_transparency(image: Image.Image, raw_modes: Sequence[str]) -> None:
    """Of a PNG that marks one colour as transparent, Pillow gives the colour as the file has it, although it
    has scaled the pixels to 8 bits."""
    key: Any = image.info.get("transparency")
    if isinstance(key, int) and image.mode == "L":
        image.info["transparency"] = key * next((SCALES[raw] for raw in raw_modes if raw in SCALES), 1)
    if isinstance(key, tuple) and any(channel > 255 for channel in key):
        why = "it marks a colour of 16 bits as transparent"
        raise UnknownPixelsError(why, fix="Save it with an alpha channel.")


SCALES = {"L;2": 85, "L;4": 17}
"""Pillow's name for greys of 2 and 4 bits → 255 divided by the largest of them."""


def _to_rgb(image: Image.Image, background: str) -> tuple[Image.Image, bool]:
    """RGB on the background, and whether any of it shows through."""
    if image.mode in ("I", "F"):
        why = "its pixels are numbers of 32 bits, whose range is not known"
        raise UnknownPixelsError(why, fix="Save it with 8 bits a channel, as a PNG for example.")
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    if image.mode.startswith("I;16"):  # which Pillow itself clips at 255
        image = Image.fromarray((_grey_of_16_bits(image) >> 8).astype(np.uint8))
    if not alpha:
        return image.convert("RGB"), False
    rgba = image.convert("RGBA")
    rgba.putalpha(alpha)
    on_background = Image.alpha_composite(Image.new("RGBA", rgba.size, background), rgba).convert("RGB")
    return on_background, bool((np.asarray(alpha) < 255).any())


def _grey_of_16_bits(image: Image.Image) -> NDArray[np.uint16]:
    grey: NDArray[np.uint16] = np.asarray(image)
    # Pillow turns greys of 8 bits round where a TIFF says that 0 is white, but not those of 16.
    zero_is_white = image.format == "TIFF" and image.tag_v2.get(PHOTOMETRIC) == 0  # type: ignore[attr-defined]
    return np.iinfo(np.uint16).max - grey if zero_is_white else grey


PHOTOMETRIC = 262
"""The tag of a TIFF that says what its numbers mean."""


def _square(rgb: Image.Image, size: int, fit: Fit, background: str) -> Image.Image:
    if fit == "crop":
        edge = min(rgb.size)
        left, top = ((side - edge) // 2 for side in rgb.size)
        return rgb.resize((size, size), Image.Resampling.BICUBIC, (left, top, left + edge, top + edge))
    # Resized first and padded then: a long and thin image padded first would take all memory.
    longest = max(rgb.size)
    width, height = (max(1, round(edge * size / longest)) for edge in rgb.size)
    square = Image.new("RGB", (size, size), background)
    inner = rgb.resize((width, height), Image.Resampling.BICUBIC)
    square.paste(inner, ((size - width) // 2, (size - height) // 2))
    return square


def _oversized(path: Path, pixels: str) -> DataError:
    return OversizedImageError(
        f"has {pixels} pixels; the limit is {MOST_PIXELS // 1_000_000} megapixels",
        where=str(path),
        fix="Make the image smaller, or leave it out.",
    )


def _unreadable(path: Path, why: str) -> DataError:
    return DataError(
        f"cannot be read as an image ({why})",
        where=str(path),
        fix="The file is damaged or is not an image: copy it again from its source.",
    )
