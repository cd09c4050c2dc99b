"""Six objects that a search finds, and what a test asks about them."""

from __future__ import annotations

from PySide6.QtCore import Qt

from annotator.domain.proposals.review import ProposalReview
from annotator.ui.labelling.proposals import Proposals
from tests.fakes import FakeFinder, FakeProposal, block
from tests.gui.shell import Desk

WIDTH, HEIGHT = 160, 120
PLACES = ((20, 20), (60, 20), (100, 20), (20, 70), (60, 70), (100, 70))
"""Left top corners of the objects, 16 x 16, line by line; the scores go down from 0.95 by 0.05, and back up."""
SCORES = (0.7, 0.95, 0.75, 0.9, 0.8, 0.85)
MIDDLES = tuple((x + 8, y + 8) for x, y in PLACES)


def objects() -> list[FakeProposal]:
    return [
        FakeProposal(block(x, y, 16, 16, width=WIDTH, height=HEIGHT), score)
        for (x, y), score in zip(PLACES, SCORES, strict=True)
    ]


def control(desk: Desk) -> Proposals:
    return desk.program.proposals.proposals


def review(desk: Desk) -> ProposalReview:
    return control(desk).review


def is_quiet(desk: Desk) -> bool:
    own = control(desk)
    return not own.search.is_running and not own._work.is_busy


def find(desk: Desk) -> None:
    desk.key(Qt.Key.Key_E, Qt.KeyboardModifier.ShiftModifier)
    finder = desk.engine.segmenter
    assert isinstance(finder, FakeFinder)
    desk.until(lambda: is_quiet(desk) and len(review(desk).table) == len(finder.found))


def line(desk: Desk) -> str:
    text: str = desk.window.status.message.text()
    return text


def place(desk: Desk, proposal_id: int) -> int:
    x, y, _w, _h = review(desk).table[proposal_id].mask.bbox_xywh
    return PLACES.index((x, y))


def shown_places(desk: Desk) -> list[int]:
    return [place(desk, one) for one in review(desk).shown]
