"""The image files that go out beside labels, for formats whose readers look for them there."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2

from annotator.domain.errors import ImageError
from annotator.domain.media import frame_stem
from annotator.domain.project import ImageRecord
from annotator.domain.tally import Tally
from annotator.io.images.reading import load_image
from annotator.io.project.queries import ProjectQueries


class ImageCopies:
    """Copies images into a folder, at their paths; what cannot be read is counted, and the export goes on.

    A frame of a file of several is written as it is shown, as PNG: a reader would take the file's first one for it.
    """

    def __init__(self, folder: Path, store: ProjectQueries) -> None:
        self._folder, self._store, self._tally = folder, store, Tally()
        self._of_several = frozenset(image.path for image in store.images() if image.frame)

    def add(self, image: ImageRecord) -> None:
        """Raises: OSError: it cannot be written."""
        if image.path in self._of_several:
            self._add_frame(image)
            return
        try:
            source = self._store.image_path(image).open("rb")
        except OSError as error:
            self._tally.add(image.path, f"is not copied ({error.strerror})", noun="image")
            return
        place = self._folder.joinpath(*image.path.split("/"))
        place.parent.mkdir(parents=True, exist_ok=True)
        with source, place.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)

    def _add_frame(self, image: ImageRecord) -> None:
        try:
            shown = load_image(self._store.image_path(image), frame=image.frame).rgb
        except ImageError as error:
            self._tally.add(image.name, f"is not copied ({error.message.removesuffix('.')})", noun="image")
            return
        place = self._folder.joinpath(*f"{frame_stem(image.path, image.frame)}.png".split("/"))
        place.parent.mkdir(parents=True, exist_ok=True)
        _, data = cv2.imencode(".png", cv2.cvtColor(shown, cv2.COLOR_RGB2BGR))
        place.write_bytes(data.tobytes())

    def warnings(self) -> tuple[str, ...]:
        """A line for each reason why images were not copied."""
        return self._tally.lines()
