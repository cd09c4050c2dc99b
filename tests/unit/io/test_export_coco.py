from __future__ import annotations

import contextlib
import errno
import io
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from annotator.domain.errors import ExportError, ProjectError
from annotator.domain.mask import Mask
from annotator.domain.project import Edit, RowChange, Status, mark_empty_edit, order_edit, status_edit
from annotator.io.formats.coco import export as coco_module
from annotator.io.formats.coco.export import check_coco, export_coco
from annotator.io.formats.polygons import export_polygons
from annotator.io.formats.report import LeftOut
from annotator.io.project.identifiers import KEPT, UIDS_KEY
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import HEIGHT, WIDTH, accept, disc, image_folder

# pycocotools 2.0.11 in numpy 2.4: only its decode to arrays, which the program itself does not use.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def store(tmp_path: Path):
    folder = image_folder(tmp_path, ("1.png", "2.png", "sub/1.png", "sub/unseen.png", "sub/empty.png"))
    with ProjectStore.open_folder(folder, author="anna") as opened:
        opened.apply(opened.category_edit("cell"))
        accept(opened, 1, disc(20, 20, 9), score=0.5, clicks=3, seconds=2.5, model="nano", model_sha256="ab")
        accept(opened, 1, disc(40, 20, 12, hole=5), category_id=2)
        accept(opened, 2, disc(20, 20, 8).union(disc(50, 30, 6)))
        accept(opened, 3, disc(30, 20, 15), is_crowd=True, origin="import")
        accept(opened, 3, Mask.from_full(np.eye(HEIGHT, WIDTH)), category_id=2)
        opened.apply(mark_empty_edit(opened.image(4), ()))
        yield opened


def load(path: Path) -> dict[str, Any]:
    def refuse(name: str) -> None:
        raise ValueError(name)

    return json.loads(path.read_bytes().decode("ascii"), parse_constant=refuse)


