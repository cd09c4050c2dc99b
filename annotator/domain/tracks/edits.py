"""Changes of tracks: what a run writes, key frames made and given up, carried masks taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from annotator.domain.counting import counted
from annotator.domain.ports.tracking import TrackAnswer
from annotator.domain.project import Annotation, Edit, ImageRecord, Review, RowChange, Status
from annotator.domain.tracks.track import CARRIED_KEY, CONFIRMED, LOST_KEY, PROPAGATED, is_key, lost_after


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What every mask of a run says of where it comes from.

    Attributes:
        id: of the run, unique in the project.
        origin: :data:`~annotator.domain.tracks.track.PROPAGATED` or ``INTERPOLATED``.
    """

    id: str
    origin: str = PROPAGATED
    model: str = ""
    model_sha256: str = ""
    adapter: str = ""
    author: str = ""
    created_at: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class CarriedMask:
    """An answer and where it goes.

    Attributes:
        image: of the frame; here: the track's object on it, if any; like: an object of the track, for its class.
        start: position of the frame that it was carried from.
    """

    answer: TrackAnswer
    image: ImageRecord
    here: Annotation | None
    like: Annotation
    direction: int
    start: int


def carried_changes(
    found: Iterable[CarriedMask], facts: RunFacts, *, new_id: Callable[[], int]
) -> tuple[list[RowChange], list[int]]:
    """What is written for masks of a run, and the tracks that a person has taken over: they have key frames there."""
    changes: list[RowChange] = []
    taken_over: list[int] = []
    for one in found:
        here = one.here
        if here is not None and is_key(here):
            taken_over.append(one.answer.track_id)
            continue
        if here is not None and _run_of(here) == facts.id and (here.score or 0.0) > one.answer.confidence:
            continue  # the same run came here from the other side, and was surer
        changes.append(RowChange(here, _row(one, facts, new_id)))
        if one.image.status is Status.UNSEEN:
            changes.append(RowChange(one.image, replace(one.image, status=Status.IN_PROGRESS)))
    return _each_image_once(changes), taken_over


def _row(one: CarriedMask, facts: RunFacts, new_id: Callable[[], int]) -> Annotation:
    answer, mask = one.answer, one.answer.mask
    x, y, w, h = mask.bbox_xywh
    carried = {"run": facts.id, "direction": one.direction, "from": [one.start]}
    return Annotation(
        one.here.id if one.here is not None else new_id(),
        one.image.id,
        one.like.category_id,
        x,
        y,
        w,
        h,
        mask.area,
        answer.rle,
        mask.width,
        mask.height,
        score=round(answer.confidence, 4),
        origin=facts.origin,
        model=facts.model,
        model_sha256=facts.model_sha256,
        adapter=facts.adapter,
        author=facts.author,
        created_at=facts.created_at,
        extra={CARRIED_KEY: carried},
        track_id=answer.track_id,
    )


def _run_of(annotation: Annotation) -> str:
    carried = annotation.extra.get(CARRIED_KEY)
    run = carried.get("run") if isinstance(carried, dict) else None
    return run if isinstance(run, str) else ""


def _each_image_once(changes: list[RowChange]) -> list[RowChange]:
    """Several objects of one image change its status once."""
    seen: set[int] = set()
    kept = []
    for change in changes:
        if isinstance(change.row, ImageRecord):
            if change.row.id in seen:
                continue
            seen.add(change.row.id)
        kept.append(change)
    return kept


def beginning_changes(rows: Iterable[Annotation], direction: int, *, new_track: Callable[[], int]) -> list[RowChange]:
    """The objects that a run starts from: those of no track get one, and they are lost no more."""
    changes = []
    for row in rows:
        after = replace(row, track_id=row.track_id or new_track(), extra=_extra_with(row, direction, is_lost=False))
        if after != row:
            changes.append(RowChange(row, after))
    return changes


def lost_change(last: Annotation, direction: int) -> RowChange | None:
    """The track was lost right after this object; None where that is said already."""
    after = replace(last, extra=_extra_with(last, direction, is_lost=True))
    return None if after == last else RowChange(last, after)


def stale_changes(rows: Iterable[Annotation], direction: int) -> list[RowChange]:
    """Masks beyond the place where a track was lost that an earlier run in the same direction had left: they go."""
    found = []
    for row in rows:
        carried = row.extra.get(CARRIED_KEY)
        if not is_key(row) and isinstance(carried, dict) and carried.get("direction") == direction:
            found.append(RowChange(row, None))
    return found


def _extra_with(row: Annotation, direction: int, *, is_lost: bool) -> dict[str, object]:
    lost = set(lost_after(row.extra))
    lost = lost | {direction} if is_lost else lost - {direction}
    rest = {key: value for key, value in row.extra.items() if key != LOST_KEY}
    return {**rest, LOST_KEY: sorted(lost)} if lost else rest


def key_edit(rows: Sequence[Annotation]) -> Edit:
    """Make key frames of carried masks; where all are key frames already, give that up. A key frame has no score: a
    person answers for it."""
    carried = [row for row in rows if not is_key(row)]
    if carried:
        after = [replace(row, origin=CONFIRMED, score=None) for row in carried]
        return Edit("make key frame", tuple(map(RowChange, carried, after)))
    after = [replace(row, origin=PROPAGATED, score=None, review=Review.OPEN) for row in rows]
    return Edit("give key frame up", tuple(map(RowChange, rows, after)))


def delete_carried_edit(rows: Sequence[Annotation]) -> Edit:
    """Take carried masks away; key frames among the rows stay."""
    gone = [row for row in rows if not is_key(row)]
    return Edit(f"delete {counted(len(gone), 'carried mask')}", tuple(RowChange(row, None) for row in gone))


def join_tracks_edit(rows: Sequence[Annotation], track_id: int) -> Edit:
    """Objects of several tracks become one track."""
    changed = [row for row in rows if row.track_id != track_id]
    return Edit("join tracks", tuple(RowChange(row, replace(row, track_id=track_id)) for row in changed))


def split_track_edit(rows: Sequence[Annotation], track_id: int) -> Edit:
    """These objects become a track of their own."""
    return Edit("split track", tuple(RowChange(row, replace(row, track_id=track_id)) for row in rows))
