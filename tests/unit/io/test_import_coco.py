from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from annotator.domain.errors import ImportFormatError, ProjectReadOnlyError
from annotator.domain.palette import distances
from annotator.domain.project import Status, mark_empty_edit, status_edit
from annotator.io.formats.coco import stream as coco_stream
from annotator.io.formats.coco.export import export_coco
from annotator.io.formats.coco.import_ import ImportReport, import_coco
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import HEIGHT, WIDTH, accept, disc, document, image_folder

# pycocotools 2.0.11 in numpy 2.4: only its decode to arrays, which the program itself does not use.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SQUARE = [5.0, 5.0, 15.5, 5.2, 15.0, 15.0, 5.0, 15.0]


@pytest.fixture
def store(tmp_path: Path):
    with ProjectStore.open_folder(image_folder(tmp_path, ("1.png", "2.png", "sub/1.png", "sub/3.png"))) as opened:
        yield opened


def annotations(*rows: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"id": n, "image_id": 1, "category_id": 1, "iscrowd": 0, **row} for n, row in enumerate(rows, start=1)]


def data(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "info": {},
        "licenses": [],
        "images": [{"id": 1, "file_name": "1.png", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 1, "name": "thing", "supercategory": "all"}],
        "annotations": annotations(*rows),
        **more,
    }


def take(store: ProjectStore, content: Any) -> ImportReport:
    path = store.path.parent.parent / "in.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return import_coco(store, path)


def runs(mask: Any) -> dict[str, Any]:
    return {"size": [HEIGHT, WIDTH], "counts": mask.rle().decode()}


def test_every_kind_of_segmentation_comes_as_pycocotools_reads_it(store: ProjectStore) -> None:
    mask = disc(30, 20, 9, hole=4)
    plain = mask._counts().tolist()
    outside = [-3.0, -2.0, 8.0, 1.0, 9.5, 30.0, -4.0, 70.0]
    kinds = [[SQUARE], [SQUARE, [30, 30, 40, 30, 40, 40]], runs(mask), {"size": [HEIGHT, WIDTH], "counts": plain}]
    kinds.append([outside])
    rows = [{"segmentation": kind} for kind in kinds]
    report = take(store, data(*rows, {"segmentation": runs(mask), "iscrowd": 1}))
    assert (report.objects, report.skipped, report.problems) == (6, 0, ())
    found = store.annotations(1)
    for kind, annotation in zip(kinds, found, strict=False):
        if isinstance(kind, list):
            wanted = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(kind, HEIGHT, WIDTH))).astype(bool)
        else:
            wanted = mask.full()
        assert np.array_equal(annotation.mask().full(), wanted)
        assert annotation.area == int(wanted.sum())
        assert annotation.origin == "import"
    assert [a.is_crowd for a in found] == [False] * 5 + [True]
    assert store.image(1).status is Status.IN_PROGRESS
    assert (store.image(1).width, store.image(1).height) == (WIDTH, HEIGHT)


def test_the_whole_import_is_one_step(store: ProjectStore) -> None:
    before = document(store)
    store.record_image_facts(1, sha256="", width=WIDTH, height=HEIGHT)
    before = document(store)
    take(store, data({"segmentation": [SQUARE]}, {"segmentation": runs(disc(30, 20, 9))}))
    after = document(store)
    assert store.undo_name == "import in.json"
    store.undo()
    assert document(store) == before
    store.redo()
    assert document(store) == after