def quiet_coco(path: Path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_the_order_that_a_person_gave_to_classes_is_that_of_the_file(store: ProjectStore, tmp_path: Path) -> None:
    store.apply(order_edit(store.categories()[::-1]))
    export_coco(store, tmp_path / "a.json")
    categories = load(tmp_path / "a.json")["categories"]
    assert [c["id"] for c in categories] == [2, 1]
    assert all("annotator_place" not in c for c in categories)


def test_the_file_follows_the_rules(store: ProjectStore, tmp_path: Path) -> None:
    report = export_coco(store, tmp_path / "a.json")
    data = load(tmp_path / "a.json")
    assert isinstance(data["info"], dict)
    assert data["licenses"] == []
    assert [c["id"] for c in data["categories"]] == [1, 2]
    assert all(isinstance(c["supercategory"], str) for c in data["categories"])
    assert [i["file_name"] for i in data["images"]] == ["1.png", "2.png", "sub/1.png", "sub/empty.png"]
    assert all((i["width"], i["height"]) == (WIDTH, HEIGHT) for i in data["images"])
    assert all("license" not in i for i in data["images"])
    assert [i["attributes"]["status"] for i in data["images"]] == ["in progress"] * 3 + ["empty"]
    rows = data["annotations"]
    assert [a["id"] for a in rows] == [1, 2, 3, 4, 5]
    assert [a["iscrowd"] for a in rows] == [0, 0, 0, 1, 0]
    assert not any("ignore" in a for a in rows)
    for row, stored in zip(rows, store.all_annotations(), strict=True):
        assert row["area"] == stored.mask().area
        assert isinstance(row["area"], int)
        assert row["bbox"] == list(stored.mask().bbox_xywh)
        assert all(isinstance(v, float) for v in row["bbox"])
    assert isinstance(rows[0]["segmentation"], list)
    assert rows[1]["segmentation"] == {"size": [HEIGHT, WIDTH], "counts": store.annotation(2).rle.decode()}
    assert len(rows[2]["segmentation"]) == 2
    assert isinstance(rows[3]["segmentation"], dict)
    assert len(rows[4]["segmentation"]) == HEIGHT
    for row in rows:
        for polygon in row["segmentation"] if isinstance(row["segmentation"], list) else ():
            assert len(polygon) >= 6
            assert len(polygon) % 2 == 0
            assert min(polygon) >= 0
            assert max(polygon[0::2]) <= WIDTH
            assert max(polygon[1::2]) <= HEIGHT
    assert rows[0]["attributes"] == {
        **{"origin": "click", "clicks": 3, "seconds": 2.5, "model": "nano", "model_sha256": "ab", "score": 0.5}
    }
    assert "attributes" not in rows[3]
    assert (report.images, report.objects, report.categories, report.left_out) == (4, 5, 2, LeftOut(1))
    assert report.check.is_ok
    assert (report.check.objects, report.check.crowd, report.check.rle) == (5, 1, 2)
    assert report.check.worst_iou >= 0.98
    assert "left out: 1 image" in "\n".join(report.lines())


def test_pycocotools_sees_the_stored_masks(store: ProjectStore, tmp_path: Path) -> None:
    report = export_coco(store, tmp_path / "a.json", segmentation="rle")
    assert report.check.worst_iou == 1.0
    coco = quiet_coco(tmp_path / "a.json")
    for stored in store.all_annotations():
        assert np.array_equal(coco.annToMask(coco.anns[stored.id]).astype(bool), stored.mask().full())
        assert isinstance(coco.anns[stored.id]["segmentation"]["counts"], str)


@pytest.mark.parametrize("segmentation", ["auto", "rle", "polygon"])
def test_the_export_against_itself_has_an_average_precision_of_one(
    store: ProjectStore, tmp_path: Path, segmentation: Any
) -> None:
    export_coco(store, tmp_path / "a.json", segmentation=segmentation)
    truth = quiet_coco(tmp_path / "a.json")
    found = [
        {"image_id": a.image_id, "category_id": a.category_id, "score": 1 - a.id / 100}
        | {"segmentation": {"size": [HEIGHT, WIDTH], "counts": a.rle.decode()}}
        for a in store.all_annotations()
        if not a.is_crowd and (segmentation != "polygon" or a.id != 2)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        answers = truth.loadRes(found)
        score = COCOeval(truth, answers, "segm")
        score.params.maxDets = [1, 10, 100]
        if segmentation == "polygon":  # the object with the hole is filled, and named; the others count
            score.params.catIds = [1]
        score.evaluate()
        score.accumulate()
        score.summarize()
    assert score.stats[0] == pytest.approx(1.0)


def test_polygons_only_names_what_they_cannot_hold(store: ProjectStore, tmp_path: Path) -> None:
    report = export_coco(store, tmp_path / "a.json", segmentation="polygon")
    assert [name for name, _ in report.check.below] == ["object 2 (cell) in 1.png"]
    assert "object 2 (cell) in 1.png" in report.warnings[0]
    assert "holes are filled" in report.warnings[0]
    kinds = {row["id"]: type(row["segmentation"]) for row in load(tmp_path / "a.json")["annotations"]}
    assert kinds == {1: list, 2: list, 3: list, 4: dict, 5: list}


def test_a_hole_of_one_pixel_is_named_too(store: ProjectStore, tmp_path: Path) -> None:
    full = disc(30, 24, 20).full()
    full[24, 30] = False
    small = accept(store, 2, Mask.from_full(full))
    report = export_coco(store, tmp_path / "a.json", segmentation="polygon")
    assert [name for name, _ in report.check.below] == ["object 2 (cell) in 1.png"]
    assert report.warnings[1:] == (f"object {small.id} (object) in 2.png: its holes are filled; use rle",)
    assert export_coco(store, tmp_path / "b.json").warnings == ()


def test_same_bytes_every_time(store: ProjectStore, tmp_path: Path) -> None:
    for number in range(2):
        export_coco(store, tmp_path / f"{number}.json")
    with ProjectStore.open(store.path, read_only=True) as other:
        export_coco(other, tmp_path / "2.json")
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "1.json").read_bytes()
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "2.json").read_bytes()
    store.apply(status_edit(store.image(1), Status.DONE))
    store.apply(store.category_edit("later"))
    export_coco(store, tmp_path / "3.json")
    assert load(tmp_path / "3.json")["annotations"] == load(tmp_path / "0.json")["annotations"]


