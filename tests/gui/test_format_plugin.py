"""A format of another installed package stands in the window and on the command line, with its options."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import re
import subprocess
import sys
import textwrap

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QCheckBox, QSpinBox

from annotator.cli import main
from annotator.io.formats.registry import OWN, formats
from annotator.plugins import packages
from annotator.ui.dialogs.export import ExportDialog, ExportWish
from annotator.ui.dialogs.work_dialog import WorkDialog

LEFT = Qt.MouseButton.LeftButton
MISSING = [name for name in ("pip", "hatchling") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed: no package can be built"),
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]
PROJECT = """
    [build-system]
    requires = ["hatchling"]
    build-backend = "hatchling.build"
    [project]
    name = "annotator-boxes"
    version = "0.4"
    [project.entry-points."annotator.formats"]
    boxes = "annotator_boxes:ROW"
    coco = "annotator_boxes:ROW"
    broken = "annotator_boxes:NOTHING"
    [tool.hatch.build.targets.wheel]
    include = ["annotator_boxes.py", "annotator_boxes_out.py"]
"""
ROW = """
    from annotator.domain.ports.formats import FormatOption, FormatSpec, Holds
    ROW = FormatSpec(
        id="boxes", title="Boxes & <b>more</b>", summary="one CSV file", is_folder=False, suffix=".csv",
        holds=frozenset((Holds.BOXES,)),
        options=(
            FormatOption("decimals", "Decimals", 2, "digits of a number", minimum=0, maximum=6),
            FormatOption("has_head", "Head", True, "a first line with names"),
        ),
        export="annotator_boxes_out:write",
    )
