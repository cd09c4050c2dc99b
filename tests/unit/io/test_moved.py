"""Files that were moved, renamed, deleted or changed after labelling are found again, and never passed over."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator import cli
from annotator.domain.project import Status, mark_empty_edit
from annotator.evaluate.objects import read_evaluation_set
from annotator.io.formats.coco.export import export_coco
from annotator.io.formats.coco.import_ import import_coco
from annotator.io.formats.polygons import export_polygons
from annotator.io.images import decoding
from annotator.io.images.content import SAMPLES_FACT, mark_of
from annotator.io.images.reading import load_image
from annotator.io.project.moved import find_moved, relink_edit
from annotator.io.project.opened import open_project
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, disc, document, image_folder

NAMES = ("a.png", "b.png", "c.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images with an object each, looked at in the window, so that their content is known."""
    folder = image_folder(tmp_path, NAMES)
    with ProjectStore.open_folder(folder) as store:
        for image in store.images():
            loaded = load_image(store.image_path(image))
            store.record_image_facts(image.id, sha256=loaded.sha256, width=loaded.width, height=loaded.height)
            accept(store, image.id, disc(20, 20, 5 + image.id))
    return folder


def move(folder: Path, name: str, to: str) -> None:
    (folder / to).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(folder / name, folder / to)


def look(folder: Path) -> list[str]:
    with ProjectStore.open_folder(folder) as store:
        return find_moved(store).lines()


def test_renamed_and_moved_files_are_found_by_content_and_relinked_in_one_step(folder: Path) -> None:
    move(folder, "a.png", "sub/a.png")
    move(folder, "b.png", "other name.png")
    (folder / "c.png").unlink()
    Image.new("RGB", (64, 48), (9, 9, 9)).save(folder / "like c.png")  # the size, but another content
    with ProjectStore.open_folder(folder) as store:
        before = document(store)
        assert len(before[0]) == 6, "the new files are images of their own until then"
        told: list[tuple[int, int]] = []
        found = find_moved(store, progress=lambda done, total: told.append((done, total)))
        assert [(m.image.path, m.path, m.is_same) for m in found.moves] == [
            ("a.png", "sub/a.png", True),
            ("b.png", "other name.png", True),
        ]
        assert [image.path for image in found.lost] == ["c.png"]
        assert told
        store.apply(relink_edit(found.moves))
        assert {i.path for i in store.images() if store.annotations(i.id)} == {"sub/a.png", "other name.png", "c.png"}
        assert len(store.images()) == 4
        assert store.undo_name == "re-link 2 images"
        store.undo()
        assert document(store) == before
        store.redo()
    assert look(folder) == ["0 images found again, 1 not found", "not found: c.png"]


def test_an_import_remembers_the_content_so_that_a_renamed_file_is_found(tmp_path: Path) -> None:
    folder = image_folder(tmp_path, NAMES)
    row = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[5, 5, 30, 5, 30, 30]]}
    data = {"images": [{"id": 1, "file_name": "b.png"}], "categories": [{"id": 1, "name": "c"}], "annotations": [row]}
    (tmp_path / "in.json").write_text(json.dumps(data))
    with ProjectStore.open_folder(folder) as store:
        import_coco(store, tmp_path / "in.json")
        assert [bool(image.sha256) for image in store.images()] == [False, True, False], "only where objects are"
    move(folder, "b.png", "b2.png")
    assert "b.png -> b2.png (same content)" in look(folder)


def test_without_a_known_content_a_unique_name_of_the_same_size_counts(tmp_path: Path) -> None:
    folder = image_folder(tmp_path, NAMES)
    with ProjectStore.open_folder(folder) as store:
        for image in store.images():
            store.record_image_facts(image.id, sha256="", width=64, height=48)
            accept(store, image.id, disc(20, 20, 9))
    for name in NAMES:
        move(folder, name, f"sub/{name}")
    Image.new("RGB", (30, 30)).save(folder / "sub" / "b.png")
    shutil.copy(folder / "sub" / "c.png", folder / "sub" / "deep.png")
    (folder / "twice").mkdir()
    shutil.copy(folder / "sub" / "c.png", folder / "twice" / "c.png")
    assert look(folder) == [
        "1 image found again, 2 not found",
        "a.png -> sub/a.png (same name and size)",
        "not found: b.png",
        "not found: c.png",
    ]


