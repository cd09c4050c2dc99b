"""Carrying objects through a series, frame by frame, for whoever has a thread for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from annotator.domain.errors import ImageError
from annotator.domain.mask import Mask
from annotator.domain.ports.tracking import Propagator, TrackFrame, TrackSeed
from annotator.domain.tracks.run import CarryRun, Outcome

MaskAt = Callable[[int, int], Mask]
"""The mask of a track (its id) at a position that is certain."""


def carry(
    run: CarryRun,
    propagator: Propagator,
    *,
    read: Callable[[int], TrackFrame],
    mask_at: MaskAt,
    on_unreadable: Callable[[int, ImageError], object],
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Outcome]:
    """The outcomes of a run, a frame each; it ends by itself.

    Args:
        read: a frame; raises ``ImageError`` for one that is left out, which ``on_unreadable`` is called with.

    Raises:
        EncodeCancelled: ``is_cancelled`` said so.
        DeviceMemoryError: the model has no room.
    """
    while (position := run.position) is not None:
        try:
            frame = read(position)
        except ImageError as error:
            on_unreadable(position, error)
            run.leave_out(position)
            continue
        wanted = run.wanted
        answers = propagator.step(frame, wanted, is_cancelled=is_cancelled) if wanted else []
        _take_up(run, propagator, frame, read=read, mask_at=mask_at, is_cancelled=is_cancelled)
        yield run.take(answers)


def _take_up(
    run: CarryRun,
    propagator: Propagator,
    frame: TrackFrame,
    *,
    read: Callable[[int], TrackFrame],
    mask_at: MaskAt,
    is_cancelled: Callable[[], bool],
) -> None:
    """Legs that start on this frame, each with what is certain of it before."""
    for leg in run.starting:
        for position in leg.memory:
            try:
                before = read(position)
            except ImageError:
                continue
            propagator.seed(
                before, [TrackSeed(leg.track_id, mask_at(leg.track_id, position))], is_cancelled=is_cancelled
            )
    seeds = [TrackSeed(leg.track_id, mask_at(leg.track_id, leg.start)) for leg in run.starting]
    if seeds:
        propagator.seed(frame, seeds, is_cancelled=is_cancelled)
