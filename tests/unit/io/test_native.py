"""The numbers of a picture as its file has them, out of a reader process, and the picture through other windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from pydicom.dataset import Dataset

from annotator.domain import budget
from annotator.domain.errors import ImageError
from annotator.domain.window import Window
from annotator.io.images import asking
from annotator.io.images.native_wire import from_wire, to_wire
from annotator.io.images.pool import ReaderPool
from annotator.io.images.reader import LoadedImage
from annotator.io.images.reading import load_image
from annotator.io.images.windowed import SHOWS_NOTHING, windowed
from tests.unit.io.test_readers_dicom import write

DEEP = np.random.default_rng(1).integers(0, 60_000, (300, 400)).astype(np.uint16)
CT = np.random.default_rng(2).integers(-1000, 2000, (40, 50)).astype(np.int16)


def load(path: Path, **more: object) -> LoadedImage:
    return load_image(path, is_native=True, **more)


def deep_files(folder: Path) -> dict[str, tuple[Path, np.ndarray]]:
    """Every way in which deep numbers lie in files, with the numbers."""
    small = DEEP[:40, :50]
    files = {
        "png": small,
        "tif": small,
        "float.tif": small.astype(np.float32) / 7,
        "int.tif": small.astype(np.int32) - 30_000,
        "rgb.tif": np.dstack([small, small // 2, small // 3]),
        "large.tif": np.tile(DEEP, (3, 4)),
    }
    made: dict[str, tuple[Path, np.ndarray]] = {}
    for name, values in files.items():
        path = folder / f"a.{name}"
        if name == "png":
            Image.fromarray(values).save(path)
        else:
            tifffile.imwrite(path, values, photometric="rgb" if values.ndim == 3 else "minisblack")
        made[name] = path, values
    made["ct"] = write(folder / "ct.dcm", CT, RescaleSlope=1, RescaleIntercept=-24), CT
    return made


@pytest.mark.parametrize("name", ["png", "tif", "float.tif", "int.tif", "rgb.tif", "large.tif", "ct"])
def test_numbers_come_to_the_bit_and_are_only_sent_where_they_are_wanted(tmp_path: Path, name: str) -> None:
    path, values = deep_files(tmp_path)[name]
    image = load(path)
    assert image.native is not None
    assert image.native.values.dtype == values.dtype
    assert np.array_equal(image.native.values, values)
    assert not image.native.values.flags.writeable
    assert load_image(path).native is None
    assert load_image(path).image_key == image.image_key


@pytest.mark.parametrize("name", ["png", "tif", "float.tif", "int.tif", "rgb.tif", "ct"])
def test_the_default_window_shows_what_the_reader_shows(tmp_path: Path, name: str) -> None:
    path, _ = deep_files(tmp_path)[name]
    image = load(path)
    there = windowed(image, Window(100.0, 50.0))
    assert there.image_key != image.image_key
    back = windowed(there, None)
    assert np.abs(back.rgb.astype(int) - image.rgb.astype(int)).max() <= 1
    assert back.image_key == image.image_key == windowed(there, image.source.default).image_key


def test_a_stored_window_of_dicom_is_the_default_and_is_in_hounsfield_units(tmp_path: Path) -> None:
    image = load(
        write(tmp_path / "a.dcm", CT, WindowCenter=40, WindowWidth=400, RescaleSlope=2, RescaleIntercept=-1000)
    )
    native = image.source
    assert native.default == Window(40.0, 400.0, "LINEAR")
    assert (native.unit, native.kind, native.slope, native.intercept) == ("HU", "CT", 2.0, -1000.0)
    assert np.array_equal(windowed(windowed(image, Window(0, 9)), None).rgb, image.rgb)


def test_padding_stays_black_and_monochrome1_inverted_through_every_window(tmp_path: Path) -> None:
    values = CT.copy()
    values[:5] = -2000
    image = load(write(tmp_path / "a.dcm", values, PixelPaddingValue=-2000, PhotometricInterpretation="MONOCHROME1"))
    shown = windowed(image, Window(500.0, 1000.0)).rgb[..., 0]
    assert (shown[:5] == 0).all()
    low, high = values[5:] < 0, values[5:] > 1000
    assert (shown[5:][low] == 255).all()
    assert (shown[5:][high] == 0).all()


def test_a_table_is_shown_exactly_until_the_person_chooses_a_window(tmp_path: Path) -> None:
    item = Dataset()
    item.LUTDescriptor = [256, 0, 8]
    item.LUTData = np.clip((np.arange(256) - 100) * 4, 0, 255).astype(np.uint16).tobytes()
    values = np.arange(256, dtype=np.uint16).reshape(16, 16)
    image = load(write(tmp_path / "a.dcm", values, VOILUTSequence=[item], Modality="MR"))
    assert image.note == "window table"
    low, high = image.source.default.limits
    assert (low, high) == pytest.approx((100, 164), abs=3)
    other = windowed(image, Window(128.0, 256.0))
    assert not np.array_equal(other.rgb, image.rgb)
    assert np.array_equal(windowed(other, None).rgb, image.rgb)


def test_an_image_of_8_bits_is_its_own_source(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (30, 40, 3), np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    image = load(tmp_path / "a.png")
    assert image.native is None
    bright = windowed(image, Window(60.0, 120.0))
    assert bright.rgb.mean() > rgb.mean()
    assert np.array_equal(windowed(bright, None).rgb, rgb)
    again = windowed(bright, Window(127.5, 255.0, is_inverted=True))
    assert np.array_equal(again.rgb, ~rgb)  # of the file's pixels, not of the bright ones
    assert len({image.image_key, bright.image_key, again.image_key}) == 3


def test_turned_pictures_have_turned_numbers_and_holes_and_opacity_go_along(tmp_path: Path) -> None:
    values = DEEP[:40, :50].astype(np.float32)
    values[:10] = -1.0
    tifffile.imwrite(
        tmp_path / "a.tif", values, extratags=[(274, "H", 1, 6, True), (42113, "s", 0, "-1", True)], metadata=None
    )
    image = load(tmp_path / "a.tif")
    assert image.source.values.shape == (50, 40) == image.rgb.shape[:2]
    assert (windowed(image, Window(-10.0, 5.0, is_inverted=True)).rgb[:, -10:] == 0).all()
    rgba = np.dstack([DEEP[:40, :50]] * 3 + [np.where(DEEP[:40, :50] > 30_000, 65_535, 0).astype(np.uint16)])
    tifffile.imwrite(tmp_path / "b.tif", rgba, photometric="rgb", extrasamples=["unassalpha"])
    clear = rgba[..., 3] == 0
    assert (windowed(load(tmp_path / "b.tif"), Window(1.0, 2.0)).rgb[clear] == 128).all()


@pytest.mark.parametrize("over_pipes", [False, True])
def test_numbers_pass_through_sockets_and_pipes(tmp_path: Path, over_pipes: bool) -> None:
    pool = ReaderPool(1, over_pipes=over_pipes)
    try:
        for name in ("tif", "large.tif", "ct"):
            path, values = deep_files(tmp_path)[name]
            answer = pool.ask("load", str(path), frame=0, max_pixels=10**8, is_native=True)
            block = asking.block_of(answer)
            native = from_wire(answer.data["native"], block, asking.pixels_of(answer, block))
            assert np.array_equal(native.values, values)
    finally:
        pool.close()


def test_the_wire_keeps_every_part(tmp_path: Path) -> None:
    image = load(deep_files(tmp_path)["ct"][0])
    native = image.source
    about, arrays = to_wire(native, image.rgb)
    block = bytearray(image.rgb.tobytes())
    for array in arrays:
        block += bytes(-len(block) % 64) + array.tobytes()
    again = from_wire(about, bytes(block), image.rgb)
    assert (again.default, again.slope, again.kind) == (native.default, native.slope, native.kind)
    assert np.array_equal(again.values, native.values)


def test_a_remembered_window_that_blanks_a_picture_is_passed_over_and_said(tmp_path: Path) -> None:
    path, _ = deep_files(tmp_path)["ct"]
    plain = load_image(path)
    blank = load_image(path, window=Window(30_000.0, 10.0))
    assert np.array_equal(blank.rgb, plain.rgb)
    assert SHOWS_NOTHING in blank.note
    assert blank.image_key == plain.image_key
    good = load_image(path, window=Window(500.0, 100.0))
    assert good.note == "window 100 / level 500 HU"
    assert good.native is None


def test_a_window_asks_for_its_memory(tmp_path: Path) -> None:
    image = load(deep_files(tmp_path)["large.tif"][0])
    budget.set_limit_bytes(1 << 20)
    try:
        with pytest.raises(ImageError, match="This window needs"):
            windowed(image, Window(100.0, 50.0))
    finally:
        budget.set_limit_bytes(None)
