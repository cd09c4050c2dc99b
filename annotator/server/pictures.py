"""Pictures in and masks out. Uploads are decoded by the reader processes, which end at a damaged or hostile file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from annotator.domain.mask import Mask
from annotator.io.images.reading import LoadedImage, is_supported, load_image, read_size
from annotator.server.problems import Problem

FILE_NAME = "The upload"
"""As messages of the readers name it."""


def read_upload(data: bytes, frame: int, max_pixels: int) -> LoadedImage:
    """The image in a file's bytes.

    Raises:
        Problem: no image (415), or too many pixels (413), which the header tells.
        ImageError: it cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="annotator-upload-") as folder:
        path = Path(folder) / FILE_NAME
        path.write_bytes(data)
        if not is_supported(path):
            raise Problem(415, "no-image", "The body is no image of a kind that can be read here.")
        width, height = read_size(path)
        if width * height > max_pixels:
            size = f"{width} x {height} pixels are more than the limit of {max_pixels:,}."
            raise Problem(413, "too-many-pixels", f"The image is too large: {size} Send a part or a smaller copy.")
        return load_image(path, frame=frame, max_pixels=max_pixels)


def rle_of(mask: Mask) -> dict[str, Any]:
    """COCO's compressed run lengths of the whole image."""
    return {"size": [mask.height, mask.width], "counts": mask.rle().decode("ascii")}


def png_of(mask: Mask) -> bytes:
    """The whole image in one channel: 0 outside, 255 inside."""
    is_encoded, data = cv2.imencode(".png", mask.full().astype(np.uint8) * 255)
    if not is_encoded:
        raise RuntimeError("OpenCV did not encode a PNG")
    return bytes(data)