def test_export_of_an_import_is_the_same(store: ProjectStore, tmp_path: Path) -> None:
    content = data(
        {"segmentation": [SQUARE], "attributes": {"occluded": True, "n": [1, None]}, "category_id": 90},
        {"segmentation": runs(disc(30, 20, 9, hole=4)), "iscrowd": 1, "category_id": 3, "note": "ä \u2028 text"},
        {"segmentation": runs(disc(10, 20, 4)), "image_id": 7, "attributes": {}},
        {"segmentation": [SQUARE, [30, 30, 40, 30, 40, 40]], "attributes": {"clicks": 2, "model": "sam", "score": 0.5}},
        categories=[
            {"id": 90, "name": "dog", "supercategory": "animal", "keypoints": ["nose"]},
            {"id": 3, "name": "cat", "supercategory": "animal"},
            {"id": 1, "name": "bird", "supercategory": ""},
        ],
        images=[
            {"id": 1, "file_name": "1.png", "width": WIDTH, "height": HEIGHT, "license": 4, "date_captured": "2020"},
            {"id": 7, "file_name": "sub/1.png", "width": WIDTH, "height": HEIGHT},
        ],
        licenses=[{"id": 4, "name": "CC0", "url": "x"}, {"id": 5, "name": "unused"}],
    )
    report = take(store, content)
    assert (report.problems, report.notes) == ((), ())
    export_coco(store, tmp_path / "out.json", segmentation="rle")
    out = json.loads((tmp_path / "out.json").read_text())
    assert out["categories"] == content["categories"], "ids and order are the file's"
    assert out["licenses"] == [content["licenses"][0]]
    assert out["images"][0]["license"] == 4
    assert out["images"][0]["date_captured"] == "2020"
    names = {row["id"]: row["file_name"] for row in content["images"]}
    out_names = {row["id"]: row["file_name"] for row in out["images"]}
    assert len(out["annotations"]) == 4
    for given, written in zip(content["annotations"], out["annotations"], strict=True):
        segmentation = given["segmentation"]
        if isinstance(segmentation, list):
            segmentation = coco_mask.merge(coco_mask.frPyObjects(segmentation, HEIGHT, WIDTH))
            segmentation["counts"] = segmentation["counts"].decode()
        assert written["segmentation"] == segmentation
        assert out_names[written["image_id"]] == names[given["image_id"]]
        for key in ("category_id", "iscrowd", "attributes", "note"):
            assert written.get(key) == given.get(key)
    (tmp_path / "again.json").write_bytes((tmp_path / "out.json").read_bytes())
    assert import_coco(store, tmp_path / "again.json").objects == 0
    with ProjectStore.create(tmp_path / "other.annot", store.image_root) as other:
        other.sync_folder()
        import_coco(other, tmp_path / "again.json")
        export_coco(other, tmp_path / "third.json", segmentation="rle")
    third = json.loads((tmp_path / "third.json").read_text())
    for part in ("licenses", "categories", "images", "annotations"):
        assert third[part] == out[part]


def test_classes_of_the_project_are_used_and_ids_never_taken_over(store: ProjectStore) -> None:
    accept(store, 1, disc(9, 9, 4))
    store.apply(store.category_edit("cat"))
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}, {"id": 7, "name": "cow"}, {"id": 0, "name": "ox"}]
    rows = [{"segmentation": [SQUARE], "category_id": c["id"]} for c in categories]
    report = take(store, data(*rows, categories=categories))
    assert {c.id: c.name for c in store.categories()} == {1: "object", 2: "cat", 7: "cow", 8: "dog", 9: "ox"}
    assert [a.category_id for a in store.annotations(1)][1:] == [2, 8, 7, 9]
    assert report.categories == 3
    assert len(report.notes) == 2
    assert len({c.colour for c in store.categories()}) == 5


def test_twice_adds_nothing_but_twins_inside_a_file_are_kept(store: ProjectStore) -> None:
    content = data({"segmentation": [SQUARE]}, {"segmentation": [SQUARE]})
    assert take(store, content).objects == 2
    report = take(store, content)
    assert (report.objects, report.already_there, report.change) == (0, 2, None)
    assert "there already: 2 objects" in report.lines()


@pytest.mark.parametrize("ids", [(1, 2), (2, 1), (40, 3), (3, 40), (5, 3), (0, 1)])
@pytest.mark.parametrize("own", [0, 3])
def test_classes_of_one_name_stay_apart_when_a_file_comes_again(
    store: ProjectStore, own: int, ids: tuple[int, int]
) -> None:
    accept(store, 1, disc(9, 9, 4))
    for _ in range(own):
        store.apply(store.category_edit("cell"))
    categories = [{"id": n, "name": "cell", "supercategory": f"kind {n}"} for n in ids]
    rows = [{"segmentation": runs(disc(30, 20, 3 + k)), "category_id": n} for k, n in enumerate(ids)]
    content = data(*rows, categories=categories)
    assert take(store, content).objects == 2
    before = document(store)
    report = take(store, content)
    assert (report.objects, report.already_there, report.categories, report.change) == (0, 2, 0, None)
    assert document(store) == before


