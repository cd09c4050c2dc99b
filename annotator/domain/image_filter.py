"""Which of the folder's images are shown, and which comes next among them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from annotator.domain.project import ImageRecord, Status

_BETWEEN = "\0"
Shows = Callable[[ImageRecord], bool]


@dataclass(frozen=True, slots=True)
class ImageFilter:
    """``part`` of the path, whatever its case; ``status`` None for any; ``has_draft`` for images with a current
    object only."""

    part: str = ""
    status: Status | None = None
    has_draft: bool = False

    @property
    def is_set(self) -> bool:
        return self != ImageFilter()

    @property
    def but_for_name(self) -> ImageFilter:
        """The same for images of any name."""
        return replace(self, part="")

    @property
    def clause(self) -> str:
        """Said of the images that it leaves."""
        return " that the film strip's filter shows" if self.is_set else ""

    def matcher(self, drafts: Container[int]) -> Shows:
        """Whether an image is shown; quick enough for a hundred thousand of them.

        Args:
            drafts: ids of the images with a draft; looked up at every call.
        """
        part, status, has_draft = self.part.casefold(), self.status, self.has_draft

        def shows(image: ImageRecord) -> bool:
            if status is not None and image.status is not status:
                return False
            if has_draft and image.id not in drafts:
                return False
            return not part or part in image.name.casefold()

        return shows


class NameSearch:
    """Looks for parts of names, in a hundred thousand of them within a few milliseconds."""

    def __init__(self, images: Sequence[ImageRecord]) -> None:
        # In one go: a name that is folded by itself takes longer than all the rest. No path has a zero in it.
        names = [image.name if image.frame else image.path for image in images]
        self._names = _BETWEEN.join(names).casefold().split(_BETWEEN) if names else []

    def places(self, part: str, among: Iterable[int] | None = None) -> list[int]:
        """The places of the names that have a part in them, whatever its case; among all, or among these."""
        wanted, names = part.casefold(), self._names
        if among is None:
            return [place for place, name in enumerate(names) if wanted in name]
        return [place for place in among if wanted in names[place]]


def neighbour(
    images: Sequence[ImageRecord], place: int, step: int, shows: Shows, *, stops: bool = False
) -> ImageRecord | None:
    """The ``step``-th image that is shown after (before, when negative) the one at ``place``; None past the ends.

    Args:
        place: 0-based; that image need not be shown itself. step: not 0.
        stops: a step past an end stops at the last that is shown there; None only where there is no further one.
    """
    places = range(place + 1, len(images)) if step > 0 else range(place - 1, -1, -1)
    found = (images[at] for at in places if shows(images[at]))
    if stops:
        return next(iter(deque(islice(found, abs(step)), maxlen=1)), None)
    return next(islice(found, abs(step) - 1, None), None)
