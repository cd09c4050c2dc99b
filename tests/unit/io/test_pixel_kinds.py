"""Every kind of pixels in every format, against what numpy makes of the same numbers."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from annotator.domain.errors import ImageError
from annotator.io.images.display import ALPHA_BACKGROUND
from annotator.io.images.reading import load_image, load_thumbnail, read_size

RNG = np.random.default_rng(7)
SIDE = (24, 36)
RAMP = np.add.outer(np.arange(24) * 36, np.arange(36)).astype(np.float64) / (24 * 36 - 1)
COLOUR = np.dstack([RAMP, RAMP[::-1], RAMP[:, ::-1] ** 2])
COLOUR8 = np.rint(COLOUR * 200 + 20).astype(np.uint8)

NUMBERS = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")


def stretched(values: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
    """The rule, once more: 0.2 and 99.8 percentile of what is data to 0 and 255."""
    data = values if keep is None else values[keep]
    low, high = np.percentile(data.astype(np.longdouble).astype(np.float64), (0.2, 99.8))
    return np.clip((values.astype(np.float64) - low) / (high - low), 0, 1) * 255


def of_type(unit: np.ndarray, kind: str) -> np.ndarray:
    """0..1 to a range well inside the type's, off its ends."""
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        return (unit * 900 - 300).astype(dtype)
    span = min(2.0 ** (8 * dtype.itemsize), 2.0**40)
    least = 0.1 * span - (span / 2 if dtype.kind == "i" else 0)
    return np.rint(unit * span * 0.7 + least).astype(dtype)


def on_grey(rgb: np.ndarray, share: np.ndarray) -> np.ndarray:
    return rgb * share[:, :, None] + ALPHA_BACKGROUND * (1 - share[:, :, None])


def differs(path: Path, wanted: np.ndarray) -> float:
    loaded = load_image(path)
    wanted = wanted if wanted.ndim == 3 else np.dstack([wanted] * 3)
    assert loaded.rgb.shape == wanted.shape
    assert read_size(path) == (loaded.width, loaded.height)
    assert load_thumbnail(path, max_side=9).shape[2] == 3
    return float(np.abs(loaded.rgb.astype(np.float64) - wanted).max())


# --- TIFF: number types, byte orders, layouts, predictors -------------------------------------------------------------


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "rgb"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", NUMBERS)
def test_tiff_numbers(tmp_path: Path, kind: str, order: str, photometric: str) -> None:
    values = of_type(COLOUR if photometric == "rgb" else RAMP, kind)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=photometric, byteorder=order)
    wanted = values if kind == "u1" else stretched(values)
    assert differs(tmp_path / "a.tif", 255 - wanted if photometric == "miniswhite" else wanted) <= 1


LAYOUTS = {
    "strips": {"rowsperstrip": 5},
    "tiles": {"tile": (16, 16)},
    "separate": {"planarconfig": "separate"},
    "separate tiles": {"planarconfig": "separate", "tile": (16, 16)},
    "bigtiff": {"bigtiff": True},
    "deflate": {"compression": "zlib"},
    "lzw": {"compression": "lzw"},
    "predictor 2": {"compression": "lzw", "predictor": 2},
    "predictor 2 separate": {"compression": "zlib", "predictor": 2, "planarconfig": "separate"},
    "zstd": {"compression": "zstd"},
    "packbits": {"compression": "packbits"},
}


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "u4"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_tiff_layouts(tmp_path: Path, layout: str, kind: str) -> None:
    values = of_type(COLOUR, kind)
    stored = np.moveaxis(values, 2, 0) if "separate" in layout else values
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", **LAYOUTS[layout])
    assert differs(tmp_path / "a.tif", values if kind == "u1" else stretched(values)) <= 1


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_predictor_of_floats(tmp_path: Path, kind: str, order: str) -> None:
    values = of_type(RAMP, kind)
    tifffile.imwrite(tmp_path / "a.tif", values, compression="zlib", predictor=3, byteorder=order)
    assert differs(tmp_path / "a.tif", stretched(values)) <= 1


