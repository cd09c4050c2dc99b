"""Projects that are not opened as they are: the window offers what can be had of them."""

from __future__ import annotations

import sqlite3

from annotator.io.project.store import ProjectStore


def test_a_project_with_a_trigger_is_refused_and_its_rows_are_offered(desk):
    desk.make_folder()
    with ProjectStore.open_folder(desk.folder) as store:
        path = store.path
    connection = sqlite3.connect(path)
    connection.execute("CREATE TRIGGER t AFTER INSERT ON annotation BEGIN DELETE FROM annotation; END")
    connection.close()
    desk.build()
    desk.program.files.open_path(desk.folder)
    bar = desk.window.area.error_bar
    desk.until(lambda: "it holds a trigger (t)" in bar.text)
    bar.button.click()
    desk.until(lambda: desk.shown_row() == 0 and desk.client.info is not None)
    assert desk.session.store.path.name == "pictures (plain copy).annot"
    assert "without the history" in bar.text
    desk.window.canvas.setFocus()
    desk.accept_at(40, 40)
