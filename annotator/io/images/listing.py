"""Which images there are in a folder, and what else was there that somebody may miss."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Container, Sequence
from heapq import merge
from itertools import chain, repeat

from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.domain.tally import Tally
from annotator.io.images.suffixes import suffix_of

_log = logging.getLogger(__name__)
_TOLD_EVERY = 64
_SORTED_AT_ONCE = 2_000
_ONE_DIGIT = str.maketrans("123456789", "000000000")
_MERGED = 8
_DIGITS = re.compile(r"(\d+)")
_PICTURES = frozenset(
    (
        *(".heic", ".heif", ".hif", ".jxl", ".psd", ".xcf", ".svg", ".eps", ".exr", ".hdr", ".raw", ".cr2"),
        *(".cr3", ".nef", ".arw", ".dng", ".orf", ".rw2", ".raf", ".pef", ".nd2", ".czi", ".lif", ".oib"),
        *(".vsi", ".nii", ".mha", ".mhd", ".nrrd", ".wmv", ".flv"),
    )
)
"""Kinds of files that hold pictures: those that no reader takes are named, others (texts, tables) are not missed."""


def list_images(
    folder: str | os.PathLike[str],
    is_supported: Callable[[str], bool],
    *,
    suffixes: frozenset[str] = frozenset(),
    known: Container[str] = (),
    on_problem: Callable[[str], None] | None = None,
    on_found: Callable[[int], None] | None = None,
) -> list[str]:
    """Images below a folder as paths relative to it, with forward slashes, in natural order ("2" before "10").

    Hidden files and folders are skipped; links to folders are not followed, so that a loop has no end to find.

    Args:
        is_supported: whether a path is an image that can be read.
        suffixes: lower case, with the dot: files that have one of them need not be asked about.
        known: paths that need not be in the answer.
        on_problem: called with a line for each reason why files were left out (also logged), with a count; not fatal.
        on_found: called now and then with how many there are so far; what it raises ends the search.

    Raises:
        ImageError: the folder itself is missing or cannot be read.
    """
    root = os.fspath(folder)
    if not os.path.isdir(root):
        raise ImageError(f"There is no folder {brief(root)}.", "Check the name.")
    search = _Search(root, is_supported, suffixes, on_found)
    search.run()
    for line in search.tally.lines():
        _log.warning("%s: %s", os.path.basename(root), line)
        if on_problem is not None:
            on_problem(line)
    return sorted_paths([path for path in search.found if path not in known])


def natural_key(path: str) -> tuple[object, ...]:
    """Sort key: folders together, numbers by value, letters without case, ties by the exact text."""
    return tuple(map(_part_key, path.split("/"))), path


def _part_key(part: str) -> tuple[object, ...]:
    """Texts and numbers in turn, so that like is compared with like."""
    pieces = _DIGITS.split(part.casefold())
    found: list[object] = list(pieces)
    found[1::2] = map(int, pieces[1::2])
    return tuple(found)


def sorted_paths(paths: Sequence[str]) -> list[str]:
    """In natural order. In pieces: sorting is one call, and for its length no other thread gets on."""
    if _is_numbered(paths):
        return _sorted_as_text(paths)
    key_of = _Keys()
    keys = [key_of(path) for path in paths]
    pieces = [sorted(keys[at : at + _SORTED_AT_ONCE]) for at in range(0, len(keys), _SORTED_AT_ONCE)]
    return [path for _, path in (merge(*pieces) if len(pieces) > 1 else chain(*pieces))]


def _is_numbered(paths: Sequence[str]) -> bool:
    """Whether the paths differ in digits alone, as a camera counts: then texts have the order of the numbers."""
    first = paths[0].translate(_ONE_DIGIT) if paths else ""
    return first.isascii() and all(map(first.__eq__, map(str.translate, paths, repeat(_ONE_DIGIT))))


def _sorted_as_text(paths: Sequence[str]) -> list[str]:
    pieces = [sorted(paths[at : at + _SORTED_AT_ONCE]) for at in range(0, len(paths), _SORTED_AT_ONCE)]
    while len(pieces) > 1:
        pieces = [sorted(chain(*pieces[at : at + _MERGED])) for at in range(0, len(pieces), _MERGED)]
    return pieces[0] if pieces else []


class _Keys:
    """:func:`natural_key` of paths, where the folders' part is made once."""

    def __init__(self) -> None:
        self._folders: dict[str, tuple[object, ...]] = {}

    def __call__(self, path: str) -> tuple[tuple[object, ...], str]:
        folder, slash, name = path.rpartition("/")
        if not slash:
            return (_part_key(name),), path
        known = self._folders.get(folder)
        if known is None:
            known = self._folders[folder] = tuple(map(_part_key, folder.split("/")))
        return (*known, _part_key(name)), path


def is_text(name: str) -> bool:
    """Whether a name can be written down: names that are not UTF-8 (old ZIP files) cannot."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


class _Search:
    """One walk through a folder."""

    def __init__(
        self,
        root: str,
        is_supported: Callable[[str], bool],
        suffixes: frozenset[str],
        on_found: Callable[[int], None] | None,
    ) -> None:
        self._root, self._is_supported, self._on_found = root, is_supported, on_found
        self._suffixes = suffixes
        self.found: list[str] = []
        self.tally = Tally()

    def run(self) -> None:
        waiting = [""]
        while waiting:
            prefix = waiting.pop()
            waiting.extend(self._folder(prefix))

    def _folder(self, prefix: str) -> list[str]:
        """Take the images of one folder; its sub-folders are the answer. ``prefix`` ends with a slash or is empty."""
        folders: list[str] = []
        try:
            with os.scandir(os.path.join(self._root, prefix[:-1]) if prefix else self._root) as entries:
                for at, entry in enumerate(entries):
                    if self._on_found is not None and at % _TOLD_EVERY == 0:
                        self._on_found(len(self.found))
                    name = entry.name
                    if name[0] == ".":
                        continue
                    # Most files are like this: an ordinary name, a suffix that is known, and no link.
                    is_image = name.isascii() and name[name.rfind(".") :] in self._suffixes
                    if is_image and entry.is_file(follow_symlinks=False):
                        self.found.append(prefix + name)
                    elif self._entry(prefix + name, entry):
                        folders.append(f"{prefix}{name}/")
        except OSError as error:
            if not prefix:
                message = f"The folder {brief(self._root)} cannot be read ({error.strerror})."
                raise ImageError(message, "Check its name and permissions.") from error
            self.tally.add(f"the folder {prefix[:-1]}", f"cannot be read ({error.strerror})", noun="folder")
        return folders

    def _entry(self, path: str, entry: os.DirEntry[str]) -> bool:
        """Take a file, or say why not; true for a folder to look into."""
        is_folder = entry.is_dir(follow_symlinks=False)
        if not is_folder and entry.is_symlink():
            if entry.is_dir():
                self.tally.add(path, "is a link to a folder and not followed", noun="link")
                return False
            if not entry.is_file():
                self.tally.add(path, "is a link to nothing", noun="link")
                return False
        if not entry.name.isascii() and not is_text(entry.name):
            what = "folder" if is_folder else "file"
            self.tally.add(f"{path!a}", "has a name that is not valid text; rename it to use it", noun=what)
            return False
        if is_folder:
            return True
        suffix = suffix_of(entry.name)
        if suffix in self._suffixes or self._is_supported(entry.path):
            self.found.append(path)
        elif suffix in _PICTURES:
            self.tally.add(path, f"is of a kind that cannot be read here ({suffix})", noun="file", kind=suffix)
        return False
