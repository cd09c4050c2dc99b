"""A class is suggested for an object: only when asked, taken by Enter, left by Esc, and recorded."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from annotator.domain.project import Annotation, Edit, RowChange
from annotator.engine import weights
from annotator.ui.shell.question import Answer, QuestionBar
from tests.fakes import block
from tests.unit.engine.hub.tiny_hub import saved_with_words

K, M = Qt.Key, Qt.KeyboardModifier
WIDTH, HEIGHT = 160, 120


def place(at):
    """Squares above, bars below."""
    return (8 + 25 * at, 10, 14, 14) if at < 6 else (8 + 25 * (at - 6), 70, 20, 5)


@pytest.fixture
def named(desk):
    """Six red squares of one class, six green bars of another."""
    folder = desk.make_folder(images=1)
    picture = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    for at in range(12):
        x, y, w, h = place(at)
        picture[y : y + h, x : x + w] = (220, 30, 30) if at < 6 else (30, 220, 30)
    Image.fromarray(picture).save(folder / "0.png")
    desk.open(folder=folder)
    session = desk.session
    session.classes.add("square")
    square = session.category.id
    session.classes.add("bar")
    bar = session.category.id
    image = session.image
    changes = []
    for at in range(12):
        x, y, w, h = place(at)
        mask = block(x, y, w, h, width=WIDTH, height=HEIGHT)
        category = square if at < 6 and at != 0 else bar  # the first square is named wrongly
        row = Annotation(
            session.store.new_id("annotation"),
            image.id,
            category,
            x,
            y,
            w,
            h,
            area=mask.area,
            rle=mask.rle(),
            image_width=WIDTH,
            image_height=HEIGHT,
        )
        changes.append(RowChange(None, row))
    session.apply(Edit("objects", tuple(changes)))
    desk.square, desk.bar = square, bar
    return desk


def select(desk, at):
    row = desk.session.annotations[at]
    desk.window.objects.select_ids(frozenset({row.id}))
    return row


def ask(desk):
    desk.key(K.Key_N, M.AltModifier)


def test_a_suggestion_is_shown_and_enter_takes_it_with_its_record(named):
    row = select(named, 0)
    ask(named)
    bar = named.window.area.naming
    named.until(lambda: bar.is_open)
    assert "“square”" in bar.label.text()
    assert named.session.annotations[0].category_id == named.bar, "nothing is applied by itself"
    named.key(K.Key_Return)
    now = next(one for one in named.session.annotations if one.id == row.id)
    assert now.category_id == named.square
    assert now.extra["named"]["source"] == "like"
    assert now.extra["named"]["model"] == "look-1"
    assert not bar.is_open
    named.session.undo()
    assert next(one for one in named.session.annotations if one.id == row.id) == row


def test_escape_and_another_selection_leave_it(named):
    select(named, 0)
    ask(named)
    bar = named.window.area.naming
    named.until(lambda: bar.is_open)
    named.key(K.Key_Escape)
    assert not bar.is_open
    assert named.session.annotations[0].category_id == named.bar
    select(named, 0)
    ask(named)
    named.until(lambda: bar.is_open)
    select(named, 3)
    assert not bar.is_open
    assert not named.program.commands.naming.take()


def forget_looks(desk):
    """As at a start: nothing was looked at yet, and one object alone is here."""
    store, session = desk.session.store, desk.session
    rows = session.annotations
    session.apply(Edit("fewer", tuple(RowChange(one, None) for one in rows[1:])))
    assert store is not None
    desk.program.commands.naming._forget()


@pytest.fixture
def tiny_clip(named, monkeypatch):
    """The library's own network, small and random, as a person has it on the disk."""
    pytest.importorskip("transformers", reason="the extra hf is not installed")
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(named.root / "models"))
    weights.import_file(saved_with_words("clip", named.root, length=16), name="tinyclip")
    forget_looks(named)
    return named


def test_where_few_objects_have_names_a_model_for_names_suggests_one(tiny_clip, monkeypatch):
    monkeypatch.setattr("annotator.ui.labelling.naming.LEAST_SCORE", 0.0)
    row = select(tiny_clip, 0)
    ask(tiny_clip)
    bar = tiny_clip.window.area.naming
    tiny_clip.until(lambda: bar.is_open)
    assert "by tinyclip" in bar.label.text()
    assert tiny_clip.session.annotations[0] == row, "nothing is applied by itself"
    suggested = bar.label.text().partition("“")[2].partition("”")[0]
    tiny_clip.key(K.Key_Return)
    (now,) = tiny_clip.session.annotations
    assert tiny_clip.session.categories[now.category_id].name == suggested
    assert (now.extra["named"]["source"], now.extra["named"]["model"]) == ("clip", "tinyclip")
    select(tiny_clip, 0)
    monkeypatch.setattr("annotator.ui.labelling.naming.LEAST_SCORE", 1.1)
    ask(tiny_clip)
    tiny_clip.until(lambda: "tinyclip knows no class for it" in tiny_clip.window.status.message.text())
    tiny_clip.program.commands.naming._let_model_go()
    assert tiny_clip.program.commands.naming._shelf._namer is None


