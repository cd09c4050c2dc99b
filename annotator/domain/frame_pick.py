"""Which frames of a video are looked at: every n-th one of a range of time."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from annotator.domain.counting import counted, number_text

_TIME = re.compile(r"(?:(?:(\d{1,4}):)?(\d{1,5}):)?(\d{1,7}(?:[.,]\d{1,6})?)")
_EARLY_MS = 0.5
"""Times are shown and typed in whole milliseconds, while frames come at 33.3667 or so."""


@dataclass(frozen=True, slots=True)
class FramePick:
    """Of the frames from ``from_ms`` to ``to_ms``, both included, the first and every ``every``-th after it.

    Attributes:
        every: 1 takes every frame.
        to_ms: None: to the end.
    """

    every: int = 1
    from_ms: float = 0.0
    to_ms: float | None = None

    def __post_init__(self) -> None:
        """Raises:
        ValueError: it picks nothing whatever the video is.
        """
        if self.every < 1:
            raise ValueError("of every n-th frame, n is at least 1")
        if not 0 <= self.from_ms < math.inf or (self.to_ms is not None and not self.from_ms <= self.to_ms < math.inf):
            raise ValueError("the range of time ends before it begins")

    @property
    def takes_all(self) -> bool:
        """Every frame of any video."""
        return self == ALL_FRAMES

    def frames(self, times_ms: Sequence[float]) -> tuple[int, ...]:
        """Numbers of the picked frames, from 0. Times may be unequal steps apart, or not in order.

        Args:
            times_ms: of all frames of the video.
        """
        end = math.inf if self.to_ms is None else self.to_ms + _EARLY_MS
        inside = (frame for frame, at in enumerate(times_ms) if self.from_ms - _EARLY_MS <= at <= end)
        return tuple(itertools.islice(inside, 0, None, self.every))

    def words(self, picked: int, frames: int) -> str:
        """What is said of it: a part of a sentence."""
        parts = [f"every {ordinal(self.every)} frame"] if self.every > 1 else []
        if self.from_ms > 0 or self.to_ms is not None:
            end = "the end" if self.to_ms is None else time_text(self.to_ms)
            parts.append(f"from {time_text(self.from_ms)} to {end}")
        parts = parts or ["every frame"]
        return f"{' '.join(parts)}, {number_text(picked)} of {counted(frames, 'frame')}"

    def to_data(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {"every": self.every, "from_ms": self.from_ms, "to_ms": self.to_ms}


ALL_FRAMES = FramePick()


def pick_from_data(data: object) -> FramePick:
    """What :meth:`FramePick.to_data` has made; all frames where it is something else."""
    if not isinstance(data, dict):
        return ALL_FRAMES
    every, start, end = data.get("every"), data.get("from_ms"), data.get("to_ms")
    if not isinstance(every, int) or isinstance(every, bool):
        return ALL_FRAMES
    if not isinstance(start, int | float) or not isinstance(end, int | float | None):
        return ALL_FRAMES
    try:
        return FramePick(every, float(start), None if end is None else float(end))
    except (ValueError, OverflowError):
        return ALL_FRAMES


def step_ms(times_ms: Sequence[float]) -> float:
    """The usual time from frame to frame; 0 where the file says none."""
    steps = [after - before for before, after in itertools.pairwise(times_ms) if after > before]
    return round(median(steps), 3) if steps else 0.0


def time_text(ms: float) -> str:
    """``m:ss.mmm``, with hours before it where there are some."""
    whole = round(ms)
    minutes, rest = divmod(whole, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest // 1000:02d}.{rest % 1000:03d}"
    return f"{hours}:{minutes:02d}:{seconds}" if hours else f"{minutes}:{seconds}"


def parse_time(text: str) -> float:
    """Milliseconds of ``90``, ``90.5`` (seconds), ``1:30.500`` or ``1:02:03``.

    Raises:
        ValueError: it is something else.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text.strip()[:40]!r} is not a time such as 1:30.500")
    hours, minutes, seconds = int(found[1] or 0), int(found[2] or 0), float(found[3].replace(",", "."))
    if (found[1] and minutes > 59) or (found[2] and seconds >= 60):
        raise ValueError(f"{text.strip()!r} has more than 59 of what counts up to 60")
    return (hours * 3600 + minutes * 60) * 1000.0 + seconds * 1000.0


def ordinal(number: int) -> str:
    """``2nd``, ``11th``."""
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number_text(number)}{ending}"
