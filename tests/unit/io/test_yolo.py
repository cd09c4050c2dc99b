"""YOLO segmentation out and in: what ultralytics reads is what was accepted, and the loss is told."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from annotator.commands import export, import_
from annotator.domain.errors import ExportError, ImportFormatError
from annotator.domain.mask import Mask
from annotator.domain.project import Status
from annotator.io.formats.registry import import_format_of
from annotator.io.formats.yolo import export_yolo, import_yolo
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import HEIGHT, WIDTH, accept, disc, image_folder
from tests.unit.io.test_commands_io import call


def parts() -> Mask:
    """Three parts, one with a hole, two that touch at a corner."""
    full = np.zeros((HEIGHT, WIDTH), bool)
    full[2:12, 2:12] = True
    full[5:8, 5:8] = False
    full[12:16, 12:16] = True
    full[30:33, 40:60] = True
    return Mask.from_full(full)


def as_ultralytics(line: str) -> np.ndarray:
    """A mask as its loader draws it: whole coordinates, OpenCV's polygon fill, which draws the outline as well."""
    values = np.array([float(value) for value in line.split()[1:]]).reshape(-1, 2)
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(drawn, [(values * (WIDTH, HEIGHT)).astype(np.int32)], 1)
    return drawn > 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = image_folder(tmp_path)
    with ProjectStore.open_folder(folder) as store:
        store.apply(store.category_edit('coin: "old" & ü'))
        accept(store, 1, disc(20, 20, 9))
        accept(store, 1, parts(), category_id=2)
        accept(store, 3, disc(30, 20, 12, hole=5))
    return folder