@pytest.mark.parametrize("compression", [None, "packbits", "ccitt"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_tiff_of_one_bit(tmp_path: Path, photometric: str, compression: str | None) -> None:
    bits = RAMP > 0.3
    if compression == "ccitt":
        Image.fromarray(bits).save(tmp_path / "a.tif", compression="group4")
        wanted = bits
    else:
        tifffile.imwrite(tmp_path / "a.tif", bits, photometric=photometric, compression=compression)
        wanted = ~bits if photometric == "miniswhite" else bits
    assert differs(tmp_path / "a.tif", wanted * 255) == 0


@pytest.mark.parametrize("bits", [2, 4, 12])
def test_tiff_of_odd_bits(tmp_path: Path, bits: int) -> None:
    values = np.rint(RAMP * (2**bits - 1) * 0.8).astype(np.uint8 if bits < 8 else np.uint16)
    write_packed(tmp_path / "a.tif", values, bits)
    wanted = values * (255.0 / (2**bits - 1)) if bits < 8 else stretched(values)
    assert differs(tmp_path / "a.tif", wanted) <= 1


def write_packed(path: Path, values: np.ndarray, bits: int) -> None:
    """A grey TIFF whose rows are packed bit by bit, written without any library."""
    rows = []
    for row in values:
        text = "".join(format(int(v), f"0{bits}b") for v in row)
        text += "0" * (-len(text) % 8)
        rows.append(int(text, 2).to_bytes(len(text) // 8, "big"))
    data = b"".join(rows)
    height, width = values.shape
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1), (278, height)]
    tags.append((279, len(data)))
    at = 8 + len(data) + len(data) % 2
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = struct.pack("<2sHI", b"II", 42, at) + data + b"\0" * (len(data) % 2)
    path.write_bytes(head + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0))


# --- TIFF: channels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("channels", range(1, 8))
def test_tiff_channels_that_nobody_calls_opacity(tmp_path: Path, channels: int, planar: str, kind: str) -> None:
    """Near infrared, a filler, fluorescence: the first three are shown, and the others change nothing."""
    values = of_type(RNG.random((*SIDE, channels)), kind)
    values[:, :, 3:] = 0  # as opacity it would hide everything
    stored = np.moveaxis(values, 2, 0) if planar == "separate" else values
    tifffile.imwrite(
        tmp_path / "a.tif",
        stored if channels > 1 else stored.reshape(SIDE),
        photometric="rgb" if channels >= 3 else "minisblack",
        planarconfig=planar if channels > 1 else None,
        extrasamples=["unspecified"] * (channels - (3 if channels >= 3 else 1)),
    )
    shown = values[:, :, : 3 if channels >= 3 else 1]
    wanted = shown if kind == "u1" else stretched(shown)
    assert differs(tmp_path / "a.tif", np.broadcast_to(wanted, (*SIDE, 3))) <= 1
    note = load_image(tmp_path / "a.tif").note
    assert ("channels" in note) == (channels > 3)
    assert ("channel 1 of 2" in note) == (channels == 2)


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
@pytest.mark.parametrize("extra", ["unassalpha", "assocalpha"])
@pytest.mark.parametrize("colours", [1, 3])
def test_tiff_opacity(tmp_path: Path, colours: int, extra: str, kind: str) -> None:
    full = 1.0 if kind == "f4" else float(np.iinfo(kind).max)
    share = np.round(RAMP * 255) / 255
    base = COLOUR[:, :, :colours] * 0.8 + 0.1
    stored = base * share[:, :, None] if extra == "assocalpha" else base
    values = np.dstack([stored, share]) * full
    values = values.astype(kind) if kind == "f4" else np.rint(values).astype(kind)
    tifffile.imwrite(
        tmp_path / "a.tif",
        values,
        photometric="rgb" if colours == 3 else "minisblack",
        planarconfig="contig",
        extrasamples=[extra],
    )
    straight = base * 255 if kind == "u1" else stretched(base, np.broadcast_to((share > 0)[:, :, None], base.shape))
    wanted = on_grey(np.broadcast_to(straight, (*SIDE, 3)), share)
    assert differs(tmp_path / "a.tif", wanted) <= 2
    assert "transparency" in load_image(tmp_path / "a.tif").note


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
@pytest.mark.parametrize("extra", [(), ("unspecified",), ("unassalpha",)])
def test_tiff_inks(tmp_path: Path, extra: tuple[str, ...], kind: str) -> None:
    ink = np.dstack([COLOUR * 0.9, RAMP[::-1, ::-1] * 0.5])
    share = np.where(RAMP > 0.5, 1.0, 0.0)
    full = 1.0 if kind == "f4" else float(np.iinfo(kind).max)
    values = np.dstack([ink, *([share] if extra else [])]) * full
    values = values.astype(kind) if kind == "f4" else np.rint(values).astype(kind)
    tifffile.imwrite(
        tmp_path / "a.tif", values, photometric="separated", planarconfig="contig", extrasamples=list(extra)
    )
    wanted = (1 - ink[:, :, :3]) * (1 - ink[:, :, 3:]) * 255
    if extra == ("unassalpha",):
        wanted = on_grey(wanted, share)
    assert differs(tmp_path / "a.tif", wanted) <= 1.5


@pytest.mark.parametrize("bits", [8, 16])
def test_tiff_palette(tmp_path: Path, bits: int) -> None:
    index = np.rint(RAMP * 255).astype(np.uint8 if bits == 8 else np.uint16)
    palette = RNG.integers(0, 65536, (3, 2**bits)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", index, photometric="palette", colormap=palette)
    assert differs(tmp_path / "a.tif", (palette[:, index] >> 8).transpose(1, 2, 0)) == 0
    tifffile.imwrite(tmp_path / "low.tif", index, photometric="palette", colormap=palette >> 8)
    assert differs(tmp_path / "low.tif", (palette[:, index] >> 8).transpose(1, 2, 0)) == 0


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("model", ["cielab", "icclab"])
def test_tiff_lab(tmp_path: Path, model: str, bits: int) -> None:
    """Against the definition forward: sRGB, linear, XYZ (D65), Bradford to D50, L*a*b*."""
    unit = COLOUR8 / 255.0
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    bradford = np.array(
        [[1.0478112, 0.0228866, -0.0501270], [0.0295424, 0.9904844, -0.0170491], [-0.0092345, 0.0150436, 0.7521316]]
    )
    share = linear @ to_xyz.T @ bradford.T / (0.96422, 1.0, 0.82521)
    f = np.where(share > 216 / 24389, np.cbrt(share), (24389 / 27 * share + 16) / 116)
    lab = np.dstack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])])
    step, middle = (1, 128) if bits == 8 else (256, 32768)
    full = 255 if bits == 8 else 65280 if model == "icclab" else 65535
    chroma = np.rint(lab[..., 1:] * step) + (middle if model == "icclab" else 0)
    values = np.dstack([np.rint(lab[..., 0] / 100 * full), chroma % 2**bits]).astype(f"u{bits // 8}")
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=model)
    loaded = load_image(tmp_path / "a.tif").rgb.astype(float)
    assert np.abs(loaded - COLOUR8).max() <= (12 if bits == 8 else 1)
    assert np.abs(loaded - COLOUR8).mean() <= (1.5 if bits == 8 else 0.2)


