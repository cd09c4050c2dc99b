"""Prompt adapters in the window: swapped by key on what is encoded already, compared, recorded, kept in order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox

from annotator.domain.adapter import AdapterInfo
from annotator.domain.errors import ModelError
from annotator.domain.ports.engine import AdapterInUse
from annotator.engine.sam2.adapter_shelf import AdapterEntry, AdapterShelf
from annotator.io.settings import Settings
from annotator.ui import app
from tests.fakes import FakeSegmenter
from tests.gui.shell import Desk

K = Qt.Key
CTRL = Qt.KeyboardModifier.ControlModifier
pytestmark = [
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]


class AdaptableSegmenter(FakeSegmenter):
    """An adapter is a factor of the disc's radius."""

    def __init__(self) -> None:
        super().__init__(radius_px=9.0)
        self.adapter: float | None = None

    def set_adapter(self, adapter: float | None) -> None:
        self.adapter = adapter

    def decode(self, embedding, prompts, *, continue_from=None):
        plain = self.radius_px
        self.radius_px = plain * (self.adapter or 1.0)
        try:
            return super().decode(embedding, prompts, continue_from=continue_from)
        finally:
            self.radius_px = plain


def entry(name: str, base: str = "fake", **figures: object) -> AdapterEntry:
    info = AdapterInfo(name, f"{name} things", base, f"sha-of-{base}", {}, figures=figures, date="2026-11-21")
    return AdapterEntry(Path(f"/nowhere/{name}.safetensors"), info, 2_500_000, is_own=True, has_previous=False)


class MemoryShelf(AdapterShelf):
    """Adapters of numbers; what is done to them is noted."""

    def __init__(self, *entries: AdapterEntry) -> None:
        super().__init__()
        self.kept = list(entries)
        self.done: list[tuple[str, object]] = []
        self.cards: list[Path | None] = []
        self.factors = {"cells": 1.8, "roofs": 0.5}

    def entries(self):
        return list(self.kept)

    def setter(self, entry):
        def put(segmenter):
            if entry is None:
                segmenter.set_adapter(None)
                return None
            if entry.name not in self.factors:
                raise ModelError(f"The adapter {entry.name} is damaged.", "Copy it again.")
            segmenter.set_adapter(self.factors[entry.name])
            return AdapterInUse(entry.name, f"hash-{entry.name}")

        return put

    def bring_in(self, path, *, card=None):
        self.done.append(("import", path))
        self.cards.append(card)
        self.kept = [e for e in self.kept if e.name != path.stem] + [entry(path.stem)]
        return path.stem

    def export(self, entry, target):
        self.done.append(("export", target))

    def roll_back(self, entry):
        self.done.append(("roll back", entry.name))
        # As if the version before were for something else.
        there = replace(entry, info=replace(entry.info, domain=f"not {entry.info.domain}"))
        self.kept = [there if e.name == entry.name else e for e in self.kept]

    def remove(self, entry):
        self.done.append(("remove", entry.name))
        self.kept = [e for e in self.kept if e.name != entry.name]


@pytest.fixture
def desk(desk):
    desk.shelf = MemoryShelf(entry("cells"), entry("other", "elsewhere"), entry("roofs"), entry("torn"))
    desk.engine.segmenter = AdaptableSegmenter()
    desk.options["shelf"] = desk.shelf
    desk.open()
    desk.control = desk.program.adapters
    desk.until(lambda: len(desk.control.fitting()) == 3)
    desk.session.classes.add("cell")
    desk.session.classes.pick(1)
    return desk


def settled(desk):
    desk.until(lambda: desk.refine.state.mask is not None and not desk.refine.state.is_waiting)
    return desk.refine.state.mask.area


