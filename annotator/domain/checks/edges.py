"""How well an outline lies on edges of the image: gradients on it, compared with those a few pixels beside it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.mask import Mask

BESIDE_PX = 5
"""How far from the outline it is compared, outwards and inwards."""
_SLACK_PX = 1
"""An outline may be off by so much and still lie on its edge."""
_LEAST_CONTRAST = 4.0
"""Grey levels a pixel: of an image that shows less, on the outline and beside it, nothing can be said."""
LEAST_OUTLINE_PX = 24


def edge_support(image: npt.NDArray[np.uint8], mask: Mask) -> float | None:
    """Mean gradient on the outline over the larger of the mean gradients beside it: above 1 it lies on edges, at 1 it
    goes anywhere. None: it is too short, or there is nothing to see.

    Args:
        image: H x W x 3 uint8, of the mask's size.

    The outline at the image's own border is left out: nobody sees what is beyond.
    """
    margin = BESIDE_PX + _SLACK_PX + 2
    rows, columns = mask.bits.shape
    x0, y0 = max(0, mask.x - margin), max(0, mask.y - margin)
    x1, y1 = min(mask.width, mask.x + columns + margin), min(mask.height, mask.y + rows + margin)
    bits = np.zeros((y1 - y0, x1 - x0), np.uint8)
    bits[mask.y - y0 : mask.y - y0 + rows, mask.x - x0 : mask.x - x0 + columns] = mask.bits
    gradient = _gradient(image[y0:y1, x0:x1])
    near = cv2.dilate(gradient, np.ones((2 * _SLACK_PX + 1,) * 2, np.uint8))
    inside = np.ones_like(bits)
    inside[:2] *= y0 > 0
    inside[-2:] *= y1 < mask.height
    inside[:, :2] *= x0 > 0
    inside[:, -2:] *= x1 < mask.width
    on_it, *beside = (_rim(bits, shift) & (inside > 0) for shift in (0, BESIDE_PX, -BESIDE_PX))
    if int(on_it.sum()) < LEAST_OUTLINE_PX:
        return None
    own = float(near[on_it].mean())
    others = [float(near[rim].mean()) for rim in beside if int(rim.sum()) >= LEAST_OUTLINE_PX]
    if not others or max(own, *others) < _LEAST_CONTRAST:
        return None
    return own / max(max(others), _LEAST_CONTRAST / 4)


def _rim(bits: npt.NDArray[np.uint8], shift_px: int) -> npt.NDArray[np.bool_]:
    """Pixels along the outline of a mask that was grown (or shrunk, below 0) by so much."""
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * abs(shift_px) + 1,) * 2)
    moved = bits if not shift_px else cv2.dilate(bits, kernel) if shift_px > 0 else cv2.erode(bits, kernel)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return np.asarray(cv2.dilate(moved, cross) != cv2.erode(moved, cross, borderValue=0))


def _gradient(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The largest of the channels' gradients, in grey levels a pixel: H x W float32."""
    soft = cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), 1.0).astype(np.float32)
    dx, dy = cv2.Scharr(soft, cv2.CV_32F, 1, 0), cv2.Scharr(soft, cv2.CV_32F, 0, 1)
    return np.asarray(np.sqrt(dx * dx + dy * dy).reshape(*soft.shape[:2], -1).max(-1) / 16, np.float32)