def test_tiff_ycbcr(tmp_path: Path) -> None:
    smooth = np.dstack([RAMP * 200 + 20, 255 - RAMP * 200, np.full(SIDE, 90.0)]).astype(np.uint8)
    tifffile.imwrite(
        tmp_path / "jpeg.tif", smooth, photometric="rgb", compression="jpeg", compressionargs={"level": 98}
    )
    assert differs(tmp_path / "jpeg.tif", smooth) <= 12
    Image.fromarray(smooth).convert("YCbCr").save(tmp_path / "plain.tif")
    assert differs(tmp_path / "plain.tif", smooth) <= 4


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_complex_numbers_count_by_magnitude(tmp_path: Path, order: str) -> None:
    values = (RAMP * np.exp(1j * RAMP * 9)).astype(np.complex64)
    tifffile.imwrite(tmp_path / "a.tif", values, byteorder=order)
    assert differs(tmp_path / "a.tif", stretched(np.abs(values))) <= 1


# --- TIFF: no data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kind", "missing", "text"),
    [
        ("f4", -9999.0, "-9999"),
        ("f4", -3.4028234663852886e38, "-3.4028234663852886e+38"),
        ("f8", -1.7976931348623157e308, "-1.7976931348623157e+308"),
        ("f4", np.nan, "nan"),
        ("u2", 65535, "65535"),
        ("u2", 0, "0 "),
        ("i2", -32768, "-32768.0"),
        ("i4", -2147483648, "-2147483648"),
        ("u4", 4294967295, "4294967295"),
    ],
)
def test_tiff_no_data_does_not_count(tmp_path: Path, kind: str, missing: float, text: str, order: str) -> None:
    for channels in (1, 3):
        values = (
            of_type(COLOUR, kind)[:, :, :channels]
            if kind != "u2"
            else of_type(COLOUR, kind)[:, :, :channels] // 50 + 900
        )
        values[:9, :9] = missing
        keep = np.ones(values.shape, bool)
        keep[:9, :9] = False
        tifffile.imwrite(
            tmp_path / "a.tif",
            values if channels == 3 else values[:, :, 0],
            photometric="rgb" if channels == 3 else "minisblack",
            byteorder=order,
            extratags=[(42113, "s", 0, text, True)],
        )
        wanted = stretched(np.where(keep, values, values[-1, -1]), keep)
        wanted = np.broadcast_to(np.where(keep, wanted, 0), (*SIDE, 3))
        assert differs(tmp_path / "a.tif", wanted) <= 1
        assert "stretched" in load_image(tmp_path / "a.tif").note


