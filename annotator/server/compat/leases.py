"""What a client of nnInteractive's contract has on the server: a volume, what was said of it, and the mask so far."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import RgbArray
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.server.problems import Problem

LEASES = 4
IDLE_S, LIVENESS_S = 600.0, 60.0
UNDO_STEPS = 64
_DARKEST, _BRIGHTEST = 0.5, 99.5
_UNEVEN = 1.2
"""Slices lie along the axis whose spacing is larger than the others' by this; else along the first."""

Volume = npt.NDArray[np.float32]
Plane = tuple[int, int]
"""Axis, and place on it."""


@dataclass(eq=False, slots=True)
class Lease:
    """Attributes:
    grey: the volume as it is shown, X x Y x Z.
    slices_along: the axis on which a point's slice lies.
    said: prompts by slice; mask: the answer, X x Y x Z.
    waiting: the slices that were spoken of and not asked.
    turn: one request at a time.
    """

    client: str
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    seen_s: float = 0.0
    active_s: float = 0.0
    grey: npt.NDArray[np.uint8] | None = None
    slices_along: int = 0
    said: dict[Plane, Prompts] = field(default_factory=dict)
    mask: npt.NDArray[np.uint8] | None = None
    waiting: list[Plane] = field(default_factory=list)
    steps: list[tuple[Plane, Prompts | None, npt.NDArray[np.uint8]]] = field(default_factory=list)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def open(self, volume: npt.NDArray[np.generic], spacing: object) -> None:
        """A new image; what was said is forgotten."""
        values = np.nan_to_num(np.asarray(volume, np.float32), posinf=0.0, neginf=0.0)
        low, high = np.percentile(values[:: max(1, values.shape[0] // 64)], (_DARKEST, _BRIGHTEST))
        scale = 255.0 / max(float(high - low), 1e-6)
        self.grey = np.clip((values - low) * scale, 0, 255).astype(np.uint8)
        self.slices_along = _uneven_axis(spacing)
        self.forget()

    def forget(self) -> None:
        self.said.clear()
        self.waiting.clear()
        self.steps.clear()
        self.mask = None if self.grey is None else np.zeros(self.grey.shape, np.uint8)

    def shape(self) -> tuple[int, int, int]:
        """Raises:
        Problem: there is no image yet (400).
        """
        if self.grey is None:
            raise Problem(400, "no-image", "Send an image first.")
        x, y, z = self.grey.shape
        return x, y, z

    def picture(self, plane: Plane) -> RgbArray:
        """H x W x 3 uint8."""
        assert self.grey is not None
        return np.repeat(np.take(self.grey, plane[1], axis=plane[0])[..., None], 3, axis=2)

    def say(self, plane: Plane, change: Callable[[Prompts], Prompts]) -> None:
        """Something more of a slice. The mask that is there is where it begins."""
        assert self.mask is not None
        before = self.said.get(plane)
        shown = np.take(self.mask, plane[1], axis=plane[0])
        start = before or Prompts(base_mask=Mask.from_full(shown > 0) if shown.any() else None)
        self.steps.append((plane, before, shown.copy()))
        del self.steps[:-UNDO_STEPS]
        self.said[plane] = change(start)
        if plane not in self.waiting:
            self.waiting.append(plane)

    def put(self, plane: Plane, bits: npt.NDArray[np.bool_] | npt.NDArray[np.uint8]) -> None:
        """The answer of a slice."""
        assert self.mask is not None
        self.mask[slice_of(plane)] = bits

    def undo(self) -> Plane | None:
        """Takes the last back. Returns: the slice that it was about."""
        if not self.steps:
            return None
        plane, before, shown = self.steps.pop()
        if before is None:
            self.said.pop(plane, None)
        else:
            self.said[plane] = before
        if plane in self.waiting:
            self.waiting.remove(plane)
        self.put(plane, shown)
        return plane


class Leases:
    """Of all clients. Called on the event loop alone.

    Args:
        now: seconds of a clock that never goes back.
    """

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._held: dict[str, Lease] = {}
        self._now = now

    def claim(self, client: str) -> Lease:
        """Raises:
        Problem: all are taken (503).
        """
        self._drop_old()
        if len(self._held) >= LEASES:
            raise Problem(503, "no-lease", f"All {LEASES} sessions are taken.", headers={"Retry-After": "10"})
        lease = Lease(client, seen_s=self._now(), active_s=self._now())
        self._held[lease.token] = lease
        return lease

    def of(self, token: str, client: str, *, is_active: bool = True) -> Lease:
        """Raises:
        Problem: it has gone, or is another's (410).
        """
        self._drop_old()
        lease = self._held.get(token)
        if lease is None or lease.client != client:
            raise Problem(410, "lease-gone", "The session has expired. Open a new one and send the image again.")
        lease.seen_s = self._now()
        lease.active_s = self._now() if is_active else lease.active_s
        return lease

    def release(self, token: str, client: str) -> None:
        lease = self._held.get(token)
        if lease is not None and lease.client == client:
            del self._held[token]

    def left_s(self, lease: Lease) -> float:
        return max(0.0, IDLE_S - (self._now() - lease.active_s))

    def _drop_old(self) -> None:
        now = self._now()
        for token, lease in list(self._held.items()):
            if now - lease.active_s > IDLE_S or now - lease.seen_s > LIVENESS_S:
                del self._held[token]


def slice_of(plane: Plane) -> tuple[slice | int, slice | int, slice | int]:
    """An index into the volume."""
    index: list[slice | int] = [slice(None)] * 3
    index[plane[0]] = plane[1]
    return index[0], index[1], index[2]


def with_points(prompts: Prompts, points: list[tuple[float, float]], *, is_positive: bool) -> Prompts:
    """``points``: row and column of pixels."""
    more = tuple(PointPrompt(column + 0.5, row + 0.5, is_positive) for row, column in points)
    return Prompts((*prompts.points, *more), prompts.box, prompts.base_mask)


def with_box(prompts: Prompts, box: Box) -> Prompts:
    """In place of an earlier one, and of the mask that was there: a box says the object anew."""
    return Prompts(prompts.points, box)


def _uneven_axis(spacing: object) -> int:
    if not isinstance(spacing, list | tuple) or len(spacing) != 3:
        return 0
    if not all(isinstance(one, int | float) and one > 0 for one in spacing):
        return 0
    widest = max(range(3), key=lambda axis: spacing[axis])
    others = max(spacing[axis] for axis in range(3) if axis != widest)
    return widest if spacing[widest] > _UNEVEN * others else 0
