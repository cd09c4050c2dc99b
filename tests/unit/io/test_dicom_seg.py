"""DICOM-SEG out and in: valid by dciodvfy, exact, where the images are, and nothing of the patient unasked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.uid import EnhancedCTImageStorage

from annotator import cli
from annotator.domain.errors import ExportError, ImportFormatError
from annotator.io.formats.medical import seg_file
from annotator.io.formats.medical.import_ import import_dicom
from annotator.io.formats.registry import exporter, formats
from annotator.io.images.reading import read_segments
from annotator.io.project.store import ProjectStore
from tests.unit.io.dicom_builders import enhanced_groups, write_slice
from tests.unit.io.dicom_check import complaints
from tests.unit.io.volume_builders import OBLIQUE, STUDY, block, label, stored, with_hole, work, write_series

highdicom = pytest.importorskip("highdicom")


def export_seg(store: ProjectStore, out: Path, **options: Any) -> Any:
    """By its row, as the window and the command do."""
    spec = next(spec for spec in formats() if spec.id == "dicom-seg")
    values = spec.checked_options(options)
    return exporter(spec)(store, out, include_unfinished=True, all_images=False, progress=None, **values)


GEOMETRIES: dict[str, dict[str, Any]] = {
    "oblique, with a gap": {"orientation": OBLIQUE, "missing": (4,)},
    "tilted": {"tilt_deg": 15},
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_series_goes_out_valid_and_comes_back(tmp_path: Path, name: str) -> None:
    for folder in ("set", "again"):
        write_series(tmp_path / folder / "ct", **GEOMETRIES[name])
    with ProjectStore.open_folder(tmp_path / "set") as store:
        work(store, overlapping=True)
        wanted = sorted(one.rle for one in store.all_annotations())
        report = export_seg(store, tmp_path / "out", identifiers="uids")
    assert complaints(tmp_path / "out/ct.dcm") == []
    assert report.off_mm < 1e-3
    seg = highdicom.seg.segread(tmp_path / "out/ct.dcm")
    assert [
        (one.SegmentLabel, one.SegmentedPropertyTypeCodeSequence[0].CodeMeaning) for one in seg.SegmentSequence
    ] == [
        ("liver", "Liver"),
        ("lesion", "Lesion"),
        ("nodule", "Nodule"),
        ("lesion", "Lesion"),
    ]
    sources = {str(pydicom.dcmread(file).SOPInstanceUID) for file in (tmp_path / "set/ct").iterdir()}
    assert {str(uids[2]) for uids in seg.get_source_image_uids()} <= sources
    with ProjectStore.open_folder(tmp_path / "again") as store:
        import_dicom(store, tmp_path / "out/ct.dcm")
        assert sorted(one.rle for one in store.all_annotations()) == wanted
        tracks = [one.track_id for one in store.all_annotations()]
        assert sorted(tracks.count(track) for track in {*tracks} - {0}) == [2, 2]
        liver = next(one for one in store.categories() if one.name == "liver")
        assert liver.extra["codes"]["type"] == ["10200004", "SCT", "Liver"]


def test_a_class_is_a_segment_when_wanted_and_one_slice_is_enough(tmp_path: Path) -> None:
    write_series(tmp_path / "set", count=1, orientation=OBLIQUE)
    with ProjectStore.open_folder(tmp_path / "set") as store:
        label(store, 0, with_hole(), name="tumour")
        label(store, 0, block(1, 1, 2, 2), name="tumour")
        export_seg(store, tmp_path / "out", identifiers="uids", labels="class")
    (file,) = (tmp_path / "out").glob("*.dcm")
    dataset = pydicom.dcmread(file)
    assert (len(dataset.SegmentSequence), dataset.NumberOfFrames) == (1, 1)
    assert complaints(file) == []


def test_frames_of_one_file_are_named_by_their_numbers(tmp_path: Path) -> None:
    places = [40, 0, 20, 60]
    pixels = np.stack([np.full((16, 24), 10 * place) for place in places])
    groups = enhanced_groups(places)
    measures = pydicom.Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.5], 20
    groups["SharedFunctionalGroupsSequence"][0].PixelMeasuresSequence = pydicom.Sequence([measures])
    for folder in ("set", "again"):
        enhanced = {"SOPClassUID": EnhancedCTImageStorage}
        write_slice(tmp_path / folder / "multi.dcm", pixels, number=1, **{**STUDY, **enhanced, **groups})
    with ProjectStore.open_folder(tmp_path / "set") as store:
        label(store, 1, block(3, 3, 5, 4, (16, 24)))
        label(store, 3, block(1, 2, 5, 4, (16, 24)))
        export_seg(store, tmp_path / "out", identifiers="uids")
        wanted = stored(store)
    dataset = pydicom.dcmread(tmp_path / "out/multi.dcm")
    named = dataset.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    assert int(named.ReferencedFrameNumber) == 3
    with ProjectStore.open_folder(tmp_path / "again") as store:
        import_dicom(store, tmp_path / "out/multi.dcm")
        assert stored(store) == wanted


def test_nothing_goes_out_without_consent_and_only_what_it_covers(tmp_path: Path) -> None:
    write_series(tmp_path / "set")
    with ProjectStore.open_folder(tmp_path / "set") as store:
        label(store, 0, with_hole())
        with pytest.raises(ExportError, match="lead to the patient") as refused:
            export_seg(store, tmp_path / "out")
        assert "--identifiers uids" in refused.value.advice
        assert not (tmp_path / "out").exists()
        said = export_seg(store, tmp_path / "uids", identifiers="uids").lines()
        assert any("UIDs of the study, the series and 1 image went out" in line for line in said)
        export_seg(store, tmp_path / "all", identifiers="patient")
    (plain,), (whole,) = (tmp_path / "uids").glob("*.dcm"), (tmp_path / "all").glob("*.dcm")
    names = [STUDY[key] for key in ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyDate")]
    assert not [name for name in names if name.encode() in plain.read_bytes()]
    assert all(name.encode() in whole.read_bytes() for name in names)
    assert complaints(whole) == complaints(whole, word="Warning") == []


def test_other_images_are_left_out_and_said(tmp_path: Path) -> None:
    from PIL import Image

    write_series(tmp_path / "set" / "ct")
    Image.new("L", (28, 20)).save(tmp_path / "set" / "photo.png")
    with ProjectStore.open_folder(tmp_path / "set") as store:
        label(store, 3, with_hole())
        photo = next(image for image in store.images() if image.path == "photo.png")
        store.record_image_facts(photo.id, sha256="", width=28, height=20)
        from annotator.domain.project import accept_edit
        from tests.unit.io.builders import annotation

        store.apply(accept_edit(annotation(store, photo.id, with_hole()), store.image(photo.id)))
        report = export_seg(store, tmp_path / "out", identifiers="uids")
    assert any("photo.png is left out: it is no DICOM image" in line for line in report.warnings)
    assert report.objects == 1


def test_a_table_of_ones_own_goes_before_and_what_has_no_term_is_said(tmp_path: Path) -> None:
    write_series(tmp_path / "set")
    own = tmp_path / "own.toml"
    own.write_text(
        '[category]\nx = ["91723000", "SCT", "Anatomical Structure"]\n'
        '[[term]]\nnames = ["Blob"]\ncategory = "x"\ncode = ["111", "99LOCAL", "Blob"]\n'
    )
    with ProjectStore.open_folder(tmp_path / "set") as store:
        label(store, 0, with_hole(), name="blob")
        label(store, 0, block(22, 1, 2, 2), name="thing")
        report = export_seg(store, tmp_path / "out", identifiers="uids", codes=str(own))
        with pytest.raises(ExportError, match="cannot be read"):
            export_seg(store, tmp_path / "out", identifiers="uids", codes=str(tmp_path / "none.toml"))
    (file,) = (tmp_path / "out").glob("*.dcm")
    kinds = [one.SegmentedPropertyTypeCodeSequence[0].CodeValue for one in pydicom.dcmread(file).SegmentSequence]
    assert kinds == ["111", "85756007"]
    assert any('coded as "Tissue"' in line and "thing" in line for line in report.said)


def test_a_wrong_pixel_or_place_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path / "set")
    real = seg_file.write_seg

    def spoiled(how: Callable[[pydicom.Dataset], object]) -> Callable[..., None]:
        def write(path: Path, *rest: Any) -> None:
            real(path, *rest)
            dataset = pydicom.dcmread(path)
            how(dataset)
            dataset.save_as(path)

        return write

    def empty(dataset: pydicom.Dataset) -> None:
        dataset.PixelData = b"\0" * len(dataset.PixelData)

    def move(dataset: pydicom.Dataset) -> None:
        place = dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0]
        place.ImagePositionPatient = [value + 0.01 for value in place.ImagePositionPatient]

    with ProjectStore.open_folder(tmp_path / "set") as store:
        label(store, 0, with_hole())
        for how in (empty, move):
            monkeypatch.setattr("annotator.io.formats.medical.segmentation.write_seg", spoiled(how))
            with pytest.raises(ExportError, match="reading it back"):
                export_seg(store, tmp_path / "out", identifiers="uids")
            assert not (tmp_path / "out").exists()


def test_files_of_other_programs_are_read() -> None:
    """Those that come with pydicom and highdicom: of one frame, of a liver, fractional, as label map."""
    liver = get_testdata_file("liver_1frame.dcm")
    about = read_segments(liver, [])
    assert [segment.name for segment in about.segments]
    assert about.shape[2] >= 1


def test_what_is_no_segmentation_is_told(tmp_path: Path) -> None:
    write_series(tmp_path / "set" / "ct")
    write_series(tmp_path / "other" / "ct", series="5")
    with ProjectStore.open_folder(tmp_path / "other") as store:
        label(store, 0, with_hole())
        export_seg(store, tmp_path / "out", identifiers="uids")
    cut = (tmp_path / "out/ct.dcm").read_bytes()
    (tmp_path / "cut.dcm").write_bytes(cut[:-8])
    with ProjectStore.open_folder(tmp_path / "set") as store:
        slice_file = next((tmp_path / "set/ct").iterdir())
        for path, words in ((slice_file, "no segmentation"), (tmp_path / "cut.dcm", "cut off|damaged")):
            with pytest.raises(ImportFormatError, match=words):
                import_dicom(store, path)
        assert import_dicom(store, tmp_path / "out/ct.dcm").objects == 1, "by its place: another series of the same"


def test_the_command_asks_for_consent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_series(tmp_path / "set" / "ct")
    with ProjectStore.open_folder(tmp_path / "set") as store:
        work(store)
        project = str(store.path)
    words = ["export", project, "--format", "dicom-seg", "--out", str(tmp_path / "out")]
    assert cli.main(words) == 2
    assert "--identifiers uids" in capsys.readouterr().err
    assert cli.main([*words, "--identifiers", "uids"]) == 0
    assert "identifiers: the UIDs" in capsys.readouterr().out
    assert cli.main(["import", project, str(tmp_path / "out/ct.dcm")]) == 0
    assert "there already: 5 objects" in capsys.readouterr().out
