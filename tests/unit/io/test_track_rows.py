"""Tracks in the project file: ids that are never given twice, and members without their masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from annotator.domain.project import delete_edit
from annotator.domain.tracks.track import PROPAGATED
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import HEIGHT, WIDTH, accept, disc


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "set").mkdir()
    pages = np.zeros((5, HEIGHT, WIDTH), np.uint8)
    tifffile.imwrite(tmp_path / "set" / "stack.tif", pages, photometric="minisblack")
    return tmp_path / "set"


def test_a_track_id_is_never_given_twice(folder: Path) -> None:
    with ProjectStore.open_folder(folder) as store:
        assert [store.new_id("track"), store.new_id("track")] == [1, 2]
        accept(store, 1, disc(20, 20, 5), track_id=2)
        last = accept(store, 2, disc(20, 20, 5), track_id=40)
        assert store.new_id("track") == 41  # one that came from elsewhere
        store.apply(delete_edit((last,)))
    with ProjectStore.open_folder(folder) as store:
        assert store.new_id("track") == 41


def test_a_project_whose_tracks_were_never_counted_goes_on_after_the_largest(folder: Path) -> None:
    with ProjectStore.open_folder(folder) as store:
        accept(store, 1, disc(20, 20, 5), track_id=7)
        store.write_beside(lambda file: file.execute("DELETE FROM sequence WHERE kind = 'track'"))
    with ProjectStore.open_folder(folder) as store:
        assert store.new_id("track") == 8


def test_members_of_a_series_by_place(folder: Path) -> None:
    with ProjectStore.open_folder(folder) as store:
        images = store.images()
        accept(store, images[3].id, disc(20, 20, 5), track_id=2, origin=PROPAGATED, score=0.4, extra={"lost": [1]})
        accept(store, images[1].id, disc(30, 20, 5), track_id=2)
        accept(store, images[1].id, disc(40, 20, 5))  # in no track
        first, second = store.tracks.members(images[0].series_id)
        assert (first.position, first.is_key, first.score) == (1, True, None)
        assert (second.position, second.is_key, second.score, second.lost) == (3, False, 0.4, {1})
        assert second.needs_a_look
        assert second.area > 0
        assert [one.image_id for one in store.tracks.objects(2)] == [images[3].id, images[1].id]
        assert store.tracks.members(0) == []
