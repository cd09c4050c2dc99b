"""A wheel built from the checkout and installed elsewhere finds everything it needs, from any folder."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
MISSING = [name for name in ("pip", "hatchling") if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"{' and '.join(MISSING)} not installed: no wheel can be built"),
    pytest.mark.skipif(not (CHECKOUT / "pyproject.toml").is_file(), reason="the tests do not lie in a checkout"),
]

START = """
import sys
from pathlib import Path
target, checkout = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
sys.path[:] = [str(target), *(p for p in sys.path if Path(p or ".").resolve() != checkout)]
del sys.argv[1:3]
import annotator
assert Path(annotator.__file__).resolve().is_relative_to(target), annotator.__file__
assert not any((Path(p or ".") / "annotator" / "cli.py").is_file() for p in sys.path if Path(p).resolve() != target)
"""
COMMAND = START + "from annotator.cli import main\nsys.exit(main())\n"
LOOK = (
    START
    + """
import json
from annotator.engine import weights
from annotator.io.formats import registry
from annotator.io.images.decoding import readers
from annotator.io.settings import SETTINGS, Settings
from annotator.ui.shell.keymap import presets
from annotator.files.resources import resource_path
model = weights.status_of(weights.registry()["nano"])
settings = Settings.load()
print(json.dumps({
    "weights": str(model.path), "is_verified": model.is_verified, "default": weights.default_model().name,
    "resources": str(resource_path("icons").parent),
    "presets": {name: keymap.label("accept") for name, keymap in presets().items()},
    "defaults": {s.key: settings.get(s.key) for s in SETTINGS},
    "readers": sorted(reader.name for reader in readers()),
    "exporters": [spec.id for spec in registry.export_formats()],
    "importers": [spec.id for spec in registry.import_formats()],
}))
"""
)


@dataclass(frozen=True, slots=True)
class Installed:
    """The wheel, the folder that it was installed into, and another one to work in."""

    wheel: Path
    target: Path
    cwd: Path
    home: Path

    def python(self, code: str, *words: object) -> subprocess.CompletedProcess[str]:
        """Run code on the installed program, with nothing of the checkout on the path and a home of its own."""
        dropped = ("PYTHONPATH", "ANNOTATOR_CHECKPOINTS")
        environment = {name: value for name, value in os.environ.items() if name not in dropped}
        environment |= {
            "ANNOTATOR_HOME": str(self.home),
            "XDG_DATA_HOME": str(self.home / "data"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "PYTHONWARNINGS": "",
        }
        command = [sys.executable, "-c", code, str(self.target), str(CHECKOUT), *map(str, words)]
        return subprocess.run(command, cwd=self.cwd, env=environment, capture_output=True, text=True, timeout=120)

    def look(self) -> dict[str, Any]:
        done = self.python(LOOK)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    root = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    offline = ["--no-deps", "--no-index"]
    for words in (
        ["wheel", *offline, "--no-build-isolation", "--wheel-dir", str(root / "dist"), str(CHECKOUT)],
        ["install", *offline, "--no-compile", "--target", str(root / "site"), "--find-links", str(root / "dist")],
    ):
        asked = [*words, "annotator"] if words[0] == "install" else words
        done = subprocess.run([*pip, *asked], cwd=root, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    (wheel,) = (root / "dist").glob("*.whl")
    (root / "elsewhere").mkdir()
    return Installed(wheel, root / "site", root / "elsewhere", root / "home")


def test_the_wheel_holds_the_program_and_its_data_and_nothing_else(installed: Installed) -> None:
    with zipfile.ZipFile(installed.wheel) as archive:
        names = set(archive.namelist())
    sources = {p.relative_to(CHECKOUT).as_posix() for p in (CHECKOUT / "annotator").rglob("*.py")}
    resources = {
        f"annotator/_data/resources/{p.relative_to(CHECKOUT / 'resources').as_posix()}"
        for p in (CHECKOUT / "resources").rglob("*")
        if p.is_file() and p.parent.name != "__pycache__"
    }
    assert sources <= names
    assert resources <= names
    assert not [name for name in names if "__pycache__" in name]
    assert "annotator/_data/checkpoints/registry.toml" in names
    tops = {name.split("/")[0] for name in names}
    assert tops == {"annotator", next(top for top in tops if top.endswith(".dist-info"))}


def test_weights_icons_keymap_and_settings_are_found(installed: Installed) -> None:
    found = installed.look()
    weights, resources = Path(found["weights"]), Path(found["resources"])
    for path in (weights, resources):
        assert path.resolve().is_relative_to(installed.target.resolve())
    assert found["is_verified"]
    assert found["default"]
    assert weights.read_bytes() == (CHECKOUT / "checkpoints" / weights.name).read_bytes()
    icons = {path.name for path in (CHECKOUT / "resources" / "icons").iterdir()}
    assert icons == {path.name for path in (resources / "icons").iterdir()}
    assert found["presets"]["annotator"] == "Enter"
    assert found["defaults"]["keymap"] in found["presets"]
    assert 0 < found["defaults"]["mask_opacity"] < 1
    assert {"coco", "polygons"} <= set(found["exporters"])
    assert "coco" in found["importers"]
    assert {"raster", "dicom"} <= set(found["readers"])


def test_models_list_and_card(installed: Installed) -> None:
    listed = installed.python(COMMAND, "models", "list")
    assert listed.returncode == 0, listed.stderr
    assert any(line.startswith("* nano ") for line in listed.stdout.splitlines())
    card = installed.python(COMMAND, "models", "card", "nano")
    assert card.returncode == 0, card.stderr
    assert card.stdout.startswith("# Model card")


def test_predict_segments_an_image(installed: Installed) -> None:
    picture = np.full((200, 300, 3), 120, np.uint8)
    picture[60:140, 90:210] = (230, 60, 40)
    cv2.imwrite(str(installed.cwd / "block.png"), picture)
    words = ("predict", "block.png", "--model", "nano", "--box", "90,60,210,140", "--out", "mask.png")
    done = installed.python(COMMAND, *words)
    assert done.returncode == 0, done.stderr
    mask = cv2.imread(str(installed.cwd / "mask.png"), cv2.IMREAD_UNCHANGED) > 0
    truth = np.zeros((200, 300), bool)
    truth[60:140, 90:210] = True
    assert (mask & truth).sum() / (mask | truth).sum() > 0.7
    assert "mask.png" in done.stdout


def test_the_command_that_pip_installs_starts(installed: Installed) -> None:
    script = next((installed.target / "bin").glob("annotator*"))
    environment = {**os.environ, "PYTHONPATH": str(installed.target)}
    done = subprocess.run(
        [sys.executable, str(script), "--version"], cwd=installed.cwd, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("annotator ")
