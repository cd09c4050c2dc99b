"""Actions of other packages: what cannot be used is left out, keys and places in menus stay ours, failures are told."""

from __future__ import annotations

import logging
import sys
import threading
import types

import pytest
from PySide6.QtCore import Qt

from annotator import plugins
from annotator.domain.errors import UserError
from annotator.domain.ports.actions import ActionContext, ActionSpec, Needs
from annotator.plugins import Plugin
from annotator.ui.shell import added_rows
from annotator.ui.shell.action_rows import ACTIONS
from annotator.ui.shell.keymap import RESERVED, presets

MODULE = "added_by_a_test"
CTRL_ALT = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier


def spec(name: str, *, menu: str = "Image", **more) -> ActionSpec:
    return ActionSpec(name, name.title(), menu, "Does something.", f"{MODULE}:{name}", **more)


@pytest.fixture
def package(monkeypatch):
    """A module that stands for an installed package: its attributes are found as entry points of their names."""
    module = types.ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, module)
    rows: dict[str, object] = {}
    others = plugins.find

    def add(name: str, row: object, run=None) -> None:
        rows[name] = row
        setattr(module, f"row_{name}", row)
        setattr(module, name, run)

    def find(group: str, own=None):
        if group != added_rows.GROUP:
            return others(group, own)
        return tuple(Plugin(group, name, f"{MODULE}:row_{name}", "pack", "1") for name in rows)

    monkeypatch.setattr("annotator.plugins.find", find)
    added_rows._rows.cache_clear()
    yield add
    added_rows._rows.cache_clear()


def test_what_cannot_be_used_is_reported_and_left_out(package, caplog):
    bad = {
        "accept": spec("accept"),
        "nonsense": 3,
        "other": spec("another"),
        "nowhere": spec("nowhere", menu="Tools"),
        "keyed": spec("keyed", keys="Ctrl+Alt+K"),
        "untitled": ActionSpec("untitled", " ", "Image", "", f"{MODULE}:x"),
        "aimless": ActionSpec("aimless", "Aimless", "Image", "", "aimless"),
        "needy": spec("needy", needs="money"),
    }
    for name, row in bad.items():
        package(name, row)
    package("good", spec("good"))
    with caplog.at_level(logging.WARNING):
        assert [row.id for row in added_rows.added_rows()] == ["good"]
    assert len(caplog.records) == len(bad)
    for words in ("the name is ours", "no row of the action nonsense", "no menu 'Tools'", "money", "names no function"):
        assert words in caplog.text


def test_one_that_cannot_be_imported_is_reported(package, caplog):
    package("gone", spec("gone"))
    delattr(sys.modules[MODULE], "row_gone")
    with caplog.at_level(logging.WARNING):
        assert added_rows.added_rows() == ()
    assert "gone of pack cannot be loaded" in caplog.text


def test_keys_of_others_take_none_of_ours(package):
    package("first", spec("first", keys=("Ctrl+Alt+F", "D")))
    package("second", spec("second", keys=("Ctrl+Alt+F", "F7", next(iter(RESERVED)), "Nonsense+Q")))
    rows = added_rows.added_rows()
    for preset in presets().values():
        keymap = preset.with_added(rows)
        assert keymap.conflicts() == []
        assert "Ctrl+Alt+F" in keymap.keys("first")
        assert keymap.keys("second") == ("F7",)
        assert {row.id: keymap.keys(row.id) for row in ACTIONS} == {row.id: preset.keys(row.id) for row in ACTIONS}


def open_with(desk, *names: str) -> None:
    desk.open()
    desk.until(lambda: set(names) <= set(desk.window.actions_by_id.rows))


def texts(menu) -> list[str]:
    return ["-" if action.isSeparator() else action.text().partition("\t")[0] for action in menu.actions()]


def test_places_in_the_menus_and_other_presets(package, desk):
    for name, menu in (("alpha", "File"), ("beta", "Help"), ("gamma", "View"), ("delta", "View")):
        package(name, spec(name, menu=menu, keys=("Ctrl+Alt+G",) if name == "gamma" else ()))
    open_with(desk, "alpha", "beta", "gamma", "delta")
    menus = desk.window.menus
    assert texts(menus["File"])[-4:] == ["-", "Alpha", "-", "Quit"]
    assert texts(menus["Help"])[-4:] == ["-", "Beta", "-", "About Annotator"]
    assert texts(menus["View"])[-3:] == ["-", "Delta", "Gamma"]
    for menu in menus.values():
        assert ["-", "-"] not in [texts(menu)[at : at + 2] for at in range(len(menu.actions()))]
    desk.window.set_keymap(presets()["isat"])
    assert desk.window.key_of("gamma") == "Ctrl+Alt+G"
    assert "Ctrl+Alt+G" in desk.window.actions_by_id["gamma"].toolTip()


def test_what_it_is_given_and_when_it_is_enabled(package, desk):
    given: list[ActionContext] = []
    package("look", spec("look", keys=("Ctrl+Alt+L",)), given.append)
    package("pick", spec("pick", needs=Needs.SELECTION))
    package("any", spec("any", needs=Needs.NOTHING))
    open_with(desk, "look", "pick", "any")
    actions = desk.window.actions_by_id
    assert [actions[name].isEnabled() for name in ("look", "pick", "any")] == [True, False, True]
    kept = desk.accept_at(60, 60)
    desk.window.objects.select_ids(frozenset((kept.id,)))
    desk.until(actions["pick"].isEnabled)
    desk.key(Qt.Key.Key_L, CTRL_ALT)
    desk.until(lambda: desk.window.status.message.text() == "Look: done.")
    (context,) = given
    assert context.project_path == desk.session.store.path
    assert (context.image, context.image_path) == (desk.session.image, desk.folder / "0.png")
    assert context.annotations == (kept,)
    assert context.selected == {kept.id}
    assert context.categories == tuple(desk.session.categories.values())


def test_failures_are_told(package, desk, caplog):
    def refuses(_context: ActionContext) -> None:
        raise UserError("The printer is off.", "Switch it on.")

    def fails(_context: ActionContext) -> None:
        raise ZeroDivisionError("by zero")

    package("refuses", spec("refuses"), refuses)
    package("fails", spec("fails"), fails)
    open_with(desk, "refuses", "fails")
    bar = desk.window.area.error_bar
    desk.window.actions_by_id["refuses"].trigger()
    desk.until(lambda: "The printer is off." in bar.text)
    with caplog.at_level(logging.ERROR):
        desk.window.actions_by_id["fails"].trigger()
        desk.until(lambda: "Fails failed (ZeroDivisionError: by zero)" in bar.text)
    assert "Traceback" in caplog.text


def test_one_at_a_time_and_the_window_goes_on(package, desk):
    gate, calls = threading.Event(), []

    def waits(_context: ActionContext) -> str:
        calls.append(threading.current_thread())
        assert gate.wait(30)
        return "waited"

    package("waits", spec("waits"), waits)
    open_with(desk, "waits")
    desk.window.actions_by_id["waits"].trigger()
    desk.until(lambda: bool(calls))
    desk.window.actions_by_id["waits"].trigger()
    assert desk.window.status.message.text() == "Waits is still running."
    desk.accept_at(60, 60)
    gate.set()
    desk.until(lambda: desk.window.status.message.text() == "waited")
    assert len(calls) == 1
    assert calls[0] is not threading.main_thread()
