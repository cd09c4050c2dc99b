"""Exports for radiology in the window: where they go, and a consent that is given anew each time."""

from __future__ import annotations

from typing import Any

import pydicom
import pytest
from PySide6.QtWidgets import QComboBox

from annotator.io.formats.registry import OWN
from annotator.io.project.store import ProjectStore
from annotator.ui.dialogs.export import ExportDialog, ExportWish
from tests.unit.io.volume_builders import block, label, write_series

pytest.importorskip("highdicom")
pytestmark = [pytest.mark.qt_log_ignore("This plugin does not support", extend=True)]


def finished(dialog: ExportDialog, qtbot: Any) -> str:
    dialog.start_button.click()
    qtbot.waitUntil(lambda: not dialog.is_running and dialog.report.isVisible(), timeout=30_000)
    return dialog.report.toPlainText()


def test_a_consent_is_asked_for_each_time_and_the_folder_lies_beside_the_images(qtbot: Any, tmp_path: Any) -> None:
    write_series(tmp_path / "set" / "ct")
    with ProjectStore.open_folder(tmp_path / "set") as store:
        label(store, 1, block(3, 3, 6, 5), name="liver")
        project = store.path
    dialog = ExportDialog(project, OWN, wish=ExportWish("dicom-seg"))
    qtbot.addWidget(dialog)
    dialog.show()
    assert dialog.spec.id == "dicom-seg"
    assert dialog.place.text() == str(tmp_path / "set-dicom-seg")
    assert "lead to the patient" in finished(dialog, qtbot)
    assert not (tmp_path / "set-dicom-seg").exists()
    chosen = dialog.options["identifiers"]
    assert isinstance(chosen, QComboBox)
    chosen.setCurrentIndex(chosen.findData("uids"))
    assert "UIDs of the study, the series and 1 image went out" in finished(dialog, qtbot)
    (file,) = (tmp_path / "set-dicom-seg").rglob("*.dcm")
    assert pydicom.dcmread(file).Modality == "SEG"
    assert "identifiers" not in dialog.wish.to_json()
    assert dialog.wish.options["dicom-seg"]["labels"] == "object"