def test_a_moved_file_that_was_saved_anew_is_offered_as_such(folder: Path) -> None:
    move(folder, "a.png", "sub/a.png")
    Image.new("RGB", (64, 48), (99, 0, 0)).save(folder / "sub" / "a.png")
    assert "a.png -> sub/a.png (same name and size, other content)" in look(folder)


def test_files_with_work_of_their_own_are_never_taken(folder: Path) -> None:
    move(folder, "a.png", "sub/a.png")
    with ProjectStore.open_folder(folder) as store:
        (twin,) = [image for image in store.images() if image.path == "sub/a.png"]
        store.apply(mark_empty_edit(twin, ()))
        assert store.image(twin.id).status is Status.EMPTY
        assert find_moved(store).moves == ()


def test_nothing_is_looked_for_when_all_is_in_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotator.io.project.moved.list_images", lambda _root: pytest.fail("listed"))
    assert look(folder) == ["all images with work are in their place"]


def test_opening_counts_what_is_gone(folder: Path) -> None:
    (folder / "a.png").unlink()
    opened = open_project(folder)
    opened.store.close()
    assert opened.absent == 1


def test_the_search_can_be_stopped(folder: Path) -> None:
    move(folder, "a.png", "other.png")

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with ProjectStore.open_folder(folder) as store, pytest.raises(KeyboardInterrupt):
        find_moved(store, progress=stop)


