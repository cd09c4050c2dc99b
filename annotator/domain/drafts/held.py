"""How drafts are named where something goes on without them: closing, exporting, marking images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from annotator.domain.counting import counted
from annotator.domain.project import ImageRecord

_NAMED = 4


def named(paths: Sequence[str]) -> str:
    """The first few of them, and how many there are more."""
    more = len(paths) - _NAMED
    return ", ".join(paths[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def held_text(images: Sequence[ImageRecord], drafts: Mapping[int, int]) -> str:
    """ "2 images hold 3 objects that are not accepted: a.png, b.png"; empty when none does.

    Args:
        images: those that are asked about. drafts: number of drafts by image id.
    """
    holding = [image for image in images if drafts.get(image.id)]
    if not holding:
        return ""
    objects = sum(drafts[image.id] for image in holding)
    verb, those = ("holds" if len(holding) == 1 else "hold"), ("is" if objects == 1 else "are")
    where = named([image.name for image in holding])
    return f"{counted(len(holding), 'image')} {verb} {counted(objects)} that {those} not accepted: {where}"


def gone_text(objects: int, in_work: int) -> str:
    """What went with the mark that an image is empty: so many accepted objects, and so many drafts."""
    gone = [f"{counted(objects)} deleted"] if objects else []
    gone += [f"{counted(in_work, 'unaccepted object')} dropped"] if in_work else []
    back = "it" if objects + in_work == 1 else "them"
    return f"{', '.join(gone)}, undo brings {back} back." if gone else "nothing to annotate here."
