"""Export, settings, samples, crash reports."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QLabel

from annotator.domain.errors import ExportError, ImageError
from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, accept_edit
from annotator.io.formats.registry import OWN
from annotator.io.images import samples
from annotator.io.project.store import ProjectStore
from annotator.io.settings import SETTINGS, Settings
from annotator.plugins import Package
from annotator.ui.dialogs.export import ExportDialog
from annotator.ui.dialogs.settings import SettingsDialog
from annotator.ui.dialogs.work_dialog import WorkDialog
from annotator.ui.look.theme import Theme
from annotator.ui.shell.action_rows import ACTIONS
from annotator.ui.shell.crash import CrashHandler, write_report
from annotator.ui.shell.keymap import presets
from annotator.ui.shell.sheets import AboutBox, ShortcutSheet

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(folder / "a.png")
    with ProjectStore.open_folder(folder) as store:
        image = store.images()[0]
        store.record_image_facts(image.id, sha256="", width=60, height=40)
        full = np.zeros((40, 60), bool)
        full[5:15, 5:25] = True
        full[8:10, 8:12] = False
        blank = Annotation(store.new_id("annotation"), image.id, 1, 0, 0, 0, 0, 0, b"", 60, 40)
        store.apply(accept_edit(blank.with_mask(Mask.from_full(full)), store.image(image.id)))
        return store.path


def test_export_writes_and_shows_the_self_check(project, qtbot):
    dialog = ExportDialog(project, OWN)
    qtbot.addWidget(dialog)
    dialog.show()
    with qtbot.waitSignal(dialog.done_with):
        QTest.mouseClick(dialog.start_button, LEFT)
    assert "self-check: 1 object read back" in dialog.report.toPlainText()
    data = json.loads((project.parent / "set-coco.json").read_text())
    assert data["annotations"][0]["area"] == 192
    assert not dialog.is_running


def test_an_existing_file_is_replaced_only_when_the_person_says_so(project, qtbot):
    old = project.parent / "set-coco.json"
    old.write_text("kept by hand")
    dialog = ExportDialog(project, OWN)
    qtbot.addWidget(dialog)
    dialog.show()
    QTest.mouseClick(dialog.start_button, LEFT)
    assert not dialog.is_running
    assert old.read_text() == "kept by hand"
    assert "already" in dialog.report.toPlainText()
    assert dialog.start_button.text() == "Replace"
    dialog.place.setText(str(project.parent / "other.json"))
    assert dialog.start_button.text() == "Export"
    dialog.place.setText(str(old))
    QTest.mouseClick(dialog.start_button, LEFT)
    assert old.read_text() == "kept by hand", "it is asked again"
    with qtbot.waitSignal(dialog.done_with):
        QTest.mouseClick(dialog.start_button, LEFT)
    assert json.loads(old.read_text())["annotations"]


def test_an_export_does_not_destroy_the_project(project, qtbot):
    dialog = ExportDialog(project, OWN)
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.place.setText(str(project))
    QTest.mouseClick(dialog.start_button, LEFT)
    qtbot.waitUntil(lambda: not dialog.is_running)
    assert "is a project file" in dialog.report.toPlainText()
    ProjectStore.open(project).close()


def test_export_of_polygons(project, qtbot):
    dialog = ExportDialog(project, OWN)
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.format.setCurrentIndex(1)
    assert not dialog.options
    with qtbot.waitSignal(dialog.done_with):
        QTest.mouseClick(dialog.start_button, LEFT)
    assert (project.parent / "set-polygons" / "a.png.json").is_file()


def test_polygons_are_written_into_a_used_folder_only_when_the_person_says_so(project, qtbot):
    old = project.parent / "set-polygons" / "gone.png.json"
    old.parent.mkdir()
    old.write_text("{}")
    dialog = ExportDialog(project, OWN)
    qtbot.addWidget(dialog)
    dialog.show()
    dialog.format.setCurrentIndex(1)
    QTest.mouseClick(dialog.start_button, LEFT)
    assert "the others stay" in dialog.report.toPlainText()
    assert list(old.parent.iterdir()) == [old]
    with qtbot.waitSignal(dialog.done_with):
        QTest.mouseClick(dialog.start_button, LEFT)
    assert "gone.png.json: delete what an earlier export left" in dialog.report.toPlainText()
    assert old.is_file()


def test_a_failing_export_says_why_and_can_be_tried_again(project, qtbot, monkeypatch):
    def full(*_args, **_kwargs):
        raise ExportError("The disk is full.", "Make room.")

    monkeypatch.setattr("annotator.io.formats.coco.export.export_coco", full)
    dialog = ExportDialog(project, OWN)
    qtbot.addWidget(dialog)
    dialog.show()
    QTest.mouseClick(dialog.start_button, LEFT)
    qtbot.waitUntil(lambda: dialog.report.toPlainText() == "The disk is full. Make room.")
    assert dialog.start_button.isEnabled()
    assert not (project.parent / "set-coco.json").exists()


def test_closing_stops_the_work_first(qtbot):
    dialog = WorkDialog("Long")
    qtbot.addWidget(dialog)
    dialog.show()

    def endless(job):
        step = 0
        while True:
            step += 1
            job.progress(step, 10**9)

    dialog.start(endless)
    assert dialog.is_running
    dialog.close()
    assert dialog.isVisible()
    qtbot.waitUntil(lambda: not dialog.is_running)
    assert "Stopped" in dialog.report.toPlainText()
    with qtbot.waitSignal(dialog.finished):
        QTest.keyClick(dialog, Qt.Key.Key_Escape)


def test_settings_dialog_shows_the_table_and_applies_at_once(tmp_path, qtbot):
    settings = Settings.load(tmp_path / "settings.toml")
    dialog = SettingsDialog(settings)
    qtbot.addWidget(dialog)
    assert set(dialog.editors) == {s.key for s in SETTINGS if s.group != "state"}
    theme = dialog.editors["theme"]
    assert isinstance(theme, QComboBox)
    with qtbot.waitSignal(dialog.changed) as seen:
        theme.setCurrentText("light")
    assert seen.args == ["theme"]
    opacity = dialog.editors["mask_opacity"]
    assert isinstance(opacity, QDoubleSpinBox)
    opacity.setValue(0.3)
    prefetch = dialog.editors["prefetch"]
    assert isinstance(prefetch, QCheckBox)
    prefetch.click()
    again = Settings.load(tmp_path / "settings.toml")
    assert (again.get("theme"), again.get("mask_opacity"), again.get("prefetch")) == ("light", 0.3, False)


@dataclass(frozen=True)
class FoundModel:
    name: str
    is_present: bool
    is_verified: bool = True
    note: str = ""


MODELS = (FoundModel("large", False), FoundModel("small", True), FoundModel("odd", True, False, "SHA-256 differs"))


def settings_dialog(tmp_path, qtbot, **values):
    settings = Settings.load(tmp_path / "settings.toml")
    for key, value in values.items():
        settings.set(key, value)
    dialog = SettingsDialog(settings)
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog, dialog.editors["model"]


def test_the_model_is_chosen_from_what_is_there(tmp_path, qtbot):
    dialog, choice = settings_dialog(tmp_path, qtbot)
    assert choice.currentText() == ""
    assert "best" in choice.lineEdit().placeholderText()
    dialog.set_models(MODELS)
    rows = [choice.model().item(row) for row in range(choice.count())]
    assert [row.text() for row in rows] == ["", "large", "small", "odd"]
    states = [row.accessibleText() for row in rows[1:]]
    assert states == ["large, to download", "small, present", "odd, not verified"]
    assert [row.isEnabled() for row in rows] == [True, False, True, True]
    assert "annotator models download large" in rows[1].toolTip()
    with qtbot.waitSignal(dialog.changed) as seen:
        QTest.keyClick(choice, Qt.Key.Key_Down)
        QTest.keyClick(choice, Qt.Key.Key_Down)
    assert seen.args == ["model"]
    assert choice.currentText() == "small", "one that is not here is passed over"
    assert Settings.load(tmp_path / "settings.toml").get("model") == "small"


def test_a_path_can_be_typed_and_outlives_the_list(tmp_path, qtbot):
    dialog, choice = settings_dialog(tmp_path, qtbot, model="mine")
    assert choice.currentText() == "mine"
    changes = []
    dialog.changed.connect(changes.append)
    dialog.activateWindow()
    qtbot.waitUntil(dialog.isActiveWindow)
    choice.setFocus()
    choice.lineEdit().selectAll()
    QTest.keyClicks(choice.lineEdit(), "/data/own.pt")
    dialog.set_models(MODELS)
    assert choice.currentText() == "/data/own.pt"
    assert changes == [], "a half-typed name loads nothing"
    dialog.editors["author"].setFocus()
    assert changes == ["model"]
    assert Settings.load(tmp_path / "settings.toml").get("model") == "/data/own.pt"


def text_left(widget):
    """The first column, in the dialog, that the text of a field has ink in."""
    shot = widget.grab().toImage()
    ground = shot.pixelColor(shot.width() // 2, shot.height() - 4).lightness()
    for x in range(4, shot.width() - 30):
        column = [shot.pixelColor(x, y).lightness() for y in range(5, shot.height() - 5)]
        if max(abs(value - ground) for value in column) > 60:
            return x
    raise AssertionError("no text")


def test_the_texts_of_all_fields_begin_in_one_column(tmp_path, qtbot, qapp):
    Theme(qapp, "dark")
    dialog, choice = settings_dialog(tmp_path, qtbot, author="Eve", model="Eve", device="cpu")
    theme = dialog.editors["keymap"]
    theme.addItem("Eve")
    theme.setCurrentText("Eve")
    dialog.editors["author"].deselect()
    choice.lineEdit().deselect()
    lefts = {key: text_left(dialog.editors[key]) for key in ("author", "keymap", "model")}
    assert max(lefts.values()) - min(lefts.values()) <= 1, lefts
    numbers = text_left(dialog.editors["max_image_megapixels"])
    assert abs(numbers - lefts["author"]) <= 2, "a digit has another bearing than a letter"


def test_the_dialogs_have_a_heading_of_their_own(project, qtbot):
    for dialog in (ExportDialog(project, OWN), WorkDialog("Import COCO")):
        qtbot.addWidget(dialog)
        titles = [label.text() for label in dialog.findChildren(QLabel) if label.objectName() == "title"]
        assert titles == [dialog.windowTitle()]


def test_shortcut_sheet_lists_every_key(qtbot):
    for keymap in presets().values():
        sheet = ShortcutSheet(keymap)
        qtbot.addWidget(sheet)
        texts = {label.text() for label in sheet.findChildren(QLabel)}
        for row in ACTIONS:
            if keymap.keys(row.id):
                assert (row.together or row.name) in texts
        assert {"Enter", "Ctrl+Z", "hold H", "1 … 9"} <= texts


def test_about_names_version_and_licences(qtbot):
    box = AboutBox(None)
    qtbot.addWidget(box)
    text = " ".join(label.text() for label in box.findChildren(QLabel))
    assert "LGPL" in text
    assert "Apache-2.0" in text
    qtbot.waitUntil(lambda: box.plugins.text() == "No plug-ins.")


def test_about_lists_the_plug_ins(qtbot, monkeypatch):
    added = (Package("annotator-nd2", "0.3", ("image reader nd2",)), Package("yo", "1", ("export format a", "x b")))
    monkeypatch.setattr("annotator.plugins.packages", lambda: added)
    box = AboutBox(None)
    qtbot.addWidget(box)
    box.show()
    qtbot.waitUntil(lambda: "annotator-nd2 0.3: image reader nd2" in box.plugins.text())
    assert "yo 1: export format a, x b" in box.plugins.text()


def test_about_can_be_closed_at_once(qtbot):
    box = AboutBox(None)
    box.open()
    box.close()


def test_samples_are_real_images_from_the_wheels(tmp_path):
    folder = samples.write_samples(tmp_path / "samples")
    with ProjectStore.open_folder(folder) as store:
        names = {image.path for image in store.images()}
    assert {"coins.png", "coffee.png", "ct-head.dcm"} <= names
    assert names == {*samples.SKIMAGE_SAMPLES.values(), *samples.PYDICOM_SAMPLES.values()}
    (folder / "coins.png").write_bytes(b"mine")
    samples.write_samples(folder)
    assert (folder / "coins.png").read_bytes() == b"mine"


def test_samples_that_cannot_be_written_are_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ImageError, match="cannot be written"):
        samples.write_samples(tmp_path / "file" / "samples")


def test_crash_report_holds_the_trace(tmp_path):
    try:
        raise RuntimeError("boom 42")
    except RuntimeError as error:
        path = write_report(tmp_path / "logs", error, where="window")
    text = path.read_text()
    assert "boom 42" in text
    assert "test_crash_report_holds_the_trace" in text


def test_crash_handler_reports_and_tells(tmp_path, qtbot, monkeypatch, capsys):
    saved: list[str] = []
    handler = CrashHandler(tmp_path, on_crash=lambda: saved.append("saved"))
    with qtbot.waitSignal(handler.crashed) as seen:
        try:
            raise ValueError("inside")
        except ValueError:
            handler.on_exception(*sys.exc_info())
    assert saved == ["saved"]
    assert "ValueError" in seen.args[0]
    assert len(list(tmp_path.glob("crash-*.txt"))) == 1
    assert "inside" in capsys.readouterr().err
    logging.getLogger("annotator").handlers.clear()
