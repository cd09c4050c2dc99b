"""Finding by words in the window: the line, what it remembers, what is found, and what is missing."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.domain.answering.named import named_proposal
from annotator.domain.ports.engine import EverythingStep, ModelInfo
from annotator.engine import terms, weights
from annotator.engine.finders import offers
from annotator.engine.specs import Ability
from tests.fakes import block
from tests.unit.engine.hub.tiny_hub import saved_with_words

K, M = Qt.Key, Qt.KeyboardModifier
WIDTH, HEIGHT = 160, 120


class WordFinder:
    """Finds a square for each wanted phrase."""

    info = ModelInfo("wordy", "ab" * 32, "cpu", "float32", 112)

    def __init__(self):
        self.asked = []
        self.examples = self.clicks = ()

    def steps(self, image, ask, *, has_to_yield=None):
        self.asked.append(ask.phrases)
        self.examples, self.clicks = ask.examples, ask.clicks
        found = tuple(
            named_proposal(block(20 + 40 * at, 30, 16, 16, width=WIDTH, height=HEIGHT), 0.9 - 0.1 * at, 1.0, phrase)
            for at, phrase in enumerate(ask.phrases.wanted or ("",))
        )
        yield EverythingStep(1, 2, None)
        yield EverythingStep(2, 2, found, is_last=True)


@pytest.fixture
def wordy(desk, monkeypatch):
    """The desk with a model for words."""
    desk.word_finder = WordFinder()
    entry, family = (
        SimpleNamespace(name="wordy"),
        SimpleNamespace(missing=(), can=frozenset({Ability.WORDS, Ability.EXAMPLES})),
    )
    desk.word_family = family
    monkeypatch.setattr(
        "annotator.ui.labelling.words.offers", lambda: (SimpleNamespace(is_ready=True, entry=entry, family=family),)
    )
    monkeypatch.setattr("annotator.engine.finders.load_named", lambda *_a, **_k: desk.word_finder)
    return desk


def line(desk):
    return desk.window.area.words


def open_line(desk):
    desk.key(K.Key_Slash)
    desk.until(lambda: line(desk).is_open and "Looking" not in line(desk).state.text())


def type_words(desk, text, key=K.Key_Return):
    QTest.keyClicks(line(desk).field, text)
    QTest.keyClick(line(desk).field, key)


def review(desk):
    return desk.program.proposals.proposals.review


def find(desk, text):
    open_line(desk)
    type_words(desk, text)
    own = desk.program.proposals.proposals
    desk.until(lambda: desk.word_finder.asked and not own.search.is_running and not own._work.is_busy)


def test_what_words_name_is_proposed_and_taken_with_its_class(wordy):
    wordy.open()
    wordy.session.classes.add("nucleus")
    nucleus = wordy.session.category
    wordy.session.classes.add("other")
    other = wordy.session.category
    find(wordy, "Nucleus, red cell, not debris")
    assert wordy.word_finder.asked[-1].unwanted == ("debris",)
    assert not line(wordy).is_open
    assert wordy.window.canvas.tool == "proposals"
    assert [review(wordy).table[one].phrase for one in review(wordy).shown] == ["Nucleus", "red cell"]
    assert wordy.session.annotations == ()
    wordy.key(K.Key_Return, M.ShiftModifier)
    wordy.until(lambda: len(wordy.session.annotations) == 2)
    by_phrase = {one.extra["found"]["phrase"]: one for one in wordy.session.annotations}
    assert by_phrase["Nucleus"].category_id == nucleus.id
    assert by_phrase["red cell"].category_id == other.id
    assert {(one.origin, one.model, one.model_sha256) for one in wordy.session.annotations} == {
        ("words", "wordy", "ab" * 32)
    }
    assert json.dumps(by_phrase["Nucleus"].extra)


def test_another_question_takes_the_place_of_what_nobody_took(wordy):
    wordy.open()
    find(wordy, "a, b, c")
    assert len(review(wordy).table) == 3
    wordy.key(K.Key_Return)
    wordy.key(K.Key_Backspace)
    find(wordy, "a")
    assert [review(wordy).table[one].phrase for one in review(wordy).shown] in ([], ["a"])
    assert len(review(wordy).table) <= 2


def test_what_was_asked_comes_back_by_class_and_by_the_arrows(wordy):
    wordy.open()
    first = wordy.session.category
    find(wordy, "grain")
    wordy.session.classes.add("other")
    find(wordy, "seed, not husk")
    open_line(wordy)
    assert line(wordy).field.text() == "seed, not husk"
    QTest.keyClick(line(wordy).field, K.Key_Up)
    QTest.keyClick(line(wordy).field, K.Key_Up)
    assert line(wordy).field.text() == "grain"
    QTest.keyClick(line(wordy).field, K.Key_Down)
    QTest.keyClick(line(wordy).field, K.Key_Down)
    assert line(wordy).field.text() == "seed, not husk"
    QTest.keyClick(line(wordy).field, K.Key_Escape)
    assert not line(wordy).is_open
    if first is not None:
        wordy.session.classes.pick(first.id)
        open_line(wordy)
        assert line(wordy).field.text() == "grain"


def test_no_words_are_said_to_be_none_and_nothing_is_asked(wordy):
    wordy.open()
    open_line(wordy)
    type_words(wordy, "not debris")
    assert "no words" in line(wordy).state.text()
    assert line(wordy).is_open
    assert wordy.word_finder.asked == []


def test_without_a_model_the_line_says_what_is_missing_and_how_to_get_it(desk, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert not any(offer.is_ready for offer in offers())
    desk.open()
    open_line(desk)
    assert "No model for words is on this computer." in line(desk).state.text()
    assert 'pip install "annotator[hf]"' in line(desk).state.text()
    assert line(desk).models_button.isVisible()
    type_words(desk, "cat")
    assert line(desk).is_open
    assert not desk.program.proposals.proposals.search.is_running


def draw_boxes(desk):
    """One round what is meant, one round what is not."""
    desk.drag((20, 20), (60, 60))
    desk.drag((90, 40), (130, 100), button=Qt.MouseButton.RightButton)


def signs(boxes):
    return [one.is_positive for one in boxes]


def test_boxes_drawn_while_the_line_is_open_go_with_the_words(wordy):
    wordy.open()
    open_line(wordy)
    assert wordy.window.canvas.tool == "examples"
    draw_boxes(wordy)
    assert "1 example, 1 not meant" in line(wordy).state.text()
    assert line(wordy).field.hasFocus()
    QTest.keyClicks(wordy.window.focusWidget(), "grain")
    QTest.keyClick(wordy.window.focusWidget(), K.Key_Return)
    wordy.until(lambda: bool(wordy.word_finder.asked))
    assert wordy.word_finder.asked[-1].wanted == ("grain",)
    meant, other = wordy.word_finder.examples
    assert (meant.is_positive, other.is_positive) == (True, False)
    assert meant.box.as_xyxy() == pytest.approx((20, 20, 60, 60), abs=1)
    assert wordy.window.canvas.tool == "proposals"


def test_boxes_alone_are_a_question_and_stay_with_their_image(wordy):
    wordy.open()
    wordy.key(K.Key_B, M.AltModifier)
    wordy.drag((20, 20), (60, 60))
    assert line(wordy).is_open, "Enter has to search"
    wordy.until(lambda: "1 example" in line(wordy).state.text())
    line(wordy).field.clear()
    type_words(wordy, "")
    wordy.until(lambda: bool(wordy.word_finder.asked))
    assert wordy.word_finder.asked[-1].wanted == ()
    own = wordy.program.proposals.proposals
    wordy.until(lambda: not own.search.is_running and not own._work.is_busy)
    assert [review(wordy).table[one].phrase for one in review(wordy).shown] == [""]
    open_line(wordy)
    assert line(wordy).field.text() == ""
    assert "1 example" in line(wordy).state.text()
    QTest.keyClick(line(wordy).field, K.Key_Escape)
    wordy.key(K.Key_D)
    wordy.wait_image(1)
    assert own.words is None, "the boxes were of another image"
    open_line(wordy)
    assert "drag boxes" in line(wordy).state.text()


def test_a_box_goes_by_a_click_and_all_by_the_button_and_the_tool_before_comes_back(wordy):
    wordy.open()
    open_line(wordy)
    draw_boxes(wordy)
    wordy.drag((30, 30), (50, 50))
    canvas = wordy.window.canvas
    wordy.click(40, 40)
    assert [one.box.width for one in canvas.examples.boxes] == pytest.approx([40, 40], abs=1)
    wordy.click(150, 110)
    assert signs(canvas.examples.boxes) == [True, False]
    QTest.mouseClick(line(wordy).clear_button, Qt.MouseButton.LeftButton)
    assert canvas.examples.boxes == ()
    assert not line(wordy).clear_button.isVisible()
    QTest.keyClick(line(wordy).field, K.Key_Escape)
    assert canvas.tool == "click"


def test_boxes_without_a_model_for_them_say_so_and_are_not_left_out_silently(wordy):
    wordy.word_family.can = frozenset({Ability.WORDS})
    wordy.open()
    wordy.key(K.Key_B, M.AltModifier)
    draw_boxes(wordy)
    wordy.until(lambda: "not understood" in line(wordy).state.text())
    type_words(wordy, "grain")
    assert line(wordy).is_open
    assert wordy.word_finder.asked == []
    QTest.mouseClick(line(wordy).clear_button, Qt.MouseButton.LeftButton)
    QTest.keyClick(line(wordy).field, K.Key_Return)
    wordy.until(lambda: bool(wordy.word_finder.asked))


def test_sam_3_is_asked_with_words_and_boxes_drawn_on_the_image(desk, monkeypatch):
    """The library's own network, small and random, as a person has it on the disk."""
    pytest.importorskip("transformers", reason="the extra hf is not installed")
    place = saved_with_words("sam3", desk.root, length=32)
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(desk.root / "models"))
    weights.import_file(place, name="sam3")
    terms.accept(weights.registry()["sam3"])
    desk.open()
    open_line(desk)
    assert "sam3" in line(desk).state.text()
    draw_boxes(desk)
    type_words(desk, "mushroom")
    own = desk.program.proposals.proposals
    desk.until(lambda: len(review(desk).table) > 0 and not own.search.is_running and not own._work.is_busy)
    found = {one.phrase for one in review(desk).table.items}
    scores = sorted(one.score for one in review(desk).table.items)
    assert found == {"mushroom"}
    open_line(desk)
    QTest.mouseClick(line(desk).clear_button, Qt.MouseButton.LeftButton)
    type_words(desk, "mushroom")
    desk.until(lambda: not own.search.is_running and not own._work.is_busy)
    assert scores != sorted(one.score for one in review(desk).table.items), "the boxes count"


@pytest.mark.parametrize("takes_clicks", [True, False])
def test_clicks_of_the_object_in_the_making_go_along_where_the_model_takes_them(wordy, takes_clicks):
    wordy.word_family.can = frozenset({Ability.WORDS, *([Ability.WITH_CLICKS] if takes_clicks else [])})
    wordy.open()
    wordy.click(40, 40)
    wordy.until(lambda: len(wordy.program.refine.state.prompts.points) == 1)
    open_line(wordy)
    assert ("with 1 click: which one is meant" in line(wordy).state.text()) is takes_clicks
    type_words(wordy, "nucleus")
    own = wordy.program.proposals.proposals
    wordy.until(lambda: wordy.word_finder.asked and not own.search.is_running and not own._work.is_busy)
    assert len(wordy.word_finder.clicks) == takes_clicks
    if takes_clicks:
        assert wordy.word_finder.clicks == wordy.program.refine.state.prompts.points