"""
OUT = """
    from dataclasses import dataclass
    @dataclass
    class Report:
        text: str
        def lines(self):
            return [self.text]
    def write(store, out_path, *, include_unfinished, all_images, progress, decimals, has_head):
        rows = [f"{a.image_id},{a.x:.{decimals}f}" for a in store.all_annotations()]
        out_path.write_text("\\n".join(["image,x"] * has_head + rows))
        return Report(f"{len(rows)} boxes, unfinished {include_unfinished}")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A real package, built and installed by pip."""
    root = tmp_path_factory.mktemp("plugin")
    for name, text in (("pyproject.toml", PROJECT), ("annotator_boxes.py", ROW), ("annotator_boxes_out.py", OUT)):
        (root / name).write_text(textwrap.dedent(text), "utf-8")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install", "--no-deps"]
    words = ["--no-index", "--no-build-isolation", "--no-compile", "--target", str(root / "site"), str(root)]
    done = subprocess.run([*pip, *words], cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return root / "site"


@pytest.fixture
def installed(site, monkeypatch):
    monkeypatch.syspath_prepend(str(site))
    importlib.invalidate_caches()
    yield site
    for name in ("annotator_boxes", "annotator_boxes_out"):
        sys.modules.pop(name, None)


def test_the_row_is_found_and_others_are_told(installed, caplog):
    with caplog.at_level(logging.WARNING):
        found = formats()
    assert [spec.id for spec in found] == [*(spec.id for spec in OWN), "boxes"]
    assert "NOTHING" in caplog.text or "broken" in caplog.text
    assert "the name is ours" in caplog.text
    assert [(package.name, package.version) for package in packages()] == [("annotator-boxes", "0.4")]


def test_on_the_command_line(installed, desk, capsys):
    desk.open()
    desk.accept_at(60, 60)
    with pytest.raises(SystemExit):
        main(["export", "--list-formats"])
    assert re.search("^boxes +Boxes & <b>more</b>, one CSV file: boxes$", capsys.readouterr().out, re.MULTILINE)
    out = desk.folder / "b.csv"
    assert main(["export", str(desk.folder), "--format", "boxes", "--decimals", "1", "--out", str(out)]) == 0
    assert out.read_text().splitlines()[0] == "image,x"
    assert "1 boxes, unfinished True" in capsys.readouterr().out


def open_export(desk) -> ExportDialog:
    desk.program.files.export()
    desk.until(lambda: desk.window.findChild(ExportDialog) is not None)
    return desk.window.findChild(ExportDialog)


def test_in_the_window_which_remembers_what_was_chosen(installed, desk):
    desk.open()
    desk.accept_at(60, 60)
    dialog = open_export(desk)
    assert dialog.spec.id == "coco"
    dialog.format.setFocus()
    while dialog.spec.id != "boxes":
        QTest.keyClick(dialog.format, Qt.Key.Key_Down)
    assert dialog.place.text().endswith("pictures-boxes.csv")
    decimals, head = dialog.options["decimals"], dialog.options["has_head"]
    assert isinstance(decimals, QSpinBox)
    assert isinstance(head, QCheckBox)
    assert (decimals.minimum(), decimals.value(), decimals.maximum()) == (0, 2, 6)
    decimals.setValue(0)
    head.click()
    dialog.unfinished.click()
    with desk.qtbot.waitSignal(dialog.done_with):
        QTest.mouseClick(dialog.start_button, LEFT)
    assert dialog.report.toPlainText() == "1 boxes, unfinished False"
    (line,) = (desk.folder / "pictures-boxes.csv").read_text().splitlines()
    assert line.split(",")[1].isdigit()
    dialog.close()
    desk.until(lambda: desk.window.findChild(ExportDialog) is None)
    again = open_export(desk)
    assert again.spec.id == "boxes"
    assert again.wish == ExportWish("boxes", {**again.wish.options, "boxes": {"decimals": 0, "has_head": False}}, False)
    assert not again.unfinished.isChecked()
    again.format.setCurrentIndex(0)
    assert set(again.options) == {"segmentation"}
    again.close()


def test_the_dialog_grows_with_the_options(desk):
    desk.open()
    dialog = open_export(desk)
    for name in ("polygons", "yolo", "coco"):
        dialog.format.setCurrentIndex(dialog.format.findData(name))
        desk.until(lambda: all(field.isVisible() for field in dialog.options.values()))
        desk.until(lambda: dialog.pane.viewport().height() >= dialog.form.minimumSizeHint().height())
        assert dialog.pane.viewport().width() >= dialog.form.minimumSizeHint().width()
    dialog.close()


def test_the_file_to_import_is_asked_for_by_the_rows(desk, monkeypatch):
    desk.open()
    asked = []
    monkeypatch.setattr(
        "annotator.ui.project.files.QFileDialog.getOpenFileName", lambda *words: (asked.append(words[-1]), ("", ""))[1]
    )
    desk.program.files.import_file()
    desk.until(lambda: bool(asked))
    assert asked[0].startswith("All formats (*.json")
    assert ";;COCO (*.json)" in asked[0]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"options": 3}', '{"format": "gone", "options": {"coco": {"a": 1}}}'])
def test_settings_that_make_no_sense_are_the_defaults(text, desk):
    desk.open()
    desk.program.files._settings.set("export", text)
    dialog = open_export(desk)
    assert dialog.spec.id == "coco"
    assert set(dialog.options) == {"segmentation"}
    dialog.close()


def test_yolo_out_and_in_through_the_menu(desk):
    desk.open()
    desk.accept_at(60, 60)
    dialog = open_export(desk)
    dialog.format.setCurrentIndex(dialog.format.findData("yolo"))
    dialog.options["tolerance_px"].setValue(0)
    with desk.qtbot.waitSignal(dialog.done_with):
        QTest.mouseClick(dialog.start_button, LEFT)
    assert "mean IoU of 1.0000" in dialog.report.toPlainText()
    dialog.close()
    desk.key(Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    desk.key(Qt.Key.Key_Delete)
    assert desk.session.annotations == ()
    desk.program.files.import_path(desk.folder / "pictures-yolo" / "data.yaml")
    desk.until(lambda: desk.session.store is not None and len(desk.session.annotations) == 1)
    desk.window.findChild(WorkDialog).close()
    assert desk.session.is_writable
