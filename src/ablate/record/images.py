"""Sheets of small images, as MLflow's UI shows them."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def tiles(image: Path) -> list[NDArray[np.uint8]]:
    """The square images, each [H, H, 3], that lie side by side in a PNG."""
    import numpy as np
    from PIL import Image

    with Image.open(image, formats=["PNG"]) as file:
        strip = np.asarray(file.convert("RGB"))
    return np.split(strip, strip.shape[1] // strip.shape[0], axis=1)


def sheet(images: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Images of one size in rows of ``columns``, small ones enlarged to 64 pixels; empty places are white."""
    import numpy as np

    scale = max(1, 64 // images[0].shape[0])
    large = [image.repeat(scale, axis=0).repeat(scale, axis=1) for image in images]
    large += [np.full_like(large[0], 255)] * (-len(large) % columns)
    return np.vstack([np.hstack(large[first : first + columns]) for first in range(0, len(large), columns)])


def top_row(page: Path, columns: int) -> NDArray[np.uint8]:
    """The first row of a sheet of square images, [H, W, 3]."""
    import numpy as np
    from PIL import Image

    with Image.open(page, formats=["PNG"]) as file:
        pixels = np.asarray(file.convert("RGB"))
    return pixels[: pixels.shape[1] // columns]


def encoded(image: NDArray[np.uint8], format: str, longest: int | None = None) -> bytes:
    """An image as the bytes of a file, made smaller if a side is longer than ``longest`` pixels."""
    from PIL import Image

    picture = Image.fromarray(image)
    if longest:
        picture.thumbnail((longest, longest))
    file = BytesIO()
    picture.save(file, format)
    return file.getvalue()
