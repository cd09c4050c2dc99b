"""Numbered files as a series of a project: made by a wish, kept, joined by later files, taken apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from annotator.domain.media import SeriesKind
from annotator.domain.project import Status, accept_edit
from annotator.io.project.numbering import NumberedWish
from annotator.io.project.opened import OpenedProject, open_project
from annotator.io.project.picking import OpeningWish
from tests.unit.io.builders import HEIGHT, WIDTH, annotation, disc


def picture(path: Path, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), 90, np.uint8)).save(path)


def slices(opened: OpenedProject) -> list[tuple[str, int]]:
    return [(image.path, image.position) for image in opened.images if image.series_id]


ALL = OpeningWish(NumberedWish(takes_all=True))


def test_a_series_is_made_kept_joined_and_taken_apart(tmp_path: Path) -> None:
    folder = tmp_path / "scan"
    for number in (10, 2, 1, 3):
        picture(folder / f"z{number}.png")
    picture(folder / "z4.png", (WIDTH + 1, HEIGHT))
    picture(folder / "cover.png")
    plain = open_project(tmp_path)
    assert slices(plain) == [], "never by itself"
    store = plain.store
    made = annotation(store, plain.images[1].id, disc(20, 15, 5))
    store.apply(accept_edit(made, store.image(plain.images[1].id)))
    store.close()

    opened = open_project(tmp_path, wish=ALL)
    wanted = [("scan/z1.png", 0), ("scan/z2.png", 1), ("scan/z3.png", 2), ("scan/z10.png", 3)]
    assert slices(opened) == wanted
    (series,) = opened.series.values()
    assert (series.kind, series.name, series.gaps) == (SeriesKind.FOLDER, "scan", ((2, 6),))
    assert opened.store.notices == ("scan: 6 files missing, 1 file of another size left out.",)
    # A step back over it changes what was done, and leaves the series.
    opened.store.undo()
    assert {image.series_id for image in opened.store.images() if image.path != "scan/cover.png"} == {0, series.id}
    assert opened.store.image(made.image_id).status is Status.UNSEEN
    opened.store.redo()
    opened.store.close()

    picture(folder / "z9.png")
    again = open_project(tmp_path)
    assert slices(again) == [*wanted[:3], ("scan/z9.png", 3), ("scan/z10.png", 4)]
    assert again.series[series.id].gaps == ((2, 5),)
    again.store.close()

    apart = open_project(again.store.path, wish=OpeningWish(NumberedWish(apart=frozenset({series.identity}))))
    assert slices(apart) == []
    assert len(apart.images) == 7
    assert [row.id for row in apart.store.annotations(made.image_id)] == [made.id]
    apart.store.close()
    picture(folder / "z11.png")
    later = open_project(tmp_path)
    assert slices(later) == [], "it stays apart"
    later.store.close()
    whole = open_project(tmp_path, wish=OpeningWish(NumberedWish(identities=frozenset({series.identity}))))
    assert len(slices(whole)) == 6
    assert set(whole.series) == {series.id}
    whole.store.close()


def test_files_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    for number in range(3):
        picture(tmp_path / f"z{number}.png")
    (tmp_path / "z3.png").write_bytes(b"no picture")
    opened = open_project(tmp_path, wish=ALL)
    assert [path for path, _ in slices(opened)] == ["z0.png", "z1.png", "z2.png"]
    opened.store.close()
