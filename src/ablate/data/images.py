"""Decodes images: of any size and mode, upright, on white, as squares."""

from __future__ import annotations

import warnings
from contextlib import suppress
from functools import partial
from typing import IO, TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ablate.data.parallel import map_chunks
from ablate.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
"""What is read. Pillow knows more formats, some of which start other programs."""

MOST_PIXELS = 64_000_000
"""Of one image. A small file can decode to gigabytes; one of 64 megapixels takes 1 GB in between."""


class OversizedImageError(DataError):
    """An image has more pixels than are decoded."""


def load_image(path: Path, size: int) -> NDArray[np.uint8]:
    """An image as uint8 [size, size, 3], resized with antialiasing.

    Upright as its EXIF data says, transparency on white, the sides of what is not square padded with
    white; of an animation the first frame. Raises DataError if the file is missing, truncated, no
    image, or larger than ``MOST_PIXELS``.
    """
    return np.array(_square(decode(path)[0], size), dtype=np.uint8)


def load_images(
    paths: Sequence[Path], size: int, *, workers: int = 0, chunk: int = 64
) -> Iterator[NDArray[np.uint8]]:
    """The images of ``paths`` in their order, uint8 [chunk, size, size, 3]; the last chunk may be shorter.

    ``workers`` processes decode, and hold at most two chunks each; 0 decodes in this one. Raises
    DataError as ``load_image`` does when the chunk of the image is reached, and RunError if a worker dies.
    """
    return map_chunks(partial(_load_chunk, size=size), paths, chunk=chunk, workers=workers)


def decode(path: Path) -> tuple[Image.Image, str]:
    """An image in its own size, upright, RGB on white; and the mode of its file. Errors as ``load_image``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if path.exists() and not path.is_file():
                raise _unreadable(path, "it is no ordinary file")  # a FIFO would be waited for, for ever
            with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise _oversized(path, f"{image.width} × {image.height}")
                image.load()
                with suppress(Exception):  # a broken EXIF block says nothing about the orientation
                    ImageOps.exif_transpose(image, in_place=True)
                return _to_rgb(image), image.mode
    except FileNotFoundError:
        fix = "Check the data set's folder."
        raise DataError("the image does not exist", where=str(path), fix=fix) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _oversized(path, f"more than {Image.MAX_IMAGE_PIXELS}") from None
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


def _load_chunk(paths: Sequence[Path], size: int) -> NDArray[np.uint8]:
    return np.stack([load_image(path, size) for path in paths])


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise ValueError("its pixels are numbers of 32 bits, whose range is not known; save it with 8 bits")
    if image.mode.startswith("I;16"):  # which Pillow itself clips at 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def _square(rgb: Image.Image, size: int) -> Image.Image:
    # Resized first and padded then: a long and thin image padded first would take all memory.
    longest = max(rgb.size)
    width, height = (max(1, round(edge * size / longest)) for edge in rgb.size)
    square = Image.new("RGB", (size, size), "white")
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
