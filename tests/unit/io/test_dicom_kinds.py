"""Every kind of DICOM pixels against numpy, and nothing but pixels out of damaged files."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    generate_uid,
)

from annotator.domain.errors import ImageError
from annotator.io.images.reading import load_image, load_thumbnail, read_size
from tests.unit.io.pixel_values import COLOUR, COLOUR8, RAMP, SIDE, SILENT, differs, stretched
from tests.unit.io.test_readers_dicom import write as write_file

# The files of these tests are wrong on purpose; pydicom says so when it writes them.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Invalid value for VR:UserWarning", "ignore:The value length:UserWarning"
)

SYNTAXES = {"explicit": ExplicitVRLittleEndian, "implicit": ImplicitVRLittleEndian, "big": ExplicitVRBigEndian}


def write(path: Path, values: np.ndarray, *, syntax: str = "explicit", **tags: object) -> Path:
    """A file; ``values`` are laid out as the tags say, and a tag of None is left out."""
    order = ">" if syntax == "big" else "<"
    stored = values.astype(values.dtype.newbyteorder(order))
    write_file(path, stored, syntax=ExplicitVRLittleEndian if syntax == "big" else SYNTAXES[syntax], **tags)
    if syntax == "big":
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
        for name in ("PixelData",):
            dataset[name].VR = "OB" if values.dtype.itemsize == 1 else "OW"
        fresh = Dataset()
        fresh.update({element.tag: element for element in dataset})
        fresh.file_meta = dataset.file_meta
        fresh.save_as(path, implicit_vr=False, little_endian=False, enforce_file_format=True)
    return path


def window_of(units: np.ndarray, centre: float, width: float) -> np.ndarray:
    """PS3.3 C.11.2.1.2.1, as it stands there."""
    inner = ((units - (centre - 0.5)) / (width - 1) + 0.5) * 255
    below, above = units <= centre - 0.5 - (width - 1) / 2, units > centre - 0.5 + (width - 1) / 2
    return np.where(below, 0, np.where(above, 255, inner))


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("allocated", "stored", "high", "is_signed"),
    [
        (8, 8, 7, False),
        (8, 8, 7, True),
        (8, 6, 5, False),
        (16, 16, 15, False),
        (16, 16, 15, True),
        (16, 12, 11, False),
        (16, 12, 11, True),
        (16, 12, 15, False),
        (16, 12, 15, True),
        (16, 10, 12, True),
        (32, 32, 31, False),
        (32, 32, 31, True),
        (32, 20, 19, False),
    ],
)
def test_bits(tmp_path: Path, allocated: int, stored: int, high: int, is_signed: bool, syntax: str, model: str) -> None:
    """Allocated, stored and high bit, with rubbish in the bits that are not in use."""
    least = -(2 ** (stored - 1)) if is_signed else 0
    numbers = np.rint(RAMP * (2**stored - 1) * 0.9).astype(np.int64) + least
    shift = high + 1 - stored
    unused = (2**allocated - 1) & ~((2**stored - 1) << shift)
    raw = ((numbers & (2**stored - 1)) << shift) | (0x5A5A5A5A & unused)
    tags = {
        "BitsStored": stored,
        "HighBit": high,
        "PixelRepresentation": int(is_signed),
        "PhotometricInterpretation": model,
    }
    path = write(tmp_path / "a.dcm", raw.astype(f"u{allocated // 8}"), syntax=syntax, **tags)
    wanted = numbers if (allocated, stored, is_signed) == (8, 8, False) else stretched(numbers)
    assert differs(path, 255 - wanted if model == "MONOCHROME1" else wanted) <= 1


@pytest.mark.parametrize(("keyword", "kind"), [("FloatPixelData", "f4"), ("DoubleFloatPixelData", "f8")])
def test_floats(tmp_path: Path, keyword: str, kind: str) -> None:
    values = (RAMP * 3 - 1).astype(kind)
    tags = {"BitsStored": None, "HighBit": None, "PixelRepresentation": None, "PixelData": None}
    path = write(tmp_path / "a.dcm", values.view(f"u{kind[1]}"), **{keyword: values.tobytes()}, **tags)
    assert differs(path, stretched(values)) <= 1


def test_one_bit(tmp_path: Path) -> None:
    bits = RAMP > 0.4
    packed = np.packbits(bits.reshape(-1), bitorder="little")
    tags = {"Rows": SIDE[0], "Columns": SIDE[1], "BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}
    path = write(tmp_path / "a.dcm", packed.reshape(1, -1), **tags)
    assert differs(path, bits * 255) == 0


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("planar", [0, 1, None])
@pytest.mark.parametrize("bits", [8, 16])
def test_colours(tmp_path: Path, bits: int, planar: int | None, syntax: str) -> None:
    """A missing PlanarConfiguration is 0; deep colours are stretched as in every other format."""
    values = COLOUR8.astype(f"u{bits // 8}") * (1 if bits == 8 else 3)
    stored = np.moveaxis(values, 2, 0) if planar == 1 else values
    tags = {
        "Rows": SIDE[0],
        "Columns": SIDE[1],
        "SamplesPerPixel": 3,
        "PlanarConfiguration": planar,
        "PhotometricInterpretation": "RGB",
    }
    path = write(tmp_path / "a.dcm", stored, syntax=syntax, **tags)
    assert differs(path, values if bits == 8 else stretched(values)) <= 1


@pytest.mark.parametrize("model", ["YBR_FULL", "YBR_FULL_422"])
def test_luma_and_chroma(tmp_path: Path, model: str) -> None:
    smooth = np.dstack([RAMP * 180 + 30, 200 - RAMP * 150, np.full(SIDE, 90.0)])
    matrix = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    ybr = np.rint(smooth @ matrix.T + (0, 128, 128)).astype(np.uint8)
    values = ybr
    if model == "YBR_FULL_422":
        pairs = ybr.reshape(SIDE[0], SIDE[1] // 2, 2, 3)
        values = np.concatenate([pairs[:, :, :, 0], pairs[:, :, 0, 1:]], axis=2).reshape(SIDE[0], -1)
    tags = {"Rows": SIDE[0], "Columns": SIDE[1], "SamplesPerPixel": 3, "PhotometricInterpretation": model}
    path = write(tmp_path / "a.dcm", values, PlanarConfiguration=0, **tags)
    assert differs(path, smooth) <= 6


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(("entries", "bits"), [(256, 16), (256, 8), (200, 16), (1000, 16), (1000, 8)])
@pytest.mark.parametrize("first", [0, 20])
def test_palettes(tmp_path: Path, first: int, entries: int, bits: int, syntax: str) -> None:
    index = np.rint(RAMP * (entries + 40)).astype(np.uint8 if entries <= 200 else np.uint16)
    colours = np.random.default_rng(3).integers(0, 2**bits, (3, entries))
    tags: dict[str, object] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for name, column in zip(("Red", "Green", "Blue"), colours, strict=True):
        tags[f"{name}PaletteColorLookupTableDescriptor"] = [entries, first, bits]
        kind = "u1" if bits == 8 else ">u2" if syntax == "big" else "<u2"
        data = column.astype(kind)
        if syntax == "big" and bits == 8:  # words of 16 bits, of two entries each
            data = data.reshape(-1, 2)[:, ::-1]
        tags[f"{name}PaletteColorLookupTableData"] = data.tobytes()
    path = write(tmp_path / "a.dcm", index, syntax=syntax, **tags)
    wanted = colours[:, np.clip(index.astype(int) - first, 0, entries - 1)].transpose(1, 2, 0) >> (bits - 8)
    assert differs(path, wanted) == 0


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed(tmp_path: Path, syntax: str) -> None:
    numbers = np.rint(RAMP * 3000).astype(np.uint16)
    path = write(tmp_path / "a.dcm", numbers, BitsStored=12, HighBit=11)
    dataset = pydicom.dcmread(path)
    if syntax == RLELossless:
        dataset.compress(syntax, generate_instance_uid=False)
    else:
        stream = imagecodecs.jpeg2k_encode(numbers, level=0, reversible=True, codecformat="j2k", bitspersample=12)
        dataset.PixelData = encapsulate([stream])
        dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path)
    assert differs(path, stretched(numbers)) <= 1


@pytest.mark.parametrize(
    "left_out", ["PhotometricInterpretation", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel"]
)
def test_what_is_left_out_has_its_usual_meaning(tmp_path: Path, left_out: str) -> None:
    numbers = np.rint(RAMP * 3000).astype(np.uint16)
    assert differs(write(tmp_path / "a.dcm", numbers, **{left_out: None}), stretched(numbers)) <= 1


@pytest.mark.parametrize(
    ("tags", "named"),
    [
        ({"PhotometricInterpretation": "HSV"}, "HSV"),
        ({"PhotometricInterpretation": "CMYK"}, "CMYK"),
        ({"PhotometricInterpretation": "YBR_PARTIAL_422"}, "YBR_PARTIAL_422"),
        ({"PhotometricInterpretation": "YBR_RCT"}, "YBR_RCT, uncompressed"),
        ({"PhotometricInterpretation": "DOE^JOHN"}, "not in the standard"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 1}, "one channel"),
        ({"BitsAllocated": 12}, "12 bits"),
        ({"PhotometricInterpretation": "PALETTE COLOR", "SamplesPerPixel": 1}, "palette"),
    ],
)
def test_what_cannot_be_shown_is_refused_by_name(tmp_path: Path, tags: dict[str, object], named: str) -> None:
    is_colour = tags.get("SamplesPerPixel", 3) == 3 and "BitsAllocated" not in tags
    path = write(tmp_path / "a.dcm", COLOUR8 if is_colour else COLOUR8[:, :, 0], **tags)
    with pytest.raises(ImageError, match=named) as caught:
        load_image(path)
    assert "DOE" not in str(caught.value)


# --- windows ----------------------------------------------------------------------------------------------------------

UNITS = np.rint(RAMP * 2000 - 500)


@pytest.mark.parametrize("model", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (2, -1024), (-1, 300), (0.5, 7), (0, 0), (-0.25, -10)])
def test_rescale(tmp_path: Path, slope: float, intercept: float, model: str) -> None:
    numbers = UNITS.astype(np.int16)
    units = numbers * (slope or 1) + intercept
    tags = {"RescaleSlope": slope, "RescaleIntercept": intercept, "PhotometricInterpretation": model}
    for window in ({}, {"WindowCenter": 100, "WindowWidth": 900}):
        path = write(tmp_path / "a.dcm", numbers, **tags, **window)
        wanted = window_of(units, 100, 900) if window else stretched(units)
        assert differs(path, 255 - wanted if model == "MONOCHROME1" else wanted) <= 1


def test_a_slope_beyond_all_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", np.where(RAMP > 0.5, 9, 0).astype(np.int16), RescaleSlope="1e308")
    assert set(np.unique(load_image(path).rgb)) <= {0, 255}


MISSES = "the stored window misses the data"
UNUSABLE = "the stored window cannot be used"


@pytest.mark.parametrize(
    ("centre", "width", "function", "why"),
    [
        (9000, 400, "LINEAR", MISSES),
        (-9000, 400, "LINEAR", MISSES),
        (-9000, 400, "LINEAR_EXACT", MISSES),
        (90000, 400, "SIGMOID", MISSES),
        (0, 30000000, "LINEAR", MISSES),
        (100, 0, "LINEAR", UNUSABLE),
        (100, -5, "LINEAR", UNUSABLE),
        (100, 0.5, "LINEAR", UNUSABLE),
        (100, 0, "SIGMOID", UNUSABLE),
        ([9000, -9000], [5, 5], "LINEAR", MISSES),
        ([9000, 0], [5, 0], "LINEAR", MISSES),
    ],
)
def test_a_window_that_shows_nothing_gives_way_to_the_stretch(
    tmp_path: Path, centre: object, width: object, function: str, why: str
) -> None:
    path = write(
        tmp_path / "a.dcm", UNITS.astype(np.int16), WindowCenter=centre, WindowWidth=width, VOILUTFunction=function
    )
    assert differs(path, stretched(UNITS)) <= 1
    loaded = load_image(path)
    assert loaded.note.startswith("stretched -49")
    assert f"({why})" in loaded.note


def test_the_first_window_that_shows_the_data_is_taken(tmp_path: Path) -> None:
    numbers = UNITS.astype(np.int16)
    path = write(tmp_path / "a.dcm", numbers, WindowCenter=[9000, 3, 400], WindowWidth=[5, 0, 900])
    assert differs(path, window_of(UNITS, 400, 900)) <= 1
    assert load_image(path).note == "window 900/400"
    both = write(tmp_path / "b.dcm", numbers, WindowCenter=[100, 400], WindowWidth=[600, 900])
    assert differs(both, window_of(UNITS, 100, 600)) <= 1


def test_a_window_stays_where_the_picture_is_even(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", np.full(SIDE, 700, np.int16), WindowCenter=0, WindowWidth=100)
    assert (load_image(path).rgb == 255).all()
    assert load_image(path).note == "window 100/0"
    plain = write(tmp_path / "b.dcm", np.full(SIDE, 130, np.uint8))
    assert (load_image(plain).rgb == 130).all()


def test_a_window_that_cuts_between_two_values_shows_them(tmp_path: Path) -> None:
    numbers = np.where(RAMP > 0.5, 1000, 0).astype(np.int16)
    path = write(tmp_path / "a.dcm", numbers, WindowCenter=500, WindowWidth=1)
    assert differs(path, np.where(RAMP > 0.5, 255, 0)) == 0
    assert load_image(path).note == "window 1/500"


def lut(first: int, bits: int, entries: np.ndarray, *, packed: bool = False) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 65536, first, bits]
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item.LUTData = entries.astype(np.uint8 if packed else "<u2").tobytes()
    item["LUTData"].VR = "OW"
    return item


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("first", [-200, 0, 300])
def test_tables(tmp_path: Path, first: int, packed: bool) -> None:
    numbers = UNITS.astype(np.int16)
    bits = 8 if packed else 12
    entries = np.rint(np.linspace(2**bits - 1, 0, 1000)).astype(int)
    at = np.clip(UNITS.astype(int) - first, 0, 999)
    voi = write(tmp_path / "voi.dcm", numbers, VOILUTSequence=[lut(first, bits, entries, packed=packed)])
    assert differs(voi, entries[at] * 255 / (2**bits - 1)) <= 1
    modality = write(tmp_path / "m.dcm", numbers, ModalityLUTSequence=[lut(first, bits, entries, packed=packed)])
    assert differs(modality, stretched(entries[at])) <= 1


def test_a_table_that_shows_nothing_gives_way(tmp_path: Path) -> None:
    numbers = UNITS.astype(np.int16)
    even = lut(0, 8, np.full(256, 9))
    path = write(tmp_path / "a.dcm", numbers, VOILUTSequence=[even], WindowCenter=400, WindowWidth=900)
    assert differs(path, window_of(UNITS, 400, 900)) <= 1
    alone = write(tmp_path / "b.dcm", numbers, VOILUTSequence=[even])
    assert differs(alone, stretched(UNITS)) <= 1
    assert MISSES in load_image(alone).note


@pytest.mark.parametrize("model", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("kind", "stored", "value", "limit", "written"),
    [
        ("i2", 16, -2000, None, -2000),
        ("i2", 16, -2000, None, 63536),
        ("i2", 12, -2000, None, 2096),
        ("u2", 16, 65535, None, 65535),
        ("u2", 16, 65535, None, -1),
        ("i2", 16, -3000, -2000, -3000),
        ("i2", 16, -2000, -3000, -2000),
        ("u2", 16, 60000, 65000, 60000),
    ],
)
@pytest.mark.parametrize("window", [{}, {"WindowCenter": 700, "WindowWidth": 900}])
def test_padding(
    tmp_path: Path, kind: str, stored: int, value: int, limit: int | None, written: int, window: dict, model: str
) -> None:
    numbers = np.rint(RAMP * 1000 + 200).astype(kind)
    numbers[:6] = value
    if limit is not None:
        numbers[:3] = (value + limit) // 2
    tags = {"PixelPaddingValue": written} | ({} if limit is None else {"PixelPaddingRangeLimit": limit})
    path = tmp_path / "a.dcm"
    dataset = pydicom.dcmread(
        write(path, numbers, BitsStored=stored, HighBit=stored - 1, PhotometricInterpretation=model, **window)
    )
    for name, number in tags.items():
        dataset.add_new(pydicom.datadict.tag_for_keyword(name), "SS" if number < 0 else "US", number)
    dataset.save_as(path)
    keep = np.ones(SIDE, bool)
    keep[:6] = False
    shown = window_of(numbers.astype(float), 700, 900) if window else stretched(numbers, keep)
    shown = 255 - shown if model == "MONOCHROME1" else shown
    assert differs(path, np.where(keep, shown, 0)) <= 1


# --- nothing but pixels -----------------------------------------------------------------------------------------------

SECRET = ("Secret", "Person", "4711-secret", "19700101")
"""Nothing that a UID or a hash could hold by chance."""


def says_nothing(*texts: object) -> None:
    for text in texts:
        for word in SECRET:
            assert word not in str(text)


def outcome(path: Path) -> str:
    """All that a file says, whether it can be read or not."""
    said = []
    for work in (load_image, load_thumbnail, read_size):
        try:
            got = work(path)
        except ImageError as error:
            said.append(f"{error.message} {error.advice}")
        else:
            if work is load_image:
                said.append(json.dumps([got.extra, got.note, got.image_key]))
    return " ".join(said)


def swallow(path: Path, name: str, length: int) -> bytes:
    """The file with an element that takes in its neighbours: only the length in its head is changed."""
    dataset = pydicom.dcmread(path)
    dataset.PatientBirthDate = "19700101"
    dataset.save_as(path)
    data = bytearray(path.read_bytes())
    tag = pydicom.datadict.tag_for_keyword(name)
    vr = pydicom.datadict.dictionary_VR(tag)[:2]
    at = data.index(struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode(), 132)
    struct.pack_into("<H", data, at + 6, length)
    return bytes(data)


@pytest.mark.parametrize("length", [4, 18, 40, 60, 100, 140, 200, 260, 400, 60000])
@pytest.mark.parametrize(
    "name",
    [
        *("SOPInstanceUID", "Modality", "SeriesInstanceUID", "SamplesPerPixel", "PhotometricInterpretation", "Rows"),
        *("PatientName", "BitsStored", "SOPClassUID"),
    ],
)
def test_an_element_that_swallows_its_neighbours_gives_nothing_away(tmp_path: Path, name: str, length: int) -> None:
    path = write(tmp_path / "a.dcm", UNITS.astype(np.int16), WindowCenter=40, WindowWidth=400, PixelSpacing=[1, 1])
    path.write_bytes(swallow(path, name, length))
    says_nothing(outcome(path))


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
@pytest.mark.parametrize("name", ["WindowCenter", "RescaleSlope", "PixelSpacing", "VOILUTFunction"])
def test_a_name_where_a_number_belongs(tmp_path: Path, name: str, syntax: str) -> None:
    """The picture is shown all the same."""
    tags = {"WindowCenter": 5, "WindowWidth": 400} | {name: "1111111111111"}
    path = write(tmp_path / "a.dcm", UNITS.astype(np.int16), syntax=syntax, **tags)
    data = path.read_bytes()
    assert data.count(b"1111111111111 ") == 1
    path.write_bytes(data.replace(b"1111111111111 ", b"Secret^Person "))
    assert load_image(path).rgb.std() > 20
    says_nothing(outcome(path))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Modality", "SECRET_PERSON"),
        ("Modality", "CT\\Secret"),
        ("SOPInstanceUID", "1.2.Secret"),
        ("SOPInstanceUID", "4711"),
        ("SeriesInstanceUID", "1.2." + "4711." * 20 + "1"),
        ("SeriesInstanceUID", "1.2.004711"),
    ],
)
def test_only_what_fits_its_definition_is_kept(tmp_path: Path, name: str, value: str) -> None:
    path = write(tmp_path / "a.dcm", UNITS.astype(np.int16))
    dataset = pydicom.dcmread(path)
    dataset[name] = pydicom.DataElement(name, "LT", value)
    if name == "Modality":
        dataset.Modality = value
    dataset.save_as(path)
    loaded = load_image(path)
    assert name not in loaded.extra
    assert len(loaded.extra) == 2
    says_nothing(loaded.extra)


def test_what_fits_is_kept(tmp_path: Path) -> None:
    uid = generate_uid()
    path = write(tmp_path / "a.dcm", UNITS.astype(np.int16), SOPInstanceUID=uid, Modality="MR", PixelSpacing=[2, 1.5])
    extra = load_image(path).extra
    assert extra["SOPInstanceUID"] == uid
    assert extra["Modality"] == "MR"
    assert extra["spacing_mm"] == [1.5, 2]


def test_a_private_transfer_syntax_is_not_quoted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", UNITS.astype(np.int16))
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = "1.2.4711.19700101"
    dataset.PixelData = encapsulate([b"12345678"])
    dataset.save_as(path, implicit_vr=False, little_endian=True)
    with pytest.raises(ImageError, match="unknown way"):
        load_image(path)
    says_nothing(outcome(path))


def test_no_library_warns_on_the_terminal(tmp_path: Path) -> None:
    good = write(tmp_path / "a.dcm", np.rint(COLOUR * 999).astype(np.uint16), WindowCenter=1, WindowWidth=1)
    data = good.read_bytes()
    paths = [str(good)]
    rng = np.random.default_rng(0)
    for number in range(40):
        bent = bytearray(data)
        for place in rng.integers(132, 700, 4):
            bent[place] = int(rng.integers(0, 256))
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(bent + b"\0" * (number % 3) * 50)
        paths.append(str(path))
    done = subprocess.run(
        [sys.executable, "-c", SILENT, *paths], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stderr == ""
    assert done.stdout == ""
