"""What ImageJ and OME TIFF say of sizes and axes reaches images, series and measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from annotator.io.images.reading import load_image, read_places
from annotator.io.images.tiff_space import TiffSpace
from annotator.io.project.store import ProjectStore

STACK = np.zeros((4, 2, 16, 20), np.uint16)


def ome(path: Path, stack: np.ndarray = STACK, axes: str = "ZCYX", **more: Any) -> None:
    sizes = {"PhysicalSizeX": 0.2, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 300, "PhysicalSizeYUnit": "nm"}
    about = {"axes": axes, **sizes, "PhysicalSizeZ": 1.5, "PhysicalSizeZUnit": "µm", **more}
    tifffile.imwrite(path, stack, metadata=about)


def imagej(path: Path, stack: np.ndarray, axes: str, unit: str = "um") -> None:
    tifffile.imwrite(path, stack, imagej=True, resolution=(5, 4), metadata={"spacing": 1.5, "unit": unit, "axes": axes})


def test_a_stack_of_either_has_the_size_of_its_pixels_and_steps(tmp_path: Path) -> None:
    ome(tmp_path / "a.ome.tif", STACK[:, 0], "ZYX")
    imagej(tmp_path / "b.tif", STACK[:, 0], "ZYX")
    with ProjectStore.open_folder(tmp_path) as store:
        assert [one.step_mm for one in store.slices.series()] == pytest.approx([1.5e-3, 1.5e-3])
        assert store.notices == ()
    assert load_image(tmp_path / "a.ome.tif", frame=2).spacing_mm == pytest.approx((2e-4, 3e-4))
    assert load_image(tmp_path / "b.tif", frame=2).spacing_mm == pytest.approx((2e-4, 2.5e-4))
    assert read_places(tmp_path, ["a.ome.tif"])["a.ome.tif"].spacing_xy == pytest.approx((2e-4, 3e-4))


def test_pages_of_several_channels_say_which_they_are(tmp_path: Path) -> None:
    ome(tmp_path / "a.ome.tif")
    imagej(tmp_path / "b.tif", STACK, "ZCYX")
    with ProjectStore.open_folder(tmp_path) as store:
        assert [one.step_mm for one in store.slices.series()] == [None, None]
        assert store.notices == ("a.ome.tif: 4 slices, 2 channels.", "b.tif: 4 slices, 2 channels.")
    for name in ("a.ome.tif", "b.tif"):
        page = load_image(tmp_path / name, frame=5)
        assert "channel 2 of 2" in page.note
        assert "slice 3 of 4" in page.note
        assert page.extra["channel"] == 2


def test_what_does_not_fit_is_not_believed(tmp_path: Path) -> None:
    imagej(tmp_path / "pixels.tif", STACK[:, 0], "ZYX", unit="pixel")
    tifffile.imwrite(
        tmp_path / "print.tif", STACK[:, 0], resolution=(300, 300), resolutionunit="INCH", photometric="minisblack"
    )
    for name in ("pixels.tif", "print.tif"):
        assert load_image(tmp_path / name, frame=1).spacing_mm is None
        assert load_image(tmp_path / name, frame=1).note.endswith("page 2 of 4")
    assert TiffSpace().words(3) == ""


def test_places_count_the_fastest_axis_first() -> None:
    space = TiffSpace(axes=(("C", 2), ("Z", 3), ("T", 2)))
    assert [space.places(page) for page in (0, 1, 2, 11)] == [
        {"C": 0, "Z": 0, "T": 0},
        {"C": 1, "Z": 0, "T": 0},
        {"C": 0, "Z": 1, "T": 0},
        {"C": 1, "Z": 2, "T": 1},
    ]
    assert space.notes() == ("3 slices, 2 channels, 2 times",)