def test_which_images_go_out(store: ProjectStore, tmp_path: Path) -> None:
    store.apply(status_edit(store.image(2), Status.DONE))

    def names(**options: Any) -> list[str]:
        export_coco(store, tmp_path / "a.json", **options)
        return [image["file_name"] for image in load(tmp_path / "a.json")["images"]]

    assert names(include_unfinished=False) == ["2.png", "sub/empty.png"]
    left_out = export_coco(store, tmp_path / "a.json", include_unfinished=False).left_out
    assert left_out == LeftOut(bare=1, unfinished=2, objects=4)
    assert left_out.lines()[0] == "left out: 4 objects on 2 images not marked done"
    assert names(all_images=True) == ["1.png", "2.png", "sub/1.png", "sub/empty.png", "sub/unseen.png"]
    (store.image_root / "sub" / "empty.png").unlink()
    report = export_coco(store, tmp_path / "a.json")
    assert any("sub/empty.png is left out" in line for line in report.warnings)


def test_empty_projects(tmp_path: Path) -> None:
    with ProjectStore.open_folder(image_folder(tmp_path)) as store:
        report = export_coco(store, tmp_path / "a.json", all_images=True)
        assert (report.images, report.objects, report.check.worst_iou) == (3, 0, 1.0)
        assert load(tmp_path / "a.json")["annotations"] == []


def test_dicom_names_and_spacing_go_out(store: ProjectStore, tmp_path: Path) -> None:
    extra = {"SOPInstanceUID": "1.2", "spacing_mm": [0.5, 0.5], "date_captured": "2020"}
    extra["series"] = "pseudonym"
    store.record_image_facts(1, sha256="00", width=WIDTH, height=HEIGHT, extra=extra)
    export_coco(store, tmp_path / "a.json")
    image = load(tmp_path / "a.json")["images"][0]
    assert image["date_captured"] == "2020"
    kept = {"series": "pseudonym", "spacing_mm": [0.5, 0.5], "status": "in progress"}
    assert image["attributes"] == kept  # UIDs only where the project says so
    store.meta_set(UIDS_KEY, KEPT)
    export_coco(store, tmp_path / "a.json")
    assert load(tmp_path / "a.json")["images"][0]["attributes"] == {"SOPInstanceUID": "1.2", **kept}


def test_sizes_follow_the_orientation(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    image = Image.new("RGB", (30, 20))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(folder / "a.jpg", exif=exif)
    with ProjectStore.open_folder(folder) as store:
        store.apply(mark_empty_edit(store.image(1), ()))
        export_coco(store, tmp_path / "a.json")
    (row,) = load(tmp_path / "a.json")["images"]
    assert (row["width"], row["height"]) == (20, 30)


def test_objects_that_cannot_be_right_are_named_and_left_out(store: ProjectStore, tmp_path: Path) -> None:
    store.record_image_facts(1, sha256="", width=WIDTH, height=HEIGHT)
    wrong = replace(store.annotation(1).with_mask(Mask.from_full(np.ones((9, 9)))), id=store.new_id("annotation"))
    nothing = replace(store.annotation(1).with_mask(Mask.empty(WIDTH, HEIGHT)), id=store.new_id("annotation"))
    store.apply(Edit("x", (RowChange(None, wrong), RowChange(None, nothing))))
    report = export_coco(store, tmp_path / "a.json")
    assert report.objects == 5
    assert "object 6" in report.warnings[0]
    assert "made at 9 x 9" in report.warnings[0]
    assert "object 7" in report.warnings[1]


# --- nothing half-written --------------------------------------------------------------------------------------------


def test_a_wrong_export_never_takes_the_place_of_a_file(
    store: ProjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")

    def broken(self: Any, annotation: Any) -> Any:
        other = annotation.with_mask(disc(9, 9, 3))
        return {"size": [HEIGHT, WIDTH], "counts": other.rle.decode()}

    monkeypatch.setattr(coco_module._Writer, "_segmentation_of", broken)
    with pytest.raises(ExportError, match="reading it back"):
        export_coco(store, target)
    assert target.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "set"]


@pytest.mark.parametrize(
    ("number", "match"),
    [(errno.ENOSPC, "disk is full"), (errno.EACCES, "may not be written"), (errno.EIO, "cannot be written")],
)
def test_a_disk_that_fails(
    store: ProjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, match: str
) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ExportError, match=match):
        export_coco(store, target)
    with pytest.raises(ExportError, match=match):
        export_polygons(store, tmp_path / "poly")
    assert target.read_text() == "old"
    assert not list(tmp_path.glob(".*.part"))