def test_the_command_lists_and_applies(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    move(folder, "b.png", "b2.png")
    assert cli.main(["relink", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "b.png -> b2.png (same content)" in told
    assert "nothing was changed" in told
    assert cli.main(["relink", str(folder), "--apply"]) == 0
    assert "re-linked" in capsys.readouterr().out
    with ProjectStore.open_folder(folder) as store:
        assert sorted(image.path for image in store.images()) == ["a.png", "b2.png", "c.png"]
        assert cli.main(["relink", str(folder), "--apply"]) == 2, "somebody else has it"
    assert cli.main(["relink", str(folder.parent)]) == 2


def spoil(folder: Path) -> None:
    """One gone, one of another size, one of another content, one damaged."""
    (folder / "a.png").unlink()
    Image.new("RGB", (32, 24)).save(folder / "b.png")
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(folder / "c.png")


@pytest.mark.parametrize("kind", ["coco", "polygons"])
def test_an_export_names_what_is_missing_or_has_changed(folder: Path, tmp_path: Path, kind: str) -> None:
    spoil(folder)
    with ProjectStore.open_folder(folder) as store:
        report = (
            export_coco(store, tmp_path / "o.json") if kind == "coco" else export_polygons(store, tmp_path / "polygons")
        )
    text = "\n".join(report.lines())
    assert "warning: a.png is not in its place" in text
    assert "warning: b.png has changed: it is 32 x 24 pixels now, and was 64 x 48" in text
    assert "warning: c.png has changed: its content is another one than was labelled" in text
    assert report.objects == 3


def test_damaged_files_are_named_and_many_are_one_line(folder: Path, tmp_path: Path) -> None:
    for name in NAMES:
        (folder / name).write_bytes(b"no image")
    with ProjectStore.open_folder(folder) as store:
        report = export_coco(store, tmp_path / "o.json")
    (line,) = report.warnings
    assert line.startswith("each of 3 images (a.png, b.png, c.png) cannot be read any more")


def test_several_of_other_sizes_are_not_all_said_to_have_the_first_ones(folder: Path, tmp_path: Path) -> None:
    for number, name in enumerate(NAMES, start=1):
        Image.new("RGB", (10 * number, 20)).save(folder / name)
    with ProjectStore.open_folder(folder) as store:
        (line,) = export_coco(store, tmp_path / "o.json").warnings
    assert line == "each of 3 images (a.png, b.png, c.png) has changed: it has another size than was labelled"


def test_what_was_exported_can_be_imported_and_evaluated_again(folder: Path, tmp_path: Path) -> None:
    move(folder, "a.png", "sub/a.png")
    (folder / "b.png").unlink()
    out = tmp_path / "o.json"
    with ProjectStore.open_folder(folder) as store:
        export_coco(store, out, segmentation="rle")
    found = read_evaluation_set(out, folder)
    assert sorted(item.image.path.name for item in found.objects) == ["a.png", "c.png"]
    assert any("'b.png' is not in" in line and "1 object skipped" in line for line in found.remarks)
    with ProjectStore.create(tmp_path / "new.annot", folder) as fresh:
        fresh.sync_folder()
        report = import_coco(fresh, out)
    assert (report.objects, report.skipped) == (2, 1)


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As ``folder``, of files above the size up to which all bytes are hashed."""
    monkeypatch.setattr(decoding, "HASHED_BYTES", 10)
    folder = image_folder(tmp_path, NAMES)
    with ProjectStore.open_folder(folder) as store:
        for image in store.images():
            loaded = decoding.load_image(store.image_path(image))
            facts = {"width": loaded.width, "height": loaded.height, "extra": loaded.extra}
            assert loaded.sha256 == ""
            store.record_image_facts(image.id, sha256=loaded.sha256, **facts)
            accept(store, image.id, disc(20, 20, 5 + image.id))
    return folder


def test_a_very_large_file_is_found_by_its_size_and_samples_and_that_is_said(large: Path) -> None:
    move(large, "a.png", "sub/a.png")
    move(large, "b.png", "other name.png")
    (large / "c.png").unlink()
    Image.new("RGB", (64, 48), (9, 9, 9)).save(large / "like c.png")
    lines = look(large)
    assert lines == [
        "2 images found again, 1 not found",
        "a.png -> sub/a.png (same size and samples)",
        "b.png -> other name.png (same size and samples)",
        "not found: c.png",
    ]


def test_a_very_large_file_of_the_same_name_with_other_bytes_is_told(large: Path) -> None:
    move(large, "a.png", "sub/a.png")
    Image.fromarray(np.full((48, 64, 3), 7, np.uint8)).save(large / "sub" / "a.png")
    assert look(large)[1:] == ["a.png -> sub/a.png (same name and size, other content)"]


def test_an_export_says_that_a_very_large_file_has_changed_and_keeps_its_samples_to_itself(
    large: Path, tmp_path: Path
) -> None:
    data = (large / "a.png").read_bytes()
    (large / "a.png").write_bytes(data + b"more")
    with ProjectStore.open_folder(large) as store:
        report = export_coco(store, tmp_path / "out.json")
        (row,) = (image for image in store.images() if image.path == "a.png")
        loaded = replace(row, extra={**row.extra, SAMPLES_FACT: f"5:{'0' * 64}"})
        notice = store.record_image_facts(row.id, sha256="", width=row.width, height=row.height, extra=loaded.extra)
    assert any("another one than was labelled" in line for line in report.warnings), report.warnings
    assert SAMPLES_FACT not in (tmp_path / "out.json").read_text()
    assert "is another file" in notice.notice


def test_what_a_stranger_s_project_calls_samples_is_believed_in_its_form_only() -> None:
    for text in ("5", "x:" + "0" * 64, f"{'9' * 30}:{'0' * 64}", 7, None, [], f"5:{'0' * 64}\n"):
        assert mark_of("", {SAMPLES_FACT: text}) == ""
    assert mark_of("", {SAMPLES_FACT: f"5:{'0' * 64}"})
    assert mark_of("ab", {SAMPLES_FACT: f"5:{'0' * 64}"}) == "ab"
