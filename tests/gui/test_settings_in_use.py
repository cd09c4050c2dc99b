"""Settings that change what the window shows, through the real dialog."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from annotator.domain.errors import UserError
from annotator.io.formats.coco.export import export_coco
from annotator.io.project.identifiers import LEFT_OUT, UIDS_KEY
from annotator.io.project.store import ProjectStore
from annotator.io.settings import SETTINGS, Settings
from annotator.ui.canvas.mask_picture import MaskLook
from tests.fakes import FakeSegmenter, fake_engine
from tests.unit.io.test_readers_dicom import write as write_dicom

pytestmark = [
    pytest.mark.qt_log_ignore("propagateSizeHints", extend=True),
]


def test_the_window_is_dark_unless_somebody_wants_otherwise(desk):
    desk.build()
    assert desk.window.theme.tokens.name == "dark"
    assert next(s.choices for s in SETTINGS if s.key == "theme") == ("dark", "light", "system")


def outline_share(desk):
    """How much of the canvas has the outline's colour, with fills made invisible."""
    shot = desk.window.canvas.viewport().grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    pixels = np.frombuffer(shot.constBits(), np.uint8).reshape(shot.height(), shot.width(), 4)[..., 2::-1].astype(int)
    wanted = MaskLook(desk.session.category.colour, 0.0).line.getRgb()[:3]
    return float((np.abs(pixels - wanted).max(axis=2) <= 2).mean())


def test_the_width_of_outlines_is_a_setting(desk):
    folder = desk.root / "plain"
    folder.mkdir()
    Image.fromarray(np.zeros((120, 160, 3), np.uint8)).save(folder / "0.png")
    desk.open(folder=folder)
    desk.accept_at(60, 60)
    dialog = desk.program.files.show_settings()
    dialog.editors["mask_opacity"].setValue(0.0)
    shares = []
    for width_px in (0.0, 4.0, 8.0):
        dialog.editors["outline_width_px"].setValue(width_px)
        shares.append(outline_share(desk))
    dialog.close()
    assert shares[0] == 0.0
    assert shares[1] > 0
    assert 1.8 < shares[2] / shares[1] < 2.7  # the edges of the line are blended
    desk.close()
    desk.build()
    assert desk.window.canvas._overlays.layer._outline_px == 8.0


def test_images_above_the_limit_are_refused_until_it_is_raised(desk):
    folder = desk.root / "big"
    folder.mkdir()
    Image.fromarray(np.zeros((1100, 1000, 3), np.uint8)).save(folder / "0.png")
    Settings.load(desk.root / "settings.toml").set("max_image_megapixels", 1)
    desk.folder = folder
    desk.build()
    desk.program.files.open_path(folder)
    desk.until(lambda: "megapixels" in desk.window.area.error_bar.text)
    assert desk.shown_row() == -1
    dialog = desk.program.files.show_settings()
    dialog.editors["max_image_megapixels"].setValue(2)
    dialog.close()
    desk.wait_image(0)
    assert desk.window.area.error_bar.text == ""


def test_uids_of_dicom_are_kept_only_where_the_person_wants_it(desk):
    """In the project, in its exports (also what it kept before), and by colleagues, too. It shows that it does."""
    folder = desk.root / "study"
    folder.mkdir()
    for name in ("a.dcm", "b.dcm"):
        write_dicom(folder / name)
    desk.open(folder=folder)
    desk.session.facts.settle()
    store, mark = desk.session.store, desk.window.status.uids
    uids = {"SOPInstanceUID", "SeriesInstanceUID"}
    first = store.images()[0]
    assert first.extra["Modality"] == "CT"
    assert not uids & set(first.extra)
    assert len(first.extra["series"]) == 32
    assert mark.isHidden()
    dialog = desk.program.files.show_settings()
    assert "DICOM UIDs" in [label.text() for label in dialog.findChildren(QLabel)]
    dialog.editors["dicom_uids"].setChecked(True)
    dialog.close()
    assert mark.isVisible()
    desk.session.go_to(store.images()[1].id)
    desk.wait_image(1)
    desk.session.facts.settle()
    second = store.images()[1]
    assert uids < set(second.extra)
    export_coco(store, desk.root / "out.json", all_images=True)
    assert second.extra["SOPInstanceUID"] in (desk.root / "out.json").read_text()
    desk.session.keeps_uids = False  # a colleague, who has not asked for it
    desk.session.facts.take(second.id, sha256="", width=0, height=0, extra=second.extra)
    desk.session.facts.settle()
    assert uids < set(store.images()[1].extra)
    dialog = desk.program.files.show_settings()
    dialog.editors["dicom_uids"].setChecked(False)
    dialog.close()
    assert mark.isHidden()
    export_coco(store, desk.root / "out.json", all_images=True)
    text = (desk.root / "out.json").read_text()
    assert '"Modality":"CT"' in text
    assert "InstanceUID" not in text


