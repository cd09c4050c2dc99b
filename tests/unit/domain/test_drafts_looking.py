"""Another part of a very large image comes into view, while objects are in progress."""

from __future__ import annotations

import numpy as np

from annotator.domain.answering.zoom import Region
from annotator.domain.drafts import answers, looking, moves
from annotator.domain.drafts.draft import Answer
from annotator.domain.drafts.effects import Encode
from annotator.domain.drafts.kept import draft_json
from annotator.domain.drafts.moves import moved
from annotator.domain.drafts.work import Work
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidate, Candidates
from annotator.domain.project import ImageRecord
from annotator.domain.prompt import PointPrompt
from annotator.domain.sight import Sight

N = 20_000
RECORD = ImageRecord(1, "slide.tif", width=N, height=N)
RGB = np.zeros((50, 50, 3), np.uint8)
WHOLE = Sight(N, N, Region(0, 0, N, N), (50, 50))
NEAR = Sight(N, N, Region(1_000, 1_000, 2_000, 2_000), (1000, 1000))
FAR = Sight(N, N, Region(9_000, 9_000, 10_000, 10_000), (1000, 1000))


def opened():
    work, _ = moved(Work(category_id=1), moves.ShowImage(RECORD, RGB, "overview", WHOLE))
    return work


def clicked(work, x, y):
    return moved(work, moves.Click(PointPrompt(x, y), 0.0))[0]


def answered(work, generation, x=1_400, y=1_400):
    """The head of the line is asked, and the model says that there is a square."""
    work = answers.asked(work, generation)
    head = work.line[0]
    mask = Mask(np.ones((100, 100), np.bool_), x, y, N, N)
    found = Candidates((Candidate(np.zeros((4, 4), np.float32), 0.9, 0.9, mask),), 0, 1.0, 1.0)
    return answers.answered(work, head.epoch, generation, Answer(head.prompts.asked, found, 0, 1.0, False, None))


def test_a_part_is_encoded_once_its_pixels_are_there():
    work, effects = looking.looked_at(opened(), "near", NEAR)
    assert not any(isinstance(effect, Encode) for effect in effects)
    assert (work.opened.key, work.opened.is_here, work.draft.image.key) == ("near", False, "near")
    assert work.is_encoding
    assert work.opened.size_wh == (N, N)
    work, effects = looking.came(work, "near", RGB)
    assert [effect.image.key for effect in effects if isinstance(effect, Encode)] == ["near"]
    assert work.opened.is_here
    assert work.draft.image.is_here
    assert looking.looked_at(work, "near", NEAR) == (work, ())


def test_pixels_of_a_part_that_was_left_reach_only_what_waits_there():
    work, _ = looking.looked_at(opened(), "near", NEAR)
    work = clicked(work, 1_450, 1_450)
    work, _ = looking.looked_at(work, "far", FAR)
    assert work.draft.image.key == "near", "a click stays where it was made"
    work, effects = looking.came(work, "near", RGB)
    assert not any(isinstance(effect, Encode) for effect in effects)
    assert work.draft.image.is_here
    assert not work.opened.is_here


def test_a_click_elsewhere_takes_the_object_along_and_undo_brings_it_back():
    work, _ = looking.looked_at(opened(), "near", NEAR)
    work, _ = looking.came(work, "near", RGB)
    work = answered(clicked(work, 1_450, 1_450), 1)
    mask = work.draft.mask
    work, _ = looking.looked_at(work, "far", FAR)
    work = clicked(work, 9_500, 9_500)
    draft = work.draft
    assert draft.image.key == "far"
    assert draft.prompts.base_mask is mask
    assert [(p.x, p.y) for p in draft.prompts.asked.points] == [(1_450, 1_450), (9_500, 9_500)]
    assert draft.continued is None, "the logits are of another part"
    assert [point[:2] for point in draft_json(draft)["points"]] == [[1_450, 1_450], [9_500, 9_500]]
    work, _ = moved(work, moves.Undo())
    assert work.draft.mask is mask
    assert work.draft.prompts.base_mask is None


def test_a_click_nearby_goes_on_in_the_same_part():
    work, _ = looking.looked_at(opened(), "near", NEAR)
    work = answered(clicked(work, 1_450, 1_450), 1)
    beside = Sight(N, N, Region(1_100, 1_000, 2_100, 2_000), (1000, 1000))
    work, _ = looking.looked_at(work, "beside", beside)
    work = clicked(work, 1_480, 1_450)
    assert work.draft.image.key == "near"
    assert work.draft.continued is not None


def test_the_next_object_begins_in_the_part_that_is_in_view():
    work, _ = looking.looked_at(opened(), "near", NEAR)
    work = clicked(work, 1_450, 1_450)
    work, _ = looking.looked_at(work, "far", FAR)
    dropped, _ = moved(work, moves.Cancel())
    assert dropped.draft.image.key == "far"
    work, _ = moved(answered(work, 1), moves.Accept(1.0, True))
    work = answers.stored(work, work.line[0])
    assert work.draft.image.key == "far"
