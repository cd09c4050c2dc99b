"""Every kind of pixels in every other format, against what numpy makes of the same numbers."""

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
from tests.unit.io.pixel_values import COLOUR, COLOUR8, RAMP, RNG, SIDE, SILENT, differs, of_type, on_grey, stretched

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
