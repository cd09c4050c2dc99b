"""The Checks panel, in the window with a real project: run, walked through, repaired, waived, exported."""

from __future__ import annotations

import csv
import json
import threading

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QRectF, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from annotator.domain.checks.finding import CheckSpec, Finding
from annotator.domain.checks.listing import CheckList
from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, accept_edit
from annotator.io.project.store import ProjectStore
from annotator.jobs.job import JobState
from annotator.ui.panels.check_rows import IS_OPEN_ROLE, LINES_ROLE

K, M = Qt.Key, Qt.KeyboardModifier
ALT, CTRL_SHIFT = M.AltModifier, M.ControlModifier | M.ShiftModifier
LEFT = Qt.MouseButton.LeftButton
WIDTH, HEIGHT = 160, 120
pytestmark = [
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]


def block(x, y, w, h, *, holes=()):
    bits = np.ones((h, w), np.bool_)
    for hole_x, hole_y in holes:
        bits[hole_y, hole_x] = False
    return Mask(bits, x, y, WIDTH, HEIGHT)


@pytest.fixture
def checking(desk):
    """On the first image two objects that overlap and one with a hole; on the second two that are the same."""
    folder = desk.make_folder(images=2)
    with ProjectStore.open_folder(folder) as store:
        for image_id, mask in (
            (1, block(10, 10, 40, 40)),
            (1, block(40, 10, 30, 30)),
            (1, block(100, 60, 30, 30, holes=[(10, 10)])),
            (2, block(50, 50, 20, 20)),
            (2, block(50, 50, 20, 20)),
        ):
            store.record_image_facts(image_id, sha256=str(image_id) * 64, width=WIDTH, height=HEIGHT)
            blank = Annotation(store.new_id("annotation"), image_id, 1, 0, 0, 0, 0, 0, b"", WIDTH, HEIGHT)
            store.apply(accept_edit(blank.with_mask(mask), store.image(image_id)))
    desk.open(folder=folder)
    return desk


def panel_of(desk):
    return desk.window.panels["checks"]


def check(desk):
    """Run it by its key, and give the focus to the list."""
    panel = panel_of(desk)
    desk.key(K.Key_K, CTRL_SHIFT)
    desk.until(lambda: bool(panel.model.list.groups) and panel.run_button.text() == "Check again")
    panel.view.setFocus()
    return panel


def rows(panel):
    found = []
    for at in range(panel.model.rowCount()):
        row = panel.model.row(at)
        found.append(row.id if isinstance(row, CheckSpec) else row.object_ids)
    return found


def lines(panel, at):
    return panel.model.index(at).data(LINES_ROLE)


def selected(desk):
    return sorted(desk.window.objects.selected_ids())


def told(desk):
    return desk.window.status.message.text()


def test_a_run_is_a_job_and_its_findings_stand_below_their_checks(checking):
    desk = checking
    assert desk.window.docks["checks"].isHidden()
    panel = check(desk)
    assert not desk.window.docks["checks"].isHidden()
    assert rows(panel) == ["duplicate", (5, 4), "overlap", (1, 2), "holes", (3,)]
    assert panel.stands.text() == "3 open"
    assert lines(panel, 0) == ("Duplicate", "Two objects of an image are nearly the same.")
    assert lines(panel, 1)[1] == "1.png · objects 5 and 4"
    (job,) = (job for job in desk.window.jobs.jobs if job.title.startswith("Check "))
    assert job.standing.state is JobState.DONE
    assert job.lines[0] == "3 findings, 1 of them errors"


def test_enter_goes_to_the_image_and_brings_the_objects_before_the_eye(checking):
    desk = checking
    panel = check(desk)
    fitted = desk.window.canvas.zoom
    desk.key(K.Key_Down)
    desk.key(K.Key_Return)
    desk.wait_image(1)
    desk.until(lambda: selected(desk) == [4, 5])
    assert panel.view.hasFocus(), "the next key goes on from here"
    assert "Alt+R: delete." in told(desk)
    desk.key(K.Key_Down)
    desk.key(K.Key_Down)
    at = panel.view.visualRect(panel.view.currentIndex()).center()
    QTest.mouseClick(panel.view.viewport(), LEFT, pos=at)
    QTest.mouseDClick(panel.view.viewport(), LEFT, pos=at)
    desk.wait_image(0)
    desk.until(lambda: selected(desk) == [1, 2])
    canvas = desk.window.canvas
    assert canvas.zoom > fitted
    shown = QRectF(canvas.image_to_view(10, 10), canvas.image_to_view(70, 50))
    assert QRectF(canvas.viewport().rect()).contains(shown)