def test_what_is_written_is_what_ultralytics_documents(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "yolo"
    with ProjectStore.open(folder / "set.annot", read_only=True) as store:
        report = export_yolo(store, out)
        masks = [annotation.mask() for annotation in store.annotations(1)]
    data = yaml.safe_load((out / "data.yaml").read_text())
    assert data == {"train": "images", "val": "images", "names": {0: "object", 1: 'coin: "old" & ü'}}
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*")) == [
        "data.yaml",
        "labels/1.txt",
        "labels/sub/1.txt",
    ]
    lines = (out / "labels" / "1.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["0", "1"]
    for line, mask in zip(lines, masks, strict=True):
        values = [float(value) for value in line.split()[1:]]
        assert len(values) >= 6
        assert len(values) % 2 == 0
        assert all(0 <= value <= 1 for value in values)
        drawn, full = as_ultralytics(line), mask.full()
        outline = cv2.dilate(full.astype(np.uint8), np.ones((3, 3))) > cv2.erode(full.astype(np.uint8), np.ones((3, 3)))
        assert not (full & ~drawn & ~outline).any()
    hole = as_ultralytics(lines[1])[6, 6]
    assert not hole, "the middle of the hole stays free"
    assert report.bridged == 2
    assert 0.98 <= report.check.worst_iou <= report.mean_iou <= 1
    text = "\n".join(report.lines())
    assert "mean IoU" in text
    assert "with holes or several parts: 2 objects" in text
    assert "self-check: 3 objects" in text


def test_exact_edges_lose_nothing(folder: Path, tmp_path: Path) -> None:
    with ProjectStore.open(folder / "set.annot", read_only=True) as store:
        report = export_yolo(store, tmp_path / "yolo", tolerance_px=0)
    assert (report.mean_iou, report.check.worst_iou) == (1.0, 1.0)


def test_there_and_back(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "yolo"
    assert call(export, folder, "--format", "yolo", "--tolerance-px", "0", "--images", "copy", "--out", out) == 0
    assert (out / "images" / "sub" / "1.png").read_bytes() == (folder / "sub" / "1.png").read_bytes()
    other = image_folder(tmp_path / "other")
    assert call(import_, other, out / "data.yaml", "--author", "bert") == 0
    assert "3 objects on 2 images, 2 new classes" in capsys.readouterr().out
    with ProjectStore.open(folder / "set.annot") as store, ProjectStore.open(other / "set.annot") as taken:
        for image in store.images():
            ours, theirs = store.annotations(image.id), taken.annotations(image.id)
            assert [(a.category_id, a.rle) for a in ours] == [(a.category_id, a.rle) for a in theirs]
        assert [c.name for c in taken.categories()] == [c.name for c in store.categories()]
        assert taken.undo_name == "import data.yaml"
        again = import_yolo(taken, out / "data.yaml")
        assert (again.objects, again.already_there) == (0, 3)
        export_yolo(store, out)  # simplified: other pixels than those that are stored
        own = import_yolo(store, out / "data.yaml")
        assert (own.objects, own.already_there) == (0, 3)


def test_images_that_are_gone_or_unreadable_are_counted_and_the_others_copied(folder: Path, tmp_path: Path) -> None:
    """The whole export ended with "There is no folder"."""
    (folder / "sub" / "1.png").unlink()
    out = tmp_path / "yolo"
    with ProjectStore.open(folder / "set.annot", read_only=True) as store:
        report = export_yolo(store, out, images="copy")
    assert "sub/1.png is not copied (No such file or directory)" in report.warnings
    assert [path.name for path in (out / "images").rglob("*.png")] == ["1.png"]
    assert (out / "labels" / "sub" / "1.txt").read_text()
    assert report.objects == 3


def test_nothing_is_replaced_before_it_was_read_back(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "yolo"
    (out / "labels").mkdir(parents=True)
    (out / "labels" / "1.txt").write_text("kept")
    (out / "labels" / "gone.txt").write_text("older")
    with ProjectStore.open(folder / "set.annot", read_only=True) as store:
        with monkeypatch.context() as broken:
            broken.setattr("annotator.io.formats.yolo.bridged_ring", lambda rings: rings[0][:3] * 0.5)
            with pytest.raises(ExportError, match="reading it back gave other data"):
                export_yolo(store, out)
        assert (out / "labels" / "1.txt").read_text() == "kept"
        assert sorted(p.name for p in tmp_path.iterdir()) == ["set", "yolo"]
        report = export_yolo(store, out)
    assert any("gone.txt" in line for line in report.warnings)
    assert (out / "labels" / "gone.txt").read_text() == "older"
    assert (out / "labels" / "1.txt").read_text().startswith("0 ")


def test_empty_images_crowds_and_names_that_clash(tmp_path: Path) -> None:
    folder = image_folder(tmp_path, ("a.png", "b.png"))
    with ProjectStore.open_folder(folder) as store:
        accept(store, 1, disc(20, 20, 9), is_crowd=True)
        report = export_yolo(store, tmp_path / "one", all_images=True)
        assert report.objects == 0
        assert any("1 crowd object" in line for line in report.warnings)
        assert (tmp_path / "one" / "labels" / "b.txt").read_text() == ""
        with pytest.raises(ExportError, match="would become images of this project"):
            export_yolo(store, folder / "out", images="copy")
        with pytest.raises(ExportError, match="Name a folder"):
            export_yolo(store, folder / "set.annot")
    folder = image_folder(tmp_path / "two", ("a.png", "a.jpg"))
    with ProjectStore.open_folder(folder) as store, pytest.raises(ExportError, match="share one label file"):
        export_yolo(store, tmp_path / "two" / "out", all_images=True)
    assert not (tmp_path / "two" / "out").exists()


def dataset(root: Path, labels: dict[str, str], text: str = "train: images/train\nnames: [coin, cell]\n") -> Path:
    for name, rows in labels.items():
        file = root / "labels" / "train" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(rows)
    root.mkdir(exist_ok=True)
    (root / "data.yaml").write_text(text)
    return root / "data.yaml"


def test_a_foreign_data_set(tmp_path: Path) -> None:
    folder = image_folder(tmp_path, ("x.png", "y.png", "deep/z.png"))
    square = "0.25 0.25 0.5 0.25 0.5 0.5 0.25 0.5"
    rows = {
        "x.txt": f"0 {square}\n\n1 0.5 0.5 0.25 0.25\n7 {square}\n0 0.1 0.1 0.2\n0 a b c d e f\n0 0 0 2 0 2 2\n",
        "z.txt": f"1 {square}\n",
        "elsewhere.txt": f"1 {square}\n",
    }
    text = "path: /on/another/machine\ntrain: images/train\nnames: {0: coin, 1: cell}\n"
    path = dataset(tmp_path / "set2", rows, text)
    assert import_format_of(path).id == "yolo"
    with ProjectStore.open_folder(folder) as store:
        report = import_yolo(store, path)
        assert (report.objects, len(report.boxes)) == (2, 1), "a row of a box only can be asked of the model"
        (found,) = store.annotations(1)
        assert (found.x, found.y, found.w, found.h, found.area) == (16, 12, 16, 12, 192)
        assert [c.name for c in store.categories()] == ["coin", "cell"]
        assert store.image(1).status is Status.IN_PROGRESS
        told = "\n".join(report.lines())
        for line in ("line 4: class 7", "line 5: 3 coordinates", "line 6: something", "line 7: a coordinate"):
            assert f"x.txt, {line}" in told
        assert "elsewhere.txt: No image of the project" in told
        store.undo()
        assert store.annotations(1) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("names: [", "is not YAML"),
        ("- a\n- b\n", "no list of class names"),
        ("names: 3\n", "no list of class names"),
        ("names: {a: b}\n", "without numbers"),
        ("names: [a]\n", "no label files"),
        ("!!python/object/apply:os.system [true]\n", "is not YAML"),
    ],
)
def test_what_is_no_data_set_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = dataset(tmp_path / "bad", {}, text)
    with ProjectStore.open_folder(image_folder(tmp_path)) as store:
        before = json.dumps([c.name for c in store.categories()])
        with pytest.raises(ImportFormatError, match=message):
            import_yolo(store, path)
        assert json.dumps([c.name for c in store.categories()]) == before
        with pytest.raises(ImportFormatError, match="cannot be read"):
            import_yolo(store, tmp_path / "missing" / "data.yaml")
