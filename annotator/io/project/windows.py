"""Windows that the person has chosen, as a project remembers them: per DICOM series, else per file, and for all alike.

They lie in rows of ``meta`` that begin with :data:`PREFIX`. A series is named by a pseudonym: its UID leads to the
patient in the archive that the file came from.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from annotator.domain.errors import ProjectError
from annotator.domain.pseudonym import new_salt, pseudonym
from annotator.domain.window import Window, window_from_json
from annotator.io.images.reader import CHANNEL_FACT, DEFAULT_MAX_PIXELS, LoadedImage
from annotator.io.images.reading import load_image
from annotator.io.images.windowed import Remembered, through_stored
from annotator.io.project.identifiers import salt_of
from annotator.io.project.place import find_project
from annotator.io.project.queries import ProjectQueries, meta_beginning
from annotator.io.project.store import ProjectStore

PREFIX = "window/"
_OF_SLICES = "slices/"
"""Before the name of a series or file: what its slices are shown through where nobody has chosen a window."""
_AS_THE_FILE_ASKS = "file"
"""In the place of a window: this picture has none, although all of its kind have."""


class WindowBook:
    """The windows of one project, in memory. :meth:`find` may be asked by any thread; the rest by the owner's.

    Args:
        rows: of the project, ``meta`` keys without :data:`PREFIX`.
        salt: the project's own, for the names of series.
        write: keeps a row (an empty text: nothing); None: it is only remembered here.
    """

    def __init__(
        self, rows: dict[str, str] | None = None, *, salt: str = "", write: Callable[[str, str], object] | None = None
    ) -> None:
        self._rows = dict(rows or {})
        self._salt = salt or new_salt()
        self._write = write

    @classmethod
    def of(cls, store: ProjectQueries, write: Callable[[str, str], object] | None = None) -> WindowBook:
        """The book of an open project.

        Raises:
            ProjectError: the file cannot be read.
        """
        return cls(meta_beginning(store, PREFIX), salt=salt_of(store, write), write=write)

    @property
    def is_empty(self) -> bool:
        """Whether every picture is shown as its file asks."""
        return not any(self._rows.values())

    def remembered(self, image: LoadedImage) -> Remembered | None:
        """As :meth:`find`, with whether somebody chose it."""
        window, own = self.find(image), self._rows.get(self._own(image), "")
        if window is None:
            return None
        is_chosen = own not in ("", _AS_THE_FILE_ASKS) or (not own and bool(self._rows.get(_kind(image), "")))
        return Remembered(window, of_slices=not is_chosen)

    def find(self, image: LoadedImage) -> Window | None:
        """The window of a picture, its own before that of its kind and that of its slices; None: as the file asks."""
        own = self._rows.get(self._own(image), "")
        if own == _AS_THE_FILE_ASKS:
            return self.of_slices(image)
        chosen = window_from_json(own) or window_from_json(self._rows.get(_kind(image), ""))
        return chosen or self.of_slices(image)

    def of_slices(self, image: LoadedImage) -> Window | None:
        """What the slices that it belongs to are shown through unless somebody chooses; None: as each file asks."""
        return window_from_json(self._rows.get(self._of_slices(image), ""))

    def hold_for_slices(self, image: LoadedImage) -> None:
        """From now on the slices of this one's series, or file, are shown as its own file asks, the first that is
        given: files with a window each, and pages that are stretched one by one, would flicker."""
        source, key = image.source, self._of_slices(image)
        if source.is_deep and source.plain is None and not self._rows.get(key):
            self._put(key, source.default.to_json())

    def keep(self, image: LoadedImage, window: Window | None) -> None:
        """Remember the window of this picture, and of its series; None: as the file asks."""
        has_common = bool(self._rows.get(_kind(image)))
        text = window.to_json() if window is not None else _AS_THE_FILE_ASKS if has_common else ""
        self._put(self._own(image), text)

    def keep_for_all(self, image: LoadedImage, window: Window | None) -> None:
        """Remember a window for every picture of this kind that has none of its own; this one gives up its own."""
        self._put(_kind(image), "" if window is None else window.to_json())
        self._put(self._own(image), "")

    def is_for_all(self, image: LoadedImage) -> bool:
        """Whether this picture is shown through the window of its kind."""
        return not self._rows.get(self._own(image)) and bool(self._rows.get(_kind(image)))

    def is_of_series(self, image: LoadedImage) -> bool:
        """Whether what is kept for this picture holds for a whole series."""
        return bool(image.extra.get("SeriesInstanceUID"))

    def _of_slices(self, image: LoadedImage) -> str:
        """Channels are pictures of different things."""
        channel = image.extra.get(CHANNEL_FACT)
        return _OF_SLICES + self._own(image) + (f"/{channel}" if channel else "")

    def _own(self, image: LoadedImage) -> str:
        uid = image.extra.get("SeriesInstanceUID")
        if uid:
            return f"series/{pseudonym(self._salt, 'series', str(uid))}"
        return f"file/{image.sha256 or image.content or image.file_key}"

    def _put(self, key: str, text: str) -> None:
        if self._rows.get(key, "") == text:
            return
        self._rows[key] = text
        if self._write is not None:
            self._write(PREFIX + key, text)


class AsShown:
    """Reads images as the window shows them: through the windows of the project that they belong to.

    For commands without a window. A folder's project is looked for once.

    Args:
        are_slices: what is read are the slices of a series: one window holds for all of them.
    """

    def __init__(self, *, are_slices: bool = False) -> None:
        self._books: dict[Path, WindowBook | None] = {}
        self._of_slices = WindowBook() if are_slices else None

    def load(
        self, path: str | os.PathLike[str], *, frame: int = 0, max_pixels: int = DEFAULT_MAX_PIXELS
    ) -> LoadedImage:
        """As :func:`annotator.io.images.reading.load_image`, through the window that the project remembers.

        Raises:
            ImageError: as there.
        """
        book, slices = self._book(Path(os.path.abspath(path)).parent), self._of_slices
        if slices is None and (book is None or book.is_empty):
            return load_image(path, frame=frame, max_pixels=max_pixels)
        image = load_image(path, frame=frame, max_pixels=max_pixels, is_native=True)
        kept = None if book is None else book.remembered(image)
        if kept is None and slices is not None:
            slices.hold_for_slices(image)
            kept = slices.remembered(image)
        return through_stored(image, kept).without_native()

    def _book(self, folder: Path) -> WindowBook | None:
        """Of the nearest project above a file."""
        passed: list[Path] = []
        for place in (folder, *folder.parents):
            if place in self._books:
                found = self._books[place]
                break
            passed.append(place)
            found = _book_in(place)
            if found is not None:
                break
        else:
            found = None
        self._books.update(dict.fromkeys(passed, found))
        return found


def _book_in(folder: Path) -> WindowBook | None:
    """The windows of the project in a folder; None without one that can be read."""
    try:
        project = find_project(folder)
        if project is None:
            return None
        with ProjectStore.open(project, read_only=True) as store:
            return WindowBook.of(store)
    except (ProjectError, OSError):  # a stranger's or damaged project says nothing about windows
        return None


def _kind(image: LoadedImage) -> str:
    return f"kind/{image.source.kind}"