def test_keys_walk_over_what_is_open_from_the_image_too(checking):
    desk = checking
    panel = check(desk)
    desk.window.canvas.setFocus()
    for expected in ([4, 5], [1, 2], [3]):
        desk.key(K.Key_J, ALT)
        desk.until(lambda wanted=expected: selected(desk) == wanted)
    desk.key(K.Key_J, ALT)
    assert told(desk) == "That was the last open finding."
    desk.key(K.Key_J, ALT | M.ShiftModifier)
    desk.until(lambda: selected(desk) == [1, 2])
    current = panel.current
    desk.click(140, 20)
    for key in (K.Key_J, K.Key_R):
        desk.key(key, ALT)
        assert told(desk).startswith("The current object is not accepted yet")
    assert panel.current is current


def test_a_repair_is_one_step_and_a_step_back_makes_the_finding_true_again(checking):
    desk = checking
    panel = check(desk)
    desk.key(K.Key_J, ALT)
    desk.wait_image(1)
    assert panel.repair_button.text() == "Delete"
    desk.key(K.Key_R, ALT)
    desk.until(lambda: [one.id for one in desk.session.annotations] == [4])
    assert not panel.model.index(1).data(IS_OPEN_ROLE)
    assert lines(panel, 1)[1].startswith("Changed since")
    assert panel.stands.text() == "2 open · changed: check again"
    assert not panel.repair_button.isEnabled()
    desk.key(K.Key_Z, M.ControlModifier)
    assert [one.id for one in desk.session.annotations] == [4, 5]
    assert panel.model.index(1).data(IS_OPEN_ROLE)
    assert panel.model.open_count == 3


@pytest.mark.parametrize(("row", "object_id", "area"), [(3, 1, 1600 - 300), (5, 3, 900)])
def test_overlaps_are_subtracted_and_holes_filled_on_their_own_image(checking, row, object_id, area):
    desk = checking
    panel = check(desk)
    desk.key(K.Key_D)  # the person looks at another image
    desk.wait_image(1)
    panel.view.setCurrentIndex(panel.model.index(row))
    QTest.mouseClick(panel.repair_button, LEFT)
    desk.until(lambda: desk.session.store.annotation(object_id).area == area)
    desk.wait_image(0)
    assert desk.session.store.annotation(object_id).score is None, "no model has seen that mask"


def test_all_that_a_check_found_is_repaired_by_one_edit(checking):
    desk = checking
    store = desk.session.store
    for image_id in (1, 2):
        blank = Annotation(store.new_id("annotation"), image_id, 1, 0, 0, 0, 0, 0, b"", WIDTH, HEIGHT)
        store.apply(accept_edit(blank.with_mask(block(2, 100, 2, 2)), store.image(image_id)))
    panel = check(desk)
    assert rows(panel)[4:7] == ["speck", (6,), (7,)]
    panel.view.setCurrentIndex(panel.model.index(4))
    assert panel.repair_button.text() == "Delete (2)"
    desk.key(K.Key_R, ALT)
    desk.until(lambda: [one.id for one in store.all_annotations()] == [1, 2, 3, 4, 5])
    assert told(desk) == "Repaired: delete (speck, 2 objects)."
    assert not panel.current_group
    assert not panel.repair_button.isEnabled()
    assert desk.window.jobs.jobs[0].title == "Delete (speck)"
    desk.key(K.Key_Z, M.ControlModifier)
    assert [one.id for one in store.all_annotations()] == [1, 2, 3, 4, 5, 6, 7]
    assert len(panel.current_group) == 2


def test_both_objects_are_selected_so_that_they_can_be_merged(checking):
    desk = checking
    panel = check(desk)
    panel.view.setCurrentIndex(panel.model.index(3))
    desk.key(K.Key_Return)
    desk.until(lambda: selected(desk) == [1, 2])
    desk.key(K.Key_M, M.ControlModifier)
    assert [one.id for one in desk.session.annotations] == [1, 3]
    assert lines(panel, 3)[1].startswith("Changed since")
    assert panel.model.index(5).data(IS_OPEN_ROLE), "others are as they were"


