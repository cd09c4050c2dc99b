from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageFile

from annotator.domain.errors import ImageError
from annotator.io.images import decoding
from annotator.io.images.display import ALPHA_BACKGROUND, orient, percentile_range, scale_to_bytes
from annotator.io.images.reading import is_supported, list_images, load_image, load_thumbnail, natural_key, read_size

GRADIENT = np.dstack(
    np.broadcast_arrays(np.arange(60, dtype=np.uint8)[None, :] * 4, np.arange(40, dtype=np.uint8)[:, None] * 6, 77)
).astype(np.uint8)


def save(path: Path, image: Image.Image | np.ndarray, **options: object) -> Path:
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)  # type: ignore[arg-type]
    return path


def pillow_rgb(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def fails(path: Path, match: str, ways: Sequence[Callable[[Path], object]] = (load_image, load_thumbnail)) -> None:
    """Every way to open the file gives one message with the file's name, and advice."""
    for open_it in ways:
        with pytest.raises(ImageError, match=match) as caught:
            open_it(path)
        assert path.name in caught.value.message
        assert "\n" not in str(caught.value)


# --- what comes out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp", "a.ppm", "a.gif"])
def test_lossless_colour(tmp_path: Path, name: str) -> None:
    options = {"lossless": True} if name == "a.webp" else {}
    path = save(tmp_path / name, Image.fromarray(GRADIENT).quantize(64) if name == "a.gif" else GRADIENT, **options)
    loaded = load_image(path)
    wanted = pillow_rgb(path) if name == "a.gif" else GRADIENT
    assert np.array_equal(loaded.rgb, wanted)
    assert (loaded.width, loaded.height) == (60, 40) == read_size(path)
    assert loaded.rgb.flags.c_contiguous
    assert not loaded.rgb.flags.writeable
    assert loaded.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.spacing_mm is None
    assert loaded.note == ""


def test_jpeg_and_its_thumbnail(tmp_path: Path) -> None:
    big = cv2.resize(GRADIENT, (1200, 800), interpolation=cv2.INTER_LINEAR)
    path = save(tmp_path / "a.jpg", big, quality=95)
    assert np.abs(load_image(path).rgb.astype(int) - big).mean() < 3
    small = load_thumbnail(path, max_side=120)
    assert small.shape == (80, 120, 3)
    assert np.abs(small.astype(int) - cv2.resize(big, (120, 80), interpolation=cv2.INTER_AREA)).mean() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_orientation(tmp_path: Path, name: str, orientation: int) -> None:
    image = Image.fromarray(GRADIENT)
    exif = image.getexif()
    exif[0x0112] = orientation
    path = save(tmp_path / name, image, exif=exif)
    wanted = orient(GRADIENT, orientation)
    from PIL import ImageOps

    tagged = Image.open(io.BytesIO(save(tmp_path / "r.png", image, exif=exif).read_bytes()))
    assert np.array_equal(np.asarray(ImageOps.exif_transpose(tagged)), wanted)
    loaded = load_image(path)
    assert loaded.rgb.shape == wanted.shape
    assert np.abs(loaded.rgb.astype(int) - wanted).mean() < 3
    assert read_size(path) == (loaded.width, loaded.height)
    small = load_thumbnail(path, max_side=30)
    assert (small.shape[0] > small.shape[1]) == (wanted.shape[0] > wanted.shape[1])


def test_palette_alpha_and_one_bit(tmp_path: Path) -> None:
    palette = Image.fromarray(GRADIENT).quantize(16)
    assert np.array_equal(load_image(save(tmp_path / "p.png", palette)).rgb, np.asarray(palette.convert("RGB")))
    alpha = np.zeros((40, 60), np.uint8)
    alpha[:, 30:] = 255
    loaded = load_image(save(tmp_path / "a.png", np.dstack([GRADIENT, alpha])))
    assert (loaded.rgb[:, :30] == ALPHA_BACKGROUND).all()
    assert np.array_equal(loaded.rgb[:, 30:], GRADIENT[:, 30:])
    assert "transparency" in loaded.note
    opaque = load_image(save(tmp_path / "o.png", np.dstack([GRADIENT, np.full((40, 60), 255, np.uint8)])))
    assert np.array_equal(opaque.rgb, GRADIENT)
    assert opaque.note == ""
    half = load_image(save(tmp_path / "la.png", Image.new("LA", (4, 4), (200, 128))))
    assert abs(int(half.rgb[0, 0, 0]) - 164) <= 1
    see_through = palette.copy()
    see_through.info["transparency"] = 0
    assert "transparency" in load_image(save(tmp_path / "pt.png", see_through)).note
    bits = Image.fromarray(GRADIENT[:, :, 0] > 99)
    assert set(np.unique(load_image(save(tmp_path / "b.png", bits)).rgb)) == {0, 255}


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk(tmp_path: Path, name: str) -> None:
    path = save(tmp_path / name, Image.fromarray(GRADIENT).convert("CMYK"))
    assert np.abs(load_image(path).rgb.astype(int) - GRADIENT).mean() < 4


def test_sixteen_bits_are_stretched(tmp_path: Path) -> None:
    grey = (np.arange(60 * 40, dtype=np.uint16) + 1000).reshape(40, 60)
    for path in (save(tmp_path / "g.png", grey), tmp_path / "g.tif"):
        if path.suffix == ".tif":
            tifffile.imwrite(path, grey)
        loaded = load_image(path)
        assert (loaded.rgb[:, :, 0] == loaded.rgb[:, :, 2]).all()
        assert (int(loaded.rgb.min()), int(loaded.rgb.max())) == (0, 255)
        assert (np.diff(loaded.rgb[:, :, 0].ravel().astype(int)) >= 0).all()
        assert "stretched 100" in loaded.note
        assert np.array_equal(load_image(path).rgb, loaded.rgb)


def test_sixteen_bit_colour_keeps_its_depth(tmp_path: Path) -> None:
    """Values below 256 differ only in the byte that Pillow drops."""
    colour = GRADIENT.astype(np.uint16)
    cv2.imwrite(str(tmp_path / "c.png"), colour[:, :, ::-1])
    tifffile.imwrite(tmp_path / "c.tif", colour, photometric="rgb")
    tifffile.imwrite(tmp_path / "planar.tif", np.moveaxis(colour, 2, 0), photometric="rgb", planarconfig="separate")
    first = load_image(tmp_path / "c.png").rgb
    assert len(np.unique(first[:, :, 0])) > 50
    assert np.argmax(first[0, -1]) == 0
    assert np.array_equal(load_image(tmp_path / "c.tif").rgb, first)
    assert np.array_equal(load_image(tmp_path / "planar.tif").rgb, first)
    deep_alpha = np.dstack([colour * 200, np.zeros((40, 60), np.uint16)])
    cv2.imwrite(str(tmp_path / "ca.png"), deep_alpha)
    assert (load_image(tmp_path / "ca.png").rgb == ALPHA_BACKGROUND).all()


def test_float_tiff_with_nan_and_outliers(tmp_path: Path) -> None:
    values = np.linspace(0, 1, 200 * 100, dtype=np.float32).reshape(100, 200)
    values[0, 0], values[0, 1], values[0, 2] = np.nan, np.inf, 1e30
    tifffile.imwrite(tmp_path / "f.tif", values)
    rgb = load_image(tmp_path / "f.tif").rgb
    assert rgb[0, 0, 0] == 0
    assert rgb[0, 1, 0] == 255
    assert 100 < rgb[50, 100, 0] < 155


def test_other_tiffs(tmp_path: Path) -> None:
    stack = np.stack([GRADIENT[:, :, 0], 255 - GRADIENT[:, :, 0]])
    tifffile.imwrite(tmp_path / "pages.tif", stack, photometric="minisblack")
    first, second = load_image(tmp_path / "pages.tif"), load_image(tmp_path / "pages.tif", frame=1)
    assert first.note == "page 1 of 2"
    assert np.array_equal(first.rgb[:, :, 0], stack[0])
    assert np.array_equal(second.rgb[:, :, 0], stack[1])
    assert first.image_key != second.image_key
    assert first.sha256 == second.sha256
    with pytest.raises(ImageError, match="no frame 3"):
        load_image(tmp_path / "pages.tif", frame=2)
    tifffile.imwrite(tmp_path / "white.tif", stack[0], photometric="miniswhite")
    assert np.array_equal(load_image(tmp_path / "white.tif").rgb[:, :, 0], 255 - stack[0])
    five = np.zeros((40, 60, 5), np.uint8)
    tifffile.imwrite(tmp_path / "five.tif", five, photometric="minisblack", planarconfig="contig")
    tifffile.imwrite(tmp_path / "deflate.tif", GRADIENT, photometric="rgb", compression="zlib", predictor=True)
    tifffile.imwrite(tmp_path / "int.tif", np.arange(-1200, 1200, dtype=np.int32).reshape(40, 60))
    tifffile.imwrite(tmp_path / "big.tif", GRADIENT, photometric="rgb", bigtiff=True)
    assert load_image(tmp_path / "five.tif").rgb.shape == (40, 60, 3)
    assert np.array_equal(load_image(tmp_path / "deflate.tif").rgb, GRADIENT)
    assert load_image(tmp_path / "int.tif").rgb.max() == 255
    assert np.array_equal(load_image(tmp_path / "big.tif").rgb, GRADIENT)


def test_animation_shows_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("L", (8, 8), value) for value in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    loaded = load_image(tmp_path / "a.gif")
    assert loaded.note == "frame 1 of 2"
    assert (loaded.rgb == 10).all()
    assert (load_image(tmp_path / "a.gif", frame=1).rgb == 200).all()


def test_content_goes_before_the_suffix(tmp_path: Path) -> None:
    save(tmp_path / "a.png", GRADIENT)
    os.rename(tmp_path / "a.png", tmp_path / "a.jpg")
    assert np.array_equal(load_image(tmp_path / "a.jpg").rgb, GRADIENT)


def test_keys_name_pixels(tmp_path: Path) -> None:
    one, same = save(tmp_path / "1.png", GRADIENT), save(tmp_path / "2.png", GRADIENT)
    other = save(tmp_path / "3.png", 255 - GRADIENT)
    assert load_image(one).image_key == load_image(same).image_key != load_image(other).image_key
    assert len(load_image(one).image_key) == 64


def test_a_hundred_megapixels(tmp_path: Path) -> None:
    path = save(tmp_path / "big.png", Image.new("1", (10_000, 10_000)))
    assert load_image(path).rgb.shape == (10_000, 10_000, 3)


# --- bad input -------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def exif_chunk(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))


def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with every picture that is decoded in this process from now on."""
    found: list[str] = []

    def load(self: ImageFile.ImageFile) -> None:
        found.append(str(self.format))

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    return found


@pytest.mark.parametrize("turned", [0, 1, 6])
def test_the_size_of_a_png_is_read_without_decoding_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, turned: int
) -> None:
    data = save(tmp_path / "a.png", GRADIENT).read_bytes()
    comment = chunk(b"tEXt", b"date:create\0yesterday")
    exif = exif_chunk(turned) if turned else b""
    (tmp_path / "a.png").write_bytes(data[:33] + exif + data[33:-12] + comment + data[-12:])
    shown = (40, 60) if turned == 6 else (60, 40)
    loaded = load_image(tmp_path / "a.png")
    assert (loaded.width, loaded.height) == shown
    found = decodings(monkeypatch)
    assert decoding.read_size(tmp_path / "a.png") == shown
    assert found == []


def test_exif_data_behind_the_pixels_of_a_png_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", GRADIENT)
    data = path.read_bytes()
    path.write_bytes(data[:-12] + exif_chunk(8) + data[-12:])
    assert read_size(path) == (40, 60) == load_image(path).rgb.shape[:2][::-1]
    huge = data[:16] + struct.pack(">II", 30_000, 30_000) + data[24:29]
    head = huge + struct.pack(">I", zlib.crc32(huge[12:]))
    path.write_bytes(head + data[33:-12] + exif_chunk(8) + data[-12:])
    found = decodings(monkeypatch)
    with pytest.raises(ImageError, match="too large"):
        decoding.read_size(path)
    assert found == []
    path.write_bytes(head + data[33:])
    size = decoding.read_size(path)
    assert size == (30_000, 30_000), "a person may have raised the limit, and a header costs nothing"
    assert found == []


@pytest.mark.parametrize("end", [20, 33, 40, -20, -12, -6])
def test_the_size_of_a_png_that_is_cut_off(tmp_path: Path, end: int) -> None:
    path = save(tmp_path / "a.png", GRADIENT)
    path.write_bytes(path.read_bytes()[:end])
    if end > 0:
        with pytest.raises(ImageError, match=r"a\.png"):
            read_size(path)
    else:
        assert read_size(path) == (60, 40)


def test_missing_empty_and_not_images(tmp_path: Path) -> None:
    fails(tmp_path / "no.png", "missing")
    (tmp_path / "zero.png").touch()
    fails(tmp_path / "zero.png", "zero bytes")
    (tmp_path / "text.png").write_text("hello")
    fails(tmp_path / "text.png", "not an image")
    (tmp_path / "text.tif").write_text("hello")
    fails(tmp_path / "text.tif", "not an image")
    (tmp_path / "text.xyz").write_text("hello")
    fails(tmp_path / "text.xyz", "not an image")
    (tmp_path / "folder.png").mkdir()
    fails(tmp_path / "folder.png", "not a file")
    (tmp_path / "program.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    fails(tmp_path / "program.eps", "of the kind PostScript")


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    fails(tmp_path / "pipe.png", "not a file")
    os.mkfifo(tmp_path / "pipe")
    assert not is_supported(tmp_path / "pipe")


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", GRADIENT)

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(decoding, "open", refuse, raising=False)
    fails(path, "may not be read", (decoding.load_image, decoding.load_thumbnail))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif", "a.webp", "a.gif", "deep.png", "deep.tif"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_truncated(tmp_path: Path, name: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    path = tmp_path / name
    if name == "deep.png":
        cv2.imwrite(str(path), noise.astype(np.uint16) * 100)
    elif name == "deep.tif":
        tifffile.imwrite(path, noise.astype(np.uint16), photometric="rgb")
    else:
        save(path, noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    fails(path, "cut off|damaged")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp", "a.gif", "a.bmp"])
def test_flipped_bytes_are_an_image_or_a_message(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(1)
    path = save(tmp_path / name, GRADIENT)
    good = path.read_bytes()
    for _ in range(60):
        data = bytearray(good)
        for place in rng.integers(0, min(len(data), 400), 3):
            data[place] = int(rng.integers(0, 256))
        path.write_bytes(data)
        with contextlib.suppress(ImageError):
            assert load_image(path, max_pixels=1_000_000).rgb.shape[2] == 3


def test_absurd_sizes_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", GRADIENT)
    with pytest.raises(ImageError, match="too large"):
        load_image(path, max_pixels=1000)
    header = bytearray(path.read_bytes())
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    header[29:33] = zlib.crc32(bytes(header[12:29])).to_bytes(4, "big")
    path.write_bytes(header)
    fails(path, "3,600 megapixels")
    tifffile.imwrite(tmp_path / "a.tif", GRADIENT, photometric="rgb")
    with pytest.raises(ImageError, match="too large"):
        load_image(tmp_path / "a.tif", max_pixels=1000)


# --- folders ---------------------------------------------------------------------------------------------------------


def test_folders(tmp_path: Path) -> None:
    for name in ("10.png", "2.PNG", "b/1.jpg", "B/x/3.tif", "a10/1.png", "a9/1.png", ".hidden/1.png", "._2.png"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "set.annot").touch()
    names = list_images(tmp_path)
    assert names == ["2.PNG", "10.png", "a9/1.png", "a10/1.png", "b/1.jpg", "B/x/3.tif"]
    with pytest.raises(ImageError, match="no folder"):
        list_images(tmp_path / "no")


def test_unreadable_folders_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ok").mkdir()
    (tmp_path / "locked").mkdir()
    save(tmp_path / "ok" / "1.png", GRADIENT)
    real = os.scandir

    def scandir(path: object) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", scandir)
    told: list[str] = []
    assert list_images(tmp_path, on_problem=told.append) == ["ok/1.png"]
    assert told == ["the folder locked cannot be read (Permission denied)"]
    assert told[0] in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="names that are not text")
def test_names_that_are_not_text_are_reported(tmp_path: Path) -> None:
    save(tmp_path / "ä 1.png", GRADIENT)
    try:
        with open(os.path.join(os.fsencode(tmp_path), b"\xff.png"), "wb"):
            pass
    except OSError:
        pytest.skip("the file system wants text")
    told: list[str] = []
    assert list_images(tmp_path, on_problem=told.append) == ["ä 1.png"]
    assert len(told) == 1


def test_natural_order() -> None:
    names = ["x10", "x9", "X1", "x01", "1", "a/2", "a/10", "a", "²"]
    assert sorted(sorted(names), key=natural_key) == sorted(sorted(names, reverse=True), key=natural_key)
    assert sorted(["x10", "x9"], key=natural_key) == ["x9", "x10"]


# --- display ---------------------------------------------------------------------------------------------------------


def test_stretch_of_odd_data() -> None:
    assert percentile_range(np.full((3, 3), np.nan)) == (0.0, 1.0)
    assert percentile_range(np.full((3, 3), 7)) == (7.0, 7.0)
    assert percentile_range(np.array([[0] * 999 + [50]])) == (0.0, 50.0)
    assert percentile_range(np.array([[-99, 5, 9]]), where=np.array([[False, True, True]])) == pytest.approx(
        (5.0, 9.0), abs=0.01
    )
    assert (scale_to_bytes(np.full((3, 3), 7), 7, 7) == 0).all()