def test_a_new_project_keeps_uids_for_who_wants_them_and_an_old_one_is_not_changed(desk):
    folder = desk.root / "study"
    folder.mkdir()
    write_dicom(folder / "a.dcm")
    Settings.load(desk.root / "settings.toml").set("dicom_uids", True)
    with ProjectStore.open_folder(folder) as store:
        store.meta_set(UIDS_KEY, LEFT_OUT)
    desk.open(folder=folder)
    desk.session.facts.settle()
    assert set(desk.session.store.images()[0].extra) == {"Modality", "series"}
    assert desk.window.status.uids.isHidden()
    other = desk.root / "other"
    other.mkdir()
    write_dicom(other / "a.dcm")
    desk.program.files.open_path(other)
    desk.until(lambda: desk.session.store is not None and desk.session.store.image_root == other)
    desk.wait_image(0)
    desk.session.facts.settle()
    assert "SOPInstanceUID" in desk.session.store.images()[0].extra
    assert desk.window.status.uids.isVisible()


def test_a_stored_window_that_shows_nothing_is_told(desk):
    folder = desk.root / "study"
    folder.mkdir()
    write_dicom(folder / "a.dcm", WindowCenter=30000, WindowWidth=10)
    desk.open(folder=folder, wait_ready=False)
    assert "a.dcm: stretched -99" in desk.window.status.message.text()
    assert "the stored window misses the data" in desk.window.status.message.text()


def test_the_memory_for_one_image_can_be_raised(desk):
    folder = desk.root / "big"
    folder.mkdir()
    Image.fromarray(np.zeros((2000, 3000, 3), np.uint8)).save(folder / "0.png")
    Settings.load(desk.root / "settings.toml").set("memory_limit_mib", 30)
    desk.folder = folder
    desk.build()
    desk.program.files.open_path(folder)
    desk.until(lambda: "0.png needs 60 MB of memory, the limit is 31 MB." in desk.window.area.error_bar.text)
    dialog = desk.program.files.show_settings()
    dialog.editors["memory_limit_mib"].setValue(0)
    dialog.close()
    desk.wait_image(0)
    assert desk.window.area.error_bar.text == ""


def type_author(desk, name):
    dialog = desk.program.files.show_settings()
    field = dialog.editors["author"]
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, name)
    QTest.keyClick(field, Qt.Key.Key_Return)  # the field's, and then that of the button Close


def test_another_author_signs_from_the_next_object_on(desk):
    desk.open()
    desk.accept_at(40, 40)
    type_author(desk, "Dr. Ada")
    assert desk.accept_at(100, 80).author == "Dr. Ada"
    authors = desk.session.store._fetch("SELECT author FROM edit ORDER BY seq")
    assert authors[-1] == ("Dr. Ada",) != authors[0]
    desk.program.files.open_path(desk.make_other_folder())
    desk.until(lambda: len(desk.session.images) == 1 and desk.shown_row() == 0)
    assert desk.session.store.author == "Dr. Ada"


class Shelves:
    """Two models; which of them were loaded."""

    def __init__(self, desk):
        self.desk, self.loaded = desk, []

    def factory_for(self, name):
        self.loaded.append(name)

        def factory(progress):
            self.desk.engine.factory(progress)
            return fake_engine(FakeSegmenter(name))(progress)

        return factory

    def pick(self, name):
        menu = self.desk.window.menus["Model"]
        menu.aboutToShow.emit()
        self.desk.until(lambda: any(action.text() == name for action in menu.actions()))
        next(action for action in menu.actions() if action.text() == name).trigger()


@pytest.fixture
def shelves(desk):
    made = Shelves(desk)
    models = [SimpleNamespace(name=name, is_present=True, is_verified=True, note="") for name in ("fake", "other")]
    desk.options = {"factory_for": made.factory_for, "list_models": lambda: models}
    return made


def test_the_model_in_use_is_not_loaded_again(desk, shelves):
    desk.open()
    assert desk.client.info.name == "fake"
    shelves.pick("fake")
    assert shelves.loaded == []
    # Not so while another one is on its way: this is the way back.
    desk.engine.hold_load()
    shelves.pick("other")
    shelves.pick("fake")
    assert shelves.loaded == ["other", "fake"]
    desk.engine.let_load()
    desk.until(lambda: desk.client.info.name == "fake" and not desk.program._is_other_awaited)


def test_a_model_can_be_chosen_when_settings_cannot_be_kept(desk, shelves, monkeypatch):
    desk.open()

    def refuse():
        raise UserError("The settings cannot be saved (read-only).", "They hold until the program ends.")

    monkeypatch.setattr(desk.program.settings, "_save", refuse)
    shelves.pick("other")
    desk.until(lambda: desk.client.info.name == "other")
    assert desk.window.area.error_bar.text.startswith("The settings cannot be saved")
    monkeypatch.undo()
