"""The image files that go out beside labels, for formats whose readers look for them there."""

from __future__ import annotations

import shutil
from pathlib import Path

from annotator.domain.project import ImageRecord
from annotator.domain.tally import Tally
from annotator.io.project.queries import ProjectQueries


class ImageCopies:
    """Copies images into a folder, at their paths; what cannot be read is counted, and the export goes on."""

    def __init__(self, folder: Path, store: ProjectQueries) -> None:
        self._folder, self._store, self._tally = folder, store, Tally()

    def add(self, image: ImageRecord) -> None:
        """Raises: OSError: it cannot be written."""
        try:
            source = self._store.image_path(image).open("rb")
        except OSError as error:
            self._tally.add(image.path, f"is not copied ({error.strerror})", noun="image")
            return
        place = self._folder.joinpath(*image.path.split("/"))
        place.parent.mkdir(parents=True, exist_ok=True)
        with source, place.open("wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)

    def warnings(self) -> tuple[str, ...]:
        """A line for each reason why images were not copied."""
        return self._tally.lines()