def test_a_key_swaps_the_adapter_and_the_clicks_in_work_are_answered_anew_without_encoding(desk):
    desk.click(60, 50)
    plain = settled(desk)
    encodes = list(desk.engine.segmenter.encodes)
    desk.key(K.Key_1, CTRL)
    desk.until(lambda: desk.client.adapter is not None)
    large = settled(desk)
    assert large > 2 * plain
    assert desk.engine.segmenter.encodes == encodes
    assert "cells" in desk.window.status.engine.text()
    assert "cells is in use" in desk.window.status.message.text()
    assert " ms" in desk.window.status.message.text()
    desk.key(K.Key_2, CTRL)
    desk.until(lambda: desk.client.adapter == AdapterInUse("roofs", "hash-roofs"))
    assert settled(desk) < plain, "the second that fits this base, not the second of the list"
    desk.key(K.Key_0, CTRL)
    desk.until(lambda: desk.client.adapter is None)
    assert settled(desk) == plain
    assert "cells" not in desk.window.status.engine.text()
    assert len(desk.refine.state.prompts.points) == 1
    assert desk.session.category.id == 1, "with Ctrl the digit picks no class"


def test_a_model_that_leaves_the_card_says_so_and_keeps_its_adapter(desk):
    segmenter = desk.engine.segmenter
    desk.key(K.Key_1, CTRL)
    desk.until(lambda: desk.client.adapter is not None)
    note = "The graphics card ran out of memory; the processor is used now."

    def leave_the_card(embedding, prompts, *, continue_from=None):
        segmenter.info = replace(segmenter.info, device="cpu", dtype="bfloat16", note=note)
        del segmenter.decode
        return segmenter.decode(embedding, prompts, continue_from=continue_from)

    segmenter.decode = leave_the_card
    desk.click(60, 50)
    settled(desk)
    desk.until(lambda: desk.client.info == segmenter.info)
    bar = desk.window.area.error_bar
    desk.until(bar.isVisible)
    assert (bar.text, bar.property("level")) == (note, "warn")
    assert desk.window.status.engine.text() == "CPU · fake + cells · bf16"
    assert desk.accept_at(90, 60).adapter == "cells@hash-cells"


def test_every_object_records_the_adapter_that_made_it(desk):
    assert desk.accept_at(30, 30).adapter == ""
    desk.key(K.Key_1, CTRL)
    desk.until(lambda: desk.client.adapter is not None)
    assert desk.accept_at(90, 60).adapter == "cells@hash-cells"
    desk.key(K.Key_0, CTRL)
    desk.until(lambda: desk.client.adapter is None)
    assert desk.accept_at(130, 90).adapter == ""
    stored = desk.session.store.annotations(desk.session.image.id)
    assert [a.adapter for a in stored] == ["", "cells@hash-cells", ""]


def test_a_key_without_an_adapter_and_a_damaged_one_change_nothing(desk):
    desk.key(K.Key_1, CTRL)
    desk.until(lambda: desk.client.adapter is not None)
    desk.key(K.Key_9, CTRL)
    assert "no adapter 9" in desk.window.status.message.text()
    desk.key(K.Key_3, CTRL)
    desk.until(desk.window.area.error_bar.isVisible)
    assert desk.client.adapter.name == "cells"
    desk.click(60, 50)
    assert settled(desk) > 600
    assert desk.client.can_answer


def test_holding_n_shows_the_bases_mask_for_the_same_clicks(desk):
    desk.key(K.Key_1, CTRL)
    desk.until(lambda: desk.client.adapter is not None)
    desk.click(60, 50)
    adapted = settled(desk)
    painted = desk.window.canvas._overlays._candidate
    QTest.keyPress(desk.window.canvas, K.Key_N)
    desk.until(lambda: painted.mask.area < adapted)
    assert desk.refine.state.mask.area == adapted, "the object in work is not touched"
    QTest.keyRelease(desk.window.canvas, K.Key_N)
    assert painted.mask.area == adapted
    assert desk.engine.segmenter.adapter == 1.8, "the adapter is back"
    count = len(desk.engine.segmenter.decodes)
    QTest.keyPress(desk.window.canvas, K.Key_N)
    assert painted.mask.area < adapted
    assert len(desk.engine.segmenter.decodes) == count, "known already"
    QTest.keyRelease(desk.window.canvas, K.Key_N)
    desk.key(K.Key_Return)
    assert desk.session.annotations[-1].area == adapted


