"""``annotator demo`` from outside: it ends well with the embedded model, and no broken promise goes by unnoticed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from annotator.commands import demo
from annotator.demo import story
from annotator.domain.errors import ExportError
from annotator.domain.project import Status
from annotator.io.project.store import ProjectStore
from tests.e2e.demo_driver import FAULTS, NO_FAULT

ROOT = Path(__file__).resolve().parents[2]
EMBEDDED = sorted((ROOT / "checkpoints").glob("nano-*.safetensors"))
PATIENCE_S = 280
OBJECTS = 8 + len(story.COINS)
README_PICTURE_BYTES = 400_000

IS_REAL = bool(EMBEDDED) and sys.platform.startswith("linux")
"""Elsewhere the demo would open a window on the screen of whoever runs the tests."""

needs_real = pytest.mark.skipif(not IS_REAL, reason="no embedded model here, or no Linux")


def environment() -> dict[str, str]:
    """No display, and nobody said so: the demo has to find out by itself."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "2"}
    for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY", "ANNOTATOR_CHECKPOINTS"):
        env.pop(name, None)
    return env


def start(*arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "import sys; from annotator.cli import main; sys.exit(main(sys.argv[1:]))"]
    return subprocess.Popen(
        [*command, *arguments],
        env=env or environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


Run = tuple[int, str]


def run_drivers(folder: Path, env: dict[str, str], found: dict[str, Future[Run]]) -> None:
    """One process for all faults, in the order of ``found``; an answer is set as soon as it is there."""
    command = [sys.executable, "-m", "tests.e2e.demo_driver", str(folder), *found]
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            fault, code = line.split()
            found[fault].set_result((int(code), (folder / f"fault-{fault}.txt").read_text()))
    for future in found.values():
        if not future.done():
            future.set_exception(AssertionError(f"the driver ended with {process.returncode}"))


def run_driver(folder: Path, env: dict[str, str], fault: str) -> Run:
    """Where a program with a window cannot be forked."""
    out = folder / f"fault-{fault}"
    out.mkdir()
    command = [sys.executable, "-m", "tests.e2e.demo_driver", str(out), fault]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE_S)
    return done.returncode, done.stdout + done.stderr


def run_real(out: Path, env: dict[str, str]) -> Run:
    process = start("demo", "--out", str(out), env=env)
    said, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def runs(folder: Path) -> Iterator[dict[str, Future[Run]]]:
    """The real demo, and beside it the one without a fault and with each: a window mostly waits."""
    env = {**environment(), "ANNOTATOR_HOME": str(folder / "home")}
    with ThreadPoolExecutor(2) as pool:
        found = {"real": pool.submit(run_real, folder / "real", env)} if IS_REAL else {}
        env = {**env, "QT_QPA_PLATFORM": "offscreen"}
        names = (NO_FAULT, *FAULTS)
        if sys.platform.startswith("linux"):
            faulty = {name: Future[Run]() for name in names}
            pool.submit(run_drivers, folder, env, faulty)
        else:
            faulty = {name: pool.submit(run_driver, folder, env, name) for name in names}
        yield found | faulty
        pool.shutdown(cancel_futures=True)


@needs_real
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools on NumPy 2
@pytest.mark.timeout(PATIENCE_S + 10)
def test_the_demo_does_the_whole_job_with_the_embedded_model(folder: Path, runs: dict[str, Future[Run]]) -> None:
    code, said = runs["real"].result(PATIENCE_S)
    out = folder / "real"

    assert code == 0, said
    assert "FAILED" not in said
    assert "Traceback" not in said
    assert "propagateSizeHints" not in said
    first, *_, second_last, last = said.rstrip().splitlines()
    assert "labels sample images by itself" in first, "it says what it will do before it does it"
    assert second_last.endswith(f"All of it is in {out}")
    assert last.startswith("Now your own images: ")
    assert last.endswith("annotator FOLDER")
    assert not (folder / "home").exists(), "the demo changed the person's settings"
    rows = table_rows(said)
    assert len(rows) == OBJECTS
    assert all(int(row[3]) >= 1 and float(row[4]) >= 0 and int(row[6]) > 0 for row in rows), rows
    check_project(out, said)
    check_exports(out)
    check_pictures(out)


def table_rows(said: str) -> list[list[str]]:
    """Cells of the printed table, separated by two blanks or more."""
    lines = said.splitlines()
    rule = next(at for at, line in enumerate(lines) if line.startswith("------"))
    body = lines[rule + 1 : lines.index("", rule)]
    return [[cell.strip().replace(",", "") for cell in line.strip().split("  ") if cell.strip()] for line in body]


def check_project(out: Path, said: str) -> None:
    with ProjectStore.open(out / "demo.annot", read_only=True) as store:
        objects = store.all_annotations()
        images = {image.id: image for image in store.images()}
        names = {category.id: category.name for category in store.categories()}
        assert [
            [str(a.id), names[a.category_id], images[a.image_id].path, str(a.clicks), str(a.mask().area)]
            for a in objects
        ] == [[*row[:4], row[5]] for row in table_rows(said)]
        status = {image.path: image.status for image in images.values()}
        assert status["brick.png"] is Status.EMPTY
        assert status["ct-head.dcm"] is Status.DONE
        assert all(a.model_sha256 and a.prompts and a.author == "annotator demo" for a in objects)


