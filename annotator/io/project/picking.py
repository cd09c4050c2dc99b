"""Which frames of a video are images of the project: every n-th one of a range of time, as a person chose.

The series' row is what is remembered. A frame with work on it stays among the images whatever is chosen, and a change
of the choice is an edit, so that undo brings everything back as it was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ImageError
from annotator.domain.frame_pick import FramePick, step_ms, time_text
from annotator.domain.media import PICK_KEY, STEP_KEY, TIME_KEY, Series, is_video_path
from annotator.domain.project import Edit, ImageRecord, RowChange, Status
from annotator.domain.tracks.plan import RECORD_KEY
from annotator.io.images.reading import survey_files
from annotator.io.images.survey import Survey
from annotator.io.project.numbering import NO_WISH, NumberedWish

if TYPE_CHECKING:
    from annotator.io.project.store import ProjectStore

CHOOSE = "choose frames"
"""The name of the edit."""
_WORDS = "pick_note"
"""In the ``extra`` of a series: what its notes say of the choice."""


@dataclass(frozen=True, slots=True)
class OpeningWish:
    """What is wished of the series of a project that is opened.

    Attributes:
        pick: which frames of videos are to be images; None: as the project remembers.
        videos: paths of those videos; empty: all.
        counted: videos by path, and all of their frames, which were counted since the project was opened.
    """

    numbered: NumberedWish = NO_WISH
    pick: FramePick | None = None
    videos: frozenset[str] = frozenset()
    counted: tuple[tuple[str, Survey], ...] = ()


AS_REMEMBERED = OpeningWish()


def pick_frames(store: ProjectStore, wish: OpeningWish, *, on_found: Callable[[int], None] | None = None) -> None:
    """Make the picked frames images, and take away others that nobody has worked on. One step to undo; nothing is
    written when it is so already. What is said of it, also of videos with no such frame, is in the store's notices.

    Args:
        on_found: called with how many videos were looked into; what it raises stops it, and nothing is changed.

    Raises:
        ProjectError: as :meth:`ProjectStore.apply`.
    """
    if wish.pick is None or store.is_read_only:
        return
    slices: dict[int, list[ImageRecord]] = defaultdict(list)
    wanted = {one.id: one for one in store.slices.series() if is_video_path(one.name)}
    for image in store.images():
        if image.series_id in wanted and (not wish.videos or image.path in wish.videos):
            slices[image.series_id].append(image)
    surveys = survey_files(store.readable_root, [images[0].path for images in slices.values()], on_done=on_found)
    worked = worked_on(store)
    changes: list[RowChange] = []
    notes: list[str] = []
    current = store.meta_get("position") or ""
    for series_id, images in slices.items():
        survey = surveys.get(images[0].path, Survey())
        try:
            plan = plan_pick(wanted[series_id], images, survey, wish.pick, worked=worked, new_id=store.new_id)
        except ImageError as error:  # the others are opened all the same
            notes.append(f"{error} All images are as they were.")
            continue
        changes += plan.changes
        notes.append(plan.note)
        if current in {str(image.id) for image in images}:
            store.meta_set("position", str(plan.nearest(int(current), images)))
    if changes:
        store.apply(Edit(CHOOSE, tuple(changes)))
        store.meta_set(RECORD_KEY, "")  # a run that was stopped knows frames by their places
    store.notices = (*store.notices, *notes)
    store.first_images = None


@dataclass(frozen=True, slots=True)
class PickPlan:
    """What a choice means for one video.

    Attributes:
        kept: the images that it has then, in order.
        note: a sentence.
    """

    changes: tuple[RowChange, ...]
    kept: tuple[ImageRecord, ...]
    note: str

    def nearest(self, image_id: int, before: Iterable[ImageRecord]) -> int:
        """The image that is shown in the place of one that may be gone."""
        frame = next(image.frame for image in before if image.id == image_id)
        return min(self.kept, key=lambda image: (abs(image.frame - frame), image.frame)).id


def plan_pick(
    series: Series,
    images: Sequence[ImageRecord],
    survey: Survey,
    pick: FramePick,
    *,
    worked: Collection[int],
    new_id: Callable[[Any], int],
) -> PickPlan:
    """Args:
        images: of the series. worked: ids of images that stay whatever is picked.

    Raises:
        ImageError: none of its frames is picked, or it cannot be read.
    """
    path, times = images[0].path, survey.times_ms
    if not times:
        raise ImageError(f"{brief(path)} cannot be read as a video.", "Look whether it is still there and whole.")
    numbers = pick.frames(times)
    if not numbers:
        asked = f"{time_text(pick.from_ms)} to {'the end' if pick.to_ms is None else time_text(pick.to_ms)}"
        raise ImageError(f"{brief(path)} has no frame from {asked}.", f"Its last one is at {time_text(times[-1])}.")
    there = {image.frame: image for image in images}
    extra_frames = {image.frame for image in images if image.id in worked} - set(numbers)
    kept: list[ImageRecord] = []
    changes: list[RowChange] = []
    for position, frame in enumerate(sorted({*numbers, *extra_frames})):
        before = there.pop(frame, None)
        after = before or ImageRecord(
            new_id("image"), path, width=survey.size_wh[0], height=survey.size_wh[1], frame=frame, series_id=series.id
        )
        time = {TIME_KEY: round(times[frame], 3)} if frame < len(times) else {}
        after = replace(after, position=position, extra={**after.extra, **time})
        kept.append(after)
        if after != before:
            changes.append(RowChange(before, after))
    # A frame that goes away gives its place free before another one takes it.
    gone = [RowChange(image, None) for image in there.values()]
    words = pick.words(len(numbers), len(times))
    if extra_frames:
        words += f", and {counted(len(extra_frames), 'other')} with work"
    changed = replace(series, extra=_extra(series.extra, pick, [times[image.frame] for image in kept], words))
    if changed != series:
        changes.append(RowChange(series, changed))
    return PickPlan((*gone, *changes), tuple(kept), f"{path}: {words}.")


def _extra(extra: Mapping[str, Any], pick: FramePick, times_ms: Sequence[float], words: str) -> dict[str, Any]:
    """What the series remembers: the words stand before other notes in the place of those of an earlier choice."""
    known = extra.get("notes")
    others = [one for one in known if one != extra.get(_WORDS)] if isinstance(known, list) else []
    found = {key: value for key, value in extra.items() if key not in (PICK_KEY, _WORDS, STEP_KEY, "notes")}
    step = step_ms(times_ms)
    if step > 0:
        found[STEP_KEY] = step
    if not pick.takes_all:
        found |= {PICK_KEY: pick.to_data(), _WORDS: words}
        others = [words, *others]
    return found | ({"notes": others} if others else {})


def worked_on(store: ProjectStore) -> frozenset[int]:
    """Images that have objects, drafts, proposals, a status, or something said of them."""
    found = {*store.annotation_counts(), *store.draft_counts(), *store.proposals.counts()}
    for image in store.images():
        if image.status is not Status.UNSEEN or image.extra.keys() - {TIME_KEY}:
            found.add(image.id)
    return frozenset(found)
