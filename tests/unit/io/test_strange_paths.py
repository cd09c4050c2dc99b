"""Folders and files with names that systems, or this program, have trouble with: one sentence, never a crash."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest
from PIL import Image

from annotator import cli
from annotator.domain.errors import ProjectError, ProjectReadOnlyError
from annotator.io.formats.coco.export import export_coco
from annotator.io.formats.polygons import export_polygons, file_name_of
from annotator.io.images.reading import list_images
from annotator.io.project.path_limits import MOST_NAME_BYTES, MOST_OPEN_PATH_BYTES, MOST_PATH_BYTES
from annotator.io.project.place import find_project, free_place
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, disc

LETTER = "д"  # two bytes


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48)).save(path, "PNG")
    return path


def coco(path: Path, name: str = "a.png") -> Path:
    row = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[5, 5, 30, 5, 30, 30]]}
    data = {"images": [{"id": 1, "file_name": name}], "categories": [{"id": 1, "name": "c"}], "annotations": [row]}
    path.write_text(json.dumps(data))
    return path


# --- long names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder_name", [LETTER * 120, LETTER * 125, "n" * 231, "n" * 249, "n" * 255])
def test_a_long_folder_asks_for_another_place_and_works_there(
    tmp_path: Path, folder_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = picture(tmp_path / folder_name / "a.png").parent
    assert find_project(folder) is None
    with pytest.raises(ProjectReadOnlyError, match="too long for a project file"):
        ProjectStore.open_folder(folder)
    assert os.listdir(folder) == ["a.png"]
    assert cli.main(["import", str(folder), str(coco(tmp_path / "in.json"))]) == 2
    assert "Name another place" in capsys.readouterr().err
    place = free_place(tmp_path, folder)
    assert len(os.fsencode(place.name)) <= MOST_NAME_BYTES
    assert cli.main(["import", str(folder), str(tmp_path / "in.json"), "--project", str(place)]) == 0
    with ProjectStore.open(place) as store:
        assert len(list(store.all_annotations())) == 1
        export_coco(store, tmp_path / "out.json")


def test_the_longest_name_that_fits_works(tmp_path: Path) -> None:
    folder = picture(tmp_path / "set" / "a.png").parent
    place = tmp_path / f"{'n' * (MOST_NAME_BYTES - 6)}.annot"
    with ProjectStore.open_folder(folder, project_path=place) as store:
        accept(store, 1, disc(20, 20, 9))
        store.backup(tmp_path / "copy.annot")
    with ProjectStore.open_folder(folder, project_path=place) as store:
        assert len(store.annotations(1)) == 1


def test_a_place_with_a_long_name_is_refused_by_name(tmp_path: Path) -> None:
    folder = picture(tmp_path / "set" / "a.png").parent
    with pytest.raises(ProjectReadOnlyError, match="too long"):
        ProjectStore.open_folder(folder, project_path=tmp_path / ("n" * 250 + ".annot"))


def nested(folder: Path, most_bytes: int) -> Path:
    """Folders below another one, until the path has so many bytes."""
    while (rest := most_bytes - len(os.fsencode(folder))) > 1:
        length = min(rest - 1, 60)
        folder = folder / ("d" * (length - 1 if rest == length + 2 else length))  # no name takes a single byte
    assert rest == 0
    return folder


@pytest.mark.skipif(os.name != "posix", reason="the limit of SQLite on Linux and macOS")
def test_many_long_folders_ask_for_another_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SQLite opens no path of more than 504 bytes; it said "unable to open database file", and we: check the disk."""
    folder = picture(nested(tmp_path, 600) / "a.png").parent
    with pytest.raises(ProjectReadOnlyError, match=f"too long for a project file: .* {MOST_PATH_BYTES} are possible"):
        ProjectStore.open_folder(folder)
    assert os.listdir(folder) == ["a.png"]
    place = tmp_path / "set.annot"
    assert cli.main(["import", str(folder), str(coco(tmp_path / "in.json")), "--project", str(place)]) == 0
    with ProjectStore.open_folder(folder, project_path=place) as store:
        assert len(store.annotations(1)) == 1
    capsys.readouterr()


@pytest.mark.skipif(os.name != "posix", reason="the limit of SQLite on Linux and macOS")
def test_the_longest_path_that_is_allowed_works_and_a_project_that_was_moved_deeper_says_so(tmp_path: Path) -> None:
    folder = nested(tmp_path, 300)
    name = f"{'p' * (MOST_PATH_BYTES - 301 - len('.annot'))}.annot"
    picture(folder / "a.png")
    with ProjectStore.open_folder(folder, project_path=folder / name) as store:
        accept(store, 1, disc(20, 20, 9))
    with ProjectStore.open(folder / name) as store:
        assert len(store.annotations(1)) == 1
    deeper = nested(tmp_path / "deeper", MOST_OPEN_PATH_BYTES - len("/p.annot"))
    deeper.mkdir(parents=True)
    moved = (folder / name).replace(deeper / "p.annot")
    ProjectStore.open(moved).close()
    moved = moved.replace(deeper / "pp.annot")
    with pytest.raises(ProjectError, match="too long: 505 bytes, 504 are possible"):
        ProjectStore.open(moved)


