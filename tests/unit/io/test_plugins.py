from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from annotator import plugins
from annotator.io.images.decoding import OWN_READERS

GROUP = "annotator.readers"
OWN = {"raster": "annotator.io.images.raster:RasterReader"}


def lay_package(folder: Path, name: str, entries: dict[str, str], *, group: str = GROUP, version: str = "1.2") -> None:
    """The metadata of an installed package, as pip leaves it."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", "utf-8")
    lines = [f"[{group}]", *(f"{key} = {target}" for key, target in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", "utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the import path that packages are installed into."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    return folder


def test_every_one_of_our_own_loads() -> None:
    assert set(plugins.load_all(GROUP, OWN_READERS)) >= set(OWN_READERS)
    assert plugins.find("annotator.nonsense") == ()


def test_others_are_found_broken_ones_reported_and_names_not_taken_over(
    site: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = {"broken": "no_such_module_anywhere:Reader", "lacking": "json:nothing_here", "raster": "json:dumps"}
    lay_package(site, "broken_plugin", broken)
    lay_package(site, "good_plugin", {"good": "json:loads"})
    with caplog.at_level(logging.WARNING):
        found = plugins.load_all(GROUP, OWN)
    assert set(found) == {"raster", "good"}
    assert found["raster"].__name__ == "RasterReader"  # type: ignore[attr-defined]
    for name in ("no_such_module_anywhere", "nothing_here", "json:dumps"):
        assert name in caplog.text
    (good,) = (plugin for plugin in plugins.find(GROUP, OWN) if plugin.name == "good")
    assert (good.distribution, good.version) == ("good_plugin", "1.2")


def test_packages_say_what_they_add(site: Path) -> None:
    lay_package(site, "two-things", {"nd2": "json:loads", "czi": "json:loads"}, version="0.3")
    lay_package(site, "something-else", {"x": "json:loads"}, group="console_scripts")
    assert plugins.packages() == (plugins.Package("two-things", "0.3", ("image reader czi", "image reader nd2")),)


def test_a_damaged_package_does_not_hide_the_others(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    lay_package(site, "good_plugin", {"good": "json:loads"})
    lay_package(site, "aaa_damaged", {"bad": "json:loads"})
    (site / "aaa_damaged-1.2.dist-info" / "entry_points.txt").write_bytes(b"\xff\xfe\x00[annotator")
    with caplog.at_level(logging.WARNING):
        assert [package.name for package in plugins.packages()] == ["good_plugin"]
    assert "cannot be read" in caplog.text


def test_a_package_in_the_current_folder_is_no_plug_in(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_package(site, "good_plugin", {"good": "json:loads"})
    assert len(plugins.packages()) == 1
    monkeypatch.chdir(site)
    assert plugins.packages() == ()
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert plugins.packages() == ()


def test_importing_plugins_imports_only_the_standard_library() -> None:
    code = "import sys; import annotator.plugins; print([m for m in ('numpy', 'torch', 'PySide6') if m in sys.modules])"
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SCRIPT = "import sys; from annotator.__main__ import start; sys.exit(start())"


@pytest.mark.parametrize("pythonpath", ["", os.pathsep, f".{os.pathsep}"])
@pytest.mark.parametrize("words", [("-m", "annotator"), ("-P", "-c", SCRIPT)])
def test_nothing_that_lies_in_the_current_folder_is_imported(
    tmp_path: Path, words: tuple[str, ...], pythonpath: str
) -> None:
    """Started among images, with files there that are named like modules and a package that says it is a plug-in."""
    trap = f"import pathlib; pathlib.Path({str(tmp_path / 'sprung')!r}).write_text(__name__)\n"
    images = tmp_path / "images"
    lay_package(images, "evil", {"evil": "evil_plugin:Reader"})
    for name in ("evil_plugin", "typing", "argparse", "json", "random", "sysconfig", "numpy", "cv2", "sqlite3"):
        (images / f"{name}.py").write_text(trap, "utf-8")
    (images / "photo.png").write_bytes(b"no image")
    environment = {**os.environ, "PYTHONPATH": f"{pythonpath}{Path(__file__).parents[3]}"}
    command = [sys.executable, *words, "predict", "photo.png", "--point", "1,1", "--out", "mask.png"]
    done = subprocess.run(command, cwd=images, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert "photo.png is not an image" in done.stderr
    assert not (tmp_path / "sprung").exists(), (tmp_path / "sprung").read_text()
