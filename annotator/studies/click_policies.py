"""Simulated annotators: what each of them does after it has seen the tool's answer to the clicks made so far.

They differ in how they find the next click, in nothing else. ``centre`` knows the truth everywhere; those that look
know it at the places they look at; a blind one knows nothing. Proposals are made by the functions of the window.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from annotator.domain.answering.clicks import next_click
from annotator.domain.answering.next_click import (
    LEAST_DISTANCE_PX,
    MOST_PROPOSALS,
    SPREAD_SHARE,
    as_shown,
    doubt_map,
    proposals,
    still_shown,
)
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidates
from annotator.domain.prompt import PointPrompt
from annotator.train.steps.prompts import band_at_outline

BoolArray = npt.NDArray[np.bool_]

DRAWS = 256
"""Random pixels that are tried for the places that a random looker looks at."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What there is when the next click is to be found.

    Attributes:
        answer: of the engine to ``clicks``; its chosen candidate is the mask that is shown.
        truth: bool, H x W.
        rng: of this object and policy.
        confirmed: what the annotator has looked at and found right before earlier clicks
            (:func:`annotator.domain.answering.next_click.as_shown`).
    """

    answer: Candidates
    clicks: tuple[PointPrompt, ...]
    truth: BoolArray
    rng: np.random.Generator
    confirmed: tuple[PointPrompt, ...] = ()

    @property
    def mask(self) -> Mask:
        return self.answer.chosen.mask

    def is_wrong_at(self, point: PointPrompt) -> bool:
        return self.mask.contains(point.x, point.y) != self.truth_at(point)

    def truth_at(self, point: PointPrompt) -> bool:
        return bool(self.truth[math.floor(point.y), math.floor(point.x)])


@dataclass(frozen=True, slots=True)
class Move:
    """The next click.

    Attributes:
        looks: places looked at for it, the clicked one included when it was one of them.
        is_fallback: whether the policy found nothing and the click is the standard protocol's.
        confirmed: those of the places where the mask was right; the window does not propose them again, either.
    """

    point: PointPrompt
    looks: int = 0
    is_fallback: bool = False
    confirmed: tuple[PointPrompt, ...] = ()


Policy = Callable[[View], Move | None]
"""None: the mask is perfect, or this annotator sees no reason for another click."""


def centre(view: View) -> Move | None:
    """The standard protocol: the deepest point of the deepest error region. Knows the truth exactly."""
    click = next_click(view.mask.full(), view.truth)
    return None if click is None else Move(PointPrompt(click.x, click.y, click.is_positive))


def proposals_looked_at(view: View) -> Move | None:
    """G until the mask is wrong at the proposed place; click there, with the true sign. Else as ``centre``.

    Places that were passed over are not proposed again while the mask stays the same there, as in the window.
    """
    return _first_wrong(view, _proposed(view))


def proposals_blind(view: View) -> Move | None:
    """The strongest proposal as it is, sign and all; stops when there is none."""
    found = _proposed(view)
    return Move(found[0]) if found else None


def random_boundary(view: View) -> Move | None:
    """Any pixel of the band (:func:`outline_band`), with the true sign. As ``centre`` when there is no outline."""
    return _any_of(view, outline_band(view.mask))


def random_looked_at(view: View) -> Move | None:
    """As ``proposals_looked_at``, but the places are random ones of the band, as many and as far apart."""
    return _first_wrong(view, _random_places(view))


def random_wrong(view: View) -> Move | None:
    """Any pixel of the band where the mask is wrong, as if looking cost nothing. As ``centre`` when there is none."""
    return _any_of(view, outline_band(view.mask) & (view.mask.full() ^ view.truth))


POLICIES: Mapping[str, Policy] = {
    "centre": centre,
    "proposals": proposals_looked_at,
    "proposals, blind": proposals_blind,
    "random": random_boundary,
    "random, looked at": random_looked_at,
    "random, wrong there": random_wrong,
}

FALLING_BACK = ("proposals", "random, looked at")
"""Those that look at places first and do as ``centre`` when the mask is right at all of them."""


def outline_band(mask: Mask) -> BoolArray:
    """Pixels near the mask's outline, H x W; see :func:`annotator.train.steps.prompts.band_at_outline`."""
    return band_at_outline(mask.full(), least=LEAST_DISTANCE_PX)


# --- inside -----------------------------------------------------------------------------------------------------------


def _proposed(view: View) -> tuple[PointPrompt, ...]:
    return proposals(doubt_map(view.answer, view.answer.best), view.mask, view.clicks, confirmed=view.confirmed)


def _first_wrong(view: View, places: tuple[PointPrompt, ...]) -> Move | None:
    right: list[PointPrompt] = []
    for looks, place in enumerate(places, start=1):
        if view.is_wrong_at(place):
            return Move(PointPrompt(place.x, place.y, view.truth_at(place)), looks, confirmed=tuple(right))
        right.append(as_shown(place, view.mask))
    return _fallen_back(view, confirmed=tuple(right))


def _any_of(view: View, region: BoolArray) -> Move | None:
    pixels = np.flatnonzero(region)
    if pixels.size == 0:
        return _fallen_back(view)
    return Move(_at_pixel(view, int(view.rng.choice(pixels))))


def _fallen_back(view: View, *, confirmed: tuple[PointPrompt, ...] = ()) -> Move | None:
    move = centre(view)
    return None if move is None else Move(move.point, len(confirmed), is_fallback=True, confirmed=confirmed)


def _random_places(view: View) -> tuple[PointPrompt, ...]:
    """Places of the band that keep the proposals' distance from clicks, confirmed places and each other."""
    pixels = np.flatnonzero(outline_band(view.mask))
    spread = max(LEAST_DISTANCE_PX, SPREAD_SHARE * math.sqrt(view.mask.area))
    taken = (*view.clicks, *still_shown(view.confirmed, view.mask))
    found: list[PointPrompt] = []
    for pixel in view.rng.choice(pixels, DRAWS).tolist() if pixels.size else []:
        point = _at_pixel(view, pixel)
        if all(math.hypot(p.x - point.x, p.y - point.y) >= spread for p in (*taken, *found)):
            found.append(point)
        if len(found) == MOST_PROPOSALS:
            break
    return tuple(found)


def _at_pixel(view: View, pixel: int) -> PointPrompt:
    """The pixel's centre, with the true sign."""
    row, column = divmod(pixel, view.truth.shape[1])
    return PointPrompt(column + 0.5, row + 0.5, bool(view.truth[row, column]))
