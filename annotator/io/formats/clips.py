"""Series and the objects in them, track by track: what formats of videos are made from."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from annotator.domain.errors import ExportError
from annotator.domain.media import Series
from annotator.domain.ports.jobs import Progress
from annotator.domain.project import Annotation, Category, ImageRecord
from annotator.domain.tally import Tally
from annotator.io.formats.report import Selection, object_name, select_images, writable_objects
from annotator.io.project.queries import ProjectQueries

PAINTED_BYTES = 8
"""Of a pixel, while objects are painted into a frame and read back."""
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class ClipTrack:
    """One object: ``objects`` by their place in the clip, from 0."""

    id: int
    category_id: int
    objects: dict[int, Annotation] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Clip:
    """A series with all its frames, in their order.

    Attributes:
        name: for people; folder: the same as a name of a file, its own among all clips.
        images: one a frame, also those without objects.
        numbers: of the frames, as files name them: those of the video's file where only some of its frames are images,
            else from 0 on.
        tracks: in the order of their ids; of no frame more than one object.
    """

    id: int
    name: str
    folder: str
    images: tuple[ImageRecord, ...]
    tracks: tuple[ClipTrack, ...]
    numbers: tuple[int, ...]

    @property
    def size_wh(self) -> tuple[int, int]:
        """Of its frames; those of another size have no objects here."""
        return max(Counter((i.width, i.height) for i in self.images if i.width).items(), key=lambda n: n[1])[0]

    def painted(self, frame: int) -> Iterator[tuple[ClipTrack, Annotation]]:
        """The objects of a frame, the lowest first: where they overlap, the later one is on top."""
        return ((track, track.objects[frame]) for track in self.tracks if frame in track.objects)


@dataclass(frozen=True, slots=True)
class Clips:
    """All that an export of series writes."""

    clips: tuple[Clip, ...]
    categories: dict[int, Category]
    selection: Selection
    warnings: tuple[str, ...]

    @property
    def objects(self) -> int:
        return sum(len(track.objects) for clip in self.clips for track in clip.tracks)

    @property
    def images(self) -> int:
        return sum(len(clip.images) for clip in self.clips)

    def name_of(self, annotation: Annotation, clip: Clip, frame: int) -> str:
        """For messages."""
        return object_name(annotation, clip.images[frame], self.categories)


def clips_of(store: ProjectQueries, *, include_unfinished: bool, all_images: bool, progress: Progress | None) -> Clips:
    """Series with at least one image that goes out. An object without a track is one of its own; images of no series,
    crowds, and what such a format cannot hold are left out, and said.

    Raises:
        ExportError: the project has no series.
    """
    selection = select_images(store, include_unfinished=include_unfinished, all_images=all_images, progress=progress)
    series = {one.id: one for one in store.slices.series()}
    if not series:
        message = "The project has no series: no video, stack or file of several pages."
        raise ExportError(message, "Export it as COCO, or open a folder with a video.")
    chosen = {image.id: image for image in selection.images}
    frames: dict[int, list[ImageRecord]] = defaultdict(list)
    for image in store.images():
        if image.series_id in series:
            frames[image.series_id].append(chosen.get(image.id, image))
    wanted = {image.series_id for image in selection.images}
    categories = {category.id: category for category in store.categories()}
    warnings, tally = list(selection.warnings), Tally()
    objects = _by_series(store, selection, categories, warnings, tally)
    clips = []
    folders: set[str] = set()
    for series_id in sorted(wanted & set(series)):
        images = tuple(sorted(frames[series_id], key=lambda image: image.position))
        one = series[series_id]
        made = Clip(series_id, one.name, _folder(one.name, folders), images, (), frame_numbers(one, images))
        clips.append(replace(made, tracks=_tracks(made, objects[series_id], categories, tally)))
    return Clips(tuple(clips), categories, selection, (*warnings, *tally.lines()))


def _by_series(
    store: ProjectQueries,
    selection: Selection,
    categories: dict[int, Category],
    warnings: list[str],
    tally: Tally,
) -> dict[int, list[Annotation]]:
    found: dict[int, list[Annotation]] = defaultdict(list)
    for image, annotation in writable_objects(store, selection, categories, warnings):
        if annotation.is_crowd:
            tally.add(object_name(annotation, image, categories), "is left out: a crowd has no track", noun="object")
        elif not image.series_id:
            tally.add(
                object_name(annotation, image, categories), "is left out: its image is in no series", noun="object"
            )
        else:
            found[image.series_id].append(annotation)
    return found


def _tracks(
    clip: Clip, objects: list[Annotation], categories: dict[int, Category], tally: Tally
) -> tuple[ClipTrack, ...]:
    frame_of = {image.id: frame for frame, image in enumerate(clip.images)}
    free = max((one.track_id for one in objects), default=0) + 1
    found: dict[int, ClipTrack] = {}
    for one in objects:
        frame = frame_of[one.image_id]
        name = object_name(one, clip.images[frame], categories)
        if (one.image_width, one.image_height) != clip.size_wh:
            tally.add(name, "is left out: its frame has another size than the others", noun="object")
            continue
        track = found.get(one.track_id) if one.track_id else None
        if track is not None and (frame in track.objects or track.category_id != one.category_id):
            tally.add(name, "becomes a track of its own: another place or class of its track is there", noun="object")
            track = None
        elif one.track_id and track is None:
            track = found[one.track_id] = ClipTrack(one.track_id, one.category_id)
        if track is None:
            track = found[free] = ClipTrack(free, one.category_id)
            free += 1
        track.objects[frame] = one
    return tuple(found[track_id] for track_id in sorted(found))


def frame_numbers(series: Series, images: Sequence[ImageRecord]) -> tuple[int, ...]:
    """What files call the frames of a series, of which these are the images in their order."""
    return tuple(range(len(images)) if series.pick.takes_all else (image.frame for image in images))


def folder_name(name: str) -> str:
    """What the folder of a series of this name is called, where no other has it."""
    return _UNSAFE.sub("_", name).strip("._") or "series"


def _folder(name: str, taken: set[str]) -> str:
    """A name of letters, digits, dots, hyphens and underscores that no other clip has."""
    stem = folder_name(name)
    number, found = 2, stem
    while found.lower() in taken:
        found, number = f"{stem}-{number}", number + 1
    taken.add(found.lower())
    return found