@pytest.mark.parametrize("text", ["", "none", "1e999", "-1", "70000", "0.5", "\0"])
def test_tiff_no_data_that_cannot_occur_changes_nothing(tmp_path: Path, text: str) -> None:
    values = of_type(RAMP, "u2")
    tifffile.imwrite(tmp_path / "a.tif", values, extratags=[(42113, "s", 0, text, True)])
    assert differs(tmp_path / "a.tif", stretched(values)) <= 1


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiff_tiles_that_are_left_out(tmp_path: Path, planar: str, compression: str | None, kind: str) -> None:
    """Offset and length 0: black, and not part of the stretch."""
    values = of_type(COLOUR, kind)
    stored = np.moveaxis(values, 2, 0) if planar == "separate" else values
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="rgb", planarconfig=planar, tile=(16, 16), compression=compression)
    with tifffile.TiffFile(path) as tiff:
        places = [(tiff.pages[0].tags[code].valueoffset, tiff.pages[0].tags[code].dtype) for code in (324, 325)]
        tiles = len(tiff.pages[0].dataoffsets)
    data = bytearray(path.read_bytes())
    for place, kind_of in places:
        size = {3: 2, 4: 4}[int(kind_of)]
        for tile in range(1, tiles, 6 if planar == "separate" else 100):
            data[place + size * tile : place + size * (tile + 1)] = bytes(size)
    path.write_bytes(data)
    is_left_out = np.zeros(SIDE, bool)
    is_left_out[:16, 16:32] = True
    wanted = values if kind == "u1" else stretched(values, np.broadcast_to(~is_left_out[:, :, None], values.shape))
    assert differs(path, np.where(is_left_out[:, :, None], 0, wanted)) <= 1


# --- TIFF: pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_reduced_pages_are_no_pictures(tmp_path: Path, order: str, big: bool) -> None:
    first, second = COLOUR8, 255 - COLOUR8
    with tifffile.TiffWriter(tmp_path / "a.tif", byteorder=order, bigtiff=big) as tiff:
        tiff.write(first[::2, ::2], photometric="rgb", subfiletype=1)
        tiff.write(first, photometric="rgb")
        tiff.write(first[::3, ::3], photometric="rgb", subfiletype=1)
        tiff.write(second, photometric="rgb", subifds=1)
        tiff.write(second[::2, ::2], photometric="rgb", subfiletype=1)
    assert differs(tmp_path / "a.tif", first) == 0
    loaded = load_image(tmp_path / "a.tif", frame=1)
    assert np.array_equal(loaded.rgb, second)
    assert loaded.note == "page 2 of 2"
    with pytest.raises(ImageError, match="no frame 3"):
        load_image(tmp_path / "a.tif", frame=2)


def test_tiff_of_reduced_pages_alone_is_shown(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COLOUR8, photometric="rgb", subfiletype=1)
    assert differs(tmp_path / "a.tif", COLOUR8) == 0


