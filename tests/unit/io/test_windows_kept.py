"""Windows that a project remembers, and images read through them without a window."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from annotator import cli
from annotator.domain.pseudonym import new_salt, pseudonym
from annotator.domain.window import Window
from annotator.evaluate import run as evaluation
from annotator.evaluate.objects import EvaluationImage
from annotator.io.images.reading import load_image
from annotator.io.images.windowed import through_stored
from annotator.io.project.identifiers import SALT_KEY
from annotator.io.project.queries import meta_beginning
from annotator.io.project.store import ProjectStore
from annotator.io.project.windows import PREFIX, AsShown, WindowBook
from tests.fakes import FakeSegmenter
from tests.unit.io.test_readers_dicom import write

NARROW, WIDE = Window(500.0, 100.0), Window(0.0, 4000.0)
UID = "1.2.826.0.1.3680043.8.498.42"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two slices of one series, one of another, and two photographs below."""
    folder = tmp_path / "set"
    (folder / "sub").mkdir(parents=True)
    ramp = np.tile(np.linspace(-1000, 2000, 60), (40, 1)).astype(np.int16)
    for name, uid, offset in (("a", UID, 0), ("b", UID, 1), ("c", UID + "1", 2)):
        write(folder / f"{name}.dcm", ramp + np.int16(offset), SeriesInstanceUID=uid)
    for number in range(2):
        Image.fromarray(np.full((20, 30, 3), 60 + number, np.uint8)).save(folder / "sub" / f"{number}.png")
    return folder


def keep(folder: Path, name: str, window: Window | None, *, is_for_all: bool = False) -> None:
    """As the window of the program does."""
    with ProjectStore.open_folder(folder) as store:
        book = WindowBook.of(store, store.meta_set)
        (book.keep_for_all if is_for_all else book.keep)(load_image(folder / name, is_native=True), window)


def test_a_window_is_the_series_and_comes_back_from_the_file(folder: Path) -> None:
    keep(folder, "a.dcm", NARROW)
    shown = {name: AsShown().load(folder / f"{name}.dcm") for name in "abc"}
    assert [shown[name].window for name in "abc"] == [NARROW, NARROW, None]
    assert shown["c"].image_key == load_image(folder / "c.dcm").image_key
    assert all(image.native is None for image in shown.values())


def test_what_is_in_the_file_names_no_series(folder: Path) -> None:
    keep(folder, "a.dcm", NARROW)
    with ProjectStore.open_folder(folder) as store:
        rows, salt = meta_beginning(store, PREFIX), store.meta_get(SALT_KEY)
    assert list(rows) == [f"series/{pseudonym(salt, 'series', UID)}"]
    assert pseudonym(salt, "series", UID) == pseudonym(salt, "series", UID) != pseudonym(new_salt(), "series", UID)
    assert pseudonym(salt, "series", UID) != pseudonym(salt, "patient", UID)


def test_one_for_all_of_a_kind_and_exceptions(folder: Path) -> None:
    keep(folder, "sub/0.png", replace(Window.of_range(0, 255), is_inverted=True), is_for_all=True)
    as_shown = AsShown()
    assert (as_shown.load(folder / "sub" / "1.png").rgb == 255 - 61).all()
    assert as_shown.load(folder / "a.dcm").window is None
    keep(folder, "sub/1.png", None)
    assert (AsShown().load(folder / "sub" / "1.png").rgb == 61).all()
    keep(folder, "sub/0.png", None, is_for_all=True)
    assert (AsShown().load(folder / "sub" / "0.png").rgb == 60).all()


def test_a_moved_file_keeps_its_window(folder: Path) -> None:
    keep(folder, "sub/0.png", Window(70.0, 40.0))
    (folder / "sub" / "0.png").rename(folder / "renamed.png")
    assert AsShown().load(folder / "renamed.png").window == Window(70.0, 40.0)


@pytest.mark.parametrize("text", ["", "nonsense", '{"version": 99}', '{"version": 1, "centre": NaN}'])
def test_what_no_program_of_ours_wrote_is_passed_over(folder: Path, text: str) -> None:
    keep(folder, "a.dcm", NARROW)
    with ProjectStore.open_folder(folder) as store:
        (key,) = meta_beginning(store, PREFIX)
        store.meta_set(PREFIX + key, text)
    assert AsShown().load(folder / "a.dcm").window is None


