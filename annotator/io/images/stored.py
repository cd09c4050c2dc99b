"""The samples of everyday image files as they are stored, for what is measured on them.

Not as the window shows them: a benchmark's image is not turned by its EXIF tag (its mask is not, either), and a mask's
values are not stretched. As :mod:`annotator.io.images.decoding`, this runs in a reader process.
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.io.images import raster  # noqa: F401 - it lifts Pillow's own limit; ours is below
from annotator.io.images.claims import check_picture
from annotator.io.images.reader import COPY_AGAIN, check_size, damage_error

ByteArray = npt.NDArray[np.uint8]

_FORMATS = ("JPEG", "PNG")
_ONE_CHANNEL = "Save it as PNG with one channel: a value an object."


def read_stored(path: str | os.PathLike[str], *, is_grey: bool, max_pixels: int) -> ByteArray:
    """H x W x 3 uint8, or with ``is_grey`` the first channel, H x W x 1; C-contiguous.

    Raises:
        ImageError: it cannot be read, is damaged, cut off or too large.
    """
    name = os.path.basename(os.fspath(path))
    try:
        with open(path, "rb") as stream, Image.open(stream, formats=_FORMATS) as image:
            check_size(name, *image.size, max_pixels)
            check_picture(image, name, stream)
            image.load()
            return (
                _first_channel(image)[:, :, None] if is_grey else np.ascontiguousarray(image.convert("RGB"), np.uint8)
            )
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{brief(path)} is neither JPEG nor PNG, or its beginning is damaged.", COPY_AGAIN) from error
    except FileNotFoundError as error:
        raise ImageError(f"{brief(path)} is missing.", "Check the folder.") from error
    except PermissionError as error:
        raise ImageError(f"{brief(path)} may not be read by you.", "Change the file's permissions.") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise damage_error(str(path), error) from error


def read_label_map(path: str | os.PathLike[str], *, max_pixels: int) -> ByteArray:
    """Whole numbers of a picture with one channel, of one with a palette its indices: H x W x 4 uint8, the bytes of
    int32, little-endian, so that they go the way of pixels.

    Raises:
        ImageError: it cannot be read, is a colour picture, damaged or too large.
    """
    name = os.path.basename(os.fspath(path))
    try:
        with open(path, "rb") as stream, Image.open(stream) as image:
            check_size(name, *image.size, max_pixels)
            if image.mode not in ("1", "L", "P", "I", "I;16", "LA", "RGB", "RGBA"):
                raise ImageError(f"{brief(name)} is no mask ({image.mode}).", _ONE_CHANNEL)
            check_picture(image, name, stream)
            array = np.asarray(image)
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"There is no file {brief(path)}.", "Check the name.") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise ImageError(f"{brief(name)} cannot be read as a mask.", "Save it as PNG.") from error
    if array.ndim == 3:
        colours = array[..., :3] if array.shape[2] >= 3 else array[..., :1]
        if (colours != colours[..., :1]).any():
            raise ImageError(f"{brief(name)} is a colour picture.", _ONE_CHANNEL)
        array = colours[..., 0]
    values = np.ascontiguousarray(array, "<i4")
    return values.view(np.uint8).reshape(*values.shape, 4)


def _first_channel(image: Image.Image) -> ByteArray:
    """H x W: of a grey or colour picture, whatever its alpha; 16 bits are scaled to 8."""
    if image.mode.startswith("I"):
        return np.asarray(np.clip(np.asarray(image, np.int64) // 257, 0, 255), np.uint8)
    if image.mode in ("1", "L"):
        return np.ascontiguousarray(image.convert("L"), np.uint8)
    if image.mode in ("LA", "La"):
        return np.ascontiguousarray(image.getchannel(0), np.uint8)
    return np.ascontiguousarray((image if image.mode in ("RGB", "RGBA") else image.convert("RGB")).getchannel(0))
