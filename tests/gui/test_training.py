"""Training from the window: a process of its own, live figures, the gate's table, and an install that is a choice."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox

from annotator.commands import train_adapter
from annotator.ui import app
from annotator.ui.training import TrainingRun, Wish, read_standing
from tests.gui.shell import Desk, restored_look  # noqa: F401 - a fixture
from tests.gui.test_adapters import AdaptableSegmenter, MemoryShelf, entry

LEFT = Qt.MouseButton.LeftButton
pytestmark = [
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
    pytest.mark.usefixtures("restored_look"),
]

CHILD = """
import json, sys, time
from pathlib import Path
folder, gain, waits = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
def line(name, head, row):
    path = folder / name
    text = ("" if path.exists() else head + "\\n") + row + "\\n"
    path.open("a").write(text)
for epoch in range(1, 4):
    line("run.csv", "step,minutes,loss", f"{epoch},{epoch / 10},{1 / epoch}")
    line("run.validation.csv", "step,minutes,mean", f"{epoch},{epoch / 10},{0.5 + epoch / 10}")
    print(f"epoch {epoch}", flush=True)
while waits == "wait" and not (folder / "go").exists():
    time.sleep(0.02)
if waits == "fail":
    print("There are too few objects.")
    sys.exit(2)
mean = lambda v: {"mean": v, "low": v - 0.01, "high": v + 0.01}
rows = [{"measure": "bIoU, all", "base": mean(0.5), "adapter": mean(0.5 + gain), "difference": mean(gain)}]
(folder / "candidate.safetensors").write_bytes(b"x")
(folder / "gate.json").write_text(json.dumps({"held back": {"rows": rows}}))
print("The adapter was judged.")
(folder / "over").write_text("yes")
"""


@pytest.fixture
def desk(qtbot, tmp_path, monkeypatch):
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("annotator.ui.training.POLL_MS", 20)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path / "cache")
    desk = Desk(qtbot, tmp_path)
    desk.shelf = MemoryShelf(entry("cells"))
    monkeypatch.setattr(desk.shelf, "checked_name", lambda name: name)
    desk.engine.segmenter = AdaptableSegmenter()
    build = app.build_window
    monkeypatch.setattr(
        "tests.gui.shell.build_window", lambda settings, factory: build(settings, factory, shelf=desk.shelf)
    )
    desk.open()
    desk.control = desk.window.program.adapters
    desk.child = ("0.1", "")
    monkeypatch.setattr(Wish, "command", lambda wish: [sys.executable, "-c", CHILD, str(wish.folder), *desk.child])
    yield desk
    desk.close()


def begin(desk, name="nuclei"):
    panel = desk.control.show_panel()
    QTest.mouseClick(panel.train_button, LEFT)
    dialog = next(w for w in desk.window.findChildren(object) if type(w).__name__ == "TrainDialog")
    QTest.keyClicks(dialog.name, name)
    QTest.mouseClick(dialog.start_button, LEFT)
    return dialog


def test_a_run_is_followed_while_the_window_is_used_and_its_figures_are_shown(desk):
    desk.child = ("0.1", "wait")
    desk.session.classes.add("cell")
    desk.session.classes.pick(1)
    dialog = begin(desk)
    run = desk.control._training
    desk.until(lambda: len(run.standing.validation) == 3)
    assert run.standing.loss == ((0.1, 1.0), (0.2, 0.5), (0.3, pytest.approx(1 / 3)))
    assert "epoch 3" in dialog.line.text()
    assert dialog.cancel_button.isVisible()
    assert not dialog.install_button.isVisible()
    desk.accept_at(60, 50)
    (run.wish.folder / "go").write_text("")
    desk.until(lambda: not run.is_running)
    assert [dialog.table.item(0, c).text() for c in range(3)] == ["bIoU, all", "0.500", "0.600"]
    assert dialog.install_button.text() == "Install"
    QTest.mouseClick(dialog.install_button, LEFT)
    desk.until(lambda: desk.shelf.done == [("import", run.candidate)])
    dialog.close()


def test_one_that_is_no_better_is_installed_only_when_the_person_insists(desk, monkeypatch):
    desk.child = ("-0.05", "")
    dialog = begin(desk)
    desk.until(dialog.install_button.isVisible)
    assert dialog.install_button.text() == "Install anyway…"
    for answer, done in ((QMessageBox.StandardButton.No, 0), (QMessageBox.StandardButton.Yes, 1)):
        monkeypatch.setattr(QMessageBox, "question", lambda *_, answer=answer: answer)
        QTest.mouseClick(dialog.install_button, LEFT)
        desk.until(lambda done=done: len(desk.shelf.done) == done)
    dialog.close()


def test_stop_ends_the_process_and_says_so(desk):
    desk.child = ("0.1", "wait")
    dialog = begin(desk)
    run = desk.control._training
    desk.until(lambda: len(run.standing.loss) == 3)
    pid = run._process.pid
    QTest.mouseClick(dialog.cancel_button, LEFT)
    desk.until(lambda: not run.is_running)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert "Stopped" in dialog.line.text()
    assert dialog.start_button.isVisible()
    dialog.close()


def test_a_failure_tells_the_processes_own_words(desk):
    desk.child = ("0.1", "fail")
    dialog = begin(desk)
    desk.until(lambda: "too few" in dialog.line.text() and dialog.start_button.isVisible())
    assert not dialog.install_button.isVisible()
    dialog.close()


def test_closing_dialog_and_window_leaves_the_run_going(desk):
    desk.child = ("0.1", "wait")
    dialog = begin(desk)
    run = desk.control._training
    folder = run.wish.folder
    desk.until(lambda: len(run.standing.loss) == 3)
    dialog.close()
    again = desk.control.show_training()
    assert again.name.text() == "nuclei"
    assert again.cancel_button.isVisible()
    again.close()
    desk.close()
    (folder / "go").write_text("")
    deadline = time.monotonic() + 10
    while not (folder / "over").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_without_a_project_or_a_name_nothing_starts(desk):
    dialog = begin(desk, name="")
    assert desk.control._training is None
    assert "name" in dialog.line.text()
    dialog.close()
    desk.control.project = lambda: None
    assert desk.control.show_training() is None


def test_the_command_is_one_that_the_program_takes(tmp_path):
    wish = Wish(tmp_path / "p.annot", "nuclei", "", "nano", 2.5, tmp_path / "work")
    parser = argparse.ArgumentParser()
    train_adapter.add_arguments(parser)
    args = parser.parse_args(wish.command()[4:])
    assert wish.command()[1:4] == ["-m", "annotator", "train-adapter"]
    assert (args.name, args.minutes, args.no_install, args.work) == ("nuclei", 2.5, True, tmp_path / "work")
    assert replace(wish, domain="cells").command() != wish.command()


def test_half_written_logs_are_read_as_far_as_they_go(tmp_path):
    (tmp_path / "run.csv").write_text("step,minutes,loss\n1,0.1,0.9\n2,0.")
    (tmp_path / "out.txt").write_text("one\r\ntwo\n\n")
    found = read_standing(tmp_path, tmp_path / "out.txt")
    assert (found.loss, found.line, found.rows) == (((0.1, 0.9),), "two", ())
    assert read_standing(tmp_path / "nowhere", Path(tmp_path / "none")).loss == ()


def test_figures_of_an_earlier_run_do_not_pass_for_this_ones(tmp_path, qtbot):
    (tmp_path / "gate.json").write_text(json.dumps({"held back": {"rows": [{"measure": "x"}]}}))
    wish = Wish(tmp_path, "a", "", "nano", 1, tmp_path)
    run = TrainingRun(wish, command=[sys.executable, "-c", "raise SystemExit(3)"])
    with qtbot.waitSignal(run.ended, timeout=8000) as ended:
        run.start()
    assert ended.args == [3]
    assert run.standing.rows == ()
