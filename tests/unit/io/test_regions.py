"""Large pictures are read region by region, from the level of their file that suits."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest
import tifffile

from annotator.domain.answering.zoom import Region
from annotator.domain.errors import ImageError
from annotator.domain.window import Window
from annotator.io.images import decoding, regions, tiff_regions, whole_slide
from annotator.io.images.reading import load_image, load_region, load_thumbnail
from tests.large_files import DARK, GREY, discs, write_pyramid

W, H = 1500, 1200
YY, XX = np.mgrid[:H, :W]
RGB = np.dstack([XX // 6, YY // 5, (XX + YY) // 11]).astype(np.uint8)
DEEP = (XX * 20 + YY).astype(np.uint16)
TILES = {"tile": (128, 128), "photometric": "rgb", "compression": "zlib"}


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    monkeypatch.setattr(tiff_regions, "TILED_PIXELS", 100_000)
    monkeypatch.setattr(tiff_regions, "_BAND_BYTES", 200_000)
    monkeypatch.setattr(whole_slide, "TILED_PIXELS", 100_000)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pyramids")
    for name, is_below in (("below", True), ("behind", False)):
        with tifffile.TiffWriter(folder / f"{name}.tif", bigtiff=True) as writer:
            writer.write(RGB, subifds=2 if is_below else 0, **TILES)
            for step in (2, 4):
                writer.write(RGB[::step, ::step], subfiletype=1, **TILES)
    with tifffile.TiffWriter(folder / "ome.ome.tif", ome=True) as writer:
        writer.write(RGB, subifds=1, metadata={"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}, **TILES)
        writer.write(RGB[::2, ::2], subfiletype=1, **TILES)
    tifffile.imwrite(folder / "strips.tif", RGB, photometric="rgb", rowsperstrip=50)
    tifffile.imwrite(folder / "one strip.tif", RGB, photometric="rgb", rowsperstrip=H, byteorder=">")
    deep = np.stack([DEEP // 2, DEEP])
    tifffile.imwrite(folder / "imagej.tif", deep, imagej=True, rowsperstrip=H, metadata={"axes": "ZYX"})
    planes = np.ascontiguousarray(RGB.transpose(2, 0, 1))
    tifffile.imwrite(folder / "planes.tif", planes, photometric="rgb", planarconfig="separate", tile=(128, 128))
    tifffile.imwrite(folder / "deep.tif", DEEP, tile=(128, 128))
    shutil.copy(folder / "behind.tif", folder / "slide.svs")
    return folder


def read(path, region, size_wh=None, window=None):
    size_wh = size_wh or (region.width, region.height)
    return decoding.read_region(path, frame=0, region=region, size_wh=size_wh, window=window)


def overview(path):
    return decoding.load_image(path, may_be_overview=True)


@pytest.mark.parametrize(
    "name", ["below.tif", "behind.tif", "ome.ome.tif", "strips.tif", "one strip.tif", "planes.tif", "slide.svs"]
)
def test_a_region_has_the_very_pixels_of_the_picture(files, name):
    if name.endswith(".svs"):
        pytest.importorskip("openslide")
    for region in (Region(0, 0, 64, 64), Region(301, 207, 777, 600), Region(1400, 1101, W, H)):
        expected = RGB[region.y0 : region.y1, region.x0 : region.x1]
        np.testing.assert_array_equal(read(files / name, region), expected)


@pytest.mark.parametrize("name", ["below.tif", "strips.tif", "slide.svs"])
def test_a_region_is_read_smaller_and_lies_where_it_should(files, name):
    if name.endswith(".svs"):
        pytest.importorskip("openslide")
    small = read(files / name, Region(200, 400, 1000, 1200), (200, 200))
    assert small.shape == (200, 200, 3)
    expected = RGB[400:1200, 200:1000].reshape(200, 4, 200, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - expected).max() <= 2


@pytest.mark.parametrize("name", ["below.tif", "ome.ome.tif", "planes.tif", "deep.tif", "slide.svs"])
def test_the_overview_shows_all_of_it(files, name, monkeypatch):
    if name.endswith(".svs"):
        pytest.importorskip("openslide")
    monkeypatch.setattr(decoding, "read_overview", lambda found: regions.read_overview(found, 400))
    image = overview(files / name)
    assert (image.width, image.height) == (W, H)
    height, width = image.rgb.shape[:2]
    assert 200 <= width <= 400
    assert abs(width / height - W / H) < 0.02
    assert "1,500 x 1,200" in image.note
    assert image.sha256 == ""
    if name == "ome.ome.tif":
        assert image.spacing_mm == pytest.approx((0.0005, 0.0005))


def test_only_what_a_region_touches_is_decoded(files, monkeypatch):
    decoded = []
    real = tiff_regions._decoded

    def noted(page, number):
        decoded.append(page.imagewidth)
        return real(page, number)

    monkeypatch.setattr(tiff_regions, "_decoded", noted)
    read(files / "below.tif", Region(130, 130, 250, 250))
    assert decoded == [W]
    decoded.clear()
    read(files / "below.tif", Region(0, 0, 512, 512), (128, 128))
    assert decoded == [W // 4]


def test_all_regions_of_deep_numbers_have_the_greys_of_the_overview(files):
    image = overview(files / "deep.tif")
    assert image.native is not None
    window = image.native.default
    dark, bright = Region(0, 0, 100, 100), Region(1300, 1000, 1400, 1100)
    for region in (dark, bright):
        part = DEEP[region.y0 : region.y1, region.x0 : region.x1]
        got = read(files / "deep.tif", region, window=window)
        low, high = window.limits
        wanted = np.clip((part - low) / (high - low), 0, 1) * 255
        assert np.abs(got[..., 0] - wanted).max() <= 1


def test_a_page_of_one_strip_is_read_row_by_row_and_needs_no_more_memory(files, monkeypatch):
    path, region = files / "imagej.tif", Region(300, 500, 700, 900)
    monkeypatch.setattr(tiff_regions, "_MOST_SEGMENT_BYTES", 300_000)  # the strip has 3.6 million
    page = decoding.load_image(path, frame=1, may_be_overview=True)
    assert (page.width, page.height) == (W, H)
    assert "read as it is looked at" in page.note
    low, high = 5_000.0, 30_000.0
    window = Window.of_range(low, high)
    wanted = np.clip((DEEP[500:900, 300:700] - low) / (high - low), 0, 1) * 255
    for size in (400, 100):
        got = decoding.read_region(path, frame=1, region=region, size_wh=(size, size), window=window)
        assert got.shape == (size, size, 3)
        assert np.abs(got[..., 0] - wanted[:: 400 // size, :: 400 // size]).max() <= (1 if size == 400 else 2)


def test_who_does_not_ask_for_an_overview_gets_the_whole_picture(files):
    whole = decoding.load_image(files / "below.tif")
    np.testing.assert_array_equal(whole.rgb, RGB)
    assert len(whole.sha256) == 64


def test_a_file_that_is_cut_off_or_damaged_says_so(files, tmp_path):
    data = (files / "below.tif").read_bytes()
    damaged = bytearray(data)
    with tifffile.TiffFile(files / "below.tif") as file:
        page = file.pages[0]
        at, count = page.dataoffsets[-1], page.databytecounts[-1]
    damaged[at : at + count] = bytes(count)
    (tmp_path / "damaged.tif").write_bytes(damaged)
    np.testing.assert_array_equal(read(tmp_path / "damaged.tif", Region(0, 0, 90, 90)), RGB[:90, :90])
    with pytest.raises(ImageError, match=r"damaged\.tif is damaged"):
        read(tmp_path / "damaged.tif", Region(W - 60, H - 40, W, H))
    (tmp_path / "cut.tif").write_bytes(data[: page.dataoffsets[60]])
    with pytest.raises(ImageError, match=r"cut\.tif is (cut off|a damaged TIFF|damaged)"):
        overview(tmp_path / "cut.tif")


def test_a_level_that_is_cut_off_is_done_without(files, tmp_path):
    data = (files / "below.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(data[: len(data) - 20_000])
    small = read(tmp_path / "cut.tif", Region(0, 0, 1200, 1200), (300, 300))
    expected = RGB[:1200, :1200].reshape(300, 4, 300, 4, 3).mean(axis=(1, 3))
    assert np.abs(small - expected).max() <= 2


def test_a_picture_that_was_replaced_is_not_read_beyond_its_end(files, tmp_path):
    with pytest.raises(ImageError, match="was replaced by another picture"):
        read(files / "below.tif", Region(1400, 0, 1600, 100))
    tifffile.imwrite(tmp_path / "small.tif", RGB[:50, :50])
    with pytest.raises(ImageError, match="was replaced by another picture"):
        read(tmp_path / "small.tif", Region(0, 0, 10, 10))


def test_without_openslide_one_sentence_says_what_to_install(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "openslide", None)
    with pytest.raises(ImageError, match=r"slide\.svs is a whole-slide file.*pip install 'annotator\[wsi\]'"):
        overview(files / "slide.svs")


def test_what_is_no_slide_is_said_to_be_none(tmp_path):
    pytest.importorskip("openslide")
    (tmp_path / "text.svs").write_text("no slide at all")
    with pytest.raises(ImageError, match=r"text\.svs is no whole-slide file"):
        overview(tmp_path / "text.svs")


def test_thirty_thousand_pixels_a_side_through_the_reader_processes(tmp_path):
    path = write_pyramid(tmp_path / "large.tif", 30_000, levels=5)
    image = load_image(path, may_be_overview=True)
    assert (image.width, image.height) == (30_000, 30_000)
    assert max(image.rgb.shape) <= 3072
    assert image.regions is not None
    part = load_region(image.regions, Region(20_480, 10_240, 21_504, 11_264), (1024, 1024))
    np.testing.assert_array_equal(part[..., 0], discs(0, 0, 1024, 1, 1024, 40))
    assert set(np.unique(part)) == {DARK, GREY}
    assert max(load_thumbnail(path, max_side=100).shape) == 100
    with pytest.raises(ImageError, match="too large: 30000 x 30000"):
        load_image(path)
