"""Which slices of a series are read before somebody comes to them: the nearest first. Pure."""

from __future__ import annotations

from itertools import islice

AHEAD_OF_EACH_BEHIND = 3
"""Who goes on is followed by few slices: turning back is rarer, and what was passed is in memory anyway."""


def in_reading_order(
    at: int, count: int, *, way: int, most: int, most_behind: int | None = None, wraps: bool = False
) -> tuple[int, ...]:
    """Places among ``count`` slices, in the order in which they are worth reading; not ``at`` itself.

    Args:
        way: +1 or -1: somebody goes there; 0: at rest, both ways alike.
        most: so many fit into memory.
        most_behind: no more than so many against the way; at rest back.
        wraps: after the last one comes the first, as when a series plays.
    """
    forth = -1 if way < 0 else 1
    ahead, behind = (count - 1 - at, at) if forth > 0 else (at, count - 1 - at)
    if wraps:
        ahead = count - 1
        behind = 0  # they are the farthest ahead
    if most_behind is not None:
        behind = min(behind, most_behind)
    before = [(at + forth * step) % count for step in range(1, min(ahead, most) + 1)]
    after = [at - forth * step for step in range(1, min(behind, most) + 1)]
    return tuple(islice(_merged(before, after, AHEAD_OF_EACH_BEHIND if way else 1), most))


def _merged(ahead: list[int], behind: list[int], share: int) -> list[int]:
    """So many of the first for each of the second, then what is left of either."""
    found: list[int] = []
    for step, place in enumerate(behind):
        found += [*ahead[step * share : (step + 1) * share], place]
    return found + ahead[len(behind) * share :]
