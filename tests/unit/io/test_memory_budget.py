"""What one thing out of a file may take is asked before it is taken. Real files, small limits."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
import tifffile
from PIL import Image

from annotator import cli
from annotator.domain import budget
from annotator.domain.errors import ImageError, ModelError
from annotator.io.formats.coco.import_ import import_coco
from annotator.io.images import tiff, tiff_segments
from annotator.io.images.reading import load_image, load_thumbnail, read_size
from annotator.io.project.store import ProjectStore
from annotator.io.settings import Settings, apply_memory_limit
from tests.fuzz_images import dicom

MB = 1_000_000
RAMP = np.add.outer(np.arange(3000, dtype=np.uint16), np.arange(4000, dtype=np.uint16))


@pytest.fixture(autouse=True)
def limit() -> Iterator[Callable[[int], None]]:
    yield budget.set_limit_bytes
    budget.set_limit_bytes(None)


def test_the_message_names_file_need_and_limit(limit: Callable[[int], None]) -> None:
    limit(2_500 * MB)
    budget.ask("a.tif", 2_500 * MB)
    with pytest.raises(ModelError) as caught:
        budget.ask("a.tif", 6_800 * MB, error=ModelError)
    assert caught.value.message == "a.tif needs 6.8 GB of memory, the limit is 2.5 GB."
    assert "memory_limit_mib" in caught.value.advice


def test_the_limit_is_a_quarter_of_the_memory_or_what_the_settings_say(limit: Callable[[int], None]) -> None:
    assert budget.limit_bytes() == budget.machine_bytes() // 4
    assert 1 << 28 < budget.machine_bytes() < 1 << 50
    settings = Settings.load()
    settings.set("memory_limit_mib", 100)
    apply_memory_limit(settings)
    assert budget.limit_bytes() == 100 << 20
    settings.reset("memory_limit_mib")
    apply_memory_limit(settings)
    assert budget.limit_bytes() == budget.machine_bytes() // 4


def test_the_command_line_follows_the_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(np.zeros((1000, 1000, 3), np.uint8)).save(tmp_path / "a.png")
    Settings.load().set("memory_limit_mib", 5)
    assert cli.main(["predict", str(tmp_path / "a.png"), "--point", "9,9", "--out", str(tmp_path / "m.png")]) == 2
    assert "a.png needs 10 MB of memory, the limit is 5 MB." in capsys.readouterr().err


# --- images ----------------------------------------------------------------------------------------------------------


def test_a_deflated_dicom_is_counted_before_it_is_inflated(tmp_path: Path, limit: Callable[[int], None]) -> None:
    path = tmp_path / "bomb.dcm"
    whole = dicom(pydicom.uid.DeflatedExplicitVRLittleEndian, bytes(40 * 56))
    path.write_bytes(whole)
    assert load_image(path).width == 56
    inner = zlib.decompress(whole[whole.index(b"1.2.840.10008.1.2.1.99") + 22 :][_rest(whole) :], -zlib.MAX_WBITS)
    assert b"MONOCHROME2" in inner
    head = whole[: len(whole) - len(_deflated(whole))]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    tail = struct.pack("<HH2sHI", 0x7FE1, 0x1010, b"OB", 0, 300 * MB)
    data = packer.compress(inner + tail)
    for _ in range(300):
        data += packer.compress(bytes(MB))
    path.write_bytes(head + data + packer.flush())
    assert path.stat().st_size < MB
    limit(150 * MB)
    for ask in (load_image, load_thumbnail, read_size):
        with pytest.raises(ImageError, match=r"bomb\.dcm needs 1\d\d MB of memory, the limit is 150 MB"):
            ask(path)


def _deflated(whole: bytes) -> bytes:
    """The data set of a deflated file: what its meta group's length leaves."""
    (length,) = struct.unpack("<I", whole[140:144])
    return whole[144 + length :]


def _rest(whole: bytes) -> int:
    after = whole.index(b"1.2.840.10008.1.2.1.99") + 22
    return len(whole) - len(_deflated(whole)) - after


def deep_files(folder: Path) -> list[Path]:
    made = [folder / "tiles.tif", folder / "strips.tif", folder / "float.tif", folder / "grey.png"]
    tifffile.imwrite(made[0], RAMP, compression="zlib", tile=(256, 256))
    tifffile.imwrite(made[1], np.dstack([RAMP] * 3), photometric="rgb", rowsperstrip=64)
    tifffile.imwrite(made[2], RAMP.astype(np.float32), compression="zlib", rowsperstrip=64)
    cv2.imwrite(str(made[3]), RAMP)
    return made


