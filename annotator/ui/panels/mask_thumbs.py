"""Small pictures of masks for rows."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QImage, QPainter

from annotator.domain.project import Annotation


def mask_thumb(annotation: Annotation, colour: str, side_px: int) -> QImage:
    """The shape of an object in a colour (``#rrggbb``) on nothing, as large as fits into a square."""
    shape = _shape(annotation.rle, (annotation.image_width, annotation.image_height), side_px)
    image = QImage(shape.size(), shape.format())
    image.fill(QColor(colour))
    painter = QPainter(image)
    painter.setCompositionMode(QPainter.CompositionMode.CompositionMode_DestinationIn)
    painter.drawImage(0, 0, shape)
    painter.end()
    return image


@lru_cache(maxsize=1024)
def _shape(rle: bytes, size: tuple[int, int], side_px: int) -> QImage:
    image = QImage(side_px, side_px, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    try:
        mask = Annotation(0, 0, 0, 0, 0, 0, 0, 0, rle, *size).mask()
    except ValueError:  # damaged, which the canvas finds and tells: a row without a shape
        return image
    if mask.is_empty:
        return image
    height, width = mask.bits.shape
    scale = side_px / max(height, width)
    small = max(1, round(width * scale)), max(1, round(height * scale))
    grey = cv2.resize(mask.bits.astype(np.uint8) * 255, small, interpolation=cv2.INTER_AREA)
    alpha = np.ascontiguousarray(grey)
    crop = QImage(alpha.data, *small, small[0], QImage.Format.Format_Alpha8)
    painter = QPainter(image)
    painter.drawImage((side_px - small[0]) // 2, (side_px - small[1]) // 2, crop)
    painter.end()
    return image
