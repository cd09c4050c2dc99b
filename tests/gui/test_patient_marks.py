"""What a picture says of the patient: letters at the edges, and text in the pixels."""

from __future__ import annotations

from typing import Any

import nibabel
import numpy as np
import pytest
from PySide6.QtCore import Qt

from annotator.ui.canvas.edge_letters import EdgeLetters
from annotator.ui.labelling.patient_marks import PatientMarks, edge_letters
from tests.unit.io.dicom_builders import write_slice

pytestmark = [pytest.mark.qt_log_ignore("This plugin does not support", extend=True)]


def letters(desk: Any) -> EdgeLetters:
    return desk.window.findChild(PatientMarks).letters


@pytest.mark.parametrize(
    ("directions", "wanted"),
    [
        ([[1, 0, 0], [0, 1, 0]], ("R", "L", "A", "P")),
        ([[1, 0, 0], [0, 0, -1]], ("R", "L", "H", "F")),
        ([[0, 1, 0], [0, 0, -1]], ("A", "P", "H", "F")),
        ([[-1, 0, 0], [0, -1, 0]], ("L", "R", "P", "A")),
        ([[0.8, 0.6, 0], [0, 0, -1]], ("RA", "LP", "H", "F")),
        ([[0.99, 0.1, 0], [0, 0, -1]], ("R", "L", "H", "F")),
        (None, ("", "", "", "")),
        ([[1, 0], "x"], ("", "", "", "")),
    ],
)
def test_letters_are_where_rows_and_columns_lead(directions: Any, wanted: tuple[str, ...]) -> None:
    assert edge_letters(directions) == wanted


def test_letters_stand_at_the_edges_of_what_says_its_directions(desk: Any) -> None:
    folder = desk.root / "mixed"
    write_slice(folder / "a.dcm", np.full((60, 80), 500), number=1, position=(0, 0, 0), orientation=(1, 0, 0, 0, 0, -1))
    volume = np.zeros((30, 20, 1), np.int16)
    nibabel.save(nibabel.Nifti1Image(volume, np.diag([-1.0, -1, 1, 1])), folder / "b.nii")
    guessed = nibabel.Nifti1Image(volume, None)
    guessed.header["qform_code"] = guessed.header["sform_code"] = 0
    nibabel.save(guessed, folder / "c.nii")
    desk.open(folder=folder)
    shown = letters(desk)
    assert (shown.letters, shown.isVisible()) == (("R", "L", "H", "F"), True)
    assert shown.geometry() == desk.window.canvas.viewport().geometry()
    picture = shown.grab().toImage()
    ink = [x for x in range(40) for y in range(picture.height()) if picture.pixelColor(x, y).red() > 200]
    assert ink, "a letter at the left edge"
    desk.window.resize(desk.window.width() - 120, desk.window.height() - 60)
    desk.qtbot.waitUntil(lambda: shown.geometry() == desk.window.canvas.viewport().geometry())
    desk.key(Qt.Key.Key_D)
    desk.wait_image(1)
    assert shown.letters == ("R", "L", "A", "P")
    desk.key(Qt.Key.Key_D)
    desk.wait_image(2)
    assert not shown.isVisible(), "the file does not say, so the program does not either"


def test_text_in_the_pixels_is_said_once_in_each_project(desk: Any) -> None:
    for name in ("one", "two"):
        for number in range(2):
            about = {"Modality": "US"} if name == "one" else {"BurnedInAnnotation": "NO", "Modality": "US"}
            write_slice(desk.root / name / f"{number}.dcm", np.full((60, 80), 500), number=number, **about)
    desk.open(folder=desk.root / "one")
    bar = desk.window.area.error_bar
    assert "Text about the patient" in bar.text
    bar.close_button.click()
    desk.key(Qt.Key.Key_D)
    desk.wait_image(1)
    assert bar.text == ""
    desk.close()
    desk.open(folder=desk.root / "two")
    assert "Text about" not in desk.window.area.error_bar.text