def test_thumbnails_of_deep_images_need_little(tmp_path: Path, limit: Callable[[int], None]) -> None:
    """12 megapixels: the whole picture is refused, its thumbnail is made of one strip or tile at a time."""
    for path in deep_files(tmp_path):
        budget.set_limit_bytes(None)
        whole = cv2.resize(load_image(path).rgb, (200, 150), interpolation=cv2.INTER_AREA)
        limit(60 * MB if path.suffix == ".png" else 20 * MB)
        with pytest.raises(ImageError, match=rf"{path.name} needs .* the limit is"):
            load_image(path)
        thumbnail = load_thumbnail(path, max_side=200)
        assert thumbnail.shape == whole.shape
        assert np.abs(thumbnail.astype(int) - whole).max() <= 6


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("tile", [None, (32, 48)])
@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_thinned_pages_have_the_pixels_of_whole_ones(
    planar: str, compression: str | None, tile: tuple[int, int] | None, kind: str
) -> None:
    values = (np.arange(150 * 203 * 3) % 251).astype(kind).reshape(150, 203, 3)
    stored = np.moveaxis(values, 2, 0) if planar == "separate" else values
    file, layout = io.BytesIO(), {"tile": tile} if tile else {"rowsperstrip": 13}
    tifffile.imwrite(file, stored, photometric="rgb", planarconfig=planar, compression=compression, **layout)
    with tifffile.TiffFile(io.BytesIO(file.getvalue())) as opened:
        page = opened.pages[0]
        for step in (2, 3, 7):
            assert np.array_equal(tiff_segments.thinned_values(page, step), tiff._values(page)[::step, ::step])


def test_strips_that_are_not_listed_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((60, 24), 9, np.uint8), rowsperstrip=20)
    with tifffile.TiffFile(path) as opened:
        tags = opened.pages[0].tags
        length, offsets = tags["ImageLength"].valueoffset, tags["StripOffsets"]
        places = [
            (offsets.valueoffset, 3 * 4),
            (tags["StripByteCounts"].valueoffset, 3 * tags["StripByteCounts"].dtype),
        ]
    whole = path.read_bytes()
    path.write_bytes(whole[:length] + struct.pack("<I", 12_000_000) + whole[length + 4 :])
    for ask in (load_image, load_thumbnail):
        with pytest.raises(ImageError, match=r"a\.tif is cut off or damaged: it lists 3 of 600,000 strips"):
            ask(path)
    empty = bytearray(whole)
    for place, count in places[:1]:
        empty[place : place + count] = bytes(count)
    path.write_bytes(empty)
    with pytest.raises(ImageError, match="none of its strips or tiles is stored"):
        load_image(path)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "BMP", "PPM", "PCX"])
def test_a_head_that_claims_more_than_the_file_can_hold(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    Image.fromarray(np.zeros((100, 120), np.uint8)).save(path, kind)
    data = bytearray(path.read_bytes())
    if kind == "PNG":
        data[16:24] = struct.pack(">II", 20_000, 19_000)
        data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", 20_000, 19_000)
        at = data.index(b"\x2c", 13)
        data[at + 5 : at + 9] = struct.pack("<HH", 20_000, 19_000)
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", 20_000, 19_000)
    elif kind == "PPM":
        data = bytearray(data.replace(b"120 100", b"20000 19000", 1))
    else:
        data[8:12] = struct.pack("<HH", 19_999, 18_999)
        data[66:68] = struct.pack("<H", 20_000)
    path.write_bytes(data)
    for ask in (load_image, load_thumbnail):
        with pytest.raises(ImageError, match=r"cannot hold 20000 x 19000 pixels|cut off"):
            ask(path)


@pytest.mark.parametrize("kind", ["AVIF", "WEBP", "JPEG2000", "GIF", "PNG", "JPEG", "BMP", "PPM", "PCX", "TIFF"])
def test_the_emptiest_pictures_are_held(tmp_path: Path, kind: str) -> None:
    """As small as a file of a kind can be for its pixels."""
    path = tmp_path / f"a.{kind.lower()}"
    Image.fromarray(np.zeros((1500, 2000, 3), np.uint8)).save(path, kind)
    assert load_image(path).width == 2000
    assert load_thumbnail(path).shape == (120, 160, 3)


def test_four_bits_a_pixel_are_not_taken_for_a_file_that_is_too_short(tmp_path: Path) -> None:
    palette, row = bytes(range(64)), bytes(range(100))
    head = struct.pack("<2sIII", b"BM", 118 + 5000, 0, 118) + struct.pack(
        "<IiiHHIIiiII", *(40, 200, 50, 1, 4), *[0] * 6
    )
    (tmp_path / "a.bmp").write_bytes(head + palette + row * 50)
    assert load_image(tmp_path / "a.bmp").width == 200


# --- masks -----------------------------------------------------------------------------------------------------------


def test_a_mask_of_run_lengths_answers_to_the_budget(tmp_path: Path, limit: Callable[[int], None]) -> None:
    """A few runs that cover 16 megapixels with their box; the image beside it is only a header."""
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    head = bytearray((tmp_path / "a.png").read_bytes())
    head[16:24] = struct.pack(">II", 4000, 4000)
    head[29:33] = struct.pack(">I", zlib.crc32(bytes(head[12:29])))
    (tmp_path / "a.png").write_bytes(head)
    annotation = {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "segmentation": {"size": [4000, 4000], "counts": [10, 15_999_980, 10]},
    }
    document = {
        "images": [{"id": 1, "file_name": "a.png", "width": 4000, "height": 4000}],
        "categories": [{"id": 1, "name": "c"}],
        "annotations": [annotation],
    }
    (tmp_path / "c.json").write_text(json.dumps(document))
    limit(40 * MB)
    with ProjectStore.open_folder(tmp_path, author="me") as store:
        report = import_coco(store, tmp_path / "c.json")
    assert (report.objects, report.skipped) == (0, 1)
    assert any("more than the limit of 10,000,000" in problem for problem in report.problems)
