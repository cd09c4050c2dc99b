"""What engines ask of the pixels that they encode."""

from __future__ import annotations

import numpy as np

from annotator.domain.errors import ImageError
from annotator.domain.ports.engine import RgbArray


def check_rgb(image: RgbArray) -> None:
    """
    Raises:
        ImageError: it is not H x W x 3 uint8, or has no pixels.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ImageError(f"An image must be height x width x 3 bytes, not {image.shape} {image.dtype}.")
