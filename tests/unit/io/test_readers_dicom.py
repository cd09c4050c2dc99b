from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless, generate_uid

from annotator.domain.errors import ImageError
from annotator.io.images.reading import is_supported, list_images, load_image, load_thumbnail, read_size

VALUES = np.arange(-1000, 1000, dtype=np.int16).reshape(40, 50)


def write(path: Path, values: np.ndarray = VALUES, *, syntax: str = ExplicitVRLittleEndian, **tags: object) -> Path:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID = CTImageStorage
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.SeriesInstanceUID = generate_uid()
    data.Modality = "CT"
    data.PatientName = "Secret^Person"
    data.PatientID = "4711-secret"
    data.Rows, data.Columns = values.shape[-2:] if values.shape[-1] != 3 else values.shape[-3:-1]
    data.SamplesPerPixel = 3 if values.shape[-1] == 3 else 1
    if data.SamplesPerPixel == 3:
        data.PlanarConfiguration = 0
    data.PhotometricInterpretation = "RGB" if data.SamplesPerPixel == 3 else "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = values.dtype.itemsize * 8
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(values.dtype.kind == "i")
    data.PixelData = values.tobytes()
    for name, value in tags.items():
        if value is None:
            del data[name]
        else:
            setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)
    return path


def grey(path: Path) -> np.ndarray:
    rgb = load_image(path).rgb
    assert (rgb == rgb[:, :, :1]).all()
    return rgb[:, :, 0]


def test_stored_window_first_of_several(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.dcm", WindowCenter=[40, 400], WindowWidth=[400, 2000], RescaleSlope=1, RescaleIntercept=0
    )
    wanted = np.rint(np.clip(((VALUES - 39.5) / 399 + 0.5) * 255, 0, 255))
    assert np.abs(grey(path) - wanted).max() <= 1
    loaded = load_image(path)
    assert loaded.note == "window 400/40"
    assert read_size(path) == (50, 40)
    other = load_image(write(tmp_path / "b.dcm", WindowCenter=50, WindowWidth=400))
    assert other.note == "window 400/50"


def test_the_window_is_part_of_the_key_and_the_patient_of_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", PixelSpacing=[0.5, 0.25])
    loaded = load_image(path)
    assert loaded.spacing_mm == (0.25, 0.5)
    assert set(loaded.extra) == {"SOPInstanceUID", "SeriesInstanceUID", "Modality", "spacing_mm"}
    text = json.dumps(loaded.extra) + loaded.note + loaded.image_key
    assert "ecret" not in text
    assert "4711-" not in text  # a UID or a hash may hold four digits by chance
    assert loaded.note.startswith("stretched -99")


def test_rescale_and_inversion(tmp_path: Path) -> None:
    window = {"WindowCenter": 0, "WindowWidth": 1000}
    plain = grey(write(tmp_path / "a.dcm", **window))
    scaled = grey(write(tmp_path / "b.dcm", RescaleSlope=2, RescaleIntercept=100, WindowCenter=100, WindowWidth=1999))
    assert np.abs(plain.astype(int) - scaled).max() <= 1
    inverted = grey(write(tmp_path / "c.dcm", PhotometricInterpretation="MONOCHROME1", **window))
    assert np.array_equal(inverted, 255 - plain)


def test_window_functions(tmp_path: Path) -> None:
    exact = grey(write(tmp_path / "e.dcm", WindowCenter=0, WindowWidth=400, VOILUTFunction="LINEAR_EXACT"))
    assert np.abs(exact - np.clip((VALUES + 200) / 400 * 255, 0, 255)).max() <= 0.51
    sigmoid = grey(write(tmp_path / "s.dcm", WindowCenter=0, WindowWidth=400, VOILUTFunction="SIGMOID"))
    assert np.abs(sigmoid - 255 / (1 + np.exp(-4 * VALUES / 400))).max() <= 0.51


