"""Odd but common COCO files: import, evaluation and training take the same objects, and each says what it left out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotator import cli
from annotator.domain.errors import ImportFormatError
from annotator.domain.mask import Mask
from annotator.domain.tally import Tally
from annotator.evaluate.objects import read_evaluation_set
from annotator.io.formats.coco import parse
from annotator.io.formats.coco.export import export_coco
from annotator.io.formats.coco.import_ import ImportReport, import_coco
from annotator.io.formats.coco.parse import decode_segmentation
from annotator.io.project.store import ProjectStore
from annotator.train.data.windows import read_coco_sets

WIDTH, HEIGHT = 64, 48
RING = [12, 10, 40, 10, 40, 36, 12, 36]
CORNER = [1, 1, 9, 1, 9, 9, 1, 9]
AREA = 28 * 26


def entry(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": [RING], **changes}


def without(row: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != key}


def picture(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT, **changes}


@dataclass(frozen=True)
class Case:
    """A file and what is right: how many objects are taken, and what is said of the others."""

    name: str
    taken: int
    said: tuple[str, ...] = ()
    images: tuple[dict[str, Any], ...] = (picture(),)
    rows: tuple[Any, ...] = (entry(),)
    categories: tuple[Any, ...] = ({"id": 1, "name": "cell"},)
    files: tuple[str, ...] = ("a.png",)
    turned: bool = False
    areas: tuple[int, ...] = field(default=())


BYTES_REPR = "b'" + Mask.from_full(np.pad(np.ones((5, 6), bool), ((9, 34), (20, 38)))).rle().decode() + "'"
TWO = (picture(file_name="x/frame.png"), picture(id=2, file_name="y/frame.png"))
FRAMES = ("x/frame.png", "y/frame.png")
CASES = [
    Case(
        "eval_one_bad",
        2,
        ("annotation 2 (id 2) has no usable polygon (polygon 1 has 4 numbers",),
        images=tuple(picture(id=n, file_name=f"{n}.png") for n in (1, 2, 3)),
        rows=(entry(), entry(id=2, image_id=2, segmentation=[[12, 10, 40, 36]]), entry(id=3, image_id=3)),
        files=("1.png", "2.png", "3.png"),
    ),
    Case("eval_iscrowd_text", 2, rows=(entry(iscrowd="0"), entry(id=2, segmentation=[CORNER], iscrowd=False))),
    Case(
        "dup_image_id",
        0,
        ("image id 1 is used 2 times: 2 objects skipped",),
        images=(picture(file_name="a.png"), picture(file_name="b.png")),
        rows=(entry(), entry(id=2)),
        files=("a.png", "b.png"),
    ),
    Case("seg_flat", 1, rows=(entry(segmentation=RING),), areas=(AREA,)),
    Case(
        "ids_float",
        1,
        images=(picture(id=1.0, width=64.0, height=48.0),),
        rows=(entry(id=1.0, image_id=1.0, category_id=1.0),),
    ),
    Case("img_no_size", 1, images=({"id": 1, "file_name": "a.png"},)),
    Case("ids_ann_missing", 1, rows=({"image_id": 1, "category_id": 1, "segmentation": [RING]},)),
    Case(
        "ids_ann_dup",
        2,
        ("ids of annotations that were used before: 1 object",),
        rows=(entry(), entry(segmentation=[CORNER])),
    ),
    Case(
        "seg_str_numbers",
        0,
        ("holds something that is not a number",),
        rows=(entry(segmentation=[[str(v) for v in RING]]),),
    ),
    Case(
        "seg_missing",
        0,
        ("annotation 1 (id 1) has a box but no segmentation",),
        rows=({**without(entry(), "segmentation"), "bbox": [12, 10, 28, 26]},),
    ),
    Case(
        "seg_empty",
        0,
        ("each of 2 objects (annotation 1 (id 1), annotation 2 (id 1)) has an empty segmentation",),
        rows=(entry(segmentation=[]),) * 2,
    ),
    Case("img_size_zero", 1, images=(picture(width=0, height=0),)),
    Case("img_size_null", 1, images=(picture(width=None, height=None),)),
    Case("img_size_text", 1, images=(picture(width="64", height="48"),)),
    Case("name_url", 1, images=(picture(file_name="https://b.example.org/set/a.png?Sig=a/b&Expires=1#x"),)),
    Case("name_percent", 1, images=(picture(file_name="https://b.example.org/a%20b.png"),), files=("a b.png",)),
    Case(
        "name_url_encoded_utf8",
        1,
        images=(picture(file_name="images/Capture_d%C3%A9cran%20%281%29.png"),),
        files=("Capture_décran (1).png",),
    ),
    Case("name_percent_is_the_name", 1, images=(picture(file_name="50%25.png"),), files=("50%25.png", "50%.png")),
    Case("name_lvis_coco_url", 1, images=({**without(picture(), "file_name"), "coco_url": "http://x.org/v/a.png"},)),
    Case("dup_names_subfolders", 2, images=TWO, rows=(entry(), entry(id=2, image_id=2)), files=FRAMES),
    Case(
        "dup_names_flat",
        0,
        ("is ambiguous", "2 images there have its name"),
        images=(picture(file_name="frame.png"), picture(id=2, file_name="frame.png")),
        rows=(entry(), entry(id=2, image_id=2)),
        files=FRAMES,
    ),
    Case(
        "cat_gap",
        1,
        rows=(entry(category_id=90),),
        categories=tuple({"id": n, "name": name} for n, name in ((1, "person"), (90, "brush"), (13, "stop sign"))),
    ),
    Case(
        "cat_roboflow",
        2,
        ("2 classes have the name 'fish'; they are kept apart",),
        rows=(entry(category_id=1), entry(id=2, category_id=2, segmentation=[CORNER])),
        categories=(
            {"id": 0, "name": "fish", "supercategory": "none"},
            {"id": 1, "name": "fish", "supercategory": "fish"},
            {"id": 2, "name": "trap", "supercategory": "fish"},
        ),
    ),
    Case(
        "cat_twice_the_same",
        1,
        ("category id 1 is listed 2 times, the same each time; it is one class",),
        categories=({"id": 1, "name": "cell"},) * 2,
    ),
    Case(
        "cat_twice_different",
        0,
        ("category id 1 is used 2 times for different classes",),
        categories=({"id": 1, "name": "cell"}, {"id": 1, "name": "nucleus"}),
    ),
    Case("no_classes", 1, rows=(without(entry(), "category_id"),), categories=()),
    Case(
        "seg_rle_bytes_repr",
        1,
        rows=(entry(segmentation={"size": [HEIGHT, WIDTH], "counts": BYTES_REPR}),),
        areas=(30,),
    ),
    Case(
        "seg_rle_in_a_list",
        1,
        rows=(entry(segmentation=[{"size": [HEIGHT, WIDTH], "counts": BYTES_REPR[2:-1]}]),),
        areas=(30,),
    ),
    Case("img_exif_raw_size", 0, ("swapped (EXIF orientation?)",), turned=True),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "case"


def write(case: Case, root: Path) -> Path:
    """``root/annotations.json`` and ``root/images``."""
    for number, name in enumerate(case.files):
        file = root / "images" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (WIDTH, HEIGHT), (40 * number, 90, 20))
        exif = image.getexif()
        if case.turned:
            exif[0x0112] = 6
        image.save(file, exif=exif)
    data = {"images": case.images, "annotations": case.rows, "categories": case.categories}
    (root / "annotations.json").write_text(json.dumps(data), encoding="utf-8")
    return root


def imported(root: Path) -> tuple[list[int], ImportReport, Path]:
    """Areas in the project, the report, and an export of it."""
    folder = root.parent / "project" / "images"
    shutil.copytree(root / "images", folder)
    out = root.parent / "out.json"
    with ProjectStore.open_folder(folder) as store:
        report = import_coco(store, root / "annotations.json")
        export_coco(store, out, all_images=True)
        return sorted(row.area for row in store.all_annotations()), report, out


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_import_evaluation_and_training_agree(case: Case, root: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(case, root)
    areas, report, out = imported(root)
    assert len(areas) == report.objects == case.taken
    assert case.areas in ((), tuple(areas))
    counted = len(case.rows) - case.taken
    assert report.skipped == counted
    told = {"import": "\n".join(report.lines())}
    if case.taken:
        found = read_evaluation_set(root / "annotations.json", root / "images")
        assert sorted(item.mask().area for item in found.objects) == areas
        told["evaluate"] = "\n".join(found.remarks)
        masks = [mask for image in read_coco_sets([root]) for mask in image.masks]
        assert sorted(mask.area for mask in masks) == areas
        told["train"] = caplog.text
        again = read_evaluation_set(out, root.parent / "project" / "images")
        assert sorted(item.mask().area for item in again.objects) == areas, "the export says the same"
    else:
        for name, read in {
            "evaluate": lambda: read_evaluation_set(root / "annotations.json", root / "images"),
            "train": lambda: read_coco_sets([root]),
        }.items():
            with pytest.raises(ImportFormatError) as caught:
                read()
            told[name] = str(caught.value)
    for name, text in told.items():
        for line in case.said:
            assert line in text, name


def test_the_commands_agree(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One bad object: both commands go on, and both say it."""
    write(CASES[0], root)
    coco, images = root / "annotations.json", root / "images"
    assert cli.main(["import", str(images), str(coco)]) == 0
    told = capsys.readouterr().out
    assert "2 objects on 3 images" in told
    words = ["evaluate", "--engine", "grabcut", "--clicks", "1", "--coco", str(coco), "--images", str(images)]
    assert cli.main(words) == 0
    line = "annotation 2 (id 2) has no usable polygon"
    assert line in told
    assert f"left out: {line}" in capsys.readouterr().out