def test_images_are_matched_by_path_then_by_unique_name(store: ProjectStore) -> None:
    images = [
        {"id": 1, "file_name": ".\\sub\\1.png", "width": WIDTH, "height": HEIGHT},
        {"id": 2, "file_name": "train/3.png", "width": WIDTH, "height": HEIGHT},
        {"id": 3, "file_name": "train/1.png", "width": WIDTH, "height": HEIGHT},
        {"id": 4, "file_name": "2.png"},
        {"id": 5, "file_name": "2.png"},
        {"id": 6, "file_name": "gone.png", "width": 1, "height": 1},
    ]
    rows = [{"segmentation": [SQUARE], "image_id": n} for n in (1, 2, 3, 4, 5, 6, 6, 99, None, "1")]
    report = take(store, data(*rows, images=images))
    assert store.annotation_counts() == {2: 1, 3: 1, 4: 1}
    assert report.skipped == 7
    text = "\n".join(report.problems)
    assert "'train/1.png' is ambiguous" in text
    assert "2 images there have its name: 1 object skipped" in text
    assert "'2.png' is the same image as '2.png'" in text
    assert "'gone.png' is not in the project: 2 objects skipped" in text
    assert "image_id 99 is not in the file's images: 2 objects, such as annotation 8 (id 8), annotation " in text
    assert report.notes == ("matched by file name only, in another folder: 1 image",)


def test_a_wrong_size_is_refused_not_guessed(store: ProjectStore) -> None:
    images = [
        {"id": 1, "file_name": "1.png", "width": HEIGHT, "height": WIDTH},
        {"id": 2, "file_name": "2.png", "width": 2 * WIDTH, "height": 2 * HEIGHT},
    ]
    report = take(store, data({"segmentation": [SQUARE]}, {"segmentation": [SQUARE], "image_id": 2}, images=images))
    assert report.objects == 0
    assert "swapped" in report.problems[0]
    assert "2.png is 64 x 48 pixels, the file says 128 x 96" in report.problems[1]
    (store.image_root / "sub" / "3.png").write_text("broken")
    report = take(store, data({"segmentation": [SQUARE]}, images=[{"id": 1, "file_name": "sub/3.png"}]))
    assert "size is unknown" in report.problems[0]


def test_status_comes_back(store: ProjectStore, tmp_path: Path) -> None:
    accept(store, 1, disc(9, 9, 4))
    store.apply(mark_empty_edit(store.image(2), ()))
    export_coco(store, tmp_path / "a.json")
    with ProjectStore.create(tmp_path / "other.annot", store.image_root) as other:
        other.sync_folder()
        import_coco(other, tmp_path / "a.json")
        assert [i.status for i in other.images()] == [i.status for i in store.images()]
        assert "attributes" not in other.image(1).extra


def test_an_import_does_not_take_back_what_is_finished(store: ProjectStore, tmp_path: Path) -> None:
    """Two people label copies of one folder; one takes in the work of the other."""
    with ProjectStore.create(tmp_path / "other.annot", store.image_root) as other:
        other.sync_folder()
        accept(other, 2, disc(30, 20, 9))
        other.apply(status_edit(other.image(2), Status.DONE))
        other.apply(mark_empty_edit(other.image(4), ()))
        export_coco(other, tmp_path / "other.json", all_images=True)
    accept(store, 1, disc(9, 9, 4))
    store.apply(status_edit(store.image(1), Status.DONE))
    store.apply(mark_empty_edit(store.image(3), ()))
    accept(store, 4, disc(9, 9, 4))
    report = import_coco(store, tmp_path / "other.json")
    assert [i.status for i in store.images()] == [Status.DONE, Status.DONE, Status.EMPTY, Status.IN_PROGRESS]
    assert report.statuses == 1
    assert "the status of 1 image changed" in report.lines()
    take(store, data({"segmentation": [SQUARE]}, images=[{"id": 1, "file_name": "sub/1.png"}]))
    assert store.image(3).status is Status.IN_PROGRESS, "it is not empty any more"