def test_a_damaged_project_says_nothing_about_windows(folder: Path) -> None:
    (folder / "set.annot").write_bytes(b"SQLite format 3\0" + bytes(500))
    assert AsShown().load(folder / "a.dcm").window is None


def test_windows_without_a_way_to_write_last_as_long_as_the_book(folder: Path) -> None:
    with ProjectStore.open_folder(folder):
        pass
    image = load_image(folder / "a.dcm", is_native=True)
    with ProjectStore.open(folder / "set.annot", read_only=True) as store:
        book = WindowBook.of(store)
        book.keep(image, NARROW)
        assert book.find(image) == NARROW
        assert WindowBook.of(store).find(image) is None


def test_predict_asks_about_what_the_person_sees(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask() -> str:
        place = ["--point", "30,20", "--out", str(tmp_path / "m.png"), "--model", "grabcut"]
        assert cli.main(["predict", str(folder / "b.dcm"), *place]) == 0
        return capsys.readouterr().err

    assert "window 100 / level 500" not in ask()
    keep(folder, "a.dcm", NARROW)
    assert "window 100 / level 500" in ask()


def test_an_evaluation_measures_what_the_person_sees(folder: Path) -> None:
    keep(folder, "a.dcm", WIDE)
    fake = FakeSegmenter()
    image = EvaluationImage(1, "b.dcm", folder / "b.dcm", 60, 40)
    evaluation._encoded(fake, image, AsShown())
    assert fake.encodes == [load_image(folder / "b.dcm", window=WIDE).image_key]
    assert fake.encodes != [load_image(folder / "b.dcm").image_key]


def deep_pages(path: Path) -> None:
    """A stack whose pages are as bright as their number; stretched one by one they would all look alike."""
    ramp = np.tile(np.linspace(0, 900, 60), (40, 1))
    tifffile.imwrite(
        path, np.stack([ramp + 3000 * page for page in range(4)]).astype(np.uint16), photometric="minisblack"
    )


def test_slices_are_shown_through_one_window_and_an_empty_one_is_dark(tmp_path: Path) -> None:
    deep_pages(tmp_path / "stack.tif")
    book = WindowBook()
    pages = [load_image(tmp_path / "stack.tif", frame=frame, is_native=True) for frame in range(4)]
    assert len({page.rgb.mean().round() for page in pages}) == 1, "or there is nothing to mend"
    book.hold_for_slices(pages[2])
    book.hold_for_slices(pages[0])
    shown = [through_stored(page, book.remembered(page)) for page in pages]
    assert [page.rgb.max() for page in shown[:2]] == [0, 0]
    assert shown[3].rgb.min() == 255
    assert shown[2].image_key == pages[2].image_key, "its embedding is still good"
    book.keep(pages[0], Window(7000.0, 14000.0))
    assert {(kept := book.remembered(page)) and (kept.window, kept.of_slices) for page in pages} == {
        (Window(7000.0, 14000.0), False)
    }
    book.keep(pages[0], None)
    assert {(kept := book.remembered(page)) and kept.of_slices for page in pages} == {True}


def test_the_window_of_slices_is_in_the_project_and_names_no_series(folder: Path) -> None:
    with ProjectStore.open_folder(folder) as store:
        book = WindowBook.of(store, store.meta_set)
        book.hold_for_slices(load_image(folder / "a.dcm", is_native=True))
        rows = meta_beginning(store, PREFIX)
    assert len(rows) == 1
    assert UID not in json.dumps(rows)
    asked = load_image(folder / "b.dcm", is_native=True)
    assert AsShown().load(folder / "b.dcm").window == load_image(folder / "a.dcm", is_native=True).source.default
    assert asked.source.default != load_image(folder / "a.dcm", is_native=True).source.default, "or it says nothing"


def test_frames_that_are_read_in_a_row_without_a_project_have_one_window(tmp_path: Path) -> None:
    deep_pages(tmp_path / "stack.tif")
    as_shown = AsShown(are_slices=True)
    means = [as_shown.load(tmp_path / "stack.tif", frame=frame).rgb.mean() for frame in range(3)]
    assert means[0] < means[1] == means[2] == 255
