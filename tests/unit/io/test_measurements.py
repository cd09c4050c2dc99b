"""Measurements out: numbers of known shapes, in pixels and in millimetres, an object or a track a line."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotator import cli
from annotator.domain.extents import longest_diameter
from annotator.domain.mask import Mask
from annotator.io.formats.measurements import export_measurements
from annotator.io.project.store import ProjectStore
from tests.unit.io.builders import accept, disc, image_folder
from tests.unit.io.volume_builders import SPACING, STEP_MM, block, label, write_series


def rows_of(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


@given(
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 8)), min_size=1, max_size=12),
    st.tuples(st.floats(0.1, 3), st.floats(0.1, 3)),
)
def test_the_longest_diameter_is_the_largest_distance_of_corners(
    pixels: list[tuple[int, int]], spacing: tuple[float, float]
) -> None:
    bits = np.zeros((9, 12), np.bool_)
    for x, y in pixels:
        bits[y, x] = True
    corners = [((x + dx) * spacing[0], (y + dy) * spacing[1]) for x, y in pixels for dx in (0, 1) for dy in (0, 1)]
    wanted = max(math.dist(a, b) for a in corners for b in corners)
    assert longest_diameter(Mask.from_full(bits), spacing) == pytest.approx(wanted)
    assert longest_diameter(Mask.empty(12, 9), spacing) == 0


def test_a_line_for_each_object_also_of_images_that_nobody_opened(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    with ProjectStore.open_folder(tmp_path) as store:
        label(store, 2, block(4, 5, 10, 3), name="=liver", track_id=7)
        report = export_measurements(store, tmp_path / "out.csv")
        assert store.images()[0].spacing_mm is None, "or the test says nothing"
    (row,) = rows_of(tmp_path / "out.csv")
    down, right = SPACING
    wanted = {"class": "'=liver", "series": "ct", "slice": "3", "track": "7", "area_px": "30", "centre_x_px": "9"}
    assert {key: row[key] for key in wanted} == wanted
    assert float(row["area_mm2"]) == pytest.approx(30 * down * right)
    assert float(row["longest_mm"]) == pytest.approx(math.hypot(10 * right, 3 * down), rel=1e-5)
    assert float(row["longest_px"]) == pytest.approx(math.hypot(10, 3), rel=1e-5)
    assert (report.objects, report.without_mm) == (1, 0)


def test_a_name_longer_than_readers_of_tables_take_is_cut(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    with ProjectStore.open_folder(tmp_path) as store:
        label(store, 2, block(4, 5, 10, 3), name="n" * (csv.field_size_limit() + 1))
        export_measurements(store, tmp_path / "out.csv")
    (row,) = rows_of(tmp_path / "out.csv")
    assert row["class"] == "n" * 32_767


def test_a_line_for_each_track_has_its_volume(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", missing=(5,), count=8)
    with ProjectStore.open_folder(tmp_path) as store:
        for position, side in ((1, 4), (2, 6), (4, 2)):
            label(store, position, block(2, 2, side, side), name="liver", track_id=7)
        label(store, 0, block(2, 2, 3, 3), name="liver")
        export_measurements(store, tmp_path / "out.csv", lines="track")
    track, single = sorted(rows_of(tmp_path / "out.csv"), key=lambda row: row["track"] or "9")
    wanted = {"slices": "3", "first_slice": "2", "last_slice": "5", "slices_without": "1", "area_px": "56"}
    assert {key: track[key] for key in wanted} == wanted
    per_pixel = SPACING[0] * SPACING[1]
    assert float(track["volume_ml"]) == pytest.approx(56 * per_pixel * STEP_MM / 1000, rel=1e-5)
    assert float(track["largest_area_mm2"]) == pytest.approx(36 * per_pixel, rel=1e-5)
    deep = math.hypot(4 * SPACING[1], 4 * SPACING[0], 3 * STEP_MM)  # from the second slice to the fifth
    assert float(track["diameter_3d_mm"]) == pytest.approx(deep, rel=1e-4)
    assert single["diameter_3d_mm"] == single["longest_mm"]
    assert (track["largest_area_slice"], single["slices"], single["area_px"]) == ("3", "1", "9")


def test_photographs_have_pixels_alone_and_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = image_folder(tmp_path)
    with ProjectStore.open_folder(folder) as store:
        accept(store, 1, disc(20, 20, 9))
    out = tmp_path / "out.csv"
    assert cli.main(["export", str(folder), "--format", "measurements", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    assert "nothing says how large a pixel is: 1 object" in told
    assert "1 line read back" in told
    (row,) = rows_of(out)
    assert (row["area_mm2"], row["longest_mm"], row["series"]) == ("", "", "")
    assert int(row["area_px"]) == disc(20, 20, 9).area
