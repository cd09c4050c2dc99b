"""Reading all images of a project, as a job does it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from annotator.domain.ports.jobs import WorkCancelled
from annotator.io.project.readable import read_all_images
from annotator.io.project.store import ProjectStore


@pytest.fixture
def project(tmp_path):
    for name in ("a", "b", "c"):
        Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(tmp_path / f"{name}.png")
    with ProjectStore.open_folder(tmp_path) as store:
        return store.path


def test_all_is_well(project) -> None:
    calls = []
    assert read_all_images(project, lambda *at: calls.append(at)).lines() == [
        "3 images read; nothing is wrong with any."
    ]
    assert calls == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_what_is_cut_off_or_gone_is_named_with_its_reason(project) -> None:
    (project.parent / "b.png").write_bytes((project.parent / "b.png").read_bytes()[:50])
    (project.parent / "c.png").unlink()
    said, cut, gone = read_all_images(project, lambda *_: None).lines()
    assert said == "2 of 3 images cannot be read."
    assert cut.startswith("b.png: ")
    assert gone.startswith("c.png: ")


def test_it_stops_between_two_images(project) -> None:
    def stop(done: int, _total: int) -> None:
        if done == 1:
            raise WorkCancelled

    with pytest.raises(WorkCancelled):
        read_all_images(project, stop)