def test_the_same_click_on_the_next_image_is_compared_anew(desk):
    desk.key(K.Key_1, CTRL)
    desk.until(lambda: desk.client.adapter is not None)
    desk.click(60, 50)
    settled(desk)
    painted = desk.window.canvas._overlays._candidate
    QTest.keyPress(desk.window.canvas, K.Key_N)
    desk.until(lambda: painted.mask.area < desk.refine.state.mask.area)
    QTest.keyRelease(desk.window.canvas, K.Key_N)
    desk.key(K.Key_Return)
    desk.key(K.Key_D)
    desk.wait_image(1)
    desk.click(60, 50)
    settled(desk)
    count = len(desk.engine.segmenter.decodes)
    QTest.keyPress(desk.window.canvas, K.Key_N)
    desk.until(lambda: len(desk.engine.segmenter.decodes) > count)
    desk.until(lambda: painted.mask.area < desk.refine.state.mask.area)
    QTest.keyRelease(desk.window.canvas, K.Key_N)


def test_holding_n_without_an_adapter_says_so(desk):
    QTest.keyPress(desk.window.canvas, K.Key_N)
    assert "No adapter" in desk.window.status.message.text()
    QTest.keyRelease(desk.window.canvas, K.Key_N)


def test_an_accept_that_waits_survives_a_swap(desk):
    desk.engine.hold()
    desk.click(60, 50)
    desk.key(K.Key_Return)
    desk.key(K.Key_1, CTRL)
    desk.engine.let_go()
    desk.until(lambda: len(desk.session.annotations) == 1)
    one = desk.session.annotations[0]
    assert (one.adapter, one.area > 600) in (("", False), ("cells@hash-cells", True)), "the record tells the truth"


def test_another_model_starts_without_an_adapter(desk):
    desk.key(K.Key_1, CTRL)
    desk.until(lambda: desk.client.adapter is not None)
    first, desk.engine.segmenter = desk.engine.segmenter, AdaptableSegmenter()
    desk.engine.segmenter.info = replace(first.info, name="large", sha256="sha-of-large")
    desk.client.restart(desk.engine.factory)
    desk.until(lambda: desk.client.info.name == "large")
    assert desk.client.adapter is None
    assert desk.accept_at(60, 50).adapter == ""
    first.adapter = None
    desk.engine.segmenter = first
    desk.client.restart(desk.engine.factory)
    desk.until(lambda: desk.client.adapter is not None and desk.client.info.name == "fake")
    assert desk.accept_at(100, 90).adapter == "cells@hash-cells", "each model has its own in this project"


def test_the_panel_lists_uses_imports_exports_rolls_back_and_removes(desk, tmp_path, monkeypatch):
    desk.shelf.kept[0] = replace(entry("cells", **{"bIoU, all": [0.512, 0.634], "objects": 60}), has_previous=True)
    panel = desk.control.show_panel()
    desk.until(lambda: panel.roll_back_button.isEnabled())
    texts = [[panel.table.item(row, column).text() for column in range(7)] for row in range(4)]
    assert texts[0] == ["Ctrl+1", "cells", "cells things", "fake", "2.5 MB", "2026-11-21", "0.512 → 0.634"]
    assert texts[1][0] == ""
    assert texts[2][0] == "Ctrl+2"
    assert texts[2][6] == "not measured"
    panel.table.selectRow(1)
    assert not panel.use_button.isEnabled()
    assert "belongs to elsewhere" in panel.note.text()
    panel.table.selectRow(0)
    QTest.mouseClick(panel.use_button, Qt.MouseButton.LeftButton)
    desk.until(lambda: desk.client.adapter is not None)
    assert "is in use" in panel.note.text()
    QTest.mouseClick(panel.roll_back_button, Qt.MouseButton.LeftButton)
    desk.until(lambda: panel.table.item(0, 2).text() == "not cells things")
    place = tmp_path / "new.safetensors"
    monkeypatch.setattr("annotator.ui.adapters.panel.QFileDialog.getOpenFileName", lambda *_: (str(place), ""))
    QTest.mouseClick(panel.import_button, Qt.MouseButton.LeftButton)
    desk.until(lambda: panel.table.rowCount() == 5)
    monkeypatch.setattr("annotator.ui.adapters.panel.QFileDialog.getSaveFileName", lambda *_: (str(place), ""))
    QTest.mouseClick(panel.export_button, Qt.MouseButton.LeftButton)
    desk.until(lambda: ("export", place) in desk.shelf.done)
    for answer, rows in ((QMessageBox.StandardButton.No, 5), (QMessageBox.StandardButton.Yes, 4)):
        monkeypatch.setattr(QMessageBox, "question", lambda *_, answer=answer: answer)
        QTest.mouseClick(panel.remove_button, Qt.MouseButton.LeftButton)
        desk.until(lambda rows=rows: panel.table.rowCount() == rows)
    desk.until(lambda: desk.client.adapter is None)
    assert [name for name, _ in desk.shelf.done] == ["roll back", "import", "export", "remove"]
    panel.close()


