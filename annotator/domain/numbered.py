"""Files whose names count up: ``img_0001.png``, ``img_0002.png`` and so on, in one folder. Pure."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median_low

_DIGITS = re.compile(r"(\d+)")
_CAMERA = re.compile(r"(img|dsc|dscn|dscf|pict|pxl|gopr|dji|p|imgp|cimg|sam|wp|photo|foto|screenshot)[_ -]?$", re.I)
"""How cameras and telephones begin the names of photographs, which count up and are no series."""
CLEAR_COUNT = 12
"""Fewer files are no clear sequence."""
_CLEAR_FIRST = 1
_CLEAR_MISSING = 0.05


@dataclass(frozen=True, slots=True)
class Numbered:
    """Files of one folder that differ in one number of their names.

    Attributes:
        folder: relative to the image folder, empty for that itself; before, after: what the names have on both sides of
            the number.
        paths: in the order of their numbers; numbers: of each.
    """

    folder: str
    before: str
    after: str
    paths: tuple[str, ...]
    numbers: tuple[int, ...]

    @property
    def identity(self) -> str:
        """The same for the same names, also after files were added."""
        named = "\0".join((self.folder, self.before, self.after))
        return f"folder:{hashlib.sha256(named.encode()).hexdigest()[:32]}"

    @property
    def name(self) -> str:
        """For people: the folder, else what the names have in common."""
        return self.folder or f"{self.before}…{self.after}"

    @property
    def gaps(self) -> tuple[tuple[int, int], ...]:
        """Places after which files are missing, and how many, by the usual step from number to number."""
        steps = [b - a for a, b in itertools.pairwise(self.numbers)]
        usual = max(1, median_low(steps)) if steps else 1
        found = ((place, round(step / usual) - 1) for place, step in enumerate(steps))
        return tuple((place, missing) for place, missing in found if missing > 0)

    @property
    def missing(self) -> int:
        return sum(missing for _, missing in self.gaps)

    def is_clear(self, beside: int) -> bool:
        """Whether the names say that this is a sequence, and no folder of photographs: they begin at 0 or 1, hardly one
        is missing, they are nearly all images of their folder, and no camera has named them.

        Args:
            beside: how many images the folder has.
        """
        count = len(self.paths)
        is_whole = self.numbers[0] <= _CLEAR_FIRST and self.missing <= _CLEAR_MISSING * count
        return count >= CLEAR_COUNT and is_whole and count >= 0.9 * beside and not _CAMERA.search(self.before)


def numbered_files(paths: Iterable[str]) -> list[Numbered]:
    """All groups of two files or more, in the order of their first files.

    Where several numbers of the names differ the last of them counts (``scan03_slice_004.png``: a group for each scan).
    """
    alike: dict[tuple[str, tuple[str, ...]], list[tuple[str, list[str]]]] = defaultdict(list)
    for path in paths:
        folder, _, name = path.rpartition("/")
        pieces = _DIGITS.split(name.removesuffix(_suffix(name)))
        if len(pieces) > 1:
            alike[folder, (*pieces[::2], _suffix(name))].append((path, pieces))
    found: list[Numbered] = []
    for (folder, texts), members in alike.items():
        places = range(1, 2 * len(texts) - 3, 2)
        differing = [at for at in places if len({int(pieces[at]) for _, pieces in members}) > 1]
        if differing:
            found.extend(_groups(folder, texts[-1], members, differing[-1]))
    return found


def _groups(folder: str, suffix: str, members: list[tuple[str, list[str]]], counting: int) -> list[Numbered]:
    groups: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for path, pieces in members:
        before, after = "".join(pieces[:counting]), "".join(pieces[counting + 1 :])
        groups[before, after + suffix].append((int(pieces[counting]), path))
    found = []
    for (before, after), files in groups.items():
        if len(files) > 1:
            numbers, paths = zip(*sorted(files), strict=True)
            found.append(Numbered(folder, before, after, paths, numbers))
    return found


def _suffix(name: str) -> str:
    """From the last dot on, with it; a number alone is none."""
    _, dot, suffix = name.rpartition(".")
    return f".{suffix}" if dot and not suffix.isdigit() else ""