@pytest.fixture
def tiny_vlm(named, monkeypatch):
    """A vision-language model of the library's own class, small and random, as a person has it on the disk."""
    pytest.importorskip("transformers", reason="the extra vlm is not installed")
    from tests.unit.engine.hub.tiny_vlm import saved_vlm

    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(named.root / "models"))
    weights.import_file(saved_vlm(named.root), name="smolvlm-256m")
    return named


def describe(desk):
    desk.key(K.Key_N, M.AltModifier | M.ShiftModifier)


def test_a_line_about_an_object_becomes_its_note_when_it_is_taken_and_can_be_undone(tiny_vlm):
    row = select(tiny_vlm, 3)
    describe(tiny_vlm)
    bar = tiny_vlm.window.area.naming
    tiny_vlm.until(lambda: bar.is_open)
    text = bar.label.text()
    assert "by smolvlm-256m" in text
    now = lambda: next(one for one in tiny_vlm.session.annotations if one.id == row.id)  # noqa: E731
    assert now() == row, "nothing is applied by itself"
    tiny_vlm.key(K.Key_Return)
    line = text.partition("“")[2].partition("”")[0]
    assert now().note == line
    said = now().extra["described"]
    assert (said["source"], said["model"], said["text"], len(said["model_sha256"])) == ("vlm", "smolvlm-256m", line, 64)
    assert now().category_id == row.category_id
    describe(tiny_vlm)
    tiny_vlm.until(lambda: bar.is_open)
    tiny_vlm.key(K.Key_Escape)
    assert not bar.is_open
    assert now().note == line
    tiny_vlm.session.undo()
    assert now() == row


@pytest.mark.parametrize(("words", "room_px", "is_broken"), [(3, 900, False), (30, 900, True), (3, 300, True)])
def test_a_long_line_is_broken_and_nothing_of_it_is_cut_off(qtbot, words, room_px, is_broken):
    area = QWidget()
    qtbot.addWidget(area)
    bar = QuestionBar(area, is_short=True)
    bar.ask("mushroom " * words, (Answer("Note it", "Enter", bar.withdraw), Answer("Leave", "Esc", bar.withdraw)))
    bar.layout().invalidate()  # nothing is shown here, so Qt does not
    size = bar.fit(room_px)
    assert size.width() <= room_px
    bar.resize(size)
    bar.layout().activate()
    assert bar.label.wordWrap() is is_broken
    assert bar.label.height() >= bar.label.heightForWidth(bar.label.width()) or not is_broken
    for part in (bar.label, *bar.buttons):
        assert bar.rect().contains(part.geometry())
        assert part.width() >= part.minimumSizeHint().width()


def test_a_description_that_is_called_off_or_comes_too_late_is_not_shown(tiny_vlm, monkeypatch):
    naming = tiny_vlm.program.commands.naming
    let, real = threading.Event(), naming._shelf.describes

    def slow(*args, **options):
        assert let.wait(60)
        return real(*args, **options)

    monkeypatch.setattr(naming._shelf, "describes", slow)
    select(tiny_vlm, 3)
    describe(tiny_vlm)
    assert naming._errand.is_busy
    tiny_vlm.key(K.Key_Escape)
    assert tiny_vlm.window.status.message.text() == "Called off."
    describe(tiny_vlm)
    assert "still being asked" in tiny_vlm.window.status.message.text()
    let.set()
    tiny_vlm.until(lambda: not naming._errand.is_busy)
    assert not tiny_vlm.window.area.naming.is_open
    assert not naming.take()


def test_without_a_model_for_descriptions_it_is_said_how_to_get_one(named, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    select(named, 0)
    describe(named)
    named.until(lambda: "No model for descriptions" in named.window.status.message.text())
    assert "annotator[vlm]" in named.window.status.message.text()


def test_without_a_model_for_names_it_is_said_what_is_missing(named, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    forget_looks(named)
    select(named, 0)
    ask(named)
    named.until(lambda: "No model for names" in named.window.status.message.text())
    assert 'pip install "annotator[hf]"' in named.window.status.message.text()
    assert not named.window.area.naming.is_open


def test_an_object_that_is_what_it_looks_like_is_said_to_be_so(named):
    select(named, 2)
    ask(named)
    named.until(lambda: "looks like what it is: square" in named.window.status.message.text())
    assert not named.window.area.naming.is_open
