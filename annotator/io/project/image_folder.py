"""Where a project's images are: what its file says, whether the person has agreed to it, and a path for each image."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath

from annotator.domain.brevity import MOST_MESSAGE, brief
from annotator.domain.errors import ProjectError, ProjectFolderError
from annotator.domain.project import ImageRecord
from annotator.io.project import agreed

_ALLOW = "--allow-folder"


class ImageFolder:
    """The folder of an open project.

    Args:
        path: the project file.
        named: the path that the person gave, where that is a link to ``path``.
        remembered: a text that the project remembers under a key, or None.
    """

    def __init__(self, path: Path, named: Path, remembered: Callable[[str], str | None]) -> None:
        self._path, self._named, self._remembered = path, named, remembered
        self._known_root: Path | None = None
        self._agreed_root: Path | None = None

    @property
    def path(self) -> Path:
        """The project file, absolute."""
        return self._path

    @property
    def image_root(self) -> Path:
        """The folder that image paths are relative to: found from the project file, else by its last known place.

        It is looked for once: every thumbnail asks.
        """
        if self._known_root is None:
            relative, absolute = self._remembered("image_root"), self._remembered("image_root_absolute")
            ways = (way if way and is_plain_place(way) else None for way in (relative, absolute))
            self._known_root = _find_image_root(self._path, self._named, *ways)
        return self._known_root

    @property
    def asks_for(self) -> Path | None:
        """The image folder, when the person has to agree to it before anything there is listed or opened."""
        root = self.image_root
        if root == self._agreed_root:
            return None
        if agreed.is_own(self._path, root, named=self._named) or agreed.is_agreed(self._path, root):
            self._agreed_root = root
            return None
        return root if os.path.lexists(root) else None  # nothing to read where there is nothing

    @property
    def readable_root(self) -> Path:
        """The image folder, for whoever reads in it.

        Raises:
            ProjectFolderError: the person has not agreed to it.
        """
        if folder := self.asks_for:
            place = brief(folder, MOST_MESSAGE)  # as a whole: it is what the person agrees to
            message = f"{brief(self._path.name)} wants to read images from {place}, outside of its own folder."
            raise ProjectFolderError(message, f"If that is right, allow it in the window or with {_ALLOW} '{place}'.")
        return self.image_root

    def agree_for(self, copy: Path) -> None:
        """What the person has agreed to for this project holds for a copy that the program has made of it."""
        with suppress(ProjectError):  # it names no folder
            agreed.inherit(self._path, self.image_root, copy)

    def image_path(self, image: ImageRecord) -> Path:
        """Where an image's file is (it may be missing).

        Raises:
            ProjectFolderError: as :attr:`readable_root`.
            ProjectError: the stored path leaves the image folder.
        """
        if not is_inside(image.path):
            raise ProjectError(
                f"The image path {brief(image.path)!r} leaves the image folder.", "Remove it from the project."
            )
        return self.readable_root.joinpath(*PurePosixPath(image.path).parts)


def is_inside(path: str) -> bool:
    """Whether an image's path stays below its folder, on every system: a backslash parts names on Windows."""
    parts = PurePosixPath(path.replace("\\", "/")).parts
    is_drive = len(path) > 1 and path[1] == ":" and os.name == "nt"
    return bool(parts) and not path.startswith(("/", "\\")) and ".." not in parts and not is_drive


def is_plain_place(text: str) -> bool:
    """Whether a folder that a project names may be looked for: none on another computer (looking there says who asks),
    and none that is written for another system."""
    is_foreign = text.startswith(("//", "\\\\")) or (os.name != "nt" and "\\" in text)
    return not is_foreign and "\0" not in text and len(text) <= 4096


def _find_image_root(project: Path, named: Path, relative: str | None, absolute: str | None) -> Path:
    if named.parent != project.parent:
        # Through a link: the relative way may have been written from the one place or from the other.
        ways = [] if relative is None else [named.parent / relative, project.parent / relative]
        for way in (*([] if absolute is None else [Path(absolute)]), *ways):
            if os.path.isdir(way):  # false also for names that are longer than any
                return way.resolve()
    if relative is not None:
        beside = (project.parent / relative).resolve()
        if os.path.isdir(beside) or absolute is None:
            return beside
    if absolute is None:
        raise ProjectError(
            f"{brief(project.name)} does not say where its images are.", "Open the image folder instead."
        )
    return Path(absolute)
