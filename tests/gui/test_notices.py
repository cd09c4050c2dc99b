"""What the window tells goes when it is no longer true, and only one object shows it."""

from __future__ import annotations

import ast
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt

from annotator.domain.errors import ModelError
from annotator.ui.notices import Notices, Subject, is_part_of
from annotator.ui.threads import loading
from tests.sources import sources

K = Qt.Key
pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)


class Paper:
    """Line and bar in one: what was written last about each subject."""

    def __init__(self):
        self.said = {}
        self.is_offer = False

    @property
    def text(self):
        return next(reversed(self.said.values()), "")

    def tell(self, text, *, stays=False, topic=""):
        self.said = {topic: text}

    def show_message(self, text, *, is_error=True, action=None, topic="", on_close=None, is_offer=False, not_now=""):
        self.said[topic] = text
        self.is_offer = is_offer

    def withdraw(self, topic):
        self.said = {known: text for known, text in self.said.items() if not is_part_of(known, topic)}


def test_what_is_over_is_withdrawn_from_line_and_bar():
    line, bar = Paper(), Paper()
    notices = Notices(line, bar)
    notices.tell("Marked empty.", about=Subject.CHANGE)
    notices.warn("No network.", about=Subject.MODEL)
    notices.warn("Damaged.", about=Subject.IMAGE)
    assert notices.is_warning
    notices.withdraw(Subject.IMAGE)
    assert line.text == ""
    assert list(bar.said.values()) == ["No network."]
    notices.withdraw(Subject.MODEL)
    assert not notices.is_warning


def test_an_offer_is_no_warning():
    line, bar = Paper(), Paper()
    notices = Notices(line, bar)
    assert not notices.is_bar_shown
    notices.offer("A larger model.", about=Subject.MODEL, action=("Download", lambda: None))
    assert notices.is_bar_shown
    assert not notices.is_warning
    notices.warn("Damaged.", about=Subject.IMAGE)
    assert notices.is_warning


subjects = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join)


@given(subjects, subjects)
def test_a_subject_ends_with_those_that_it_is_a_part_of(one, other):
    names = one.split("/"), other.split("/")
    assert is_part_of(one, other) == (names[0][: len(names[1])] == names[1])


def test_nobody_writes_into_line_or_bar_past_the_notices():
    wrong = []
    for source in sources():
        if not source.place.startswith("ui/") or source.path.name in ("notices.py", "status.py", "area.py"):
            continue
        for node in source.nodes:
            is_write = isinstance(node, ast.Attribute) and node.attr in ("tell", "show_message", "withdraw")
            if is_write and isinstance(node.value, ast.Attribute) and node.value.attr in ("status", "error_bar"):
                wrong.append(f"{source.place}:{node.lineno}")
    assert wrong == []


def line(desk):
    return desk.window.status.message.text()


def test_that_a_model_is_loaded_is_not_told_any_more_when_it_failed(desk, monkeypatch):
    def factory(progress):
        progress("Loading the model…")
        raise ModelError("The model fake is missing.")

    monkeypatch.setattr(desk.engine, "factory", factory)
    desk.open(wait_ready=False)
    desk.until(lambda: "missing" in desk.window.area.error_bar.text)
    assert line(desk) == ""


def test_not_before_the_image_is_there_goes_when_it_is_there(desk, monkeypatch):
    desk.open()
    gate, real = threading.Event(), loading.load_image
    monkeypatch.setattr(loading, "load_image", lambda *args, **named: gate.wait(10) and real(*args, **named))
    desk.program.loader.clear()
    desk.key(K.Key_D)
    desk.key(K.Key_X)
    assert "Not before" in line(desk)
    gate.set()
    desk.wait_image(1)
    assert line(desk) == ""


@pytest.mark.parametrize("end", [K.Key_Escape, K.Key_Return])
def test_that_an_object_is_in_work_goes_with_it(desk, end):
    desk.open()
    desk.accept_at(30, 30)
    desk.click(100, 80)
    desk.wait_mask(100, 80)
    desk.window.objects.select_ids(frozenset({desk.session.annotations[0].id}))
    desk.key(K.Key_R)
    assert "current object" in line(desk)
    desk.key(end)
    assert "current object" not in line(desk)


def test_select_one_object_goes_when_one_is_selected(desk):
    desk.open()
    first, second = desk.accept_at(30, 30), desk.accept_at(100, 80)
    desk.window.objects.select_ids(frozenset({first.id, second.id}))
    desk.key(K.Key_R)
    assert "Select one" in line(desk)
    desk.window.objects.select_ids(frozenset({first.id}))
    assert line(desk) == ""


def test_a_key_without_a_class_goes_when_classes_change(desk):
    desk.open()
    desk.key(K.Key_7)
    assert "No class has the key 7" in line(desk)
    desk.session.classes.add("cell")
    assert line(desk) == ""


def test_what_was_accepted_is_told_until_the_next_change(desk):
    desk.open()
    desk.accept_at(30, 30)
    assert "Accepted" in line(desk)
    desk.window.objects.select_ids(frozenset({desk.session.annotations[0].id}))
    desk.key(K.Key_Delete)
    assert line(desk) == ""


def test_the_size_of_the_brush_goes_with_the_brush(desk):
    desk.open()
    desk.key(K.Key_P)
    desk.key(K.Key_BracketRight)
    assert "Brush" in line(desk)
    desk.key(K.Key_Q)
    assert line(desk) == ""


def test_a_suggested_click_is_told_until_it_is_dropped(desk):
    desk.open()
    desk.click(60, 60)
    desk.wait_mask(60, 60)
    desk.key(K.Key_G)
    assert line(desk)
    desk.key(K.Key_Escape)
    desk.key(K.Key_Escape)
    assert line(desk) == ""


def test_the_end_of_the_images_goes_with_the_image(desk):
    desk.open(images=2)
    desk.key(K.Key_A)
    assert "first image" in line(desk)
    desk.key(K.Key_D)
    desk.wait_image(1)
    assert line(desk) == ""