def test_a_finding_is_waived_with_a_note_and_that_is_taken_back(checking):
    desk = checking
    panel = check(desk)
    desk.key(K.Key_J, ALT)
    desk.wait_image(1)
    desk.key(K.Key_K, ALT)
    assert panel.field.hasFocus()
    QTest.keyClicks(panel.field, "twins")
    desk.key(K.Key_Return)
    assert lines(panel, 1)[1].startswith("Waived: twins · ")
    assert panel.stands.text() == "2 open · 1 waived"
    assert [one.note for one in desk.session.store.waivers.all().values()] == ["twins"]
    check(desk)
    assert panel.model.open_count == 2, "another run knows it"
    panel.view.setCurrentIndex(panel.model.index(1))
    assert panel.waive_button.text() == "Count again"
    desk.key(K.Key_K, ALT)
    assert panel.model.open_count == 3
    assert not desk.session.store.waivers.all()


def test_on_a_low_screen_every_button_is_reached_by_tab(checking):
    desk = checking
    desk.window.resize(853, 480)
    panel = check(desk)
    desk.key(K.Key_Down)
    for button in (panel.images_box, panel.run_button, panel.repair_button, panel.waive_button, panel.export_button):
        desk.key(K.Key_Tab)
        assert button.hasFocus()
        assert not button.visibleRegion().isEmpty()
    desk.window.canvas.setFocus()
    desk.key(K.Key_K, ALT)
    assert panel.field.hasFocus()
    desk.until(lambda: not panel.field.visibleRegion().isEmpty())


def test_escape_leaves_a_finding_open(checking):
    desk = checking
    panel = check(desk)
    desk.key(K.Key_Down)
    desk.key(K.Key_K, ALT)
    QTest.keyClicks(panel.field, "tw")
    desk.key(K.Key_Escape)
    assert panel.field.isHidden()
    assert panel.view.hasFocus()
    assert panel.model.open_count == 3


def test_what_a_check_found_is_hidden_and_shown_by_keys(checking):
    desk = checking
    panel = check(desk)
    desk.key(K.Key_Down)
    desk.key(K.Key_Left)
    assert rows(panel)[:2] == ["duplicate", "overlap"]
    assert panel.view.currentIndex().row() == 0
    desk.key(K.Key_Right)
    assert rows(panel)[:2] == ["duplicate", (5, 4)]
    desk.key(K.Key_Return)
    assert rows(panel)[:2] == ["duplicate", "overlap"]


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_the_report_is_the_one_of_the_command(checking, monkeypatch, suffix):
    desk = checking
    panel = check(desk)
    desk.key(K.Key_J, ALT)
    desk.wait_image(1)
    desk.key(K.Key_R, ALT)
    desk.until(lambda: panel.model.open_count == 2)
    out = desk.root / f"report{suffix}"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(out), ""))
    QTest.mouseClick(panel.export_button, LEFT)
    desk.until(lambda: told(desk) == f"Written: report{suffix}.")
    text = out.read_text()
    found = json.loads(text)["findings"] if suffix == ".json" else list(csv.DictReader(text.splitlines()))
    assert [row["check"] for row in found] == ["overlap", "holes"], "what was changed since is left out"
    assert found[0]["image"] == "0.png"


def test_a_run_is_stopped_and_what_was_found_before_stays(checking, monkeypatch):
    desk = checking
    panel = check(desk)
    go, has_begun = threading.Event(), threading.Event()
    images = ProjectStore.images

    def held(store):
        has_begun.set()
        assert go.wait(10)
        return images(store)

    monkeypatch.setattr(ProjectStore, "images", held)
    QTest.mouseClick(panel.run_button, LEFT)
    desk.until(has_begun.is_set)
    assert panel.run_button.text() == "Stop"
    QTest.mouseClick(panel.run_button, LEFT)
    go.set()
    desk.until(lambda: panel.run_button.text() == "Check again")
    assert panel.model.open_count == 3
    assert desk.window.jobs.jobs[0].standing.state is JobState.CANCELLED


