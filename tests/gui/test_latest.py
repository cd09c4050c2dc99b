"""Work of which only the newest answer is wanted, at its end."""

from __future__ import annotations

from threading import Event

from PySide6.QtCore import QObject
from shiboken6 import delete

from annotator.ui.canvas.latest import Latest


def test_only_the_newest_answer_comes(qtbot):
    latest, answers, held = Latest(owner := QObject()), [], Event()
    latest.start(lambda: held.wait(20), lambda _: answers.append("old"))
    latest.start(lambda: "new", answers.append)
    held.set()
    qtbot.waitUntil(lambda: answers == ["new"])
    assert not latest.is_busy
    delete(owner)


def test_nothing_begins_after_the_end(qtbot):
    latest, done = Latest(owner := QObject()), []
    latest.shut_down()
    latest.start(lambda: done.append(1), lambda _: None)
    assert not latest.is_busy
    latest._pool.waitForDone()
    assert done == []
    delete(owner)


def test_an_answer_for_a_window_that_has_gone_is_nobodys(qtbot, capfd):
    latest, held, begun = Latest(owner := QObject()), Event(), Event()

    def work():
        begun.set()
        held.wait(20)

    latest.start(work, lambda _: None)
    assert begun.wait(20)
    owner.destroyed.connect(lambda: held.set())
    delete(owner)  # its pool waits for the work
    assert "deleted" not in capfd.readouterr().err