def test_text_flags_of_a_crowd_are_read(root: Path) -> None:
    """A crowd by any spelling is a crowd in the project, and no object for evaluation and training."""
    rows = tuple(entry(id=n, iscrowd=flag) for n, flag in enumerate(("1", 1.0, True, "true"), start=1))
    write(Case("crowds", 0, rows=(*rows, entry(id=9, segmentation=[CORNER]))), root)
    areas, _, out = imported(root)
    assert len(areas) == 5
    assert sum(row["iscrowd"] for row in json.loads(out.read_text())["annotations"]) == 4
    found = read_evaluation_set(root / "annotations.json", root / "images")
    assert len(found.objects) == 1
    assert "left out: 4 crowd objects" in found.remarks
    assert len(read_coco_sets([root])[0].masks) == 1


def test_nothing_imported_changes_nothing(root: Path) -> None:
    write(CASES[2], root)
    with ProjectStore.open_folder(root / "images") as store:
        before = store.categories(), list(store.all_annotations()), store.undo_name
        report = import_coco(store, root / "annotations.json")
        assert (report.change, report.categories) == (None, 0)
        assert (store.categories(), list(store.all_annotations()), store.undo_name) == before


def test_the_order_and_ids_of_new_classes_are_the_files(root: Path) -> None:
    """Also where the project has used its first ids, and 0 is no id here."""
    ids = (7, 0, 5, 1)
    categories = tuple({"id": n, "name": f"class {n}"} for n in ids)
    write(Case("order", 1, rows=(entry(category_id=5),), categories=categories), root)
    with ProjectStore.open_folder(root / "images") as store:
        store.apply(store.category_edit("mine"))
        import_coco(store, root / "annotations.json")
        found = store.categories()
        assert [c.name for c in found] == ["object", "mine", "class 7", "class 0", "class 5", "class 1"]
        assert {c.name: c.id for c in found if c.id in ids and c.name != "object"} == {"class 7": 7, "class 5": 5}
        later = store.category_edit("later")
        store.apply(later)
        assert store.categories()[-1].name == "later"
    with ProjectStore.open(root / "images" / "images.annot", read_only=True) as store:
        assert [c.name for c in store.categories()][2:4] == ["class 7", "class 0"], "it is remembered"


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("segmentation", "side"),
    [
        ({"size": [120_000, 120_000], "counts": [0, 120_000**2]}, 120_000),
        ({"size": [65_535, 65_535], "counts": [0, 65_535**2]}, 65_535),
        ({"size": [2**26, 2**26], "counts": [5, 1, 2**52 - 7, 1]}, 2**26),
        ([[0, 0, 120_000, 0, 120_000, 120_000, 0, 120_000]], 120_000),
    ],
)
def test_masks_of_gigabytes_are_refused_before_they_are_allocated(
    segmentation: Any, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    allocated: list[int] = []
    zeros = np.zeros

    def watched(shape: Any, *args: Any, **kwargs: Any) -> Any:
        made = int(np.prod(shape))
        assert made <= parse.MAX_CROP_BYTES, "it was about to be allocated"
        allocated.append(made)
        return zeros(shape, *args, **kwargs)

    monkeypatch.setattr(np, "zeros", watched)
    with pytest.raises(ValueError, match="more than the limit of"):
        decode_segmentation(segmentation, width=side, height=side)


def test_run_lengths_of_too_many_characters_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "_MAX_COUNTS_CHARS", 10)
    with pytest.raises(ValueError, match="more than the limit"):
        decode_segmentation({"size": [HEIGHT, WIDTH], "counts": "0" * 11}, width=WIDTH, height=HEIGHT)