def test_the_own_export_changes_nothing(store: ProjectStore, tmp_path: Path) -> None:
    store.apply(store.category_edit("cell"))
    accept(store, 1, disc(9, 9, 4))
    accept(store, 2, disc(9, 9, 4), category_id=2, score=0.5, clicks=2, extra={"attributes": {"a": 1}})
    store.apply(status_edit(store.image(1), Status.DONE))
    store.apply(mark_empty_edit(store.image(3), ()))
    facts = {"SOPInstanceUID": "1.2", "spacing_mm": [0.5, 0.5], "license": {"id": 3, "name": "CC0"}}
    store.record_image_facts(2, sha256="ab", width=WIDTH, height=HEIGHT, extra=facts)
    accept(store, 4, disc(30, 24, 20, hole=3))
    accept(store, 4, disc(30, 24, 21).union(disc(56, 40, 6)))
    before = document(store)
    for segmentation in ("auto", "rle", "polygon"):
        export_coco(store, tmp_path / "own.json", all_images=True, segmentation=segmentation)
        report = import_coco(store, tmp_path / "own.json")
        store.record_image_facts(1, sha256="", width=WIDTH, height=HEIGHT)
        assert (report.change, report.already_there, report.statuses) == (None, 4, 0)
    assert [row.extra for row in store.images()] == [row.extra for row in before[0]]
    assert document(store)[1:] == before[1:]


def test_names_are_matched_however_their_letters_are_stored(store: ProjectStore) -> None:
    composed, apart = "K\u00e4lte.png", "Ka\u0308lte.png"
    for name in (composed, "sub/" + apart, "a\\b.png"):
        Image.new("L", (WIDTH, HEIGHT)).save(store.image_root / name)
    store.sync_folder()
    ids = {image.path: image.id for image in store.images()}
    names = (apart, "sub/" + composed, "a\\b.png")
    images = [{"id": n, "file_name": name} for n, name in enumerate(names, start=1)]
    report = take(store, data(*({"segmentation": [SQUARE], "image_id": n} for n in (1, 2, 3)), images=images))
    assert (report.problems, report.notes) == ((), ())
    assert set(store.annotation_counts()) == {ids[composed], ids["sub/" + apart], ids["a\\b.png"]}


def test_both_spellings_of_a_letter_may_be_there(store: ProjectStore) -> None:
    names = ("K\u00e4lte.png", "Ka\u0308lte.png")
    for name in names:
        Image.new("L", (WIDTH, HEIGHT)).save(store.image_root / name)
    if len(list(store.image_root.glob("K*lte.png"))) == 1:
        pytest.skip("this file system takes both for one")
    store.sync_folder()
    images = [{"id": n, "file_name": name} for n, name in enumerate(names, start=1)]
    assert take(store, data({"segmentation": [SQUARE], "image_id": 2}, images=images)).problems == ()
    assert [i.path for i in store.images() if store.annotations(i.id)] == [names[1]]


def test_ids_as_text_are_called_so(store: ProjectStore) -> None:
    categories = [{"id": 1, "name": "thing"}, {"id": "2", "name": "other"}]
    images = [{"id": "7", "file_name": "1.png"}, {"id": 8, "file_name": "2.png"}]
    rows = [{"segmentation": [SQUARE], "image_id": "7"}, {"segmentation": [SQUARE], "image_id": 8, "category_id": "2"}]
    text = "\n".join(take(store, data(*rows, categories=categories, images=images)).problems)
    for line in ("image 1: id '7' is text", "category 2: id '2' is text", "image_id '7' is text", "category_id '2' is"):
        assert line in text
    assert "COCO ids are whole numbers" in text


def test_a_classs_name_is_one_short_line(store: ProjectStore) -> None:
    """Two million letters are no name, and a terminal obeys control characters."""
    categories = [
        {"id": 1, "name": "a\u0000\nred \u001b[31m"},
        {"id": 2, "name": "b" * 2_000_000},
        {"id": 3, "name": "\n\t"},
        {"id": 4, "name": "kept  as  it is"},
    ]
    report = take(store, data({"segmentation": [SQUARE]}, categories=categories))
    assert [c.name for c in store.categories()] == ["a red [31m", "b" * 200, "category 3", "kept  as  it is"]
    assert "category 2 has a name of 2,000,000 letters; 200 of them were taken" in "\n".join(report.lines())
    again = take(store, data({"segmentation": [SQUARE]}, categories=categories))
    assert (again.objects, again.already_there) == (0, 1)
    assert len(store.categories()) == 4