def test_tiff_whose_full_picture_lies_below_a_reduced_one(tmp_path: Path) -> None:
    """As raw photographs have it."""
    for name, photometric in (("a.tif", "rgb"), ("raw.tif", "cfa")):
        with tifffile.TiffWriter(tmp_path / name) as tiff:
            tiff.write(COLOUR8[::4, ::4], photometric="rgb", subfiletype=1, subifds=2)
            tiff.write(COLOUR8[::2, ::2], photometric="rgb", subfiletype=1)
            if photometric == "rgb":
                tiff.write(COLOUR8, photometric="rgb")
            else:
                tags = [(33421, "H", 2, (2, 2), True), (33422, "B", 4, b"\0\1\1\2", True)]
                tiff.write(COLOUR8[:, :, 0], photometric="cfa", extratags=tags)
    assert differs(tmp_path / "a.tif", COLOUR8) == 0
    with pytest.raises(ImageError, match="CFA"):
        load_image(tmp_path / "raw.tif")


def test_tiff_mask_of_a_page_is_opacity(tmp_path: Path) -> None:
    """As GDAL writes it beside JPEG pictures."""
    mask = RAMP > 0.5
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(COLOUR8, photometric="rgb")
        tiff.write(mask, photometric="mask", subfiletype=4)
    assert differs(tmp_path / "a.tif", on_grey(COLOUR8, mask.astype(float))) == 0
    assert load_image(tmp_path / "a.tif").note == "transparency shown on grey"


@pytest.mark.parametrize("orientation", range(0, 10))
@pytest.mark.parametrize("kind", ["u1", "u2", "ycbcr"])
def test_tiff_is_turned_upright(tmp_path: Path, kind: str, orientation: int) -> None:
    turned = {
        2: lambda a: a[:, ::-1],
        3: lambda a: np.rot90(a, 2),
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: np.rot90,
    }.get(orientation, lambda a: a)
    values = COLOUR8 if kind == "ycbcr" else of_type(COLOUR, kind)
    tag = (274, "H", 1, orientation, True)
    if kind == "ycbcr":
        image = Image.fromarray(COLOUR8).convert("YCbCr")
        image.save(tmp_path / "a.tif", tiffinfo={274: orientation})
    else:
        tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extratags=[tag])
    wanted = stretched(values) if kind == "u2" else values
    assert differs(tmp_path / "a.tif", turned(wanted)) <= (4 if kind == "ycbcr" else 1)


@pytest.mark.parametrize(
    ("photometric", "named"),
    [(10, "ITULAB"), (32803, "CFA"), (32844, "LOGL"), (32845, "LOGLUV"), (9999, "9999")],
)
def test_tiff_colours_that_cannot_be_shown_are_refused_by_name(tmp_path: Path, photometric: int, named: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COLOUR8, photometric="rgb")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tiff:
        tiff.pages[0].tags[262].overwrite(photometric)
    with pytest.raises(ImageError, match=f"a.tif uses TIFF colours that cannot be shown .{named}|number {named}"):
        load_image(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", [34712, 65000, 32809, 4242])
def test_tiff_compressions_that_cannot_be_read_are_refused_by_name(tmp_path: Path, compression: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COLOUR8, photometric="ycbcr" if compression == 34712 else "rgb")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as tiff:
        tiff.pages[0].tags[259].overwrite(compression)
    named = {34712: "YCBCR, JPEG2000", 65000: "EER_V0", 32809: "RGB, THUNDERSCAN", 4242: "number 4242"}[compression]
    with pytest.raises(ImageError, match=f"a.tif .*{named}"):
        load_image(tmp_path / "a.tif")


def test_tiff_inks_and_lab_without_a_scale_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "f.tif", COLOUR.astype(np.float32), photometric="cielab")
    with pytest.raises(ImageError, match="CIELAB, 3 x float32"):
        load_image(tmp_path / "f.tif")
    six = RNG.integers(0, 255, (*SIDE, 6)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "n.tif", six, photometric="separated", extratags=[(332, "H", 1, 2, True)])
    with pytest.raises(ImageError, match="inks that are not CMYK"):
        load_image(tmp_path / "n.tif")