def test_polygon_files_of_another_export_are_named(store: ProjectStore, tmp_path: Path) -> None:
    out = tmp_path / "poly"
    first = export_polygons(store, out)
    assert not [text for text in first.warnings if "JSON" in text]
    (out / "notes.json").write_text("{}")
    warnings = export_polygons(store, out, include_unfinished=False).warnings
    assert next(text for text in warnings if "JSON" in text).startswith("The folder has 4 more JSON files")


def test_bad_places_and_choices(store: ProjectStore, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="no folder"):
        export_coco(store, tmp_path / "no" / "a.json")
    (tmp_path / "dir.json").mkdir()
    with pytest.raises(ExportError, match="is a folder"):
        export_coco(store, tmp_path / "dir.json")
    with pytest.raises(ExportError, match="no segmentation"):
        export_coco(store, tmp_path / "a.json", segmentation="keyhole")  # type: ignore[arg-type]
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match="is a file"):
        export_polygons(store, tmp_path / "file")


@pytest.mark.parametrize("name", ["set.annot", "SET.ANNOT", "set.annot-wal", "other.annot", "1.png", "new.tif"])
def test_what_an_export_is_made_from_is_not_replaced(store: ProjectStore, name: str) -> None:
    folder = store.path.parent
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(ExportError, match="another name"):
        export_coco(store, folder / name)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_the_project_by_another_name_is_not_replaced(store: ProjectStore, tmp_path: Path) -> None:
    (tmp_path / "a.json").symlink_to(store.path)
    with pytest.raises(ExportError, match=r"a\.json is a project file"):
        export_coco(store, tmp_path / "a.json")
    with pytest.raises(ExportError, match="name of a project"):
        export_polygons(store, tmp_path / "new.annot")
    with pytest.raises(ProjectError, match="backup cannot replace"):
        store.backup(tmp_path / "a.json")


