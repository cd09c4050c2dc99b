"""RTSTRUCT out and in: valid by dciodvfy, every pixel back, holes by a cut, and what other programs write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from annotator import cli
from annotator.domain.errors import ExportError
from annotator.io.formats.medical import rtstruct_file
from annotator.io.formats.medical.import_ import import_dicom
from annotator.io.formats.medical.segmentation import export_rtstruct
from annotator.io.images.reading import read_segments
from annotator.io.project.store import ProjectStore
from tests.unit.io.dicom_builders import write_stack
from tests.unit.io.dicom_check import complaints
from tests.unit.io.volume_builders import OBLIQUE, block, label, stored, with_hole, work, write_series


@pytest.mark.parametrize("geometry", [{"orientation": OBLIQUE, "missing": (4,)}, {"tilt_deg": 15}], ids=str)
def test_a_series_goes_out_valid_and_every_pixel_comes_back(tmp_path: Path, geometry: dict[str, Any]) -> None:
    for folder in ("set", "again"):
        write_series(tmp_path / folder / "ct", **geometry)
    with ProjectStore.open_folder(tmp_path / "set") as store:
        work(store, overlapping=True)
        wanted = sorted(one.rle for one in store.all_annotations())
        report = export_rtstruct(store, tmp_path / "out", identifiers="patient")
    assert complaints(tmp_path / "out/ct.dcm") == complaints(tmp_path / "out/ct.dcm", word="Warning") == []
    assert report.off_mm < 1e-3
    assert any("reached by a cut" in line and "1 contour" in line for line in report.said)
    with ProjectStore.open_folder(tmp_path / "again") as store:
        import_dicom(store, tmp_path / "out/ct.dcm")
        assert sorted(one.rle for one in store.all_annotations()) == wanted
        assert {one.name for one in store.categories()} == {"liver", "lesion", "nodule"}
        assert len({one.track_id for one in store.all_annotations()} - {0}) == 2


def test_inner_contours_of_other_programs_are_holes_and_planes_say_what_names_do_not(tmp_path: Path) -> None:
    write_series(tmp_path / "set" / "ct")
    with ProjectStore.open_folder(tmp_path / "set") as store:
        label(store, 2, block(4, 3, 12, 9))
        export_rtstruct(store, tmp_path / "out", identifiers="uids")
        store.undo()
        dataset = pydicom.dcmread(tmp_path / "out/ct.dcm")
        contours = dataset.ROIContourSequence[0].ContourSequence
        points = np.array(contours[0].ContourData, float).reshape(-1, 3)
        middle = points.mean(axis=0)
        inner = pydicom.Dataset()
        inner.ContourGeometricType, inner.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
        inner.ContourData = [f"{value:.6f}" for value in (middle + (points - middle) / 3).ravel()]
        loose = pydicom.Dataset()
        loose.ContourGeometricType, loose.NumberOfContourPoints = "CLOSED_PLANAR", 3
        loose.ContourData = ["0", "0", "900", "1", "0", "900", "0", "1", "900"]
        line = pydicom.Dataset()
        line.ContourGeometricType, line.NumberOfContourPoints = "OPEN_PLANAR", 3
        line.ContourData = loose.ContourData
        del contours[0].ContourImageSequence
        contours.extend([inner, loose, line])
        del dataset.StructureSetROISequence[0].ROIDescription
        dataset.save_as(tmp_path / "other.dcm")
        report = import_dicom(store, tmp_path / "other.dcm")
        (made,) = store.all_annotations()
        assert made.area == 12 * 9 - 4 * 3
        assert store.image(made.image_id).position == 2
    assert any("on no image of this project: 1 slice" in note for note in report.notes)
    assert any("no areas were left out: 1" in note for note in report.notes)


def test_a_wrong_place_or_shape_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path / "set")
    real = rtstruct_file.write_rtstruct

    def spoiled(shift: tuple[float, float, float]) -> Any:
        def write(path: Path, *rest: Any) -> int:
            holes = real(path, *rest)
            dataset = pydicom.dcmread(path)
            contour = dataset.ROIContourSequence[0].ContourSequence[0]
            moved = np.array(contour.ContourData, float).reshape(-1, 3) + shift
            contour.ContourData = [f"{value:.6f}" for value in moved.ravel()]
            dataset.save_as(path)
            return holes

        return write

    with ProjectStore.open_folder(tmp_path / "set") as store:
        label(store, 0, with_hole())
        with pytest.raises(ExportError, match="lead to the patient"):
            export_rtstruct(store, tmp_path / "out")
        for shift in ((0.5, 0, 0), (0, 0, 0.01)):
            monkeypatch.setattr("annotator.io.formats.medical.segmentation.write_rtstruct", spoiled(shift))
            with pytest.raises(ExportError, match="reading it back"):
                export_rtstruct(store, tmp_path / "out", identifiers="uids")
            assert not (tmp_path / "out").exists()


def test_the_structures_of_another_program_are_read() -> None:
    """pydicom brings one of a treatment plan."""
    found = read_segments(get_testdata_file("rtstruct.dcm"), [])
    assert len(found.segments) == len(pydicom.dcmread(get_testdata_file("rtstruct.dcm"), force=True).ROIContourSequence)
    assert all(segment.name for segment in found.segments)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_stack(tmp_path / "set", [0, 2, 4])
    with ProjectStore.open_folder(tmp_path / "set") as store:
        label(store, 1, block(3, 3, 5, 6, (16, 16)), name="liver")
        project, wanted = str(store.path), stored(store)
    words = ["export", project, "--format", "rtstruct", "--identifiers", "uids", "--out", str(tmp_path / "out")]
    assert cli.main(words) == 0
    assert "every voxel compared" in capsys.readouterr().out
    (file,) = (tmp_path / "out").rglob("*.dcm")
    assert cli.main(["import", project, str(file)]) == 0
    assert "there already: 1 object" in capsys.readouterr().out
    with ProjectStore.open(project) as store:
        assert stored(store) == wanted
