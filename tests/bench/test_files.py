"""What the project file and the export cost. Nothing to compare with: the budgets stand beside the figures."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotator.domain.mask import Mask
from annotator.domain.project import Annotation, accept_edit
from annotator.io.formats.coco.export import export_coco
from annotator.io.formats.polygons import export_polygons
from annotator.io.project.store import ProjectStore
from tests.bench.interleaved import percentiles

pytestmark = [pytest.mark.bench, pytest.mark.timeout(1800)]

IMAGES, OBJECTS_PER_IMAGE = 50, 100
WIDTH, HEIGHT = 1200, 900


@pytest.fixture
def store(tmp_path: Path) -> ProjectStore:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(IMAGES):
        Image.new("RGB", (WIDTH, HEIGHT), (number, 90, 120)).save(folder / f"{number:03}.png")
    return ProjectStore.open_folder(folder)


def blob(rng: np.random.Generator) -> Mask:
    """A round shape with an uneven edge, 20 to 120 pixels across; every fifth has a hole."""
    radius = float(rng.uniform(10, 60))
    cx, cy = rng.uniform(90, WIDTH - 90), rng.uniform(90, HEIGHT - 90)
    x0, y0 = int(cx - radius * 1.4), int(cy - radius * 1.4)
    y, x = np.mgrid[y0 : int(cy + radius * 1.4) + 1, x0 : int(cx + radius * 1.4) + 1]
    angle = np.arctan2(y - cy, x - cx)
    edge = radius * (1 + 0.25 * np.sin(angle * int(rng.integers(2, 7)) + rng.uniform(0, 6)))
    distance = np.hypot(x - cx, y - cy)
    bits = distance < edge
    if rng.random() < 0.2:
        bits &= distance > radius * 0.3
    return Mask(bits, x0, y0, WIDTH, HEIGHT).tight()


def test_accept_and_export_of_5000_objects(store: ProjectStore, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    accept_ms, undo_ms = [], []
    with store:
        for image in store.images():
            store.record_image_facts(image.id, sha256=f"{image.id:064x}", width=WIDTH, height=HEIGHT)
        image_ids = [image.id for image in store.images()]
        for number in range(IMAGES * OBJECTS_PER_IMAGE):
            image_id = image_ids[number % IMAGES]
            mask = blob(rng)
            started = time.perf_counter()
            empty = Annotation(
                store.new_id("annotation"),
                image_id,
                1,
                0,
                0,
                0,
                0,
                0,
                b"",
                mask.width,
                mask.height,
                score=0.9,
                clicks=2,
            )
            store.apply(accept_edit(empty.with_mask(mask), store.image(image_id)))
            accept_ms.append((time.perf_counter() - started) * 1e3)
        for _ in range(200):
            for step in (store.undo, store.redo):
                started = time.perf_counter()
                assert step() is not None
                undo_ms.append((time.perf_counter() - started) * 1e3)
        print(f"\n### Project file, {IMAGES * OBJECTS_PER_IMAGE} objects\n")
        print(f"- accept, durable (budget: 99 % under 5 ms): {percentiles(accept_ms)}")
        print(f"- undo and redo: {percentiles(undo_ms)}")
        print(f"- file: {store.path.stat().st_size / 1e6:.1f} MB")
        for segmentation in ("rle", "auto"):
            target = tmp_path / f"{segmentation}.json"
            started = time.perf_counter()
            export_coco(store, target, segmentation=segmentation)  # type: ignore[arg-type]
            seconds = time.perf_counter() - started
            assert len(json.loads(target.read_text())["annotations"]) == IMAGES * OBJECTS_PER_IMAGE
            size_mb = target.stat().st_size / 1e6
            print(f"- COCO, {segmentation}, self-check included: {seconds:.1f} s, {size_mb:.1f} MB")
        started = time.perf_counter()
        export_polygons(store, tmp_path / "polygons")
        print(f"- polygons, one JSON per image: {time.perf_counter() - started:.1f} s")
        assert len(list((tmp_path / "polygons").rglob("*.json"))) >= IMAGES
    started = time.perf_counter()
    with ProjectStore.open_folder(tmp_path / "photos") as again:
        assert sum(1 for _ in again.all_annotations()) == IMAGES * OBJECTS_PER_IMAGE
    print(f"- opened again and all objects read: {(time.perf_counter() - started) * 1e3:.0f} ms")


def test_opening_a_folder_of_2000_images(tmp_path: Path) -> None:
    """The project is made, opened again, and opened again after a hundred images were added."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (WIDTH, HEIGHT), (40, 90, 120)).save(folder / "00000.jpg")
    content = (folder / "00000.jpg").read_bytes()
    for number in range(1, 2000):
        (folder / f"{number:05}.jpg").write_bytes(content)

    def open_it(count: int) -> float:
        started = time.perf_counter()
        with ProjectStore.open_folder(folder) as store:
            assert len(store.images()) == count
            return (time.perf_counter() - started) * 1e3

    first_ms = open_it(2000)
    again_ms = [open_it(2000) for _ in range(9)]
    for number in range(2000, 2100):
        (folder / f"{number:05}.jpg").write_bytes(content)
    added_ms = open_it(2100)
    print("\n### Folder of 2000 images\n")
    print(f"- first time, project made: {first_ms:.0f} ms")
    print(f"- again: {percentiles(again_ms)}")
    print(f"- with 100 new images: {added_ms:.0f} ms")
