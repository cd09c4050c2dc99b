"""Which images of a project the frames of a video in a file are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from annotator.domain.counting import counted
from annotator.domain.media import Series
from annotator.domain.project import ImageRecord
from annotator.io.formats.clips import folder_name, frame_numbers
from annotator.io.project.store import ProjectStore


class SeriesFrames:
    """The frames of a series: all of them, or those of a video that are images."""

    def __init__(self, series: Series, images: Sequence[ImageRecord]) -> None:
        self._images = tuple(images)
        self._by_number = dict(zip(frame_numbers(series, images), images, strict=True))

    def __len__(self) -> int:
        return len(self._images)

    def at(self, numbers: Collection[int | None]) -> list[ImageRecord | None]:
        """The images of frames that a file numbers so, from 0; None for one that is not there. Numbers are those in the
        video; where that leads nowhere they count its images."""
        given = {number for number in numbers if number is not None}
        counts = not given <= self._by_number.keys() and all(0 <= number < len(self) for number in given)
        if counts and len(given) == len(self):
            return [None if number is None else self._images[number] for number in numbers]
        return [None if number is None else self._by_number.get(number) for number in numbers]

    def of_list(self, length: int) -> list[ImageRecord | None]:
        """The images of a list of frames: of all images, else of the first frames of the video."""
        return [*self._images] if length == len(self) else self.at(range(length))


class FramePlaces:
    """Images by the names of their files, and by the series that a video is."""

    def __init__(self, store: ProjectStore) -> None:
        images = store.images()
        self._names = {image.name: image for image in images}
        self._stems: dict[tuple[str, str], list[ImageRecord]] = defaultdict(list)
        series: dict[int, list[ImageRecord]] = defaultdict(list)
        for image in images:
            if not image.frame:
                path = PurePosixPath(image.path)
                self._stems[path.parent.name, path.stem].append(image)
            if image.series_id:
                series[image.series_id].append(image)
        self._series = [
            (one.name, SeriesFrames(one, sorted(series[one.id], key=lambda image: image.position)))
            for one in store.slices.series()
            if one.id in series
        ]
        self.notes: list[str] = []

    def by_names(self, names: Sequence[str]) -> list[ImageRecord] | None:
        """The images of these paths, if each is there and none comes twice."""
        found = [self._names.get(name) for name in names]
        return _each_once(found)

    def by_stems(self, folder: str, stems: Sequence[str]) -> list[ImageRecord] | None:
        """The images of a folder of this name, by their names without suffix."""
        found = [self._stems.get((folder, stem), []) for stem in stems]
        return _each_once([images[0] if len(images) == 1 else None for images in found])

    def of_series(self, name: str, length: int) -> SeriesFrames | None:
        """The frames of the series of this name, else of the only one of this length; None where none or several are
        meant."""
        wanted = {name, folder_name(name), PurePosixPath(name).name}
        named = [frames for title, frames in self._series if wanted & _names_of(title)]
        if len(named) > 1:
            named = [frames for title, frames in self._series if title == name] or named
        if len(named) == 1:
            return named[0]
        fitting = [(title, frames) for title, frames in self._series if len(frames) == length]
        if named or len(fitting) != 1:
            return None
        title, frames = fitting[0]
        self.notes.append(f"{name[:80]!a} is taken for {title}, the only series of {counted(length, 'frame')}")
        return frames


def _names_of(title: str) -> set[str]:
    path = PurePosixPath(title)
    return {title, path.name, path.stem, folder_name(title), folder_name(path.stem)}


def _each_once(found: Sequence[ImageRecord | None]) -> list[ImageRecord] | None:
    images = [image for image in found if image is not None]
    is_whole = bool(images) and len(images) == len(found) == len({image.id for image in images})
    return images if is_whole else None
