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

from annotator.commands.train import adapter as train_adapter
from annotator.domain.errors import ModelError, UserError
from annotator.jobs.training_record import Outcome, RunRecord, Wish, open_records, write_record
from annotator.ui.adapters.training import TrainingRun, read_standing
from annotator.ui.adapters.training_control import TrainingControl
from annotator.ui.adapters.training_fact import TrainingFact
from tests.gui.test_adapters import AdaptableSegmenter, MemoryShelf, entry

LEFT = Qt.MouseButton.LeftButton
pytestmark = [
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
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
while waits in ("wait", "die") and not (folder / "go").exists():
    time.sleep(0.02)
if waits in ("fail", "die"):
    print("There are too few objects.")
    sys.exit(2)
mean = lambda v: {"mean": v, "low": v - 0.01, "high": v + 0.01}
rows = [{"measure": "bIoU, all", "base": mean(0.5), "adapter": mean(0.5 + gain), "difference": mean(gain)}]
alone = lambda v: {"mean": v, "low": v, "high": v}
rows.insert(0, {"measure": "NoC@85", "base": alone(9.04), "adapter": alone(8.0), "difference": alone(-1.04)})
(folder / "candidate.safetensors").write_bytes(b"x")
(folder / "gate.part").write_text(json.dumps({"held back": {"rows": rows}}))
(folder / "gate.part").replace(folder / "gate.json")
print("The adapter was judged.")
(folder / "over").write_text("yes")
"""


@pytest.fixture
def desk(desk, tmp_path, monkeypatch):
    monkeypatch.setattr("annotator.ui.adapters.training.POLL_MS", 20)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path / "cache")
    desk.shelf = MemoryShelf(entry("cells"))
    monkeypatch.setattr(desk.shelf, "checked_name", lambda name: name)
    desk.engine.segmenter = AdaptableSegmenter()
    desk.options["shelf"] = desk.shelf
    desk.open()
    desk.control = desk.program.adapters
    desk.child = ("0.1", "")
    desk.real_command = Wish.command
    monkeypatch.setattr(Wish, "command", lambda wish: [sys.executable, "-c", CHILD, str(wish.folder), *desk.child])
    return desk


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
    run = desk.control.training.run
    desk.until(lambda: len(run.standing.validation) == 3)
    assert run.standing.loss == ((0.1, 1.0), (0.2, 0.5), (0.3, pytest.approx(1 / 3)))
    assert "epoch 3" in dialog.line.text()
    assert dialog.cancel_button.isVisible()
    assert not dialog.install_button.isVisible()
    desk.accept_at(60, 50)
    (run.wish.folder / "go").write_text("")
    desk.until(lambda: not run.is_running)
    texts = [[dialog.table.item(row, column).text() for column in range(4)] for row in (0, 1)]
    assert texts[0] == ["Boundary IoU, all", "0.500", "0.600", "+0.100  (+0.090 to +0.110)"]
    assert texts[1] == ["Clicks to IoU 0.85", "9.0", "8.0", "-1.0"], "one image has no interval"
    assert dialog.install_button.text() == "Install"
    QTest.mouseClick(dialog.install_button, LEFT)
    desk.until(lambda: desk.shelf.done == [("import", run.candidate)])
    dialog.close()


def test_enter_starts_the_training_and_there_is_one_dialog(desk):
    desk.child = ("0.1", "wait")
    dialog = desk.control.training.show()
    assert desk.control.training.show() is dialog
    dialog.activateWindow()
    desk.until(dialog.isActiveWindow)
    dialog.name.setFocus()
    QTest.keyClicks(dialog.name, "nuclei")
    QTest.keyClick(dialog.name, Qt.Key.Key_Return)
    run = desk.control.training.run
    assert run.is_running
    dialog.close()
    again = desk.control.training.show()
    assert again is not dialog
    assert again.cancel_button.isVisible(), "it shows the run that there is"
    (run.wish.folder / "go").write_text("")
    desk.until(lambda: not run.is_running)
    again.activateWindow()
    desk.until(again.isActiveWindow)
    again.name.setFocus()
    QTest.keyClick(again.name, Qt.Key.Key_Return)
    assert run.has_result, "Enter does not throw a result away"
    again.close()


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
    run = desk.control.training.run
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
    run = desk.control.training.run
    folder = run.wish.folder
    desk.until(lambda: len(run.standing.loss) == 3)
    dialog.close()
    again = desk.control.training.show()
    assert again.name.text() == "nuclei"
    assert again.cancel_button.isVisible()
    again.close()
    desk.close()
    (folder / "go").write_text("")
    deadline = time.monotonic() + 10
    while not (folder / "over").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def reopen(desk):
    """The window of another day, on the same folder."""
    desk.open(folder=desk.folder)
    desk.control = desk.program.adapters
    desk.until(desk.window.area.error_bar.isVisible)
    return desk.window.area.error_bar


def close_in_the_middle(desk, *child):
    desk.child = child
    dialog = begin(desk)
    run = desk.control.training.run
    desk.until(lambda: len(run.standing.loss) == 3)
    dialog.close()
    desk.close()
    return run.wish


def shown_dialog(desk):
    QTest.mouseClick(desk.window.area.error_bar.button, LEFT)
    return next(w for w in desk.window.findChildren(object) if type(w).__name__ == "TrainDialog")


def wait_for_the_end(wish):
    deadline = time.monotonic() + 10
    while open_records(wish.folder.parents[1])[0].is_alive:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_next_window_follows_a_run_that_still_goes_on_to_its_result(desk):
    wish = close_in_the_middle(desk, "0.1", "wait")
    assert "nuclei is still being trained" in reopen(desk).text
    dialog = shown_dialog(desk)
    assert (dialog.name.text(), dialog.cancel_button.isVisible()) == ("nuclei", True)
    assert "epoch 3" in dialog.line.text()
    panel = desk.control.show_panel()
    assert panel.train_button.text() == "Training…"
    (wish.folder / "go").write_text("")
    desk.until(dialog.install_button.isVisible)
    assert panel.train_button.text() == "Result…"
    panel.close()
    QTest.mouseClick(dialog.install_button, LEFT)
    desk.until(lambda: desk.shelf.done == [("import", wish.folder / "candidate.safetensors")])
    desk.until(lambda: "installed" in dialog.line.text())
    assert desk.shelf.cards == [wish.folder / "gate.md"]
    assert not dialog.install_button.isVisible()
    assert open_records(wish.folder.parents[1]) == []
    dialog.close()


def test_the_next_window_can_stop_a_run_that_it_did_not_start(desk):
    wish = close_in_the_middle(desk, "0.1", "wait")
    (record,) = open_records(wish.folder.parents[1])
    reopen(desk)
    dialog = shown_dialog(desk)
    QTest.mouseClick(dialog.cancel_button, LEFT)
    desk.until(lambda: "Stopped" in dialog.line.text())
    assert not record.is_alive
    assert open_records(wish.folder.parents[1]) == [], "the person knows of it"
    dialog.close()


def test_an_offer_does_not_hide_that_something_was_trained(desk):
    wait_for_the_end(close_in_the_middle(desk, "0.1", ""))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingControl, "look_for_runs", lambda _self: None)
        desk.open(folder=desk.folder)
    bar = desk.window.area.error_bar
    desk.window.notices.offer("A larger model.", about="offer", action=("Download", lambda: None))
    assert bar.text == "A larger model."
    desk.program.adapters.training.look_for_runs()
    desk.until(lambda: "nuclei is trained and waits" in bar.text)


@pytest.mark.parametrize("is_wanted", [True, False])
def test_what_was_trained_while_the_window_was_closed_waits_for_a_decision(desk, monkeypatch, is_wanted):
    wish = close_in_the_middle(desk, "0.1", "")
    wait_for_the_end(wish)
    assert "nuclei is trained and waits" in reopen(desk).text
    desk.close()
    assert "nuclei is trained and waits" in reopen(desk).text, "until it is decided"
    dialog = shown_dialog(desk)
    assert dialog.table.item(0, 2).text() == "0.600"
    if is_wanted:
        QTest.mouseClick(dialog.install_button, LEFT)
        desk.until(lambda: len(desk.shelf.done) == 1)
    else:
        for answer, is_there in ((QMessageBox.StandardButton.No, True), (QMessageBox.StandardButton.Yes, False)):
            monkeypatch.setattr(QMessageBox, "question", lambda *_, answer=answer: answer)
            QTest.mouseClick(dialog.discard_button, LEFT)
            desk.until(lambda is_there=is_there: wish.folder.exists() == is_there)
        assert desk.shelf.done == []
    desk.until(lambda: desk.control.training.run is None)
    assert not dialog.install_button.isVisible()
    assert open_records(wish.folder.parents[1]) == []
    dialog.close()


def test_a_run_that_died_meanwhile_is_told_once(desk):
    wish = close_in_the_middle(desk, "0.1", "die")
    (wish.folder / "go").touch()  # not before the window is closed, or that window would be told
    wait_for_the_end(wish)
    bar = reopen(desk)
    assert "ended without a result. There are too few objects." in bar.text
    dialog = shown_dialog(desk)
    assert not dialog.install_button.isVisible()
    assert dialog.start_button.text() == "Train again"
    dialog.close()
    assert open_records(wish.folder.parents[1]) == []


def test_an_install_that_fails_is_told_and_can_be_tried_again(desk, monkeypatch):
    def refuse(*_words, **_more):
        raise ModelError("The folder is full.", "Free some space.")

    desk.child = ("0.1", "")
    dialog = begin(desk)
    desk.until(dialog.install_button.isVisible)
    with monkeypatch.context() as patched:
        patched.setattr(desk.shelf, "bring_in", refuse)
        QTest.mouseClick(dialog.install_button, LEFT)
        desk.until(lambda: "full" in desk.window.area.error_bar.text)
    desk.until(dialog.install_button.isEnabled)
    QTest.mouseClick(dialog.install_button, LEFT)
    desk.until(lambda: len(desk.shelf.done) == 1)
    dialog.close()


def test_a_torn_record_and_a_pid_of_somebody_else_do_no_harm(tmp_path, qtbot):
    folder = tmp_path / "nuclei" / "state"
    folder.mkdir(parents=True)
    (tmp_path / "nuclei" / "torn").mkdir()
    (tmp_path / "nuclei" / "torn" / "record.json").write_text("{")
    wish = Wish(tmp_path / "p.annot", "nuclei", "", "nano", 1, folder)
    write_record(RunRecord(wish, os.getpid(), 5.0))
    (record,) = open_records(tmp_path)
    assert (record.wish, record.is_alive) == (wish, False), "this process holds no lock there"
    run = TrainingRun(record.wish)
    run.follow(record)
    run.cancel()
    assert run.outcome is Outcome.OPEN, "there is nothing to stop"


def test_two_windows_do_not_train_in_one_folder(tmp_path, qtbot):
    wish = Wish(tmp_path, "a", "", "nano", 1, tmp_path / "a" / "state")
    code = "import time; time.sleep(60)"
    run = TrainingRun(wish, command=[sys.executable, "-c", code])
    run.start()
    with pytest.raises(UserError, match="already"):
        TrainingRun(wish, command=[sys.executable, "-c", code]).start()
    with qtbot.waitSignal(run.ended, timeout=8000):
        run.cancel()
    assert run.outcome is Outcome.STOPPED


def test_the_model_in_use_is_the_one_that_is_trained_on(desk, tmp_path):
    segmenter = desk.engine.segmenter
    segmenter.info = replace(segmenter.info, path="/own/tuned.pt", config="configs/sam2.1/sam2.1_hiera_t.yaml")
    desk.client.restart(desk.engine.factory)
    desk.until(lambda: desk.client.info.path == "/own/tuned.pt")
    wish = desk.control.training._wish("nuclei", "", 2.0)
    command = desk.real_command(wish)
    place = command.index("--model")
    assert command[place + 1] == "/own/tuned.pt"
    assert command[command.index("--config") + 1] == "configs/sam2.1/sam2.1_hiera_t.yaml"
    assert command[command.index("--device") + 1] == "cpu"


def test_an_edit_makes_another_run(desk):
    desk.session.classes.add("cell")
    desk.session.classes.pick(1)
    desk.accept_at(60, 50)
    before = desk.control.training._wish("nuclei", "", 2.0).folder
    assert desk.control.training._wish("nuclei", "", 2.0).folder == before
    desk.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    desk.accept_at(60, 50)
    assert desk.control.training._wish("nuclei", "", 2.0).folder != before, "as many objects, but other ones"


def test_a_training_gives_way_to_the_window(tmp_path):
    assert "--give-way" in Wish(tmp_path, "a", "", "nano", 1, tmp_path).command()


def test_a_short_training_encodes_and_judges_less(tmp_path):
    short, long = (Wish(tmp_path, "a", "", "nano", minutes, tmp_path).command() for minutes in (0.1, 20))
    for flag, few, many in (("--windows", "24", "400"), ("--gate-objects", "12", "60")):
        assert (short[short.index(flag) + 1], long[long.index(flag) + 1]) == (few, many)


def test_without_a_project_or_a_name_nothing_starts(desk):
    dialog = begin(desk, name="")
    assert desk.control.training.run is None
    assert "name" in dialog.line.text()
    dialog.close()
    desk.control.training.project = lambda: None
    assert desk.control.training.show() is None


def test_the_command_is_one_that_the_program_takes(tmp_path):
    wish = Wish(tmp_path / "p.annot", "nuclei", "", "nano", 2.5, tmp_path / "work")
    parser = argparse.ArgumentParser()
    train_adapter.add_arguments(parser)
    args = parser.parse_args(wish.command()[5:])
    assert wish.command()[1:5] == ["-P", "-m", "annotator", "train-adapter"]
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


def test_a_training_runs_nothing_that_lies_among_the_images(tmp_path, qtbot, monkeypatch):
    """The real command, started by a window that stands in a folder with files named like modules."""
    sprung = tmp_path / "sprung"
    images = tmp_path / "images"
    images.mkdir()
    for name in ("json", "random", "typing", "annotator", "torch"):
        (images / f"{name}.py").write_text(f"import pathlib; pathlib.Path({str(sprung)!r}).write_text(__name__)\n")
    monkeypatch.chdir(images)
    run = TrainingRun(Wish(Path("missing.annot"), "a", "", "nano", 1, tmp_path / "a" / "state"))
    with qtbot.waitSignal(run.ended, timeout=60_000) as ended:
        run.start()
    assert ended.args == [2]
    assert f"{images / 'missing.annot'}" in run.output.read_text()
    assert not sprung.exists(), sprung.read_text()


def test_a_running_training_is_in_the_status_bar_and_a_click_opens_it(desk):
    fact = desk.window.status.findChild(TrainingFact)
    assert not fact.isVisible()
    desk.child = ("0.1", "wait")
    dialog = begin(desk)
    desk.until(lambda: "0.3 of 20 minutes" in fact.button.text())
    assert fact.isVisible()
    assert fact.bar.value() == round(1000 * 0.3 / 20)
    dialog.close()
    QTest.mouseClick(fact.button, LEFT)
    assert desk.control.training._dialog.isVisible()
    (desk.control.training.run.wish.folder / "go").touch()
    desk.until(lambda: fact.button.text() == "nuclei is trained")
    assert not fact.bar.isVisible()
    QTest.mouseClick(desk.control.training._dialog.install_button, LEFT)
    desk.until(lambda: not fact.isVisible())
