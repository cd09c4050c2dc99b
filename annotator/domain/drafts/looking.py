"""The person looks at another part of an image that is too large for the model: which part it sees then."""

from __future__ import annotations

from dataclasses import replace

from annotator.domain.drafts.draft import Draft, OpenImage
from annotator.domain.drafts.effects import Effects, Encode, Settle
from annotator.domain.drafts.work import Work
from annotator.domain.ports.engine import RgbArray
from annotator.domain.sight import Sight


def looked_at(work: Work, key: str, sight: Sight) -> tuple[Work, Effects]:
    """Another part is in view; its pixels are still to come (:func:`came`).

    What is in progress stays with the part that it was begun in, until a click asks for another.

    Args:
        key: names the pixels of the part.
    """
    opened = work.opened
    if opened is None or opened.key == key:
        return work, ()
    looked = replace(opened, key=key, sight=sight, is_here=False)
    line = [_untouched_in(d, looked) for d in work.line]
    return replace(work.with_line(line), opened=looked, is_encoding=True), (Settle(),)


def came(work: Work, key: str, rgb: RgbArray) -> tuple[Work, Effects]:
    """The pixels of a part are there: the model may look at it, and answers what waits for it.

    Args:
        rgb: H x W x 3 uint8. key: as in :func:`looked_at`.
    """
    line = [replace(d, image=_with_pixels(d.image, key, rgb)) for d in work.line]
    opened = None if work.opened is None else _with_pixels(work.opened, key, rgb)
    is_current = opened is not None and opened is not work.opened
    effects: Effects = (Encode(opened), Settle()) if is_current and opened is not None else (Settle(),)
    return replace(work.with_line(line), opened=opened), effects


def turned_to(draft: Draft, opened: OpenImage | None, x: float, y: float) -> Draft:
    """The draft for a prompt at (x, y): in the part that is in view, unless the one that it is in serves as well.

    A mask that there is already goes along: the model is asked to correct it there.
    """
    image = draft.image
    if opened is None or opened.sight is None or opened.key == image.key or opened.record.id != image.record.id:
        return draft
    if image.sight is not None and image.sight.serves(x, y, opened.sight):
        return draft
    mask = draft.mask
    if mask is None or mask.is_empty:
        return replace(draft, image=opened)
    return replace(draft, image=opened, session=draft.session.settled_in(mask))


def _untouched_in(draft: Draft, opened: OpenImage) -> Draft:
    is_here = draft.image.record.id == opened.record.id
    return replace(draft, image=opened) if is_here and draft.ticket is None and not draft.is_touched else draft


def _with_pixels(image: OpenImage, key: str, rgb: RgbArray) -> OpenImage:
    return replace(image, rgb=rgb, is_here=True) if image.key == key and not image.is_here else image
