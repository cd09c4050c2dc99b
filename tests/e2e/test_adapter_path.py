"""The adapter's whole path in the real window: label, train, be told of the gate, install, swap, be shown where to
click. Model and training process are the real ones; how good the adapter becomes plays no part."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from annotator.domain.adapter import DECIDING
from annotator.engine.sam2.adapter_files import read_adapter_info
from annotator.engine.weights import registry, sha256_of
from annotator.io.project.store import ProjectStore
from annotator.jobs.training_record import open_records
from tests.e2e.adapter_driver import IMAGES, NAME
from tests.e2e.nuclei import write_nuclei

ROOT = Path(__file__).resolve().parents[2]
EMBEDDED = ROOT / "checkpoints" / registry()["nano"].file
PATIENCE_S = 500
"""Half a minute of work, at most; a machine that is busy with other things gets more time."""

pytestmark = [
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not EMBEDDED.is_file(), reason="the embedded model is not in this checkout"),
    pytest.mark.skipif(sys.platform == "win32", reason="drives an offscreen window on its own"),
]


@dataclass(frozen=True, slots=True)
class Desk:
    """A folder of images and a home, and what the driver saw there, by step."""

    root: Path

    @property
    def pictures(self) -> Path:
        return self.root / "pictures"

    @property
    def runs(self) -> Path:
        return self.root / "cache" / "annotator" / "train-adapter"

    @property
    def installed(self) -> Path:
        return self.root / "checkpoints" / "adapters" / f"{NAME}.safetensors"

    def drive(self, mode: str, *, model: str) -> dict[str, list[dict[str, Any]]]:
        home = {"ANNOTATOR_HOME": "home", "XDG_CACHE_HOME": "cache", "ANNOTATOR_CHECKPOINTS": "checkpoints"}
        env = {
            **os.environ,
            **{name: str(self.root / place) for name, place in home.items()},
            "QT_QPA_PLATFORM": "offscreen",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-m", "tests.e2e.adapter_driver", mode, str(self.pictures), model]
        done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stdout + done.stderr
        seen: dict[str, list[dict[str, Any]]] = {}
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                found = json.loads(line)
                seen.setdefault(found.pop("step"), []).append(found)
        assert "failed" not in seen, done.stdout
        return seen

    def copied(self, root: Path) -> Desk:
        shutil.copytree(self.root, root)
        return Desk(root)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Images labelled, an adapter trained; the window was closed while that went on."""
    desk = Desk(tmp_path_factory.mktemp("adapter"))
    write_nuclei(desk.pictures, IMAGES)
    # A person's own weights file; it happens to be the embedded model.
    seen = desk.drive("label", model=str(EMBEDDED))
    assert seen["labelled"] == [{"images": IMAGES, "boxes": IMAGES // 2}]
    (progress,) = seen["progress"]
    assert progress["is_running"]
    assert "of 40 " in progress["lines"][0], "windows to learn from and to stop by"
    assert "of 0.1 minutes" in progress["lines"][1]
    (record,) = open_records(desk.runs)
    assert str(record.wish.folder) == progress["folder"]
    assert (record.wish.model, record.wish.device) == (str(EMBEDDED), "cpu")
    deadline_s = time.monotonic() + PATIENCE_S
    while record.is_alive:
        assert time.monotonic() < deadline_s, "the training does not end"
        time.sleep(0.1)
    assert not desk.installed.exists(), "nobody has decided yet"
    return desk


def let_the_gate_say(desk: Desk, difference: float) -> None:
    """The figures are the real ones but for the one that decides: what a short training brings is chance."""
    (record,) = open_records(desk.runs)
    gate = record.wish.folder / "gate.json"
    found = json.loads(gate.read_text())
    (row,) = (row for row in found["held back"]["rows"] if row["measure"] == DECIDING)
    row["difference"] = {**row["difference"], "mean": difference}
    gate.write_text(json.dumps(found))


@pytest.mark.parametrize("is_better", [True, False], ids=["better", "no better"])
def test_what_was_trained_is_found_and_installed_or_insisted_on(
    trained: Desk, tmp_path: Path, *, is_better: bool
) -> None:
    desk = trained.copied(tmp_path / "desk")
    let_the_gate_say(desk, 0.02 if is_better else -0.02)
    (folder,) = desk.runs.glob("*/*")
    candidate = (folder / "candidate.safetensors").read_bytes()
    # What is used is the same, whatever the gate said of it: it is used once.
    seen = desk.drive("use" if is_better else "install", model="nano")

    (found,) = seen["found"]
    assert f"{NAME} is trained and waits" in found["told"]
    assert found["word"] == ("Install" if is_better else "Install anyway…")
    assert found["table"][0][0] == "Boundary IoU, all"
    assert found["table"][0][3].startswith("+0.020" if is_better else "-0.020")
    assert len(found["table"]) >= 9
    # No: it stays out. Yes: the person insists.
    assert [seen_one["is_installed"] for seen_one in seen.get("answered", [])] == ([] if is_better else [False, True])
    assert len(seen.get("asked", [])) == (0 if is_better else 2)
    assert desk.installed.read_bytes() == candidate
    assert read_adapter_info(desk.installed).base_sha256 == sha256_of(EMBEDDED)
    assert desk.installed.with_suffix(".md").read_text().startswith(f"# Adapter: {NAME}\n")
    assert "Ctrl+1 uses it" in seen["installed"][0]["message"]
    assert open_records(desk.runs) == []
    if is_better:
        check_use(desk, seen, f"{NAME}@{hashlib.sha256(candidate).hexdigest()}")


def check_use(desk: Desk, seen: dict[str, list[dict[str, Any]]], record: str) -> None:
    """Swapped in, it shows its doubt, suggests clicks and is compared; accepted objects say ``record``."""
    (swapped,) = seen["swapped"]
    assert swapped["encodes"] == 0, "the embedding that was there is used"
    assert NAME in swapped["engine"]
    assert (swapped["had_map"], swapped["has_map"]) == (False, True)
    (shown,) = seen["map"]
    assert min(shown["shown"]) > 0
    assert shown["is_gone"]
    (suggested,) = seen["suggested"]
    assert (suggested["is_placed"], suggested["is_gone"], suggested["encodes"]) == (True, True, 0)
    (compared,) = seen["compared"]
    assert "base's mask" in compared["message"]
    assert (compared["is_back"], compared["encodes"]) == (True, 0)
    (back,) = seen["back"]
    assert back["encodes"] == 0
    assert NAME not in back["engine"]
    assert [one["adapter"] for one in seen["accepted"]] == [record, ""]
    with ProjectStore.open_folder(desk.pictures) as store:
        kept = {row.id: row.adapter for image in store.images() for row in store.annotations(image.id)}
    assert [kept[one["id"]] for one in seen["accepted"]] == [record, ""]
    assert len(kept) == IMAGES + 3
    assert sum(map(bool, kept.values())) == 1
