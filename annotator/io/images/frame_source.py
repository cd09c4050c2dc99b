"""The frames of a series outside of a project: a folder of pictures or slices, a file of pages, a video."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Protocol

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ImageError
from annotator.domain.frame_pick import ALL_FRAMES, FramePick, time_text
from annotator.domain.media import frame_name, is_video_path
from annotator.domain.slices import stacks_of
from annotator.io.images.reader import LoadedImage
from annotator.io.images.reading import list_images, load_image, survey_files
from annotator.io.images.survey import Survey

Load = Callable[..., LoadedImage]
"""As :func:`annotator.io.images.reading.load_image`: a path, and ``frame``."""


class FrameSource(Protocol):
    """Frames in their order, read one at a time."""

    @property
    def is_video(self) -> bool: ...
    def __len__(self) -> int: ...
    def name(self, position: int) -> str:
        """What files that are written call a frame."""
        ...

    @property
    def total(self) -> int:
        """How many frames the whole series has, picked or not."""
        ...

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of the frames in the whole series, from 0."""
        ...

    @property
    def times_ms(self) -> tuple[float, ...]:
        """When they are shown; empty where the series has no time."""
        ...

    def read(self, position: int) -> LoadedImage:
        """Raises:
        ImageError: it cannot be read.
        """
        ...


class PictureFrames:
    """Pictures: (path, frame) each, with names relative to a folder.

    Args:
        numbers: those that are picked; None: all.
        times_ms: of all.
    """

    def __init__(
        self,
        root: Path,
        places: Sequence[tuple[str, int]],
        load: Load,
        *,
        numbers: Sequence[int] | None = None,
        is_video: bool = False,
        times_ms: Sequence[float] = (),
    ) -> None:
        self.numbers = tuple(range(len(places)) if numbers is None else numbers)
        self.total = len(places)
        self.times_ms = tuple(times_ms[number] for number in self.numbers) if times_ms else ()
        self._root, self._load, self.is_video = root, load, is_video
        self._places = tuple(places[number] for number in self.numbers)

    def __len__(self) -> int:
        return len(self._places)

    def name(self, position: int) -> str:
        """See :class:`FrameSource`."""
        return frame_name(*self._places[position])

    def read(self, position: int) -> LoadedImage:
        """See :class:`FrameSource`."""
        path, frame = self._places[position]
        return self._load(self._root / path, frame=frame)


def open_frames(
    path: Path, *, load: Load = load_image, pick: FramePick = ALL_FRAMES, needed: Collection[int] = ()
) -> FrameSource:
    """The frames of a folder (pictures by name, slices by their place in space), a file of many pages, or a video.

    Args:
        pick: those that are asked for; and whatever it says, the ``needed`` numbers.

    Raises:
        ImageError: it is missing, cannot be read, or is no series: a single picture, or a folder of several; no frame
            is picked, or a range of time is wanted of what has no time.
    """
    if path.is_dir():
        places = _folder_places(path)
        if len(places) < 2:
            raise ImageError(
                f"{brief(path)} holds no series of images.", "Name a folder of frames, a stack or a video."
            )
        return PictureFrames(path, places, load, numbers=_picked(path, len(places), (), pick, needed))
    if not path.is_file():
        raise ImageError(f"There is no file {brief(path)}.", "Check the name.")
    survey = survey_files(path.parent, [path.name]).get(path.name, Survey())
    if survey.frames < 2:
        load(path, frame=0)  # says what is wrong with it, if anything is
        raise ImageError(
            f"{brief(path.name)} is a single picture.", "Name its folder, a file of many pages or a video."
        )
    places = [(path.name, frame) for frame in survey.order or range(survey.frames)]
    numbers, is_video = _picked(path, len(places), survey.times_ms, pick, needed), is_video_path(path.name)
    return PictureFrames(path.parent, places, load, numbers=numbers, is_video=is_video, times_ms=survey.times_ms)


def video_frames(path: Path, pick: FramePick = ALL_FRAMES) -> tuple[int, ...]:
    """Numbers of the frames of a video that are picked; nothing for one that cannot be read, which reading it says.

    Raises:
        ImageError: it has no such frame.
    """
    survey = survey_files(path.parent, [path.name]).get(path.name)
    if survey is None or not survey.times_ms:
        return ()
    return tuple(_picked(path, survey.frames, survey.times_ms, pick, ()))


def _picked(
    path: Path, total: int, times_ms: Sequence[float], pick: FramePick, needed: Collection[int]
) -> Sequence[int]:
    if not times_ms and (pick.from_ms > 0 or pick.to_ms is not None):
        message = f"{brief(path.name)} is no video: its frames have no time."
        raise ImageError(message, "Name frames by their numbers, or every n-th one.")
    found = pick.frames(times_ms or [0.0] * total)
    if not found:
        message = f"{brief(path.name)} has no frame in this range of time."
        raise ImageError(message, f"Its last one is at {time_text(times_ms[-1])}.")
    return sorted({*found, *(number for number in needed if 0 <= number < total)})


def _folder_places(folder: Path) -> list[tuple[str, int]]:
    paths = [path for path in list_images(folder) if "/" not in path]
    surveys = survey_files(folder, paths)
    stacks = stacks_of(survey.slice for survey in surveys.values() if survey.slice is not None)
    if stacks:
        largest = max(stacks, key=lambda stack: len(stack.slices))
        if len(stacks) > 1 or len(largest.slices) < len(paths):
            others = len(paths) - len(largest.slices)
            held = f"a stack of {counted(len(largest.slices), 'slice')} and {counted(others, 'other image')}"
            message = f"{folder} holds {held}."
            raise ImageError(message, "Put the stack into a folder of its own.")
        return [(one.path, 0) for one in largest.slices]
    many = next((path for path in paths if path in surveys and surveys[path].frames > 1), None)
    if many is not None:
        raise ImageError(f"{many} in {brief(folder)} is a series of its own.", "Name that file.")
    return [(path, 0) for path in paths]