def test_damaged_run_lengths_are_said_of_their_object(store: ProjectStore) -> None:
    rows = [{"segmentation": {"size": [HEIGHT, WIDTH], "counts": counts}} for counts in ("oo", "oooo", [5, 5])]
    first, second = take(store, data(*rows)).problems
    assert first.startswith("each of 2 objects (annotation 1 (id 1), annotation 2 (id 2)) has damaged run lengths: ")
    assert second.startswith("annotation 3 (id 3) has damaged run lengths: the runs do not add up")


def test_progress_is_told_for_images_too_and_can_stop_the_import(store: ProjectStore) -> None:
    told: list[tuple[int, int]] = []
    path = store.path.parent.parent / "in.json"
    path.write_text(json.dumps(data({"segmentation": [SQUARE]}, images=[{"id": 1, "file_name": "1.png"}] * 3)))
    import_coco(store, path, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    before = document(store)
    with pytest.raises(KeyboardInterrupt):
        import_coco(store, path, progress=stop)
    assert document(store) == before


def test_a_locked_project_says_who_has_it(store: ProjectStore) -> None:
    with ProjectStore.open(store.path) as second, pytest.raises(ProjectReadOnlyError, match="open in another program"):
        take(second, data())


# --- hostile ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "is a list"),
        ('"x"', "not a COCO"),
        ("{}", "no list 'images'"),
        ('{"images": {}}', "no list 'images'"),
        ('{"images": [], "annotations": 7}', "no list 'annotations'"),
        ('{"images": [], "annotations": [], "categories": "x"}', "no list 'categories'"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"images": [], "n": ' + "9" * 5000 + "}", "not JSON"),
    ],
)
def test_files_that_are_no_data_set(store: ProjectStore, content: str, match: str) -> None:
    before = document(store)
    with pytest.raises(ImportFormatError, match=match):
        take(store, content)
    assert document(store) == before