def check_exports(out: Path) -> None:
    coco = COCO(str(out / "demo-coco.json"))
    with ProjectStore.open(out / "demo.annot", read_only=True) as store:
        for annotation in store.all_annotations():
            exported = coco.annToMask(coco.anns[annotation.id]).astype(bool)
            stored = annotation.mask().full()
            assert np.count_nonzero(exported & stored) >= 0.98 * np.count_nonzero(exported | stored)
    files = sorted((out / "demo-polygons").rglob("*.json"))
    assert sum(len(json.loads(file.read_text())["features"]) for file in files) == OBJECTS == len(coco.anns)


def check_pictures(out: Path) -> None:
    pictures = sorted(out.glob("*.png"))
    assert len(pictures) == 12
    for path in pictures:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        assert pixels.shape[0] >= 600, path
        assert pixels.shape[1] >= 900, path
        colours = np.unique(pixels @ np.array([1 << 16, 1 << 8, 1]))  # as numbers: sorting triples takes a second each
        assert len(colours) > 200, f"{path.name} is nearly blank"
    assert (out / "window.png").stat().st_size < README_PICTURE_BYTES


# --- with a model that knows the objects ------------------------------------------------------------------------------


@pytest.mark.timeout(PATIENCE_S + 10)
def test_the_demo_passes_with_a_model_that_knows_the_objects(runs: dict[str, Future[Run]]) -> None:
    """The opposite of weak weights; it also shows that the faults below fail for their own reason."""
    code, said = runs[NO_FAULT].result(PATIENCE_S)
    assert code == 0, said
    assert len(table_rows(said)) == OBJECTS


VERDICTS = {
    "elsewhere": "boxed and clicked: the mask leaves the click out",
    "deaf": "negative clicks the last is still inside the mask",
    "unpainted": "the mask is not painted",
    "not-stored": "the project file lacks objects [1]",
    "other-pixels": "what was accepted is not the mask that was shown",
    "no-undo": "undo left",
    "lossy-export": "has another area",
    "crash-in-slot": "an error in the program: RuntimeError: planted",
}


@pytest.mark.timeout(PATIENCE_S + 10)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_promise_makes_the_demo_fail(fault: str, runs: dict[str, Future[Run]]) -> None:
    code, said = runs[fault].result(PATIENCE_S)
    assert code == 1, said
    failures = [line for line in said.splitlines() if line.startswith("FAILED")]
    assert len(failures) == 1, said
    assert VERDICTS[fault] in failures[0]
    assert "Every step did what it should" not in said


# --- ends -------------------------------------------------------------------------------------------------------------


@needs_real
def test_ctrl_c_ends_the_demo_with_a_sentence(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    process = start("demo", "--out", str(out))
    assert process.stdout is not None
    assert any(line.startswith("ok") for line in process.stdout), "before the first step it says what it will do"
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, said
    assert f"Stopped. What was accepted so far is in {out}" in said
    assert "Traceback" not in said


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    process = start("demo", "--out", str(tmp_path / "file" / "below"))
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2, said
    assert said.startswith(f"annotator: {tmp_path / 'file' / 'below'} cannot be written")
    assert len(said.splitlines()) == 1


def test_an_earlier_demo_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "demo.annot").write_bytes(b"somebody's work")
    with pytest.raises(ExportError, match="holds a demo already"):
        demo.prepare_folder(tmp_path)
    assert (tmp_path / "demo.annot").read_bytes() == b"somebody's work"


def test_without_a_name_the_first_free_folder_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [demo.prepare_folder(None).name for _ in range(3)] == ["demo-out", "demo-out-2", "demo-out-3"]


class TestDisplay:
    @pytest.fixture(autouse=True)
    def _bare(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("QT_QPA_PLATFORM", "DISPLAY", "WAYLAND_DISPLAY"):
            monkeypatch.setenv(name, "")

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a display is always there elsewhere")
    def test_without_one_the_window_is_drawn_into_memory(self) -> None:
        assert demo.use_offscreen_without_display() is False
        assert os.environ["QT_QPA_PLATFORM"] == "offscreen"

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a display is always there elsewhere")
    def test_one_that_cannot_be_used_does_not_end_the_demo(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("DISPLAY", "nowhere.invalid:99")
        assert demo.use_offscreen_without_display() is False
        assert os.environ["QT_QPA_PLATFORM"] == "offscreen"
        assert "cannot be used" in capsys.readouterr().err

    @pytest.mark.parametrize(("platform", "is_seen"), [("offscreen", False), ("vnc:port=5901", True)])
    def test_what_the_person_chose_stays(self, platform: str, is_seen: bool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("QT_QPA_PLATFORM", platform)
        assert demo.use_offscreen_without_display() is is_seen
        assert os.environ["QT_QPA_PLATFORM"] == platform
