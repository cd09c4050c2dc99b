"""The frames of a series outside of a project: a folder of pictures or slices, a file of pages, a video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from annotator.domain.counting import counted
from annotator.domain.errors import ImageError
from annotator.domain.media import frame_name
from annotator.domain.slices import stacks_of
from annotator.io.images.reader import LoadedImage
from annotator.io.images.reading import list_images, load_image, survey_files
from annotator.io.images.survey import Survey
from annotator.io.images.video import VIDEO_SUFFIXES

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

    def read(self, position: int) -> LoadedImage:
        """Raises:
        ImageError: it cannot be read.
        """
        ...


class PictureFrames:
    """Pictures: (path, frame) each, with names relative to a folder."""

    def __init__(self, root: Path, places: Sequence[tuple[str, int]], load: Load, *, is_video: bool = False) -> None:
        self._root, self._places, self._load, self.is_video = root, tuple(places), load, is_video

    def __len__(self) -> int:
        return len(self._places)

    def name(self, position: int) -> str:
        """See :class:`FrameSource`."""
        return frame_name(*self._places[position])

    def read(self, position: int) -> LoadedImage:
        """See :class:`FrameSource`."""
        path, frame = self._places[position]
        return self._load(self._root / path, frame=frame)


def open_frames(path: Path, *, load: Load = load_image) -> FrameSource:
    """The frames of a folder (pictures by name, slices by their place in space), a file of many pages, or a video.

    Raises:
        ImageError: it is missing, cannot be read, or is no series: a single picture, or a folder of several.
    """
    if path.is_dir():
        places = _folder_places(path)
        if len(places) < 2:
            raise ImageError(f"{path} holds no series of images.", "Name a folder of frames, a stack or a video.")
        return PictureFrames(path, places, load)
    if not path.is_file():
        raise ImageError(f"There is no file {path}.", "Check the name.")
    survey = survey_files(path.parent, [path.name]).get(path.name, Survey())
    if survey.frames < 2:
        load(path, frame=0)  # says what is wrong with it, if anything is
        raise ImageError(f"{path.name} is a single picture.", "Name its folder, a file of many pages or a video.")
    places = [(path.name, frame) for frame in survey.order or range(survey.frames)]
    return PictureFrames(path.parent, places, load, is_video=path.suffix.lower() in VIDEO_SUFFIXES)


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
        raise ImageError(f"{many} in {folder} is a series of its own.", "Name that file.")
    return [(path, 0) for path in paths]
