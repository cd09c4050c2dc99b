"""Every project remembers the model that was chosen for it; others have the one of the settings."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from annotator.engine import weights
from annotator.engine.specs import ModelEntry
from tests.fakes import FakeSegmenter, fake_engine

pytestmark = pytest.mark.qt_log_ignore("propagateSizeHints", extend=True)


@pytest.fixture
def desk(desk, monkeypatch):
    """Two models are here, ``fake`` (the one of the settings) and ``other``."""
    rows = {name: ModelEntry(name, "grabcut", "", "test", 0, good_at=f"{name} things") for name in ("fake", "other")}
    monkeypatch.setattr(weights, "registry", lambda: rows)
    desk.loaded = []

    def factory_for(name):
        desk.loaded.append(name)
        return fake_engine(FakeSegmenter(name or "fake"))

    models = [SimpleNamespace(name=n, is_present=True, is_verified=True, note="", entry=e) for n, e in rows.items()]
    desk.options = {"factory_for": factory_for, "list_models": lambda: models}
    desk.rows = rows
    return desk


def pick(desk, name):
    menu = desk.window.menus["Model"]
    menu.aboutToShow.emit()
    text = f"{name}\t{name} things"
    desk.until(lambda: any(action.text() == text for action in menu.actions()))
    next(action for action in menu.actions() if action.text() == text).trigger()
    desk.until(lambda: desk.client.info.name == name)


def open_folder(desk, folder):
    desk.program.files.open_path(folder)
    desk.until(lambda: desk.session.store is not None and desk.session.store.path.parent == folder)
    desk.until(lambda: desk.shown_row() == 0)


def test_a_project_gets_its_model_back_and_another_the_usual_one(desk):
    desk.open()
    first, second = desk.folder, desk.make_other_folder()
    pick(desk, "other")
    desk.program.settings.set("model", "")
    open_folder(desk, second)
    assert desk.client.info.name == "other", "what a person chose stays until something says otherwise"
    pick(desk, "fake")
    desk.loaded.clear()
    open_folder(desk, first)
    desk.until(lambda: desk.client.info.name == "other")
    desk.program.session.remember("model", "fake")
    open_folder(desk, second)
    desk.until(lambda: desk.client.info.name == "fake")
    assert desk.loaded == ["other", "fake"]


def test_a_project_without_a_choice_has_the_model_of_the_settings(desk):
    desk.open()
    first, second = desk.folder, desk.make_other_folder()
    desk.program.session.remember("model", "other")
    open_folder(desk, second)
    assert (desk.loaded, desk.client.info.name) == ([], "fake")
    open_folder(desk, first)
    desk.until(lambda: desk.client.info.name == "other")
    open_folder(desk, second)
    desk.until(lambda: desk.client.info.name == "fake")
    assert desk.loaded == ["other", ""]


def test_a_model_that_is_not_here_is_named_in_a_line(desk):
    desk.open()
    second = desk.make_other_folder()
    desk.program.session.remember("model", "gone")
    first = desk.folder
    open_folder(desk, second)
    open_folder(desk, first)
    said = "This project was labelled with the model gone, which is not here. fake answers."
    desk.until(lambda: desk.window.area.error_bar.text == said)
    assert desk.loaded == []


def test_a_model_of_the_command_line_is_not_changed_by_a_project(desk):
    desk.options["is_model_named"] = True
    desk.open()
    first, second = desk.folder, desk.make_other_folder()
    desk.program.session.remember("model", "other")
    open_folder(desk, second)
    open_folder(desk, first)
    pick(desk, "fake")
    assert desk.loaded == []