def test_one_key_rolls_the_adapter_in_use_back_and_the_engine_takes_the_other_file(desk):
    desk.shelf.kept[0] = replace(entry("cells"), has_previous=True)
    desk.control.refresh()
    desk.until(lambda: desk.control.fitting()[0].has_previous)
    desk.key(K.Key_1, CTRL)
    desk.until(lambda: desk.client.adapter is not None)
    panel = desk.control.show_panel()
    desk.until(lambda: panel.roll_back_button.isEnabled())
    desk.shelf.factors["cells"] = 0.5
    panel.activateWindow()
    desk.until(panel.isActiveWindow)
    QTest.keyClick(panel.table, K.Key_R)
    desk.until(lambda: desk.engine.segmenter.adapter == 0.5)
    assert desk.shelf.done == [("roll back", "cells")]
    assert "forward" in panel.roll_back_button.toolTip()
    panel.table.selectRow(1)
    QTest.keyClick(panel.table, K.Key_R)
    QTest.qWait(50)
    assert desk.shelf.done == [("roll back", "cells")], "there is no version before"
    panel.close()


def test_enter_and_number_keys_work_in_the_panel(desk):
    panel = desk.control.show_panel()
    panel.activateWindow()
    desk.until(panel.isActiveWindow)
    panel.table.selectRow(2)
    panel.table.setFocus()
    QTest.keyClick(panel.table, K.Key_Return)
    desk.until(lambda: desk.client.adapter is not None)
    assert desk.client.adapter.name == "roofs"
    QTest.keyClick(panel.table, K.Key_1, CTRL)
    desk.until(lambda: desk.client.adapter.name == "cells")
    QTest.keyClick(panel.table, K.Key_0, CTRL)
    desk.until(lambda: desk.client.adapter is None)
    panel.table.selectRow(1)
    QTest.keyClick(panel.table, K.Key_Return)
    QTest.keyClick(panel.table, K.Key_9, CTRL)
    QTest.keyClick(panel.table, K.Key_2, CTRL)
    desk.until(lambda: desk.client.adapter is not None)
    assert desk.client.adapter.name == "roofs", "what does not fit or is not there is not used"
    assert panel.isVisible()
    panel.close()


def test_a_file_that_is_no_adapter_is_told_and_the_list_stays(desk, monkeypatch):
    def refuse(_path):
        raise ModelError("x.safetensors is not a prompt adapter.", "Name another file.")

    monkeypatch.setattr(desk.shelf, "bring_in", refuse)
    panel = desk.control.show_panel()
    panel.import_wanted.emit(Path("x.safetensors"))
    desk.until(desk.window.area.error_bar.isVisible)
    assert panel.table.rowCount() == 4
    panel.close()


