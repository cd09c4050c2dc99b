"""What long work and those who watch it agree on."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Told (done, total); ``total`` 0: not known. What it raises ends the work, which leaves nothing half-written."""


class WorkCancelled(Exception):  # noqa: N818 - asked for by the person, nothing is wrong
    """Raised inside the work, by its progress call, when the person stopped it."""
