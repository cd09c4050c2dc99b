"""An object as models that name and describe it are shown it: a piece of the image, not all of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from annotator.domain.mask import Mask
from annotator.domain.ports.engine import RgbArray


def with_surroundings(image: RgbArray, mask: Mask, margin: float) -> tuple[RgbArray, npt.NDArray[np.bool_]]:
    """The box of a mask and what is round it, within the image.

    Args:
        image: H x W x 3 uint8, as large as the mask says.
        margin: on each side, as a share of the longer side of the box.

    Returns:
        A copy of the piece, h x w x 3, and h x w booleans: what of it is the object.
    """
    x, y, width, height = mask.bbox_xywh
    around = round(margin * max(width, height)) + 1
    x0, y0 = max(0, x - around), max(0, y - around)
    x1, y1 = min(mask.width, x + width + around), min(mask.height, y + height + around)
    piece = np.array(image[y0:y1, x0:x1])
    inside = np.zeros(piece.shape[:2], np.bool_)
    rows, columns = mask.bits.shape
    inside[mask.y - y0 : mask.y - y0 + rows, mask.x - x0 : mask.x - x0 + columns] = mask.bits
    return piece, inside
