"""Benchmark images and masks, sample by sample as they are stored.

Not as the window shows them: a benchmark's image is not turned by its EXIF tag (its mask is not, either), and a mask's
values are not stretched.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from annotator.domain.errors import ImageError
from annotator.io.images import raster  # noqa: F401 - it lifts Pillow's own limit; ours is below
from annotator.io.images.reader import DEFAULT_MAX_PIXELS, check_size, damage_error

GreyArray = npt.NDArray[np.uint8]
RgbArray = npt.NDArray[np.uint8]

_FORMATS = ("JPEG", "PNG")


def read_rgb(path: Path) -> RgbArray:
    """H x W x 3 uint8, C-contiguous.

    Raises:
        ImageError: it cannot be read, is damaged, cut off or too large.
    """
    with _opened(path) as image:
        return np.ascontiguousarray(image.convert("RGB"), np.uint8)


def read_grey(path: Path) -> GreyArray:
    """The first channel, H x W uint8: of a grey or colour file, whatever its alpha; 16 bits are scaled to 8.

    Raises:
        ImageError: it cannot be read, is damaged, cut off or too large.
    """
    with _opened(path) as image:
        if image.mode.startswith("I"):
            return np.asarray(np.clip(np.asarray(image, np.int64) // 257, 0, 255), np.uint8)
        if image.mode in ("1", "L"):
            return np.asarray(image.convert("L"), np.uint8)
        if image.mode in ("LA", "La"):
            return np.asarray(image.getchannel(0), np.uint8)
        return np.asarray((image if image.mode in ("RGB", "RGBA") else image.convert("RGB")).getchannel(0), np.uint8)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path, formats=_FORMATS) as image:
            check_size(path.name, *image.size, DEFAULT_MAX_PIXELS)
            image.load()
            yield image
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"{path} is missing.", "Check the folder.") from error
    except PermissionError as error:
        raise ImageError(f"{path} may not be read by you.", "Change the file's permissions.") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise damage_error(str(path), error) from error