def test_voi_table_goes_before_the_window(tmp_path: Path) -> None:
    table = Dataset()
    table.LUTDescriptor = [2000, -1000, 8]
    table.LUTData = [int(v) for v in np.linspace(255, 0, 2000)]
    table["LUTDescriptor"].VR = "SS"
    table["LUTData"].VR = "US"
    path = write(tmp_path / "a.dcm", VOILUTSequence=[table], WindowCenter=0, WindowWidth=10)
    shown = grey(path)
    assert shown[0, 0] == 255
    assert shown[-1, -1] == 0
    assert load_image(path).note == "window table"


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize(("first", "intercept"), [(-1024, -1024), (0, 0), (40000, 40000)])
def test_a_voi_table_begins_where_it_says_also_in_files_without_types(
    tmp_path: Path, syntax: str, first: int, intercept: int
) -> None:
    values = np.arange(4000, dtype=np.uint16).reshape(50, 80)
    table = Dataset()
    table.LUTDescriptor = [4096, first, 12]
    table["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    table.LUTData = np.arange(4096).astype("<u2").tobytes()
    table["LUTData"].VR = "OW"
    tags = {"RescaleSlope": 1, "RescaleIntercept": intercept, "BitsStored": 12, "HighBit": 11}
    shown = grey(write(tmp_path / "a.dcm", values, syntax=syntax, VOILUTSequence=[table], **tags))
    assert shown[0, 0] == 0
    assert shown[-1, -1] == round(3999 / 4095 * 255)
    assert (np.diff(shown.ravel().astype(int)) >= 0).all()


def test_a_palette_of_sixteen_bits_that_holds_eight(tmp_path: Path) -> None:
    values = np.arange(240, dtype=np.uint8).reshape(12, 20)
    palette = np.arange(256).astype("<u2").tobytes()
    tags: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        tags[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        tags[f"{colour}PaletteColorLookupTableData"] = palette
    assert np.array_equal(grey(write(tmp_path / "a.dcm", values, **tags)), values)


def test_padding_does_not_decide_the_stretch(tmp_path: Path) -> None:
    values = VALUES.copy()
    values[:20] = -32768
    path = write(tmp_path / "a.dcm", values, PixelPaddingValue=-32768)
    assert (grey(path)[:20] == 0).all()
    assert len(np.unique(grey(path)[20:])) > 200


def test_colour_and_frames(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 255, (2, 6, 8, 3), np.uint8)
    path = write(tmp_path / "a.dcm", colour, NumberOfFrames=2)
    assert np.array_equal(load_image(path).rgb, colour[0])
    assert np.array_equal(load_image(path, frame=1).rgb, colour[1])
    assert load_image(path).note == "frame 1 of 2"
    with pytest.raises(ImageError, match="no frame 3"):
        load_image(path, frame=2)


def test_eight_bits_without_a_window_are_shown_as_they_are(tmp_path: Path) -> None:
    values = np.arange(100, 200, dtype=np.uint8).reshape(10, 10)
    assert np.array_equal(grey(write(tmp_path / "a.dcm", values)), values)


def test_files_without_suffix_are_found_by_content(tmp_path: Path) -> None:
    write(tmp_path / "IM0001")
    write(tmp_path / "1.2.840.5")
    write(tmp_path / "DICOMDIR")
    (tmp_path / "README").write_text("x" * 300)
    (tmp_path / "empty").touch()
    assert list_images(tmp_path) == ["1.2.840.5", "IM0001"]
    assert load_image(tmp_path / "IM0001").width == 50
    assert not is_supported(tmp_path / "missing")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("MR_truncated.dcm", "cut off"),
        ("rtplan.dcm", "without a picture .RTPLAN."),
        ("JPEG-lossy.dcm", "cannot be decompressed .JPEG Extended.*gdcmconv"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, match: str, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copy(pydicom.data.get_testdata_file(name), tmp_path / name)
    with caplog.at_level(logging.WARNING), pytest.raises(ImageError, match=match):
        load_image(tmp_path / name)
    with pytest.raises(ImageError, match=match):
        load_thumbnail(tmp_path / name)
    assert "Traceback" not in caplog.text


def test_text_named_dicom_and_absurd_sizes(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_text("hello, this is no image at all" * 9)
    with pytest.raises(ImageError, match=r"a\.dcm"):
        load_image(tmp_path / "a.dcm")
    path = write(tmp_path / "b.dcm", Rows=65535, Columns=65535)
    with pytest.raises(ImageError, match="too large"):
        load_image(path)
    lying = pydicom.dcmread(write(tmp_path / "c.dcm"))
    lying.file_meta.TransferSyntaxUID = JPEGLSLossless
    lying.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8nonsense"])
    lying.save_as(tmp_path / "c.dcm")
    with pytest.raises(ImageError, match=r"c\.dcm"):
        load_image(tmp_path / "c.dcm")


@pytest.mark.parametrize(
    ("name", "size", "note"),
    [
        ("CT_small.dcm", (128, 128), "stretched"),
        ("693_J2KI.dcm", (512, 512), "window 100/40"),
        ("examples_palette.dcm", (800, 350), ""),
        ("examples_ybr_color.dcm", (320, 240), "frame 1 of 30"),
        ("SC_rgb_rle_16bit.dcm", (100, 100), ""),
    ],
)
def test_files_of_the_world(name: str, size: tuple[int, int], note: str) -> None:
    path = pydicom.data.get_testdata_file(name)
    loaded = load_image(path)
    assert (loaded.width, loaded.height) == size == read_size(path)
    assert note in loaded.note
    assert loaded.rgb.std() > 5
