"""The package of docs/plugins.md, installed by pip: reader, format, action and engine of its own, in the program."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel

from annotator.cli import main
from annotator.io.images import asking, decoding, reading
from annotator.plugins import packages
from annotator.ui.app import default_factory
from annotator.ui.dialogs.export import ExportDialog
from annotator.ui.shell.sheets import AboutBox
from tests.gui.shell import LEFT

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "tests" / "plugin_example"
MISSING = [name for name in ("pip", "hatchling") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed: no package can be built"),
    pytest.mark.qt_log_ignore("This plugin does not support", extend=True),
]
BOX = (slice(20, 50), slice(30, 70))
"""Rows and columns of the object in the picture, 120 x 160."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    root = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, root / "source", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install", "--no-deps"]
    words = ["--no-index", "--no-build-isolation", "--no-compile", "--target", str(root / "site"), str(root / "source")]
    done = subprocess.run([*pip, *words], cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return root / "site"


def forget_readers() -> None:
    """Reader processes, and what is known of readers, are those of the packages that were there before."""
    if asking.pool.cache_info().currsize:
        asking.pool().close()
    for known in (asking.pool, reading._suffixes, decoding.readers):
        known.cache_clear()


@pytest.fixture
def installed(site, monkeypatch):
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    importlib.invalidate_caches()
    forget_readers()
    yield site
    forget_readers()
    for name in [name for name in sys.modules if name.partition(".")[0] == "annotator_levels"]:
        del sys.modules[name]


@pytest.fixture
def folder(tmp_path):
    """Two images of the package's own kind, and one that everybody can read."""
    place = tmp_path / "pictures"
    place.mkdir()
    values = np.full((120, 160), 10)
    values[BOX] = 80
    rows = "\n".join(" ".join(map(str, row)) for row in values)
    (place / "0.levels").write_text(f"LEVELS 1\n160 120 100\n{rows}\n")
    (place / "1.levels").write_text(f"LEVELS 1\n160 120 100\n{rows[:900]}\n")
    Image.fromarray(np.zeros((120, 160, 3), np.uint8)).save(place / "2.png")
    return place


def answer(desk) -> np.ndarray:
    return desk.session.annotations[-1].mask().full()


def open_with_engine(desk, folder) -> None:
    desk.engine.factory = lambda progress: default_factory("levels", config=None, device=None, settings=desk.settings)(
        progress
    )
    desk.open(folder=folder)
    desk.until(lambda: "measure" in desk.window.actions_by_id.rows)


def test_all_of_it_in_the_window(installed, desk, folder):
    open_with_engine(desk, folder)
    assert [image.path for image in desk.session.images] == ["0.levels", "1.levels", "2.png"]
    assert desk.client.info.name == "levels"
    desk.accept_at(50, 35)
    expected = np.zeros((120, 160), bool)
    expected[BOX] = True
    np.testing.assert_array_equal(answer(desk), expected)

    told = []
    desk.window.notices._line.tell = lambda text, **_: told.append(text)
    desk.key(Qt.Key.Key_M, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier)
    desk.until(lambda: len(told) == 2)
    assert told == ["Measure objects…", "1 objects cover 1200 pixels, 6.2 % of the image."]

    menu = desk.window.menus["Object"].actions()
    assert menu[-1].text() == "Measure objects"
    assert menu[-2].isSeparator()
    sheet = desk.program.files.show_keys()
    assert {"Measure objects", "Ctrl+Alt+M"} <= {label.text() for label in sheet.findChildren(QLabel)}
    sheet.close()
    about = desk.program.files.show_about()
    assert isinstance(about, AboutBox)
    desk.until(lambda: "annotator-levels" in about.plugins.text())
    line = "annotator-levels 1.0: action measure, engine levels, format table, image reader levels"
    assert line in about.plugins.text()
    about.close()

    desk.program.files.export()
    desk.until(lambda: desk.window.findChild(ExportDialog) is not None)
    dialog = desk.window.findChild(ExportDialog)
    dialog.format.setCurrentIndex(dialog.format.findData("table"))
    with desk.qtbot.waitSignal(dialog.done_with):
        QTest.mouseClick(dialog.start_button, LEFT)
    assert dialog.report.toPlainText() == "1 objects of 3 images."
    dialog.close()
    lines = (folder / "pictures-table.csv").read_text().splitlines()
    assert lines == ["image,class,x,y,width,height,area_px", "0.levels,object,30,20,40,30,1200"]


def test_a_damaged_file_of_its_kind_is_one_clear_sentence(installed, desk, folder):
    open_with_engine(desk, folder)
    desk.key(Qt.Key.Key_D)
    desk.until(lambda: desk.window.area.error_bar.text.startswith("1.levels is cut off"))


def test_on_the_command_line(installed, desk, folder, capsys):
    open_with_engine(desk, folder)
    desk.accept_at(50, 35)
    out = desk.root / "t.csv"
    assert main(["export", str(folder), "--format", "table", "--has-head", "no", "--out", str(out)]) == 0
    assert out.read_text().splitlines() == ["0.levels,object,30,20,40,30,1200"]
    mask = desk.root / "mask.png"
    words = ["predict", str(folder / "0.levels"), "--point", "50,35", "--model", "levels", "--out", str(mask)]
    assert main(words) == 0
    expected = np.zeros((120, 160), bool)
    expected[BOX] = True
    np.testing.assert_array_equal(np.asarray(Image.open(mask)) > 0, expected)
    capsys.readouterr()
    assert main(["models", "list"]) == 0
    assert "levels" in capsys.readouterr().out


def test_what_the_package_adds_is_known(installed):
    (package,) = packages()
    assert (package.name, package.version) == ("annotator-levels", "1.0")


def test_the_page_shows_the_files_of_the_example():
    """docs/plugins.md has them word by word."""
    page = (ROOT / "docs" / "plugins.md").read_text("utf-8")
    shown = dict(re.findall(r"`([\w/.]+)`:\n\n```\w+\n(.*?)```", page, re.DOTALL))
    assert len(shown) >= 5
    for name, text in shown.items():
        assert text == (EXAMPLE / name).read_text("utf-8"), name