@pytest.mark.skipif(os.name != "posix", reason="paths of 4096 bytes")
def test_a_path_that_is_longer_than_the_system_allows_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(18):  # step by step: no call takes the whole path
        os.mkdir("d" * 240)
        os.chdir("d" * 240)
    picture(Path("a.png"))
    whole = tmp_path.joinpath(*["d" * 240] * 18)
    os.chdir(tmp_path)
    told: list[str] = []
    assert list_images(tmp_path, on_problem=told.append) == []
    (line,) = told
    assert "cannot be read (File name too long)" in line
    assert len(line) < 300
    for command in (
        ["import", str(whole), "in.json"],
        ["predict", str(whole / "a.png"), "--point", "5,5", "--out", "m.png"],
    ):
        assert cli.main(command) == 2
        *_, line = capsys.readouterr().err.strip().splitlines()
        assert "longer than this system allows" in line
        assert "nearer to the root" in line
        assert len(line) < 300


def test_long_image_names_are_shortened_uniquely(tmp_path: Path) -> None:
    names = ("n" * 250 + "1.png", "n" * 250 + "2.png", LETTER * 125 + ".png", "short.png")
    folder = tmp_path / "set"
    for name in names:
        picture(folder / name)
    with ProjectStore.open_folder(folder) as store:
        for image in store.images():
            accept(store, image.id, disc(20, 20, 9))
        report = export_polygons(store, tmp_path / "out")
        assert export_coco(store, tmp_path / "o.json").objects == 4
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(written) == 4
    assert "short.png.json" in written
    assert any("shortened names of 3 files" in line for line in report.warnings)
    inside = {json.loads(path.read_text())["image"]["file_name"] for path in (tmp_path / "out").iterdir()}
    assert inside == set(names), "which image it is stands in the file"
    assert file_name_of(f"{'d' * 250}/a.png").startswith("d" * 200)


@pytest.mark.parametrize("kind", ["coco", "polygons"])
def test_an_export_to_a_name_that_is_too_long_is_one_sentence(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = picture(tmp_path / "set" / "a.png").parent
    ProjectStore.open_folder(folder).close()
    out = tmp_path / ("n" * 256)
    assert cli.main(["export", str(folder), "--format", kind, "--all-images", "--out", str(out)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "too long" in line


# --- names that are no text ------------------------------------------------------------------------------------------


def odd_name(folder: Path, name: bytes) -> bytes:
    path = os.path.join(os.fsencode(folder), name)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
    except OSError:
        pytest.skip("the file system wants text")
    return path


@pytest.mark.skipif(os.name != "posix", reason="names that are not text")
def test_names_that_are_no_text_are_counted(tmp_path: Path) -> None:
    folder = picture(tmp_path / "set" / "a.png").parent
    odd_name(folder, b"Gr\xfc\xdfe.png")
    odd_name(folder, b"Gr\xfcn.png")
    os.mkdir(os.path.join(os.fsencode(folder), b"\xff"))
    with ProjectStore.open_folder(folder) as store:
        assert [image.path for image in store.images()] == ["a.png"]
        text = "\n".join(store.left_out)
    assert "each of 2 files ('Gr\\udc" in text
    assert ") has a name that is not valid text; rename it to use it" in text
    assert "'\\udcff' has a name that is not valid text" in text


@pytest.mark.skipif(os.name != "posix", reason="names that are not text")
def test_a_folder_whose_name_is_no_text_is_refused_by_name(tmp_path: Path) -> None:
    raw = os.path.join(os.fsencode(tmp_path), b"\xfcber")
    try:
        os.mkdir(raw)
    except OSError:
        pytest.skip("the file system wants text")
    folder = picture(Path(os.fsdecode(raw)) / "a.png").parent
    with pytest.raises(ProjectError, match="not valid text"):
        ProjectStore.open_folder(folder)


# --- links and kinds that are not read -------------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="links")
def test_linked_folders_loops_and_dead_links_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    real, folder = tmp_path / "real", tmp_path / "set"
    picture(real / "b.png")
    picture(folder / "a.png")
    (folder / "train").symlink_to(real)
    (folder / "loop").symlink_to(folder)
    (folder / "one.png").symlink_to(real / "b.png")
    (folder / "dead.png").symlink_to(tmp_path / "nothing.png")
    told: list[str] = []
    with caplog.at_level(logging.WARNING):
        assert list_images(folder, on_problem=told.append) == ["a.png", "one.png"]
    assert "dead.png is a link to nothing" in told
    (links,) = [line for line in told if "links" in line]
    assert links.startswith("each of 2 links (")
    assert links.endswith(") is a link to a folder and not followed")
    assert "loop" in links
    assert links in caplog.text


def test_pictures_of_kinds_that_are_not_read_are_named_and_texts_are_not(tmp_path: Path) -> None:
    for name in ("IMG_1.HEIC", "IMG_2.HEIC", "a.psd", "notes.txt", "table.csv"):
        (tmp_path / name).write_bytes(b"x")
    told: list[str] = []
    assert list_images(tmp_path, on_problem=told.append) == []
    first, second = sorted(told)
    assert first == "a.psd is of a kind that cannot be read here (.psd)"
    assert second.replace("IMG_2.HEIC, IMG_1.HEIC", "IMG_1.HEIC, IMG_2.HEIC") == (
        "each of 2 files (IMG_1.HEIC, IMG_2.HEIC) is of a kind that cannot be read here (.heic)"
    )