def test_a_small_object_in_a_huge_image_is_taken() -> None:
    side = 120_000
    runs = [5 * side + 7, 3, side - 3, 3, side * side - 5 * side - 7 - 6 - (side - 3)]
    mask, _ = decode_segmentation({"size": [side, side], "counts": runs}, width=side, height=side)
    assert mask.area == 6


def test_ten_million_notes_would_stay_small() -> None:
    """A line a reason, a few subjects each, and a bound on the reasons a hostile file can make up."""
    tally = Tally()
    for number in range(20_000):
        tally.add(f"annotation {number}", f"has {number} numbers")
        tally.add(f"annotation {number}", "is odd", kind=f"kind {number}")
    assert tally.objects == 40_000
    assert len(tally.lines()) <= 202
    assert max(map(len, tally.lines())) < 200


# --- a file is parsed row by row -------------------------------------------------------------------------------------


def test_no_call_of_the_parser_takes_more_than_one_row(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser of the standard library holds the interpreter's lock for as long as a call takes: a file of 81 MB in
    one call froze the window."""
    from annotator.io.formats.coco import stream

    rows = tuple(entry(id=n) for n in range(1, 400))
    write(Case("long", 399, rows=rows), root)
    size = (root / "annotations.json").stat().st_size
    longest: list[int] = []
    decoder = json.JSONDecoder()

    class Watched:
        def raw_decode(self, text: str, at: int = 0) -> tuple[Any, int]:
            value, end = decoder.raw_decode(text, at)
            longest.append(end - at)
            return value, end

    monkeypatch.setattr(stream, "_DECODER", Watched())
    monkeypatch.setattr(json, "loads", forbidden(json.loads, size // 10))
    found = read_evaluation_set(root / "annotations.json", root / "images")
    assert len(found.objects) == 399
    assert max(longest) < 300 < size


def forbidden(loads: Callable[..., Any], most: int) -> Callable[..., Any]:
    def checked(text: Any, **options: Any) -> Any:
        assert len(text) <= most, "parsed in one go"
        return loads(text, **options)

    return checked


@pytest.mark.parametrize(
    "text",
    [
        '{"images": [1, {"a": [2, "\\u00e4]"]}], "annotations": [], "categories": [], "more": [[1], {}, null]} \n',
        '{"annotations": [], "images": [], "images": [7], "categories": null, "licenses": 5}',
        '\ufeff{ "images" : [ ] , "annotations" : [ null , 1e5 , -0.5 , "x" ] }',
    ],
)
def test_the_outline_is_what_the_standard_parser_reads(text: str, tmp_path: Path) -> None:
    from annotator.io.formats.coco.stream import read_coco

    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    found, wanted = read_coco(tmp_path / "a.json"), json.loads(text.lstrip("\ufeff"))
    assert list(found.images) == wanted["images"]
    assert list(found.annotations) == wanted["annotations"]
    assert list(found.categories) == (wanted.get("categories") or [])
    assert len(found.annotations) == len(wanted["annotations"])


@pytest.mark.parametrize(
    "text", ['{"images": [1,]}', '{"images": [1 2]}', '{"images": [],}', '{"images": []} x', "{images: []}", '{"a" 1}']
)
def test_what_is_no_json_is_refused_before_anything_is_taken(text: str, tmp_path: Path) -> None:
    from annotator.io.formats.coco.stream import read_coco

    (tmp_path / "a.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError):
        json.loads(text)
    with pytest.raises(ImportFormatError, match="not JSON"):
        read_coco(tmp_path / "a.json")
