"""kill -9 while objects are carried through a stack, with the real model: what was written is whole, key frames are as
they were, and the run is gone on with when the project is opened again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.domain.mask import Mask
from annotator.domain.project import Annotation
from annotator.domain.tracks.plan import RECORD_KEY
from annotator.domain.tracks.track import is_key
from annotator.io.project.store import ProjectStore
from tests.e2e.test_kill import EMBEDDED, check_file, run_and_kill
from tests.e2e.warm import Warm
from tests.unit.io.volume_builders import label

pytestmark = [
    pytest.mark.skipif(not EMBEDDED, reason="the embedded model is not in this checkout"),
    pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there"),
]
SIDE, FRAMES, KEY_AT = 72, 26, 23


def disc(at: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.asarray((x - 20 - 0.8 * at) ** 2 + (y - 36) ** 2 < 11**2)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A stack of a disc that moves, with its mask on the first frame and on a later one."""
    ground = np.random.default_rng(0).integers(40, 80, (SIDE, SIDE)).astype(np.uint8)
    pages = [Image.fromarray(np.where(disc(at), ground + 120, ground).astype(np.uint8)) for at in range(FRAMES)]
    folder = tmp_path / "stack"
    folder.mkdir()
    pages[0].save(folder / "m.tif", save_all=True, append_images=pages[1:])
    with ProjectStore.open_folder(folder) as store:
        label(store, 0, Mask.from_full(disc(0)), track_id=7)
        label(store, KEY_AT, Mask.from_full(disc(KEY_AT)), track_id=7)
        store.meta_set("position", str(store.images()[0].id))
        return store.path


def objects(project: Path) -> dict[int, list[Annotation]]:
    """By position; every mask is decoded."""
    check_file(project)
    found: dict[int, list[Annotation]] = {}
    with ProjectStore.open(project, read_only=True) as store:
        places = {image.id: image.position for image in store.images()}
        for row in store.all_annotations():
            assert row.mask().area == row.area > 0
            found.setdefault(places[row.image_id], []).append(row)
    return found


def test_a_run_that_is_killed_goes_on_and_touches_no_key_frame(warm: Warm, project: Path) -> None:
    def run(mode: str, is_last: Callable[[str], bool]) -> None:
        words, errors = (str(project), mode), project.parent.parent / f"{mode}.txt"
        run_and_kill(warm, "carry_driver", *words, errors=errors, is_last=is_last)

    keys = {at: rows[0] for at, rows in objects(project).items()}
    assert sorted(keys) == [0, KEY_AT]
    run("carry", lambda line: line.startswith("written ") and int(line.split()[1]) > 3)
    cut_off = objects(project)
    assert 3 < len(cut_off) < KEY_AT, "killed in the middle"
    assert {at: rows[0] for at, rows in cut_off.items() if at in keys} == keys
    with ProjectStore.open(project, read_only=True) as store:
        assert store.meta_get(RECORD_KEY)

    run("go-on", lambda line: line == "over")
    whole = objects(project)
    assert sorted(whole) == list(range(KEY_AT + 1)), "up to the key frame, and not over it"
    assert {at: rows[0] for at, rows in whole.items() if at in keys} == keys
    assert all(len(rows) == 1 and rows[0].track_id == 7 for rows in whole.values())
    assert not any(is_key(rows[0]) for at, rows in whole.items() if at not in keys)
    before = {at: rows[0].rle for at, rows in cut_off.items()}
    assert {at: whole[at][0].rle for at in before} == before, "what was there stays as it was"
    for at, rows in whole.items():
        found, wanted = rows[0].mask().full(), disc(at)
        assert (found & wanted).sum() / (found | wanted).sum() > 0.7, at
    with ProjectStore.open(project, read_only=True) as store:
        assert not store.meta_get(RECORD_KEY)