def test_files_that_cannot_be_read(store: ProjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "latin.json").write_bytes('{"images": "ä"}'.encode("latin-1"))
    with pytest.raises(ImportFormatError, match="UTF-8"):
        import_coco(store, tmp_path / "latin.json")
    with pytest.raises(ImportFormatError, match="no file"):
        import_coco(store, tmp_path / "no.json")
    with pytest.raises(ImportFormatError, match="cannot be read"):
        import_coco(store, tmp_path)
    monkeypatch.setattr(coco_stream, "MAX_FILE_BYTES", 5)
    with pytest.raises(ImportFormatError, match="larger"):
        import_coco(store, tmp_path / "latin.json")
    (tmp_path / "bom.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(data()).encode())
    monkeypatch.undo()
    assert import_coco(store, tmp_path / "bom.json").problems == ()


BAD_SEGMENTATIONS = [
    (None, "no segmentation"),
    ([], "empty segmentation"),
    (7, "type int"),
    ("abc", "type str"),
    ([[]], "has 0 numbers"),
    ([[1, 2, 3, 4]], "has 4 numbers"),
    ([[1, 2, 3, 4, 5, 6, 7]], "has 7 numbers"),
    ([[1, 2, 3, 4, 5, "6"]], "not a number"),
    ([[1, 2, 3, 4, 5, True]], "not a number"),
    ([[1, 2, 3, 4, 5, float("nan")]], "NaN"),
    ([[1, 2, 3, 4, 5, float("inf")]], "NaN or infinity"),
    ([[1, 2, 3, 4, 5, 10**400]], "too large"),
    ([[0, 0, 1e9, 0, 1e9, 1e9]], "two million"),
    ([[0, 0, 1e300, 0, 1e300, 1e300]], "two million"),
    ([[-90, -90, -80, -90, -80, -80]], "no pixel"),
    ([[5, 5, 5, 5, 5, 5]], "no pixel"),
    ([SQUARE, 7], None),
    ({}, "another size"),
    ({"size": [HEIGHT, WIDTH]}, "type NoneType"),
    ({"size": [WIDTH, HEIGHT], "counts": [0, WIDTH * HEIGHT]}, "another size"),
    ({"size": [-1, -1], "counts": [1]}, "another size"),
    ({"size": [1_000_000, 1_000_000], "counts": [0, 10**12]}, "another size"),
    ({"size": "big", "counts": [1]}, "another size"),
    ({"size": [HEIGHT, WIDTH], "counts": [0, 10**9]}, "add up"),
    ({"size": [HEIGHT, WIDTH], "counts": [0, 10**30]}, "whole numbers"),
    ({"size": [HEIGHT, WIDTH], "counts": [-5, WIDTH * HEIGHT + 5]}, "whole numbers"),
    ({"size": [HEIGHT, WIDTH], "counts": [0.5, 1]}, "whole numbers"),
    ({"size": [HEIGHT, WIDTH], "counts": ["1"]}, "whole numbers"),
    ({"size": [HEIGHT, WIDTH], "counts": []}, "add up"),
    ({"size": [HEIGHT, WIDTH], "counts": [WIDTH * HEIGHT]}, "no pixel"),
    ({"size": [HEIGHT, WIDTH], "counts": ""}, "empty"),
    ({"size": [HEIGHT, WIDTH], "counts": "ä"}, "ASCII"),
    ({"size": [HEIGHT, WIDTH], "counts": "\x01"}, "alphabet"),
    ({"size": [HEIGHT, WIDTH], "counts": "oooooooooooooooooooooooo0"}, "too large"),
    ({"size": [HEIGHT, WIDTH], "counts": "PPYo0"}, "cut off|add up|negative"),
    ({"size": [HEIGHT, WIDTH], "counts": {}}, "type dict"),
]


@pytest.mark.parametrize(("segmentation", "match"), BAD_SEGMENTATIONS)
def test_bad_objects_are_named_and_the_others_taken(store: ProjectStore, segmentation: Any, match: str | None) -> None:
    good = {"segmentation": runs(disc(30, 20, 9))}
    report = take(store, data({"segmentation": segmentation}, good))
    if match is None:
        assert report.objects == 2
        assert "annotation 1 (id 1): polygon 2 is not a list of numbers" in report.problems[0]
        return
    assert (report.objects, report.skipped) == (1, 1)
    assert report.problems[0].startswith("annotation 1 (id 1) ")
    import re

    assert re.search(match, report.problems[0])
    assert all(np.isfinite(a.area) for a in store.annotations(1))


def test_wrong_types_everywhere(store: ProjectStore) -> None:
    good = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [SQUARE]}
    deep: Any = []
    for _ in range(400):
        deep = [deep]
    content = data(
        images=[
            *(None, 7, [], {}, {"id": "1", "file_name": "1.png"}, {"id": 2, "file_name": 9}, {"id": True}),
            {"id": 1, "file_name": "1.png", "width": WIDTH, "height": HEIGHT, "license": [], "attributes": 5},
            {"id": 5, "file_name": "2.png", "width": -1, "height": float("nan")},
            {"id": 6, "file_name": "sub/1.png"},
            {"id": 6, "file_name": "sub/3.png"},
            {"id": 8, "file_name": "\ud800.png"},
        ],
        categories=[
            *(None, 3, {}, {"id": -4, "name": "x"}, {"id": 2.5, "name": "x"}, {"id": 10**30, "name": "x"}),
            {"id": 1, "name": "thing", "supercategory": None, "odd": float("inf"), "deep": deep},
            {"id": 5, "name": ["list"]},
            {"id": 6, "name": "\ud800"},
            {"id": 7, "name": "twin"},
            {"id": 7, "name": "other twin"},
        ],
        annotations=[
            *(None, 1, "x", [], {}),
            good,
            {**good, "id": 1, "category_id": 5},
            {**good, "id": {}, "iscrowd": "yes", "category_id": 6},
            {**good, "id": 4, "score": 7, "attributes": [1], "bad\ud800": 1, "nan": float("nan"), "deep": deep},
            {**good, "id": 5, "attributes": {"clicks": -1, "seconds": "x", "model": 5, "score": 2, "origin": "me"}},
            {**good, "id": 6, "category_id": 7},
            {**good, "id": 7, "category_id": deep, "image_id": 1},
            {**good, "id": 8, "image_id": deep},
            {**good, "id": 9, "image_id": 6},
            {**good, "id": 10, "image_id": 5},
        ],
        licenses=[None, {"id": 1, "x": float("nan")}],
    )
    report = take(store, content)
    assert report.objects == 6
    assert report.skipped == 9
    text = "\n".join(report.lines())
    for line in (
        "each of 4 objects, such as annotation 1, annotation 2",
        "image id 6 is used 2 times",
        "category id 7 is used 2 times",
        "ids of annotations that were used before: 1 object with a new one",
        "iscrowd yes is neither 0 nor 1",
        "attributes are not an object",
        "category 5 has no name",
    ):
        assert line in text
    assert [c.name for c in store.categories()] == ["thing", "category 5", "category 6"]
    wild = store.annotations(1)[-1]
    assert (wild.clicks, wild.seconds, wild.score) == (0, 0.0, None)
    assert wild.extra["attributes"] == {"clicks": -1, "seconds": "x", "model": 5, "score": 2, "origin": "me"}
    export_coco(store, store.path.parent.parent / "out.json")


