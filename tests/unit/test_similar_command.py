"""``annotator similar`` and what it keeps: made once, kept up, deleted with the project."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.cli import main
from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, Edit, RowChange
from annotator.io.project.looks import looks_file, read_neighbours, update_looks
from annotator.io.project.place import find_project
from annotator.io.project.store import ProjectStore
from annotator.io.project.windows import AsShown

COLOURS = ((200, 50, 40), (40, 60, 200))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four images with six squares each, red and blue in turn; the first is red with the class of blue."""
    monkeypatch.setattr("annotator.io.project.looks.cache_dir", lambda: tmp_path / "cache")
    folder = tmp_path / "images"
    folder.mkdir()
    places = [(x, y) for y in (6, 36) for x in (6, 36, 66)]
    for number in range(4):
        pixels = np.random.default_rng(number).integers(110, 130, (60, 96, 3)).astype(np.uint8)
        for at, (x, y) in enumerate(places):
            pixels[y : y + 14 + at % 2, x : x + 14] = COLOURS[at % 2]
        Image.fromarray(pixels).save(folder / f"{number}.png")
    Image.open(folder / "3.png").resize((48, 30)).save(folder / "4.png")
    with ProjectStore.open_folder(folder) as store:
        categories = store.categories()
        base = categories[0]
        other = replace(base, id=max(one.id for one in categories) + 1, name="blue", key=2)
        changes = [RowChange(None, other)]
        for image in store.images()[:4]:
            for at, (x, y) in enumerate(places):
                mask = Mask(np.ones((14 + at % 2, 14), np.bool_), x, y, 96, 60)
                is_first = image.path == "0.png" and at == 0
                kind = other.id if (at % 2 == 1 or is_first) else base.id
                changes.append(RowChange(None, Annotation(
                    store.new_id("annotation"), image.id, kind, x, y, 14, 14 + at % 2, area=mask.area, rle=mask.rle(),
                    image_width=96, image_height=60,
                )))  # fmt: skip
        store.apply(Edit("add", tuple(changes)))
    return folder


def rows_of(project: Path, *more: str) -> list[dict[str, object]]:
    out = project.parent / "rows.json"
    assert main(["similar", str(project), "--json", str(out), *more]) == 0
    return list(json.loads(out.read_text()))


def first_id(project: Path) -> int:
    with ProjectStore.open_folder(project) as store:
        return min(one.id for one in store.all_annotations())


def test_alike_objects_come_first_and_what_is_known_is_not_looked_at_again(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of(project, "--to", str(first_id(project)), "--count", "11")
    assert "looked at 24 objects, 0 known" in capsys.readouterr().err
    assert len(rows) == 11
    assert {row["class"] for row in rows} == {rows[0]["class"]}
    rows_of(project, "--to", str(first_id(project)))
    assert "looked at 0 objects, 24 known" in capsys.readouterr().err
    rows_of(project, "--to", str(first_id(project)), "--rebuild")
    assert "looked at 24 objects" in capsys.readouterr().err


def test_the_wrong_class_and_the_small_copy_are_found(project: Path) -> None:
    assert [row["object"] for row in rows_of(project, "--mislabelled")] == [first_id(project)]
    pairs = [(row["first"], row["second"], row["kind"]) for row in rows_of(project, "--near-copies", "--count", "1")]
    assert len(pairs) == 1


def test_only_what_has_changed_is_looked_at_again_and_what_is_gone_is_forgotten(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows_of(project, "--mislabelled")
    with ProjectStore.open_folder(project) as store:
        rows = list(store.all_annotations())
        moved = replace(rows[3], rle=Mask(np.ones((9, 9), np.bool_), 1, 1, 96, 60).rle(), area=81)
        store.apply(Edit("change", (RowChange(rows[3], moved), RowChange(rows[5], None))))
    capsys.readouterr()
    rows_of(project, "--mislabelled")
    assert "looked at 1 object, 22 known" in capsys.readouterr().err
    file = find_project(project)
    assert file is not None
    with ProjectStore.open(file, read_only=True) as store:
        assert len(read_neighbours(store, file)) == 23


def test_stale_rows_are_left_out_until_they_are_made_anew(project: Path) -> None:
    rows_of(project, "--mislabelled")
    file = find_project(project)
    assert file is not None
    with ProjectStore.open(file) as store:
        row = next(iter(store.all_annotations()))
        moved = replace(row, rle=Mask(np.ones((9, 9), np.bool_), 1, 1, 96, 60).rle())
        store.apply(Edit("change", (RowChange(row, moved),)))
        assert row.id not in read_neighbours(store, file)
        load = AsShown().load
        done = update_looks(store, file, lambda image: load(store.image_path(image)), lambda *_: None)
        assert done.made == 1
        assert row.id in read_neighbours(store, file)


def test_it_is_forgotten_by_a_command_and_with_its_project(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows_of(project, "--mislabelled")
    file = find_project(project)
    assert file is not None
    assert looks_file(file).exists()
    assert main(["similar", str(project), "--forget"]) == 0
    assert not looks_file(file).exists()
    rows_of(project, "--mislabelled")
    kept = looks_file(file)
    file.rename(project.parent / "elsewhere.annot")
    assert main(["similar", str(project.parent / "elsewhere.annot"), "--forget"]) == 0
    assert not kept.exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [(["--to", "99999"], "There is no object 99999"), (["--mislabelled", "--count", "0"], "--count is 0.")],
)
def test_what_cannot_be_done_is_said(
    project: Path, more: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["similar", str(project), *more]) == 2
    assert said in capsys.readouterr().err


def test_a_damaged_file_of_the_cache_is_said_and_a_missing_image_is_left_out(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = find_project(project)
    assert file is not None
    looks_file(file).parent.mkdir(parents=True)
    looks_file(file).write_bytes(b"no database at all, but long enough to be read as one" * 40)
    assert main(["similar", str(project), "--mislabelled"]) == 2
    assert "cannot be kept in" in capsys.readouterr().err
    (project / "2.png").write_bytes(b"broken")
    assert main(["similar", str(project), "--mislabelled", "--rebuild"]) == 0
    assert "left out: 2.png" in capsys.readouterr().err
