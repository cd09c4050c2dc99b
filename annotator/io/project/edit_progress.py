"""How far an edit is on its way into the project file: in its changes, of which each is worked on in several passes."""

from __future__ import annotations

from annotator.domain.ports.jobs import Progress

AT_ONCE = 250
"""Changes between two reports: a call for each would take as long as writing it."""


class EditProgress:
    """Counts the work on one edit.

    Args:
        progress: hears of it; what it raises ends the work, before anything is in the file. None: nobody listens.
        total: changes of the edit; 0: not known.
        passes: how often each change is worked on.
    """

    def __init__(self, progress: Progress | None = None, total: int = 0, *, passes: int = 1) -> None:
        self._progress, self._total, self._passes = progress, total, passes
        self._steps = self._told = 0

    def step(self, count: int = 1) -> None:
        """So many changes more have gone through a pass."""
        self._steps += count
        if self._progress is not None and self._steps - self._told >= AT_ONCE:
            self._told = self._steps
            self._progress(min(self._steps // self._passes, self._total), self._total)

    def end(self) -> None:
        """All is written, and can be ended for the last time."""
        if self._progress is not None:
            self._progress(self._total, self._total)


UNWATCHED = EditProgress()
