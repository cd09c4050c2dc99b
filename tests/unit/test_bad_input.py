"""Bad input on the command line: one clear message, exit code 2, nothing lost. The real commands, the real model."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from annotator import cli
from annotator.engine import load, weights
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import HEIGHT, WIDTH, accept, disc, document, image_folder
from tests.unit.train.scenes import write_set

NOISE = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def nano() -> Any:
    return load.load_segmenter("nano", device="cpu")


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must end with code 2 and one line; its message."""

    def run(*words: object) -> str:
        capsys.readouterr()
        assert cli.main([str(word) for word in words]) == 2
        error = capsys.readouterr().err
        lines = [line for line in error.splitlines() if line.startswith("annotator: ")]
        assert len(lines) == 1, error
        assert "Traceback" not in error
        return lines[0]

    return run


# --- predict: images -------------------------------------------------------------------------------------------------


@pytest.fixture
def predict(nano: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], np.ndarray]:
    """The mask that ``annotator predict`` writes for an image and a point."""
    monkeypatch.setattr(load, "load_segmenter", lambda *_args, **_options: nano)

    def run(image: Path, point: str) -> np.ndarray:
        out = tmp_path / "mask.png"
        assert cli.main(["predict", str(image), "--point", point, "--out", str(out)]) == 0
        mask = cv2.imread(str(out), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        assert set(np.unique(mask)) <= {0, 255}
        return mask

    return run


def odd_images(folder: Path) -> dict[str, Path]:
    """Images of 90 x 60 pixels, as they are shown, of every kind that readers trip over."""
    grey = np.dstack([NOISE[..., 0]])[..., 0]
    made: dict[str, Image.Image] = {
        "cmyk.jpg": Image.fromarray(NOISE).convert("CMYK"),
        "cmyk.tif": Image.fromarray(NOISE).convert("CMYK"),
        "palette.png": Image.fromarray(NOISE).quantize(16),
        "palette.gif": Image.fromarray(NOISE).quantize(16),
        "alpha.png": Image.fromarray(np.dstack([NOISE, grey])),
        "grey-alpha.png": Image.fromarray(np.dstack([grey, grey])),
        "bit.png": Image.fromarray(grey > 128),
        "grey.jpg": Image.fromarray(grey),
    }
    for name, image in made.items():
        image.save(folder / name)
    cv2.imwrite(str(folder / "deep.png"), grey.astype(np.uint16) * 200)
    cv2.imwrite(str(folder / "deep-colour.tif"), NOISE.astype(np.uint16) * 200)
    cv2.imwrite(str(folder / "float.tif"), grey.astype(np.float32) / 7)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(NOISE))).save(folder / "turned.jpg", exif=turned)
    return {path.name: path for path in sorted(folder.iterdir())}


def test_odd_images_are_segmented_at_the_size_that_is_shown(
    tmp_path: Path, predict: Callable[[Path, str], np.ndarray]
) -> None:
    (tmp_path / "odd").mkdir()
    images = odd_images(tmp_path / "odd")
    assert len(images) == 12
    for name, path in images.items():
        assert predict(path, "85,30").shape == (60, 90), name  # on the turned one, beyond its stored width


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 2)])
def test_the_smallest_images(size: tuple[int, int], tmp_path: Path, predict: Callable[[Path, str], np.ndarray]) -> None:
    Image.new("RGB", size, (200, 100, 50)).save(tmp_path / "small.png")
    assert predict(tmp_path / "small.png", "0.5,0.5").shape == size[::-1]


def test_images_that_are_none(tmp_path: Path, fails: Callable[..., str]) -> None:
    for name in ("cut.png", "cut.jpg", "cut.tif"):
        Image.fromarray(NOISE).save(tmp_path / name)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
    (tmp_path / "zero.png").touch()
    (tmp_path / "text.png").write_text("hello")
    huge = b"P6 200000 200000 255\n"
    (tmp_path / "huge.ppm").write_bytes(huge)
    (tmp_path / "folder.png").mkdir()
    for name in ("cut.png", "cut.jpg", "cut.tif", "zero.png", "text.png", "huge.ppm", "folder.png", "absent.png"):
        told = fails("predict", tmp_path / name, "--point", "1,1", "--out", tmp_path / "mask.png")
        assert name in told
    assert not (tmp_path / "mask.png").exists()


def test_models_that_are_none(tmp_path: Path, fails: Callable[..., str]) -> None:
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    (tmp_path / "text.pt").write_text("hello, I am no model")
    (tmp_path / "zero.safetensors").touch()
    words = ("predict", tmp_path / "a.png", "--point", "1,1", "--out", tmp_path / "mask.png", "--model")
    assert "annotator models download sam2.1-tiny" in fails(*words, "sam2.1-tiny")
    assert "no model" in fails(*words, tmp_path / "absent.pt")
    assert "--config" in fails(*words, tmp_path / "text.pt")
    assert "text.pt" in fails(*words, tmp_path / "text.pt", "--config", "configs/sam2.1/sam2.1_hiera_t.yaml")
    assert "zero.safetensors" in fails(*words, tmp_path / "zero.safetensors")
    weights.user_dir().mkdir(parents=True)
    (weights.user_dir() / "sam2.1_hiera_tiny.pt").write_bytes(b"not the official one")
    assert "SHA-256" in fails(*words, "sam2.1-tiny")