def test_the_check_finds_every_kind_of_difference(store: ProjectStore, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    export_coco(store, path, segmentation="rle")
    good = load(path)

    def problems(change: Any) -> str:
        data = json.loads(json.dumps(good))
        change(data)
        path.write_text(json.dumps(data))
        report = check_coco(path, store, expected_ids={1, 2, 3, 4, 5})
        assert not report.is_ok
        return "; ".join(report.problems)

    runs = {"size": [HEIGHT, WIDTH], "counts": disc(9, 9, 3).rle().decode()}
    assert "IoU 0.0" in problems(lambda d: d["annotations"][0].update(segmentation=runs))
    assert "cannot be decoded" in problems(lambda d: d["annotations"][0].update(segmentation=runs | {"size": [9, 9]}))
    assert "another area" in problems(lambda d: d["annotations"][0].update(area=1))
    assert "another box" in problems(lambda d: d["annotations"][0].update(bbox=[0.0, 0.0, 1.0, 1.0]))
    assert "another crowd flag" in problems(lambda d: d["annotations"][0].update(iscrowd=1))
    assert "another class" in problems(lambda d: d["annotations"][0].update(category_id=2))
    assert "another image" in problems(lambda d: d["annotations"][0].update(image_id=2))
    assert "4 objects instead of 5" in problems(lambda d: d["annotations"].pop())
    assert "from 1" in problems(lambda d: d["annotations"].append({**d["annotations"][0], "id": 0}))
    assert "file names" in problems(lambda d: d["images"][1].update(file_name="1.png"))
    path.write_text("[")
    with pytest.raises(ExportError, match="cannot read"):
        check_coco(path, store)


@settings(max_examples=25, deadline=None)
@given(st.lists(hnp.arrays(np.bool_, (9, 11)), min_size=1, max_size=4))
def test_any_masks_pass_their_own_check(tmp_path_factory: pytest.TempPathFactory, arrays: list[np.ndarray]) -> None:
    root = tmp_path_factory.mktemp("any")
    folder = root / "set"
    folder.mkdir()
    Image.new("L", (11, 9)).save(folder / "a.png")
    with ProjectStore.open_folder(folder) as store:
        for array in arrays:
            if array.any():
                accept(store, 1, Mask.from_full(array))
        assert export_coco(store, root / "r.json", segmentation="rle").check.worst_iou == 1.0
        assert export_coco(store, root / "a.json", segmentation="auto").check.worst_iou >= 0.98
        export_coco(store, root / "p.json", segmentation="polygon")
        assert export_polygons(store, root / "p").check.worst_iou == 1.0


# --- polygon files ---------------------------------------------------------------------------------------------------


def test_polygon_files(store: ProjectStore, tmp_path: Path) -> None:
    report = export_polygons(store, tmp_path / "out")
    assert sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.json")) == [
        *("1.png.json", "2.png.json"),
        *(os.path.join("sub", "1.png.json"), os.path.join("sub", "empty.png.json")),
    ]
    first = load(tmp_path / "out" / "1.png.json")
    assert first["type"] == "FeatureCollection"
    assert first["image"] == {"file_name": "1.png", "width": WIDTH, "height": HEIGHT, "status": "in progress"}
    ring = first["features"][1]
    assert ring["geometry"]["type"] == "Polygon"
    exterior, hole = ring["geometry"]["coordinates"]
    assert exterior[0] == exterior[-1]
    assert hole[0] == hole[-1]
    assert ring["properties"]["category"] == "cell"
    assert load(tmp_path / "out" / "2.png.json")["features"][0]["geometry"]["type"] == "MultiPolygon"
    assert load(tmp_path / "out" / "sub" / "empty.png.json")["features"] == []
    assert report.check.worst_iou == 1.0
    assert (report.images, report.objects) == (4, 5)
    triangle = Mask.from_full(np.tri(HEIGHT, WIDTH))
    accept(store, 2, triangle)
    export_polygons(store, tmp_path / "out")
    exact = load(tmp_path / "out" / "2.png.json")["features"][1]["geometry"]["coordinates"][0]
    assert export_polygons(store, tmp_path / "out", tolerance_px=0.75).check.worst_iou >= 0.98
    simple = load(tmp_path / "out" / "2.png.json")["features"][1]["geometry"]["coordinates"][0]
    assert len(simple) < 8 < 90 < len(exact)


def test_a_hostile_project_cannot_write_elsewhere(store: ProjectStore, tmp_path: Path) -> None:
    store._connection.execute("UPDATE image SET path = '../../stolen.png' WHERE id = 1")
    for export, name in ((export_coco, "out.json"), (export_polygons, "out")):
        report = export(store, tmp_path / name)
        assert any("'../../stolen.png' is left out" in line for line in report.warnings)
    assert not list(tmp_path.glob("**/stolen*"))
    assert not [found for above in (tmp_path.parent, tmp_path.parent.parent) for found in above.glob("stolen*")]


def test_progress_is_told(store: ProjectStore, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    export_coco(store, tmp_path / "a.json", progress=lambda done, total: told.append((done, total)))
    assert told == [(n, 4) for n in range(1, 5)] + [(n, 5) for n in range(1, 6)], "images, then objects"


def test_frozen_library_facts() -> None:
    """Why nested polygons are never written for holes: COCO's readers fill them."""
    outer, inner = [0, 0, 20, 0, 20, 20, 0, 20], [5, 5, 15, 5, 15, 15, 5, 15]
    runs = coco_mask.merge(coco_mask.frPyObjects([outer, inner], 20, 20))
    assert int(coco_mask.area(runs)) == 400