def test_what_is_changed_while_it_is_checked_is_told(checking, monkeypatch):
    desk = checking
    panel = panel_of(desk)
    go, has_begun = threading.Event(), threading.Event()
    of = CheckList.of

    def held(*args):
        has_begun.set()
        assert go.wait(10)
        return of(*args)

    monkeypatch.setattr(CheckList, "of", held)
    desk.key(K.Key_K, CTRL_SHIFT)
    desk.until(has_begun.is_set)
    desk.session.delete({1})
    go.set()
    desk.until(lambda: bool(panel.model.list.groups))
    assert rows(panel)[2:4] == ["overlap", (1, 2)]
    assert not panel.model.index(3).data(IS_OPEN_ROLE)


def test_another_project_has_no_findings_yet(checking):
    desk = checking
    panel = check(desk)
    desk.program.files.open_path(desk.make_other_folder())
    desk.until(lambda: not panel.model.rowCount())
    desk.window.canvas.setFocus()
    desk.key(K.Key_J, ALT)
    assert told(desk) == "Nothing was checked yet. Ctrl+Shift+K does."
    desk.key(K.Key_R, ALT)
    assert told(desk) == "Choose a finding in the Checks panel first."


def test_ten_thousand_findings_are_asked_for_as_they_are_seen(checking, monkeypatch):
    desk = checking
    panel = check(desk)
    many = [Finding("border", 1, (at,), float(at), "ends at the border", f"mark{at}") for at in range(10_000)]
    asked = []
    written = panel.model._lines

    def counting(row):
        asked.append(row)
        return written(row)

    monkeypatch.setattr(panel.model, "_lines", counting)
    panel.show_list(CheckList.of(many, {1: "0.png"}, {}))
    panel.view.grab()
    panel.view.setCurrentIndex(panel.model.index(9_000))
    panel.view.grab()
    assert panel.model.rowCount() == 10_001
    assert 0 < len(asked) < 200


def test_two_that_overlap_are_made_one(checking):
    desk = checking
    panel = check(desk)
    at = next(n for n in range(panel.model.rowCount()) if getattr(panel.model.row(n), "check", "") == "overlap")
    panel.view.setCurrentIndex(panel.model.index(at))
    desk.key(K.Key_R, ALT | M.ShiftModifier)
    desk.until(lambda: desk.session.store.undo_name == "merge 2 objects")
    assert len(desk.session.annotations) == 2
    desk.key(K.Key_Z, M.ControlModifier)
    assert len(desk.session.annotations) == 3
    holes = next(n for n in range(panel.model.rowCount()) if getattr(panel.model.row(n), "check", "") == "holes")
    panel.view.setCurrentIndex(panel.model.index(holes))
    desk.key(K.Key_R, ALT | M.ShiftModifier)
    assert "nothing to merge" in desk.window.status.message.text()


def test_outlines_are_compared_with_the_images_where_that_is_wanted(desk, tmp_path):
    folder = tmp_path / "seen"
    folder.mkdir()
    image = np.random.default_rng(0).integers(40, 60, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    image[10:38, 10:38] += 120
    Image.fromarray(image).save(folder / "a.png")
    with ProjectStore.open_folder(folder) as store:
        store.record_image_facts(1, sha256="1" * 64, width=WIDTH, height=HEIGHT)
        for x, y in ((10, 10), (20, 16)):
            blank = Annotation(store.new_id("annotation"), 1, 1, 0, 0, 0, 0, 0, b"", WIDTH, HEIGHT)
            store.apply(accept_edit(blank.with_mask(block(x, y, 28, 28)), store.image(1)))
    desk.open(folder=folder)
    panel = check(desk)
    assert "edges" not in {group.spec.id for group in panel.model.list.groups}
    panel.images_box.click()
    check_again(desk)
    [group] = [one for one in panel.model.list.groups if one.spec.id == "edges"]
    assert [one.object_ids for one in group.findings] == [(2,)]
    assert desk.program.settings.get("check_images") is True


def check_again(desk):
    runs = len(desk.window.jobs.jobs)
    QTest.mouseClick(panel_of(desk).run_button, LEFT)
    desk.until(lambda: len(desk.window.jobs.jobs) > runs and panel_of(desk).run_button.text() == "Check again")