def test_outputs_that_cannot_be_written(tmp_path: Path, fails: Callable[..., str]) -> None:
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    words = ("predict", tmp_path / "a.png", "--point", "1,1", "--out")
    (tmp_path / "folder.png").mkdir()
    assert "no folder" in fails(*words, tmp_path / "none" / "mask.png")
    assert "no folder" in fails(*words, tmp_path / "a.png" / "mask.png")
    assert "is a folder" in fails(*words, tmp_path / "folder.png")
    assert "unknown kind" in fails(*words, tmp_path / "mask.xyz")


# --- export and import -----------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of three images with two accepted objects."""
    with ProjectStore.open_folder(image_folder(tmp_path)) as store:
        accept(store, 1, disc(20, 20, 9))
        accept(store, 2, disc(30, 20, 7, hole=3))
        return store.path


def objects(project: Path) -> tuple[Any, ...]:
    with ProjectStore.open(project, read_only=True) as store:
        return document(store)


def broken_projects(folder: Path, project: Path) -> dict[str, Path]:
    whole = project.read_bytes()
    contents = {"zero": b"", "text": b"hello " * 999, "cut": whole[: len(whole) // 2], "head": whole[:100]}
    contents["noise"] = whole[:4096] + np.random.default_rng(0).bytes(len(whole) - 4096)
    paths = {name: folder / f"{name}.annot" for name in contents}
    for name, content in contents.items():
        paths[name].write_bytes(content)
    paths["other"], paths["newer"] = folder / "other.annot", folder / "newer.annot"
    with sqlite3.connect(paths["other"]) as connection:
        connection.execute("CREATE TABLE t(a)")
    connection.close()
    paths["newer"].write_bytes(whole)
    with sqlite3.connect(paths["newer"]) as connection:
        connection.execute("PRAGMA user_version = 9999")
    connection.close()
    return paths


def test_projects_that_are_none(project: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "plain").mkdir()
    coco = tmp_path / "coco.json"
    coco.write_text('{"images": [], "annotations": [], "categories": []}')
    for name, path in broken_projects(tmp_path / "broken", project).items():
        before = path.read_bytes()
        assert path.name in fails("export", path, "--out", tmp_path / "out.json"), name
        assert path.name in fails("import", path, coco), name
        assert path.read_bytes() == before, name
    assert "no project in" in fails("export", tmp_path / "plain", "--out", tmp_path / "out.json")
    assert "absent.annot" in fails("export", tmp_path / "absent.annot", "--out", tmp_path / "out.json")
    assert "absent.annot" in fails("import", tmp_path / "absent.annot", coco)
    assert not (tmp_path / "out.json").exists()


def test_exports_that_cannot_be_written(
    project: Path, tmp_path: Path, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = objects(project)
    kept = tmp_path / "kept.json"
    kept.write_text("the export of yesterday")
    words = ("export", project, "--out")
    assert "no folder" in fails(*words, tmp_path / "none" / "out.json")
    assert "folder" in fails(*words, tmp_path)
    assert "is a file" in fails(*words, kept, "--format", "polygons")
    with monkeypatch.context() as patched:

        def full_disk(*_: object) -> None:
            raise OSError(28, "No space left on device")

        patched.setattr(os, "fsync", full_disk)
        assert "disk is full" in fails(*words, kept)
    assert kept.read_text() == "the export of yesterday"
    assert objects(project) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.json", "set"]


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_no_file_that_is_not_a_plain_one_is_replaced(project: Path, tmp_path: Path, fails: Callable[..., str]) -> None:
    """``/dev/stdout`` is such a name; with enough rights it would be gone."""
    pipe = tmp_path / "pipe.json"
    os.mkfifo(pipe)
    assert "not a plain file" in fails("export", project, "--out", pipe)
    Image.fromarray(NOISE).save(tmp_path / "a.png")
    assert "not a plain file" in fails("predict", tmp_path / "a.png", "--point", "1,1", "--out", pipe)
    assert pipe.is_fifo()


HOSTILE_FILES = ["", "{", "[]", '"x"', "{}", '{"images": 3}', "[" * 100_000, '{"images": [], "n": ' + "9" * 5000 + "}"]


@pytest.mark.parametrize("content", HOSTILE_FILES)
def test_json_that_is_no_data_set(project: Path, tmp_path: Path, content: str, fails: Callable[..., str]) -> None:
    before = objects(project)
    (tmp_path / "bad.json").write_text(content)
    assert "bad.json" in fails("import", project, tmp_path / "bad.json")
    assert "bad.json" in fails(
        *("evaluate", "--engine", "grabcut", "--coco", tmp_path / "bad.json", "--images", project.parent)
    )
    assert objects(project) == before


HOSTILE_OBJECTS: list[dict[str, Any]] = [
    {"segmentation": {"size": [100_000, 100_000], "counts": [0, 10**10]}},
    {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [0, 10**9]}},
    {"segmentation": {"size": [HEIGHT, WIDTH], "counts": "oooooooooooooooooooooooo0"}},
    {"segmentation": {"size": [-HEIGHT, -WIDTH], "counts": [HEIGHT * WIDTH]}},
    {"segmentation": [[0, 0, float("nan"), 0, 9, 9]]},
    {"segmentation": [[0, 0, 1e300, 0, 9, 9]]},
    {"segmentation": 7},
    {"image_id": {"id": 1}},
    {"image_id": 99},
    {"id": float("nan"), "segmentation": None},
]


@pytest.mark.parametrize("hostile", HOSTILE_OBJECTS, ids=lambda value: json.dumps(value)[:40])
def test_hostile_objects(project: Path, tmp_path: Path, hostile: dict[str, Any], fails: Callable[..., str]) -> None:
    """Nothing of the file could be taken: that is an error, and what was accepted is still there."""
    before = objects(project)
    data = {
        "images": [{"id": 1, "file_name": "1.png", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 1, "name": "thing", "supercategory": "thing"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, **hostile}],
    }
    (tmp_path / "hostile.json").write_text(json.dumps(data))
    assert "hostile.json" in fails("import", project, tmp_path / "hostile.json")
    assert fails(*("evaluate", "--engine", "grabcut", "--coco", tmp_path / "hostile.json", "--images", project.parent))
    assert objects(project)[2] == before[2]


def test_a_file_with_some_good_objects_is_taken_and_the_others_named(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = [[5, 5, 15, 5, 15, 15, 5, 15]]
    data = {
        "images": [{"id": 1, "file_name": "1.png", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": 1, "segmentation": segmentation}
            for number, segmentation in ((1, good), (2, 7))
        ],
    }
    (tmp_path / "mixed.json").write_text(json.dumps(data))
    assert cli.main(["import", str(project), str(tmp_path / "mixed.json")]) == 0
    told = capsys.readouterr().out
    assert "1 object on 1 image" in told
    assert "problem: " in told


# --- evaluate and models ---------------------------------------------------------------------------------------------


def test_sets_with_bad_images(tmp_path: Path, fails: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    """One bad image does not end the run: it is named, its objects are counted. Nothing but bad ones is an error."""
    root = write_set(tmp_path / "cells", images=2)
    words = ("evaluate", "--engine", "grabcut", "--clicks", "1", "--coco", root / "annotations.json", "--images")
    (tmp_path / "empty").mkdir()
    assert "1.png" in fails(*words, tmp_path / "empty")
    assert "absent" in fails(*words, tmp_path / "absent")
    picture, out = root / "images" / "1.png", tmp_path / "out.json"
    whole = picture.read_bytes()
    Image.new("RGB", (7, 7)).save(tmp_path / "small.png")
    for content in (whole[: len(whole) // 2], b"", b"hello", (tmp_path / "small.png").read_bytes()):
        picture.write_bytes(content)
        capsys.readouterr()
        assert cli.main([str(word) for word in (*words, root / "images", "--json", out)]) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("cells: left out")]
        assert "1.png" in line
        assert "2 objects skipped" in line
        assert json.loads(out.read_text())["objects"] == 2
    (root / "images" / "2.png").write_bytes(whole[: len(whole) // 2])
    out.unlink()
    assert "2.png" in fails(*words, root / "images", "--json", out)
    assert not out.exists()


def test_weights_that_are_none(tmp_path: Path, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in {"zero.pt": b"", "text.pt": b"hello"}.items():
        (tmp_path / name).write_bytes(content)
        assert "none of the known models" in fails("models", "import", tmp_path / name)
    assert "does not say which model it is" in fails("models", "import", tmp_path)
    assert "cannot be read" in fails("models", "import", tmp_path / "absent.pt")
    nano_file = weights.shipped_dir() / weights.registry()["nano"].file
    assert fails("models", "import", nano_file)  # ships with the program, has no SHA-256 to be checked by
    monkeypatch.setenv("ANNOTATOR_CHECKPOINTS", str(tmp_path / "text.pt" / "checkpoints"))
    assert cli.main(["models", "list"]) == 0


def test_a_damaged_model_is_named_by_list_and_fails_verify(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    weights.user_dir().mkdir(parents=True)
    file = weights.user_dir() / "sam2.1_hiera_tiny.pt"
    file.write_bytes(b"not the official one")
    assert cli.main(["models", "list"]) == 0
    assert cli.main(["models", "verify"]) == 2
    assert capsys.readouterr().out.count("SHA-256 differs") == 2
    assert file.exists()

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(weights, "sha256_of", refuse)
    assert cli.main(["models", "verify"]) == 2
    assert "cannot be read (Permission denied)" in capsys.readouterr().out
