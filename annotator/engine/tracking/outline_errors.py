"""What opinions about an outline get wrong on a frame whose mask is known, carried along and taken off their answers.

A model that leaves out a lobe of the liver on one slice leaves it out on the next, and colours that run into a
neighbour run into it again. The error is a field: the signed distance of the opinion's outline less that of the true
one. It is carried like a mask, by flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotator.domain.answering.zoom import Region
from annotator.engine.tracking.flow import FlowArray, carried_field
from annotator.engine.tracking.shapes import overlap, signed_distance

BoolArray = npt.NDArray[np.bool_]
LIMIT_SHARE = 0.3
"""Outlines are moved by at most this share of the square root of the object's area: an opinion that is further off
does not see the object."""
LEAST_OVERLAP = 0.3
"""Of an opinion that shares less with the true mask nothing is known."""


@dataclass(frozen=True, slots=True, eq=False)
class OutlineErrors:
    """Of some opinions, in a region of one frame. ``fields`` are h x w float32 in pixels, positive where the opinion
    reaches too far; None where nothing is known of it."""

    region: Region
    fields: tuple[FlowArray | None, ...]

    @classmethod
    def none(cls) -> OutlineErrors:
        """Nothing is known."""
        return cls(Region(0, 0, 0, 0), ())

    @classmethod
    def measured(cls, region: Region, truth: BoolArray, opinions: Sequence[BoolArray]) -> OutlineErrors:
        """Against the true mask, all of them h x w of the region."""
        limit = LIMIT_SHARE * float(np.sqrt(np.count_nonzero(truth)))
        right = signed_distance(truth)
        fields = tuple(
            np.clip(signed_distance(opinion) - right, -limit, limit)
            if overlap(opinion, truth) > LEAST_OVERLAP
            else None
            for opinion in opinions
        )
        return cls(region, fields)

    def carried(self, region: Region, flow: FlowArray) -> OutlineErrors:
        """On the next frame.

        Args:
            region: of the next frame; flow: h x w x 2, the region's backward flow, in pixels.
        """
        moved = tuple(None if one is None else carried_field(self._cut(one, region), flow) for one in self.fields)
        return OutlineErrors(region, moved)

    def taken_off(self, region: Region, opinions: tuple[BoolArray, ...]) -> tuple[BoolArray, ...]:
        """The opinions, h x w of the region each, without their errors."""
        if not self.fields:
            return opinions
        return tuple(
            opinion if error is None or not opinion.any() else signed_distance(opinion) > self._cut(error, region)
            for opinion, error in zip(opinions, self.fields, strict=True)
        )

    def _cut(self, error: FlowArray, region: Region) -> FlowArray:
        """Of another region; 0 outside of this one."""
        out = np.zeros((region.height, region.width), np.float32)
        own = self.region
        x0, y0 = max(own.x0, region.x0), max(own.y0, region.y0)
        x1, y1 = min(own.x1, region.x1), min(own.y1, region.y1)
        if x0 < x1 and y0 < y1:
            out[y0 - region.y0 : y1 - region.y0, x0 - region.x0 : x1 - region.x0] = error[
                y0 - own.y0 : y1 - own.y0, x0 - own.x0 : x1 - own.x0
            ]
        return out
