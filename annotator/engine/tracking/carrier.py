"""A run on the engine's thread: one frame at a time, each of which may be cut off and asked again."""

from __future__ import annotations

from collections.abc import Callable

from annotator.domain.ports.tracking import CarryRequest, Propagator, TrackAnswer


class Carrier:
    """Answers the requests of one pass. What was answered already is not asked again when a request comes back."""

    def __init__(self, generation: int, propagator: Propagator) -> None:
        self.generation, self.propagator = generation, propagator
        self._request: CarryRequest | None = None
        self._answers: list[TrackAnswer] | None = None
        self._taken_up = 0

    def answer(self, request: CarryRequest, *, is_cancelled: Callable[[], bool]) -> tuple[TrackAnswer, ...]:
        """Carry to the request's frame, then take up what starts there.

        Raises:
            EncodeCancelled: ``is_cancelled`` said so; ask again.
            DeviceMemoryError: there is no room for it.
        """
        if request is not self._request:
            self._request, self._answers, self._taken_up = request, None, 0
        if self._answers is None:
            wanted = request.wanted
            step = self.propagator.step
            self._answers = step(request.frame, wanted, is_cancelled=is_cancelled) if wanted else []
        for frame, seeds in request.seeded[self._taken_up :]:
            self.propagator.seed(frame, seeds, is_cancelled=is_cancelled)
            self._taken_up += 1
        return tuple(self._answers)