def test_ids_that_point_in_circles_are_only_data(store: ProjectStore) -> None:
    categories = [{"id": 1, "name": "a", "supercategory": "b"}, {"id": 2, "name": "b", "supercategory": "a"}]
    rows = [{"segmentation": [SQUARE], "parent": 2}, {"segmentation": [SQUARE], "parent": 1, "category_id": 2}]
    assert take(store, data(*rows, categories=categories)).objects == 2


def test_thousands_of_problems_are_shown_briefly(store: ProjectStore) -> None:
    report = take(store, data(*({"segmentation": []} for _ in range(500))))
    assert report.skipped == 500
    assert report.problems == (
        "each of 500 objects, such as annotation 1 (id 1), annotation 2 (id 2), annotation 3 (id 3), "
        "has an empty segmentation",
    )


def test_an_import_over_objects_keeps_them(store: ProjectStore) -> None:
    mine = accept(store, 1, disc(9, 9, 4))
    take(store, data({"segmentation": [SQUARE]}))
    assert store.annotations(1)[0] == mine
    assert len(store.categories()) == 2


def test_orientation_decides_the_size(store: ProjectStore) -> None:
    image = Image.new("RGB", (30, 20))
    exif = image.getexif()
    exif[0x0112] = 8
    image.save(store.image_root / "turned.jpg", exif=exif)
    store.sync_folder()
    right = data({"segmentation": [SQUARE]}, images=[{"id": 1, "file_name": "turned.jpg", "width": 20, "height": 30}])
    assert take(store, right).objects == 1


@pytest.mark.parametrize("origin", ["click", "refine", "brush"])
def test_how_an_object_was_made_comes_back(store: ProjectStore, origin: str) -> None:
    take(store, data({"segmentation": [SQUARE], "attributes": {"origin": origin}}))
    (kept,) = store.annotations(1)
    assert kept.origin == origin


def test_classes_keep_the_colours_of_the_file_and_the_others_are_far_from_them(store: ProjectStore) -> None:
    colours = {1: [230, 159, 0], 2: "#56B4E9", 3: None, 4: "none", 5: [1, 2]}
    categories = [{"id": n, "name": f"c{n}", **({"color": c} if c is not None else {})} for n, c in colours.items()]
    take(store, data({"segmentation": [SQUARE]}, categories=categories))
    found = [category.colour for category in store.categories()]
    assert found[:2] == ["#e69f00", "#56b4e9"]
    assert len(set(found)) == len(colours)
    apart = distances(found)
    assert apart[np.triu_indices(len(found), 1)].min() > 0.1
    assert store.categories()[0].extra["color"] == colours[1], "an export gives it back as it came"


def test_hundreds_of_classes_have_as_many_colours(store: ProjectStore) -> None:
    take(store, data({"segmentation": [SQUARE]}, categories=[{"id": n, "name": f"c{n}"} for n in range(1, 301)]))
    assert len({category.colour for category in store.categories()}) == 300
