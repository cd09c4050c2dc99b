"""Finding by words in the window: the line, what it remembers, what is found, and what is missing."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from annotator.domain.answering.named import named_proposal
from annotator.domain.ports.engine import EverythingStep, ModelInfo
from annotator.engine.finders import offers
from tests.fakes import block

K, M = Qt.Key, Qt.KeyboardModifier
WIDTH, HEIGHT = 160, 120


class WordFinder:
    """Finds a square for each wanted phrase."""

    info = ModelInfo("wordy", "ab" * 32, "cpu", "float32", 112)

    def __init__(self):
        self.asked = []

    def steps(self, image, ask, *, has_to_yield=None):
        self.asked.append(ask.phrases)
        found = tuple(
            named_proposal(block(20 + 40 * at, 30, 16, 16, width=WIDTH, height=HEIGHT), 0.9 - 0.1 * at, 1.0, phrase)
            for at, phrase in enumerate(ask.phrases.wanted)
        )
        yield EverythingStep(1, 2, None)
        yield EverythingStep(2, 2, found, is_last=True)


@pytest.fixture
def wordy(desk, monkeypatch):
    """The desk with a model for words."""
    desk.word_finder = WordFinder()
    entry, family = SimpleNamespace(name="wordy"), SimpleNamespace(missing=())
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