def test_a_real_adapter_on_the_real_engine(qtbot, tmp_path, monkeypatch):
    """File to mask: an untrained adapter (its gates are closed) changes no mask, is recorded, and brings its map."""
    torch = pytest.importorskip("torch")
    weights = pytest.importorskip("annotator.engine.weights")
    if not any(m.is_present and m.name.startswith("nano") for m in weights.list_models()):
        pytest.skip("no bundled model here")
    from annotator.engine.load import load_segmenter
    from annotator.engine.sam2.adapter_files import config_of, save_adapter
    from annotator.engine.sam2.adapter_network import PromptAdapter

    torch.manual_seed(0)
    segmenter = load_segmenter(None, device="cpu")
    plain = getattr(segmenter, "base", segmenter)
    network = PromptAdapter.on(plain.model)
    info = AdapterInfo("blank", "nothing yet", plain.info.name, plain.info.sha256, config_of(network))
    file = tmp_path / "made" / "blank.safetensors"
    save_adapter(network, info, file)
    shelf = AdapterShelf(tmp_path / "own", tmp_path / "shipped")
    file.with_suffix(".md").write_text("# Adapter: blank\n\nMine.\n")
    assert shelf.bring_in(file) == "blank"
    assert (tmp_path / "own" / "blank.md").read_text().endswith("Mine.\n")
    (tmp_path / "made" / "gate.md").write_text("# Adapter: blank\n\nOf a run.\n")
    shelf.bring_in(file, card=tmp_path / "made" / "gate.md")
    shelf.export(shelf.entries()[0], tmp_path / "given")
    assert (tmp_path / "given.md").read_text().endswith("Of a run.\n")
    assert (tmp_path / "given.safetensors").read_bytes() == file.read_bytes()
    assert [(e.name, e.is_own, e.has_previous) for e in shelf.entries()] == [("blank", True, True)]
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path / "home"))
    desk = Desk(qtbot, tmp_path)
    factory = app.default_factory("", config=None, device="cpu", settings=Settings.load(tmp_path / "s.toml"))
    desk.engine.factory = factory
    build = app.build_program
    monkeypatch.setattr("tests.gui.shell.build_program", lambda settings, made: build(settings, made, shelf=shelf))
    try:
        desk.make_folder(images=1)
        desk.build()
        desk.program.files.open_path(desk.folder)
        qtbot.waitUntil(lambda: desk.shown_row() == 0 and desk.client.info is not None, timeout=60_000)
        control = desk.program.adapters
        qtbot.waitUntil(lambda: len(control.fitting()) == 1, timeout=20_000)
        desk.window.canvas.setFocus()
        QTest.mouseClick(desk.window.canvas.viewport(), Qt.MouseButton.LeftButton, pos=desk._at(60, 50))
        qtbot.waitUntil(lambda: desk.refine.state.candidates is not None, timeout=60_000)
        before = desk.refine.state.candidates.chosen
        assert before.uncertainty is None
        desk.key(K.Key_1, CTRL)
        qtbot.waitUntil(lambda: desk.client.adapter is not None, timeout=20_000)
        qtbot.waitUntil(lambda: not desk.refine.state.is_waiting, timeout=60_000)
        after = desk.refine.state.candidates.chosen
        assert after.uncertainty is not None
        assert np.mean(after.mask.full() != before.mask.full()) < 0.01
        assert desk.client.adapter.sha256 == weights.sha256_of(tmp_path / "own" / "blank.safetensors")
        one = shelf.entries()[0]
        shelf.roll_back(one)
        assert shelf.entries()[0].has_previous
        assert (tmp_path / "own" / "blank.md").read_text().endswith("Mine.\n")
        shelf.remove(shelf.entries()[0])
        assert shelf.entries() == []
        assert list((tmp_path / "own").iterdir()) == []
    finally:
        desk.close()


def reopen(desk, folder):
    desk.program.files.open_path(folder)
    desk.until(lambda: desk.session.store is not None and desk.session.store.image_root == folder)
    desk.wait_image(0)


def in_use(desk):
    return "" if desk.client.adapter is None else desk.client.adapter.name


def test_each_project_has_its_adapter_back(desk):
    other = desk.make_other_folder()
    desk.key(K.Key_1, CTRL)
    desk.until(lambda: in_use(desk) == "cells")
    reopen(desk, other)
    desk.until(lambda: in_use(desk) == "")
    desk.key(K.Key_2, CTRL)
    desk.until(lambda: in_use(desk) == "roofs")
    reopen(desk, desk.folder)
    desk.until(lambda: in_use(desk) == "cells")
    desk.close()
    desk.open(folder=desk.folder)
    desk.until(lambda: in_use(desk) == "cells")
    desk.key(K.Key_0, CTRL)
    desk.until(lambda: in_use(desk) == "")
    reopen(desk, other)
    desk.until(lambda: in_use(desk) == "roofs")
    reopen(desk, desk.folder)
    desk.until(lambda: in_use(desk) == "")


def test_an_adapter_that_is_not_here_any_more_is_told(desk):
    desk.key(K.Key_1, CTRL)
    desk.until(lambda: in_use(desk) == "cells")
    desk.close()
    desk.shelf.kept = [e for e in desk.shelf.kept if e.name != "cells"]
    desk.open(folder=desk.folder)
    desk.until(lambda: "labelled with the adapter cells" in desk.window.area.error_bar.text)
    assert in_use(desk) == ""
