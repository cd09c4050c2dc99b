"""The Statistics panel, in the window with a real project: counted, counted again, exported."""

from __future__ import annotations

import csv

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from tests.fakes import FakeFinder
from tests.gui.proposal_hand import MIDDLES, find, objects

K, M = Qt.Key, Qt.KeyboardModifier
RIGHT = Qt.MouseButton.RightButton
LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def counting(desk):
    """Six proposals; two taken and one dropped."""
    desk.engine.segmenter = FakeFinder(objects(), radius_px=9.0)
    desk.finder = desk.engine.segmenter
    desk.open()
    find(desk)
    desk.click(*MIDDLES[0])
    desk.click(*MIDDLES[4])
    desk.click(*MIDDLES[1], button=RIGHT)
    return desk


def rows(desk):
    return {name: number for name, number, _ in desk.window.panels["statistics"].chart.rows}


def test_opening_the_panel_counts_and_a_change_makes_it_old(counting):
    panel = counting.window.panels["statistics"]
    assert panel.figures is None
    counting.key(K.Key_J, M.ControlModifier | M.ShiftModifier)
    counting.until(lambda: panel.figures is not None)
    found = rows(counting)
    assert (found["accepted"], found["rejected"], found["waiting"]) == ("2", "1", "3")
    assert found["precision"] == "67%"
    assert (found["unseen"], found["in progress"], found["everything"]) == ("2", "1", "2")
    names = [(name, number) for name, number, _ in panel.chart.rows]
    at = names.index(("Median area per class", ""))
    assert names[at + 1] == ("object", "256 px²")
    assert ("Find everything", "") in names
    assert "2 objects in 1 of" in panel.stands.text()
    assert panel.chart.grab().toImage().width() > 0
    counting.key(K.Key_Z, M.ControlModifier)
    counting.key(K.Key_Z, M.ControlModifier)
    assert "count again" in panel.stands.text()
    QTest.mouseClick(panel.count_button, LEFT)
    counting.until(lambda: rows(counting)["accepted"] == "1")
    assert "count again" not in panel.stands.text()


def test_they_are_exported(counting, tmp_path, monkeypatch):
    panel = counting.window.panels["statistics"]
    counting.window.show_panel("statistics", True)
    counting.until(lambda: panel.figures is not None)
    for suffix in ("csv", "png"):
        out = tmp_path / f"figures.{suffix}"
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_, out=out: (str(out), ""))
        QTest.mouseClick(panel.export_button, LEFT)
        counting.until(out.is_file)
        counting.until(lambda: f"Written: {out.name}" in counting.window.status.message.text())  # noqa: B023
    table = list(csv.DictReader((tmp_path / "figures.csv").read_text().splitlines()))
    [own] = [row for row in table if row["kind"] == "proposals"]
    assert (own["name"], own["accepted"], own["rejected"]) == ("everything", "2", "1")
