"""How fast a series plays. Pure: whoever plays asks with the time of a clock."""

from __future__ import annotations

from dataclasses import dataclass, field

SPEEDS = (0.5, 1.0, 2.0)
"""Half, normal and double."""
USUAL_STEP_MS = 80.0
"""From slice to slice, where the file has no time of its own."""
_LEAST_TICK_MS = 10.0


def nearest_speed(wanted: float) -> float:
    """Of :data:`SPEEDS`."""
    return min(SPEEDS, key=lambda one: abs(one - wanted))


@dataclass(slots=True)
class Pace:
    """Of a series with a time of its own (a video) that time is kept: what cannot be shown in time is passed over. Of
    any other every slice is shown.

    Attributes:
        step_ms: from frame to frame at normal speed; None where the series has no time.
        speed: times the normal one.
    """

    step_ms: float | None = None
    speed: float = 1.0
    _last_ms: float | None = field(default=None)
    """When the frame that was shown last was due; None before the first."""

    @property
    def interval_ms(self) -> float:
        """From frame to frame at this speed."""
        return (self.step_ms or USUAL_STEP_MS) / self.speed

    @property
    def tick_ms(self) -> int:
        """How often to ask."""
        return round(max(_LEAST_TICK_MS, self.interval_ms))

    def begin(self, now_ms: float) -> None:
        """A frame is shown, and time runs from now on: at the start, and after a change of the speed."""
        self._last_ms = now_ms

    def steps(self, now_ms: float) -> int:
        """How many frames to go on by now, 0 or more; the frame before is on the screen."""
        if self._last_ms is None or self.step_ms is None:
            self._last_ms = now_ms
            return 1
        due = int((now_ms - self._last_ms) / self.interval_ms + 0.5)  # a timer may come a little early
        self._last_ms += due * self.interval_ms
        return max(0, due)
