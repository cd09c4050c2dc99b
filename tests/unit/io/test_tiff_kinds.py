"""Every kind of pixels in TIFF, against what numpy makes of the same numbers."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from annotator.domain.errors import ImageError
from annotator.io.images.reading import load_image
from tests.unit.io.pixel_values import COLOUR, COLOUR8, NUMBERS, RAMP, RNG, SIDE, differs, of_type, on_grey, stretched

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
