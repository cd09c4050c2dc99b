"""Stacks and files of several frames become series of slices, each an image of the project."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import RLELossless

from annotator.domain.errors import ImageError
from annotator.domain.media import SeriesKind
from annotator.domain.project import ImageRecord
from annotator.io.formats.coco.export import export_coco
from annotator.io.images import decoding, dicom, reading
from annotator.io.images.reading import load_image, survey_files
from annotator.io.project.opened import open_project
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, disc
from tests.unit.io.dicom_builders import enhanced_groups, write_slice, write_stack
from tests.unit.io.test_store_migration import VERSION_1_1


def slices_of(store: ProjectStore, series_id: int) -> list[str]:
    found = sorted((i for i in store.images() if i.series_id == series_id), key=lambda image: image.position)
    assert [image.position for image in found] == [*range(len(found))]
    return [image.name for image in found]


def places_shown(store: ProjectStore, series_id: int) -> list[int]:
    """What the pixels of the slices say of their place, in millimetres."""
    images = sorted((i for i in store.images() if i.series_id == series_id), key=lambda image: image.position)
    found = []
    for image in images:
        dataset = decoding.load_image(store.image_path(image), frame=image.frame)
        found.append(round(int(dataset.rgb[0, 0, 0]) / 255 * 100))
    return found


def pages(path: Path, count: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = [Image.new("L", (8, 6), 10 * number) for number in range(count)]
    made[0].save(path, save_all=True, append_images=made[1:])


def test_a_stack_is_one_series_in_the_order_of_space(tmp_path: Path) -> None:
    write_stack(tmp_path / "ct", [0, 20, 40, 60, 80])
    Image.new("L", (8, 6)).save(tmp_path / "photo.png")
    with ProjectStore.open_folder(tmp_path) as store:
        (series,) = store.slices.series()
        assert (series.kind, series.name, series.step_mm) == (SeriesKind.DICOM, "ct", 20)
        assert series.offsets_mm == (0, 20, 40, 60, 80)
        assert places_shown(store, series.id) == [0, 20, 40, 60, 80]
        assert [image.path for image in store.images() if not image.series_id] == ["photo.png"]
        assert store.notices == ()
        assert "SeriesInstanceUID" not in json.dumps([series.extra, series.identity, series.name])
        assert "1.2.826" not in series.identity


def test_the_middle_slice_is_shown_first_and_slices_follow_each_other(tmp_path: Path) -> None:
    write_stack(tmp_path / "b", [10 * number for number in range(7)])
    Image.new("L", (8, 6)).save(tmp_path / "c.png")
    opened = open_project(tmp_path)
    try:
        assert [image.position for image in opened.images[:7]] == [*range(7)]
        assert opened.images[7].path == "c.png"
        assert opened.store.image(opened.first_id).position == 3
        assert opened.row_of[opened.first_id] == 3
    finally:
        opened.store.close()


def test_gaps_duplicates_and_tilt_are_said(tmp_path: Path) -> None:
    write_stack(tmp_path / "ct", [0, 2, 4, 10, 12])
    write_slice(tmp_path / "ct" / "again.dcm", np.zeros((16, 16)), number=90, position=(0, 0, 4))
    for number in range(4):
        place = (0.0, number * 1.0, number * 3.0)
        write_slice(tmp_path / "tilt" / f"{number}.dcm", np.zeros((16, 16)), number=number, position=place, series="2")
    with ProjectStore.open_folder(tmp_path) as store:
        by_name = {series.name: series for series in store.slices.series()}
        assert by_name["ct"].gaps == ((2, 2),)
        assert by_name["ct"].extra["notes"][0] == "2 slices missing"
        assert by_name["tilt"].extra["is_tilted"] is True
        assert any("2 slices missing" in notice for notice in store.notices)
        assert any("tilted" in notice for notice in store.notices)
        assert len(slices_of(store, by_name["ct"].id)) == 5
        assert len(store.images()) == 10


def test_echoes_of_one_series_and_other_planes_are_kept_apart(tmp_path: Path) -> None:
    write_stack(tmp_path, [0, 2, 4], prefix="a", EchoNumbers=1)
    write_stack(tmp_path, [0, 2, 4], prefix="b", EchoNumbers=2)
    write_slice(
        tmp_path / "scout.dcm", np.zeros((16, 16)), number=80, position=(0, 0, 0), orientation=(0, 1, 0, 0, 0, 1)
    )
    with ProjectStore.open_folder(tmp_path) as store:
        assert [{name[0] for name in slices_of(store, one.id)} for one in store.slices.series()] == [{"a"}, {"b"}]
        assert [image.path for image in store.images() if not image.series_id] == ["scout.dcm"]


def test_slices_that_come_later_join_their_stack(tmp_path: Path) -> None:
    write_stack(tmp_path / "ct", [0, 20, 60], prefix="a")
    with ProjectStore.open_folder(tmp_path) as store:
        kept = accept_on(store, 60)
        (series,) = store.slices.series()
        assert series.gaps == ((1, 1),)
    write_stack(tmp_path / "ct", [40, 80], prefix="b")
    with ProjectStore.open_folder(tmp_path) as store:
        (again,) = store.slices.series()
        assert (again.id, again.gaps, again.step_mm) == (series.id, (), 20)
        assert places_shown(store, again.id) == [0, 20, 40, 60, 80]
        assert store.annotation(kept).image_id in {image.id for image in store.images() if image.position == 3}


def accept_on(store: ProjectStore, place: int) -> int:
    """An object on the slice that lies there; its id."""
    (image,) = (image for image in store.images() if place_of(store, image) == place)
    store.record_image_facts(image.id, sha256="", width=64, height=48)
    return accept(store, image.id, disc(20, 20, 5)).id


def place_of(store: ProjectStore, image: ImageRecord) -> int:
    return round(int(decoding.load_image(store.image_path(image)).rgb[0, 0, 0]) / 255 * 100)


@pytest.mark.parametrize("name", ["stack.tif", "moving.gif", "moving.apng"])
def test_pages_of_a_file_are_slices(tmp_path: Path, name: str) -> None:
    pages(tmp_path / name, 5)
    pages(tmp_path / "single.tif", 1)
    with ProjectStore.open_folder(tmp_path) as store:
        (series,) = store.slices.series()
        assert (series.kind, series.name, series.step_mm) == (SeriesKind.PAGES, name, None)
        assert slices_of(store, series.id) == [name, *(f"{name}#{number}" for number in range(1, 5))]
        last = next(image for image in store.images() if image.frame == 4)
        assert load_image(store.image_path(last), frame=4).rgb[0, 0, 0] == 40
        assert len(store.images()) == 6
        before = store.images()
        store.sync_folder()
        assert store.images() == before


def test_frames_of_a_dicom_file_are_in_the_order_of_space(tmp_path: Path) -> None:
    places = [40, 0, 20, 60]
    pixels = np.stack([np.full((16, 16), 10 * place) for place in places])
    write_slice(tmp_path / "multi.dcm", pixels, number=1, **enhanced_groups(places))
    with ProjectStore.open_folder(tmp_path) as store:
        (series,) = store.slices.series()
        assert series.step_mm == 20
        assert slices_of(store, series.id) == ["multi.dcm#1", "multi.dcm#2", "multi.dcm", "multi.dcm#3"]
        assert places_shown(store, series.id) == [0, 20, 40, 60]
        assert {(image.width, image.height) for image in store.images()} == {(16, 16)}


@pytest.mark.parametrize("syntax", ["plain", "rle"])
def test_a_frame_is_read_alone_and_is_what_the_whole_file_gives(
    tmp_path: Path, syntax: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 1000, (5, 17, 13))
    path = tmp_path / "multi.dcm"
    write_slice(path, pixels, number=1)
    if syntax == "rle":
        dataset = pydicom.dcmread(path)
        dataset.compress(RLELossless)
        dataset.save_as(path)
    alone = [decoding.load_image(path, frame=frame) for frame in range(5)]
    read: list[int] = []
    monkeypatch.setattr(dicom, "take_frame", lambda *_: read.append(1) and False)
    whole = [decoding.load_image(path, frame=frame) for frame in range(5)]
    assert len(read) == 5
    for a, b in zip(alone, whole, strict=True):
        assert np.array_equal(a.rgb, b.rgb)
        assert (a.image_key, a.extra, a.note) == (b.image_key, b.extra, b.note)
    with pytest.raises(ImageError, match="5 frames"):
        decoding.load_image(path, frame=5)


def test_a_project_of_version_1_gets_the_other_pages_of_its_stack(tmp_path: Path) -> None:
    (tmp_path / "set.annot").write_bytes(gzip.decompress(VERSION_1_1.read_bytes()))
    for name in ("a.png", "b.png"):
        Image.new("L", (8, 6)).save(tmp_path / name)
    pages(tmp_path / "stack.tif", 3)
    with ProjectStore.open_folder(tmp_path) as store:
        (series,) = store.slices.series()
        assert slices_of(store, series.id) == ["stack.tif", "stack.tif#1", "stack.tif#2"]
        assert store.image(3).series_id == series.id
        assert [a.image_id for a in store.all_annotations()] == [1, 3]
        while store.undo():
            pass
        assert len(slices_of(store, series.id)) == 3
    with ProjectStore.open_folder(tmp_path) as store:
        assert len(store.images()) == 5


def test_exports_name_every_slice(tmp_path: Path) -> None:
    pages(tmp_path / "set" / "stack.tif", 3)
    with ProjectStore.open_folder(tmp_path / "set") as store:
        export_coco(store, tmp_path / "out.json", all_images=True)
    rows = json.loads((tmp_path / "out.json").read_text())["images"]
    found = [(row["file_name"], row["attributes"]["frame"], row["attributes"]["position"]) for row in rows]
    assert found == [("stack.tif", 0, 0), ("stack.tif#1", 1, 1), ("stack.tif#2", 2, 2)]
    assert {(row["width"], row["height"]) for row in rows} == {(8, 6)}


def test_only_files_that_may_be_several_are_looked_into(tmp_path: Path) -> None:
    pages(tmp_path / "one.tif", 1)
    pages(tmp_path / "two.tif", 2)
    Image.new("L", (8, 6)).save(tmp_path / "photo.jpg")
    (tmp_path / "broken.tif").write_bytes(b"II*\0\xff\xff\xff\xff")
    (tmp_path / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
    done: list[int] = []
    names = ["one.tif", "two.tif", "photo.jpg", "broken.tif", "broken.dcm", "missing.tif"]
    found = survey_files(tmp_path, names, on_done=done.append)
    assert "two.tif" in found
    assert found["two.tif"].frames == 2
    assert not {"one.tif", "photo.jpg", "missing.tif"} & found.keys()
    assert done == [3]


def test_a_file_that_ends_its_reader_does_not_cost_its_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number}.tif" for number in range(4)]
    for name in names:
        pages(tmp_path / name, 2)
    asked: list[str] = []
    real = reading.ask

    def ask(what: str, path: str, **arguments: object) -> object:
        asked.append(what)
        if what == "surveys" or path.endswith("2.tif"):
            raise ImageError("It ended the process that reads images.")
        return real(what, path, **arguments)

    monkeypatch.setattr(reading, "ask", ask)
    assert sorted(survey_files(tmp_path, names)) == ["0.tif", "1.tif", "3.tif"]
    assert asked == ["surveys", *["survey"] * 4]


def test_a_look_that_is_stopped_leaves_no_project(tmp_path: Path) -> None:
    write_stack(tmp_path, [0, 1, 2])

    def stop(count: int) -> None:
        if count:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        ProjectStore.open_folder(tmp_path, on_found=stop)
    assert not list(tmp_path.glob("*.annot*"))


PYDICOM = Path(pydicom.__file__).parent / "data" / "test_files"


@pytest.mark.parametrize("name", ["rtdose.dcm", "examples_ybr_color.dcm"])
def test_frames_of_real_files_are_those_of_the_whole_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = PYDICOM / name
    if not path.is_file():
        pytest.skip("pydicom came without this file")
    frames = decoding.survey(path).frames
    assert frames > 1
    alone = [decoding.load_image(path, frame=frame).rgb for frame in (0, frames - 1)]
    monkeypatch.setattr(dicom, "take_frame", lambda *_: False)
    whole = [decoding.load_image(path, frame=frame).rgb for frame in (0, frames - 1)]
    assert all(np.array_equal(a, b) for a, b in zip(alone, whole, strict=True))
