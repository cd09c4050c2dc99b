"""Where things were on the frame before: dense optical flow (DIS; Kroeger et al., ECCV 2016), asked for pieces."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.answering.zoom import Region
from annotator.domain.ports.engine import RgbArray

FlowArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
SIDE_PX = 512
"""Flow is computed on pictures of at most this side."""
WHOLE_SIDE_PX = 1024
"""Up to this side one flow of the whole frame serves all objects; in larger frames small things would be lost in it."""
_LEAST_PX = 16


class FrameFlow:
    """From one frame to the one before; computed when it is asked for, and shared."""

    def __init__(self, before: RgbArray, now: RgbArray) -> None:
        self._before, self._now = before, now
        self._known: dict[Region, FlowArray] = {}

    def backward(self, region: Region) -> FlowArray:
        """h x w x 2 float32 (x, y) of a region of the frame: what to add to a pixel's place to come to where it was
        before, in image pixels."""
        height, width = self._now.shape[:2]
        source = Region(0, 0, width, height) if max(height, width) <= WHOLE_SIDE_PX else region
        if source not in self._known:
            self._known[source] = self._compute(source)
        return _cut(self._known[source], source, region)

    def _compute(self, region: Region) -> FlowArray:
        """At the size at which it is computed, in pixels of that size."""
        scale = min(1.0, SIDE_PX / max(region.width, region.height))
        size = (max(_LEAST_PX, round(region.width * scale)), max(_LEAST_PX, round(region.height * scale)))
        before, now = (_small_grey(image, region, size) for image in (self._before, self._now))
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        return cast(FlowArray, dis.calc(now, before, np.zeros((*now.shape, 2), np.float32)))


def carried(mask: BoolArray, flow: FlowArray, *, offset_xy: tuple[int, int]) -> BoolArray:
    """A mask of the frame before on this one.

    Args:
        mask: H' x W', the part of the frame before that its first pixel lies ``offset_xy`` (x, y) away from that of the
            flow's region: negative when it lies left of or above it.
        flow: h x w x 2, of :meth:`FrameFlow.backward`.
    """
    h, w = flow.shape[:2]
    rows, columns = np.mgrid[0:h, 0:w].astype(np.float32)
    x, y = columns + flow[..., 0] - offset_xy[0], rows + flow[..., 1] - offset_xy[1]
    values = cv2.remap(mask.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return values > 0.5


def carried_field(field: FlowArray, flow: FlowArray) -> FlowArray:
    """A field of numbers, such as distances, of the same region of the frame before, on this one."""
    h, w = flow.shape[:2]
    rows, columns = np.mgrid[0:h, 0:w].astype(np.float32)
    x, y = columns + flow[..., 0], rows + flow[..., 1]
    return cast(FlowArray, cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _small_grey(image: RgbArray, region: Region, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    piece = np.ascontiguousarray(image[region.y0 : region.y1, region.x0 : region.x1])
    grey = cv2.cvtColor(piece, cv2.COLOR_RGB2GRAY)
    return cast(npt.NDArray[np.uint8], cv2.resize(grey, size, interpolation=cv2.INTER_AREA))


def _cut(flow: FlowArray, source: Region, region: Region) -> FlowArray:
    """A part of a flow, at full size and in image pixels."""
    h, w = flow.shape[:2]
    scale_x, scale_y = w / source.width, h / source.height
    # Pixel centres lie at +0.5 on both grids.
    shift_x = (region.x0 - source.x0 + 0.5) * scale_x - 0.5
    shift_y = (region.y0 - source.y0 + 0.5) * scale_y - 0.5
    matrix = np.array([[scale_x, 0, shift_x], [0, scale_y, shift_y]], np.float64)
    flags = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR
    out = cv2.warpAffine(flow, matrix, (region.width, region.height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cast(FlowArray, np.asarray(out, np.float32) / np.array([scale_x, scale_y], np.float32))