def test_tiff_without_a_colour_model(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", COLOUR8, photometric="rgb")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[data.index(struct.pack("<HH", 262, 3)) :][:0] = b""
    at = data.index(struct.pack("<HH", 262, 3))
    data[at : at + 2] = struct.pack("<H", 261)
    (tmp_path / "a.tif").write_bytes(data)
    assert differs(tmp_path / "a.tif", COLOUR8) == 0


# --- deep PNG, PNM, JPEG 2000, AVIF, JPEG -----------------------------------------------------------------------------


def png(values: np.ndarray, bits: int, colour: int, clear: bytes = b"", extra: bytes = b"") -> bytes:
    """Written without any library."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b""
    for row in values.reshape(values.shape[0], -1):
        if bits >= 8:
            rows += b"\0" + row.astype(f">u{bits // 8}").tobytes()
        else:
            text = "".join(format(int(v), f"0{bits}b") for v in row)
            text += "0" * (-len(text) % 8)
            rows += b"\0" + int(text, 2).to_bytes(len(text) // 8, "big")
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], bits, colour, 0, 0, 0)
    parts = [
        b"\x89PNG\r\n\x1a\n",
        chunk(b"IHDR", head),
        extra and chunk(b"iCCP", extra),
        clear and chunk(b"tRNS", clear),
    ]
    return b"".join([*parts, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")])


@pytest.mark.parametrize("is_clear", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_png_grey(tmp_path: Path, bits: int, is_clear: bool) -> None:
    values = np.rint(RAMP * (2**bits - 1)).astype(np.int64)
    clear = int(values[-1, -1])
    (tmp_path / "a.png").write_bytes(png(values, bits, 0, struct.pack(">H", clear) if is_clear else b""))
    share = np.where((values == clear) & is_clear, 0.0, 1.0)
    wanted = values * 255 / (2**bits - 1) if bits < 16 else stretched(values, share > 0)
    assert differs(tmp_path / "a.png", on_grey(np.dstack([wanted] * 3), share)) <= 1
    assert ("transparency" in load_image(tmp_path / "a.png").note) == is_clear


@pytest.mark.parametrize("bits", [2, 4, 8, 16])
def test_png_thumbnail_has_its_transparency(tmp_path: Path, bits: int) -> None:
    """One grey is transparent, and no mixture of others is."""
    full = 2**bits - 1
    values = np.where(np.add.outer(np.arange(64), np.arange(64)) % 2, 0, full)
    values[:32] = full // 3
    (tmp_path / "a.png").write_bytes(png(values, bits, 0, struct.pack(">H", full // 3)))
    small = load_thumbnail(tmp_path / "a.png", max_side=16)
    assert (small[2:6] == ALPHA_BACKGROUND).all()
    (tmp_path / "b.png").write_bytes(png(values, bits, 0, struct.pack(">H", full // 2)))
    assert np.abs(load_thumbnail(tmp_path / "b.png", max_side=16)[10:14].astype(int) - 127).max() <= 1


@pytest.mark.parametrize("is_clear", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_png_colour(tmp_path: Path, bits: int, is_clear: bool) -> None:
    values = np.rint(COLOUR * 200 + 20).astype(np.int64)
    clear = values[3, 3]
    data = struct.pack(">HHH", *(int(v) for v in clear)) if is_clear else b""
    (tmp_path / "a.png").write_bytes(png(values, bits, 2, data))
    share = np.where((values == clear).all(axis=2) & is_clear, 0.0, 1.0)
    keep = np.broadcast_to(share[:, :, None] > 0, values.shape)
    wanted = values if bits == 8 else stretched(values, keep)
    assert differs(tmp_path / "a.png", on_grey(wanted, share)) <= 1


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_png_opacity(tmp_path: Path, bits: int, colours: int) -> None:
    full = 2**bits - 1
    base = COLOUR[:, :, :colours] * 0.6
    values = np.rint(np.dstack([base, RAMP]) * full).astype(np.int64)
    (tmp_path / "a.png").write_bytes(png(values, bits, 4 if colours == 1 else 6))
    keep = np.broadcast_to((np.rint(RAMP * 255) > 0)[:, :, None], base.shape)
    shown = base * 255 if bits == 8 else stretched(base, keep)
    assert differs(tmp_path / "a.png", on_grey(np.broadcast_to(shown, (*SIDE, 3)), RAMP)) <= 2


LOW = COLOUR8.astype(np.uint16)


def jp2(values: np.ndarray, **options: object) -> bytes:
    return imagecodecs.jpeg2k_encode(values, level=0, reversible=True, **options)  # type: ignore[no-any-return]


DEEP = {
    "a.png": lambda v: png(v, 16, 2),
    "a.ppm": lambda v: b"P6 # three\n36 24\n65535\n" + v.astype(">u2").tobytes(),
    "ten.ppm": lambda v: b"P6\n36\n24\n1023\n" + v.astype(">u2").tobytes(),
    "plain.ppm": lambda v: b"P3\n36 24\n65535\n" + "\n".join(str(int(n)) for n in v.ravel()).encode(),
    "a.jp2": jp2,
    "a.j2k": lambda v: jp2(v, codecformat="j2k"),
    "a.avif": lambda v: imagecodecs.avif_encode(v, level=100, bitspersample=10),
}


@pytest.mark.parametrize("name", DEEP)
def test_small_numbers_of_deep_colours_are_stretched_alike(tmp_path: Path, name: str) -> None:
    """They differ in the byte that is lost on the way to 8 bits."""
    (tmp_path / name).write_bytes(DEEP[name](LOW))
    assert differs(tmp_path / name, stretched(LOW)) <= (6 if name == "a.avif" else 1)
    assert load_image(tmp_path / name).note.startswith("stretched 2")


@pytest.mark.parametrize("name", ["a.pgm", "plain.pgm", "a.jp2", "a.avif"])
def test_deep_grey(tmp_path: Path, name: str) -> None:
    grey = LOW[:, :, 0] * 4
    data = {
        "a.pgm": lambda: b"P5\n36 24\n65535\n" + grey.astype(">u2").tobytes(),
        "plain.pgm": lambda: b"P2 36 24 65535 " + " ".join(str(int(n)) for n in grey.ravel()).encode(),
        "a.jp2": lambda: jp2(grey),
        "a.avif": lambda: imagecodecs.avif_encode(grey, level=100, bitspersample=10),
    }[name]()
    (tmp_path / name).write_bytes(data)
    assert differs(tmp_path / name, stretched(grey)) <= (3 if name == "a.avif" else 1)


@pytest.mark.parametrize("kind", ["u1", "u2", "i2"])
@pytest.mark.parametrize("channels", [2, 4, 5])
def test_jpeg_2000_channels_that_nobody_calls_opacity(tmp_path: Path, channels: int, kind: str) -> None:
    values = of_type(RNG.random((*SIDE, channels)), kind)
    values[:, :, -1] = 0
    (tmp_path / "a.j2k").write_bytes(jp2(np.ascontiguousarray(values), codecformat="j2k"))
    shown = values[:, :, : 3 if channels > 3 else 1]
    wanted = shown if kind == "u1" else stretched(shown)
    assert differs(tmp_path / "a.j2k", np.broadcast_to(wanted, (*SIDE, 3))) <= 1


@pytest.mark.parametrize("bits", [8, 16])
def test_jpeg_2000_opacity_that_is_defined(tmp_path: Path, bits: int) -> None:
    full = 2**bits - 1
    values = np.rint(np.dstack([COLOUR, RAMP]) * full).astype(f"u{bits // 8}")
    data = jp2(values)
    head = data.index(b"jp2h") - 4
    size = int.from_bytes(data[head : head + 4], "big")
    definition = struct.pack(">H", 4) + b"".join(
        struct.pack(">HHH", n, int(n == 3), 0 if n == 3 else n + 1) for n in range(4)
    )
    box = struct.pack(">I", 8 + len(definition)) + b"cdef" + definition
    inner = data[head + 8 : head + size]
    if b"cdef" not in inner:
        data = data[:head] + struct.pack(">I", size + len(box)) + b"jp2h" + inner + box + data[head + size :]
    (tmp_path / "a.jp2").write_bytes(data)
    keep = np.broadcast_to((np.rint(RAMP * 255) > 0)[:, :, None], COLOUR.shape)
    shown = COLOUR * 255 if bits == 8 else stretched(COLOUR, keep)
    assert differs(tmp_path / "a.jp2", on_grey(shown, RAMP)) <= 2


def test_jpeg_of_twelve_bits(tmp_path: Path) -> None:
    grey = np.rint(RAMP * 900 + 100).astype(np.uint16)
    try:
        data = imagecodecs.jpeg8_encode(grey, level=98, bitspersample=12)
    except (ValueError, TypeError, RuntimeError):
        pytest.skip("this build of imagecodecs writes no such file")
    (tmp_path / "a.jpg").write_bytes(data)
    assert differs(tmp_path / "a.jpg", stretched(grey)) <= 6


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_deep_files_that_are_cut_off(tmp_path: Path, name: str, share: float) -> None:
    data = DEEP[name](np.rint(RNG.random((24, 36, 3)) * 1000).astype(np.uint16))
    path = tmp_path / name
    path.write_bytes(data[: int(len(data) * share)])
    if name.endswith((".j2k", ".jp2")) and share > 0.1:  # made to be shown before all of it is there
        with suppress(ImageError):
            assert load_image(path).rgb.shape == (24, 36, 3)
        return
    with pytest.raises(ImageError, match=name):
        load_image(path)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "HEIC"),
        (b"\xff\x0a\x80\x4a", "JPEG XL"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"8BPS\0\1", "Photoshop"),
        (b"\x76\x2f\x31\x01", "OpenEXR"),
        (b"II*\0\x10\0\0\0CR\2\0", "raw camera"),
        (b"<?xml version='1.0'?><svg>", "SVG"),
        (b"PF\n3 3\n-1.0\n", "PFM"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".jpg", ".tif", ".dcm"])
def test_other_kinds_are_refused_by_name(tmp_path: Path, head: bytes, kind: str, suffix: str) -> None:
    path = tmp_path / f"IMG_0001{suffix}"
    path.write_bytes(head + bytes(400))
    for work in (load_image, load_thumbnail, read_size):
        with pytest.raises(ImageError, match=f"IMG_0001{suffix} is a file of the kind {kind}"):
            work(path)


# --- never blank ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        np.where(np.arange(10_000).reshape(100, 100) == 77, 9, 5).astype(np.uint16),
        np.where(np.arange(100).reshape(10, 10) > 50, 2**63 + 1, 2**63).astype(np.uint64),
        np.where(np.arange(100).reshape(10, 10) > 50, -(2**63), -(2**63) + 1).astype(np.int64),
        np.where(np.arange(100).reshape(10, 10) > 50, -1.7e308, 1.7e308),
        np.where(np.arange(100).reshape(10, 10) > 50, 5e-324, 0.0),
        np.where(np.arange(100).reshape(10, 10) > 50, 3.0, np.nan),
    ],
    ids=["one pixel", "uint64", "int64", "all of float64", "denormal", "one value and NaN"],
)
def test_what_varies_is_seen(tmp_path: Path, values: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values)
    rgb = load_image(tmp_path / "a.tif").rgb
    if np.isnan(np.asarray(values, float)).any():
        assert (rgb == 0).all()  # one value alone has no contrast
    else:
        assert (int(rgb.min()), int(rgb.max())) == (0, 255)


# --- nothing on the terminal ------------------------------------------------------------------------------------------

SILENT = """
import sys, warnings
from annotator.domain.errors import ImageError
from annotator.io.images.reading import load_image, load_thumbnail, read_size
for path in sys.argv[1:]:
    for work in (load_image, load_thumbnail, read_size):
        try:
            work(path)
        except ImageError:
            pass
"""


def test_no_library_warns_on_the_terminal(tmp_path: Path) -> None:
    paths = []

    def keep(name: str, data: bytes) -> None:
        (tmp_path / name).write_bytes(data)
        paths.append(str(tmp_path / name))

    keep("profile.png", png(LOW, 16, 2, extra=b"junk\0\0xxxxxx"))
    keep("profile8.png", png(LOW, 8, 2, extra=b"junk\0\0xxxxxx"))
    for name, text in (("nodata.tif", "-3.4028234663852886e+38"), ("word.tif", "none")):
        tifffile.imwrite(tmp_path / name, RAMP.astype(np.float32), extratags=[(42113, "s", 0, text, True)])
        paths.append(str(tmp_path / name))
    whole = (tmp_path / "nodata.tif").read_bytes()
    for at in range(8, 250, 7):
        keep(f"bent{at}.tif", whole[:at] + b"\xff\x01" + whole[at + 2 :])
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(COLOUR8).save(stream, "JPEG", exif=exif)
    photo = stream.getvalue()
    for at in range(20, 60, 3):
        keep(f"bent{at}.jpg", photo[:at] + b"\xff\xfe" + photo[at + 2 :])
    for name in ("a.jp2", "a.avif", "a.ppm"):
        deep = DEEP[name](LOW)
        for share in (3, 5):
            keep(f"cut{share}{name}", deep[: len(deep) * share // 6])
    done = subprocess.run(
        [sys.executable, "-c", SILENT, *paths], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stderr == ""
    assert done.stdout == ""
