"""What the model sees of the image that is shown, and what a search of a part finds, in pixels of the whole image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from annotator.domain.answering.everything import Proposal
from annotator.domain.mask import Mask
from annotator.domain.ports.concept import ConceptAsk
from annotator.domain.ports.engine import EverythingStep, RgbArray
from annotator.domain.sight import Sight


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """An image, or the part of a very large one that is in view.

    Attributes:
        rgb: H x W x 3 uint8; key names these pixels.
        sight: which part it is; None: all of it, pixel for pixel.
    """

    rgb: RgbArray
    key: str
    sight: Sight | None = None

    def inside(self, masks: Iterable[Mask]) -> tuple[Mask, ...]:
        """Those masks of the whole image that lie in it and are not cut by its edge, in its own pixels."""
        if self.sight is None:
            size = (self.rgb.shape[1], self.rgb.shape[0])
            return tuple(mask for mask in masks if (mask.width, mask.height) == size)
        held = (self.sight.mask(mask) for mask in masks if lies_in(mask, self.sight))
        return tuple(mask for mask in held if not mask.is_empty)


def lies_in(mask: Mask, sight: Sight) -> bool:
    """Whether all of a mask of the whole image lies in a part of it."""
    (x, y, w, h), region = mask.bbox_xywh, sight.region
    is_of_it = (mask.width, mask.height) == (sight.width, sight.height)
    return is_of_it and region.x0 <= x and region.y0 <= y and x + w <= region.x1 and y + h <= region.y1


def known_in(sight: Sight, masks: Iterable[Mask]) -> list[Mask]:
    """What of these masks of the whole image there is in a part, in its pixels."""
    held = (sight.mask(mask) for mask in masks if (mask.width, mask.height) == (sight.width, sight.height))
    return [mask for mask in held if not mask.is_empty]


def ask_in(sight: Sight, ask: ConceptAsk) -> ConceptAsk:
    """A question in words whose boxes and clicks are of the whole image, for a part of it; those elsewhere go."""
    boxes = [(one, sight.box(one.box)) for one in ask.examples]
    clicks = [(one, sight.point(one.x, one.y)) for one in ask.clicks if sight.region.contains(one.x, one.y)]
    return replace(
        ask,
        examples=tuple(replace(one, box=box) for one, box in boxes if box.width >= 1 and box.height >= 1),
        clicks=tuple(replace(one, x=x, y=y) for one, (x, y) in clicks),
    )


def steps_outside(sight: Sight, steps: Iterator[EverythingStep]) -> Iterator[EverythingStep]:
    """The steps of a search of a part in pixels of the whole image.

    What ends at an edge of the part that is none of the image is left out: the rest of it is not known. A mask that
    comes again comes as the same object.
    """
    made: dict[int, tuple[Proposal, Proposal | None]] = {}
    for step in steps:
        if step.proposals is None:
            yield step
            continue
        found = []
        for one in step.proposals:
            held = made.get(id(one.mask))
            if held is None:
                held = made[id(one.mask)] = (one, _outside(sight, one))
            if held[1] is not None:
                found.append(replace(one, mask=held[1].mask, point_xy=held[1].point_xy, crop=held[1].crop))
        yield replace(step, proposals=tuple(found))


def _outside(sight: Sight, one: Proposal) -> Proposal | None:
    """None for what is cut, or too large to be held."""
    (x, y, w, h), region, (width, height) = one.mask.bbox_xywh, sight.region, sight.size_wh
    is_cut = (
        (x <= 0 and region.x0 > 0)
        or (y <= 0 and region.y0 > 0)
        or (x + w >= width and region.x1 < sight.width)
        or (y + h >= height and region.y1 < sight.height)
    )
    if is_cut or not sight.fits(one.mask):
        return None
    return replace(
        one,
        mask=sight.mask_outside(one.mask),
        point_xy=sight.point_outside(*one.point_xy),
        crop=sight.region_outside(one.crop),
    )
