"""Images that are frames of one file: stored, named in files that are written, matched again, and re-linked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.domain.media import frame_name, frame_stem, split_frame_name
from annotator.domain.project import Edit, ImageRecord, Review, RowChange, note_edit, review_edit
from annotator.evaluate.objects import read_evaluation_set
from annotator.io.formats.coco.export import export_coco
from annotator.io.formats.coco.import_ import import_coco
from annotator.io.formats.polygons import export_polygons
from annotator.io.formats.yolo import export_yolo, import_yolo
from annotator.io.images.reading import load_image, load_thumbnail, read_size
from annotator.io.project.moved import find_moved, relink_edit
from annotator.io.project.store import ProjectStore
from annotator.train.data.pixels import RamPixels
from annotator.train.data.sources import read_source, training_images
from tests.unit.io.builders import HEIGHT, WIDTH, accept, disc


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ProjectStore]:
    """A stack of three pages, each an image of the project, with an object on the first and the last."""
    folder = tmp_path / "set"
    (folder / "sub").mkdir(parents=True)
    pages = [Image.new("L", (WIDTH, HEIGHT), 40 * number) for number in range(3)]
    pages[0].save(folder / "sub" / "stack.tif", save_all=True, append_images=pages[1:])
    store = ProjectStore.create(folder / "set.annot", folder)
    rows = [ImageRecord(store.new_id("image"), "sub/stack.tif", frame=number, position=number) for number in range(3)]
    store.apply(Edit("frames", tuple(RowChange(None, row) for row in rows)))
    for image in (rows[0], rows[2]):
        accept(store, image.id, disc(20, 20, 6 + image.id))
    yield store
    store.close()


def names(rows: list[ImageRecord]) -> list[str]:
    return [row.name for row in rows]


def test_frames_have_names_of_their_own() -> None:
    assert (frame_name("a/b.tif", 0), frame_name("a/b.tif", 12)) == ("a/b.tif", "a/b.tif#12")
    assert (frame_stem("a/b.tif", 0), frame_stem("a/b.tif", 12), frame_stem("IM1", 3)) == ("a/b", "a/b#12", "IM1#3")
    for path in ("a/b.tif", "#1", "a#b.tif", "a#0", "a#01"):
        assert split_frame_name(frame_name(path, 7)) == (path, 7)
        assert split_frame_name(path) == (path, 0)


def test_frames_of_a_file_are_images_of_their_own(store: ProjectStore) -> None:
    assert names(store.images()) == ["sub/stack.tif", "sub/stack.tif#1", "sub/stack.tif#2"]
    path = store.image_path(store.image(3))
    assert load_image(path, frame=2).rgb[0, 0, 0] == 80
    assert load_image(path, frame=2).image_key != load_image(path, frame=1).image_key
    assert load_thumbnail(path, frame=1)[0, 0, 0] == 40
    assert read_size(path, frame=2) == (WIDTH, HEIGHT)


def test_coco_names_each_frame_and_takes_it_back(store: ProjectStore, tmp_path: Path) -> None:
    store.apply(review_edit((store.annotation(2),), Review.APPROVED))
    store.apply(note_edit((store.annotation(2),), "left lobe"))
    report = export_coco(store, tmp_path / "out.json", all_images=True)
    assert report.check is not None
    assert report.check.is_ok
    data = json.loads((tmp_path / "out.json").read_text())
    assert [row["file_name"] for row in data["images"]] == names(store.images())
    assert {key: data["images"][2]["attributes"][key] for key in ("source", "frame")} == {
        "source": "sub/stack.tif",
        "frame": 2,
    }
    assert "source" not in data["images"][0]["attributes"]
    assert data["annotations"][1]["attributes"]["review"] == "approved"
    assert data["annotations"][1]["attributes"]["note"] == "left lobe"
    with ProjectStore.create(tmp_path / "other.annot", store.image_root) as other:
        rows = [ImageRecord(other.new_id("image"), "sub/stack.tif", frame=number) for number in range(3)]
        other.apply(Edit("frames", tuple(RowChange(None, row) for row in rows)))
        import_coco(other, tmp_path / "out.json")
        assert [a.image_id for a in other.all_annotations()] == [1, 3]
        taken = [*other.all_annotations()][1]
        assert (taken.review, taken.note, taken.extra) == (Review.APPROVED, "left lobe", {})
        assert other.image(3).extra == {}, "what the export says of a frame is not kept as a field of its own"
        assert import_coco(other, tmp_path / "out.json").objects == 0


def test_a_track_goes_out_and_comes_back(store: ProjectStore, tmp_path: Path) -> None:
    accept(store, 2, disc(20, 20, 5), track_id=4)
    export_coco(store, tmp_path / "out.json")
    with ProjectStore.create(tmp_path / "other.annot", store.image_root) as other:
        rows = [ImageRecord(other.new_id("image"), "sub/stack.tif", frame=number) for number in range(3)]
        other.apply(Edit("frames", tuple(RowChange(None, row) for row in rows)))
        import_coco(other, tmp_path / "out.json")
        assert sorted(a.track_id for a in other.all_annotations()) == [0, 0, 4]


def test_other_formats_have_a_file_for_each_frame(store: ProjectStore, tmp_path: Path) -> None:
    export_polygons(store, tmp_path / "polygons")
    found = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "polygons").rglob("*.json"))
    assert found == ["polygons/sub/stack.tif#2.json", "polygons/sub/stack.tif.json"]
    assert json.loads((tmp_path / found[0]).read_text())["image"]["frame"] == 2
    export_yolo(store, tmp_path / "yolo", images="copy")
    labels = sorted(path.relative_to(tmp_path / "yolo").as_posix() for path in (tmp_path / "yolo").rglob("stack*"))
    assert labels == [
        f"{folder}/sub/stack{n}{end}" for folder, end in (("images", ".png"), ("labels", ".txt")) for n in ("#2", "")
    ]
    with Image.open(tmp_path / "yolo" / "images" / "sub" / "stack#2.png") as picture:
        assert np.asarray(picture)[0, 0, 0] == 80
    before = [*store.all_annotations()]
    assert import_yolo(store, tmp_path / "yolo" / "data.yaml").already_there == 2
    assert [*store.all_annotations()] == before


def test_training_and_evaluation_read_the_frame(store: ProjectStore, tmp_path: Path) -> None:
    export_coco(store, tmp_path / "out.json")
    items = read_evaluation_set(tmp_path / "out.json", store.image_root).objects
    assert [(item.image.file_name, item.image.frame) for item in items] == [
        ("sub/stack.tif", 0),
        ("sub/stack.tif#2", 2),
    ]
    store.close()
    images = training_images(read_source(store.path).objects, "set")
    cache = RamPixels()
    assert [int(cache.pixels(image)[0, 0, 0]) for image in images] == [0, 80]


def test_a_moved_file_takes_all_its_frames_along(store: ProjectStore) -> None:
    root = store.image_root
    (root / "sub" / "stack.tif").rename(root / "renamed.tif")
    store.record_image_facts(1, sha256="", width=WIDTH, height=HEIGHT)
    store.apply(Edit("new", (RowChange(None, ImageRecord(store.new_id("image"), "renamed.tif")),)))
    for image in store.images()[:3]:
        sha256 = load_image(root / "renamed.tif", frame=image.frame).sha256
        store.record_image_facts(image.id, sha256=sha256, width=WIDTH, height=HEIGHT)
    found = find_moved(store)
    assert [(move.image.name, move.path) for move in found.moves] == [
        ("sub/stack.tif", "renamed.tif"),
        ("sub/stack.tif#1", "renamed.tif"),
        ("sub/stack.tif#2", "renamed.tif"),
    ]
    assert found.lost == ()
    store.apply(relink_edit(found.moves))
    assert names(store.images()) == ["renamed.tif", "renamed.tif#1", "renamed.tif#2"]
    store.undo()
    assert names(store.images()) == ["sub/stack.tif", "sub/stack.tif#1", "sub/stack.tif#2", "renamed.tif"]


def test_review_and_note_can_be_undone(store: ProjectStore) -> None:
    first = store.annotation(1)
    store.apply(review_edit((first,), Review.REWORK))
    store.apply(note_edit((store.annotation(1),), "edge"))
    changed = store.annotation(1)
    assert (changed.review, changed.note) == (Review.REWORK, "edge")
    assert store.undo_name == "change note"
    store.undo()
    assert store.undo_name == "mark for rework"
    store.undo()
    assert store.annotation(1) == first
    store.redo()
    store.redo()
    assert store.annotation(1) == changed
