"""New files of the image folder as rows of the project: a picture, the frames of a file, or slices of a stack."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from annotator.domain.media import STEP_KEY, TIME_KEY, UNCOUNTED_KEY, Series, SeriesKind
from annotator.domain.project import ImageRecord, Row
from annotator.domain.slices import SliceFacts, Stack, stacks_of
from annotator.io.images.survey import Survey
from annotator.io.project.schema import image_rows

Look = Callable[[Sequence[str]], Mapping[str, Survey]]
"""Paths to what their heads show; files that are not worth a look are left out."""


STILL_COUNTED = "not all frames are counted yet"


class Ids(Protocol):
    """Gives out ids of new rows: the first of ``count`` that follow each other."""

    def __call__(self, kind: Any, count: int = 1) -> int: ...


@dataclass(slots=True)
class TakenIn:
    """What is to be written.

    Attributes:
        images, series: new rows.
        changed: (before, after) of rows that are there.
        notes: what is to be said, a line each.
    """

    images: list[ImageRecord] = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    changed: list[tuple[Row, Row]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.images or self.series or self.changed)


def take_in(
    new: Sequence[str],
    known: Sequence[ImageRecord],
    series: Sequence[Series],
    *,
    look: Look,
    new_id: Ids,
    is_first: bool,
) -> TakenIn:
    """Plan what becomes of the paths that are ``new``.

    Args:
        known, series: rows of the project. Slices that come later join the stack of their neighbours in the folder.
        is_first: whether nobody has looked into the known files yet (a project of version 1).
    """
    singles = {image.path: image for image in known if image.series_id == 0 and image.frame == 0} if is_first else {}
    paths = [*new, *(singles.keys() - set(new))]
    surveys = dict(look(paths))
    if any(survey.slice is not None for survey in surveys.values()):
        folders = {_folder(path) for path, survey in surveys.items() if survey.slice is not None}
        stacked = {one.id for one in series if one.kind is SeriesKind.DICOM}
        near = {image.series_id for image in known if image.frame == 0 and _folder(image.path) in folders}
        beside = {
            image.path
            for image in known
            if image.series_id in near & stacked
            or (image.series_id == image.frame == 0 and _folder(image.path) in folders)
        }
        surveys.update(look(sorted(beside - surveys.keys())))
    return _Plan(known, series, surveys, new_id).run(new)


class _Plan:
    """One look at a folder."""

    def __init__(
        self, known: Sequence[ImageRecord], series: Sequence[Series], surveys: Mapping[str, Survey], new_id: Ids
    ) -> None:
        self._surveys, self._new_id = surveys, new_id
        self._series = {one.id: one for one in series}
        self._identities = {one.identity: one.id for one in series}
        wanted = surveys.keys()
        self._known = {image.path: image for image in known if image.frame == 0 and image.path in wanted}
        self._frames = Counter(image.path for image in known if image.path in wanted)
        self.out = TakenIn()

    def run(self, new: Sequence[str]) -> TakenIn:
        facts = [survey.slice for survey in self._surveys.values() if survey.slice is not None]
        place_of = self._place_stacks(stacks_of(facts))
        if not self._surveys:  # as of a large folder of photographs
            self.out.images += image_rows(self._new_id("image", len(new)), new)
            return self.out
        for path in new:
            survey = self._surveys.get(path)
            if survey is None and path not in place_of:
                self.out.images.append(ImageRecord(self._new_id("image"), path))
                continue
            survey = survey or Survey()
            if survey.frames > 1:
                self._expand(path, survey)
            else:
                series_id, position = place_of.pop(path, (0, 0))
                width, height = survey.size_wh
                self.out.images.append(
                    ImageRecord(
                        self._new_id("image"),
                        path,
                        width=width,
                        height=height,
                        series_id=series_id,
                        position=position,
                    )
                )
        for path, image in self._known.items():
            survey = self._surveys[path]
            if survey.frames > 1 and self._frames[path] == 1:
                self._expand(path, survey, first=image)
        for path, (series_id, position) in place_of.items():
            self._change(self._known[path], series_id=series_id, position=position)
        return self.out

    # --- frames of one file -------------------------------------------------------------------------------------------

    def _expand(self, path: str, survey: Survey, *, first: ImageRecord | None = None) -> None:
        """A file of several frames: a series of its own."""
        extra = frames_extra(survey)
        if survey.notes:
            self.out.notes.append(f"{path}: {', '.join(survey.notes)}.")
        kind = SeriesKind.VOLUME if survey.is_volume else SeriesKind.PAGES
        identity = self._free_identity(f"{SeriesKind.PAGES}:{hashlib.sha256(path.encode()).hexdigest()[:32]}")
        made = Series(self._new_id("series"), kind, path, identity, extra)
        self.out.series.append(made)
        for position, frame in enumerate(survey.order or range(survey.frames)):
            if frame == 0 and first is not None:
                self._change(first, series_id=made.id, position=position)
            else:
                self.out.images.append(frame_row(self._new_id("image"), made, survey, frame, position))

    # --- stacks of files ----------------------------------------------------------------------------------------------

    def _place_stacks(self, stacks: Sequence[Stack]) -> dict[str, tuple[int, int]]:
        """Series and position by path."""
        found: dict[str, tuple[int, int]] = {}
        used: set[int] = set()
        for stack in stacks:
            series_id = self._series_of(stack, used)
            used.add(series_id)
            for position, one in enumerate(stack.slices):
                found[one.path] = series_id, position
        return found

    def _series_of(self, stack: Stack, used: set[int]) -> int:
        """The series that most of the slices are in already, or a new one."""
        there = self._identities.get(stack.identity, 0)
        members = Counter(image.series_id for one in stack.slices if (image := self._known.get(one.path)) is not None)
        candidates = [there, *(series_id for series_id, _ in members.most_common())]
        series_id = next((one for one in candidates if one in self._series and one not in used), 0)
        name = _name_of(stack.slices)
        extra = _extra_of(stack)
        if series_id == 0:
            made = Series(self._new_id("series"), SeriesKind.DICOM, name, self._free_identity(stack.identity), extra)
            self.out.series.append(made)
            series_id = made.id
        elif (before := self._series[series_id]).extra != extra:
            self.out.changed.append((before, replace(before, name=name, extra=extra)))
        else:
            return series_id
        if stack.notes:
            self.out.notes.append(f"{name}: {', '.join(stack.notes)}.")
        return series_id

    def _change(self, image: ImageRecord, *, series_id: int, position: int) -> None:
        after = replace(image, series_id=series_id, position=position)
        if after != image:
            self.out.changed.append((image, after))

    def _free_identity(self, wanted: str) -> str:
        """An identity that no other series has: a file of another may have had this path before."""
        found, number = wanted, 1
        while found in self._identities:
            number += 1
            found = f"{wanted}-{number}"
        self._identities[found] = 0
        return found


def grow(
    out: TakenIn,
    series: Sequence[Series],
    known: Sequence[ImageRecord],
    surveys: Mapping[str, Survey],
    *,
    new_id: Ids,
) -> None:
    """Plan the other frames of videos that are counted by now.

    Args:
        out: is added to.
        series: of which only the first frames were known. surveys: of their files, as far as these can be read.
    """
    for one in series:
        survey = surveys.get(one.name)
        if survey is None or not survey.is_counted:
            continue
        there = {image.frame for image in known if image.series_id == one.id}
        rest = (frame for frame in range(survey.frames) if frame not in there)
        out.images.extend(frame_row(new_id("image"), one, survey, frame, frame) for frame in rest)
        out.changed.append((one, replace(one, extra=frames_extra(survey))))
        out.notes.extend(f"{one.name}: {note}." for note in survey.notes)


def frames_extra(survey: Survey) -> dict[str, Any]:
    """What the series of a file's frames remembers of it."""
    extra: dict[str, Any] = {"step_mm": survey.step_mm} if survey.step_mm > 0 else {}
    if survey.step_ms > 0:
        extra[STEP_KEY] = survey.step_ms
    notes = [*survey.notes, *([] if survey.is_counted else [STILL_COUNTED])]
    return extra | ({"notes": notes} if notes else {}) | ({} if survey.is_counted else {UNCOUNTED_KEY: True})


def frame_row(image_id: int, series: Series, survey: Survey, frame: int, position: int) -> ImageRecord:
    """A frame of a file as an image."""
    width, height = survey.size_wh
    extra = {TIME_KEY: round(survey.times_ms[frame], 3)} if survey.times_ms else {}
    about: Any = {"extra": extra, "frame": frame, "series_id": series.id, "position": position}
    return ImageRecord(image_id, series.name, width=width, height=height, **about)


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _name_of(slices: Iterable[SliceFacts]) -> str:
    """The folder that most slices are in, else the first file."""
    folders = Counter(_folder(one.path) for one in slices)
    folder = folders.most_common(1)[0][0]
    return folder or next(iter(slices)).path


def _extra_of(stack: Stack) -> dict[str, Any]:
    extra: dict[str, Any] = {"step_mm": round(stack.step_mm, 4), "offsets_mm": list(stack.offsets_mm)}
    if stack.gaps:
        extra["gaps"] = [list(gap) for gap in stack.gaps]
    if stack.is_tilted:
        extra["is_tilted"] = True
    if stack.notes:
        extra["notes"] = list(stack.notes)
    return extra
