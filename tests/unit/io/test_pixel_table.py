"""The table of pixels in docs/formats.md: every row is tried, and no row is without a trial."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from annotator.io.images.display import ALPHA_BACKGROUND
from annotator.io.images.reading import load_image
from tests.unit.io.pixel_values import COLOUR8, RAMP, SIDE, stretched
from tests.unit.io.test_dicom_kinds import write as write_dicom

DOCS = Path(__file__).parents[3] / "docs" / "formats.md"
GREY8 = COLOUR8[:, :, 0]
GREY16 = np.rint(RAMP * 3000 + 100).astype(np.uint16)


def tiff(path: Path, values: np.ndarray, **options: object) -> Path:
    tifffile.imwrite(path / "a.tif", values, **options)  # type: ignore[arg-type]
    return path / "a.tif"


def eight_bits(at: Path) -> tuple[Path, np.ndarray]:
    Image.fromarray(COLOUR8).save(at / "a.png")
    return at / "a.png", COLOUR8


def deeper(at: Path) -> tuple[Path, np.ndarray]:
    values = (RAMP * 3 - 1).astype(np.float32)
    return tiff(at, values), stretched(values)


def stored_window(at: Path) -> tuple[Path, np.ndarray]:
    path = write_dicom(at / "a.dcm", GREY16, WindowCenter=1600, WindowWidth=1001)
    return path, np.clip((GREY16 - 1599.5) / 1000 + 0.5, 0, 1) * 255


def several_windows(at: Path) -> tuple[Path, np.ndarray]:
    path = write_dicom(at / "a.dcm", GREY16, WindowCenter=[60000, 1600], WindowWidth=[10, 1001])
    return path, np.clip((GREY16 - 1599.5) / 1000 + 0.5, 0, 1) * 255


def inverted(at: Path) -> tuple[Path, np.ndarray]:
    return tiff(at, GREY8, photometric="miniswhite"), 255 - GREY8


def palette(at: Path) -> tuple[Path, np.ndarray]:
    colours = np.random.default_rng(1).integers(256, 65536, (3, 256)).astype(np.uint16)
    return tiff(at, GREY8, photometric="palette", colormap=colours), (colours[:, GREY8] >> 8).transpose(1, 2, 0)


def inks(at: Path) -> tuple[Path, np.ndarray]:
    ink = np.dstack([255 - COLOUR8, np.zeros(SIDE, np.uint8)])
    return tiff(at, ink, photometric="separated"), COLOUR8


def lab(at: Path) -> tuple[Path, np.ndarray]:
    values = np.zeros((*SIDE, 3), np.uint16)
    values[:, :12, 0] = 65535
    return tiff(at, values, photometric="cielab"), np.where(values[:, :, 0] > 0, 255, 0)


def ycbcr(at: Path) -> tuple[Path, np.ndarray]:
    even = np.full((*SIDE, 3), (180, 90, 40), np.uint8)
    Image.fromarray(even).convert("YCbCr").save(at / "a.tif")
    return at / "a.tif", even


def opacity(at: Path) -> tuple[Path, np.ndarray]:
    share = RAMP[:, :, None]
    values = np.dstack([COLOUR8, np.rint(RAMP * 255)]).astype(np.uint8)
    Image.fromarray(values).save(at / "a.png")
    return at / "a.png", COLOUR8 * share + ALPHA_BACKGROUND * (1 - share)


def others(at: Path) -> tuple[Path, np.ndarray]:
    values = np.dstack([COLOUR8, np.zeros(SIDE, np.uint8)])
    return tiff(at, values, photometric="rgb", extrasamples=["unspecified"]), COLOUR8


def no_data(at: Path) -> tuple[Path, np.ndarray]:
    values = GREY16.copy()
    values[:5] = 65535
    keep = values < 65535
    return tiff(at, values, extratags=[(42113, "s", 0, "65535", True)]), np.where(keep, stretched(values, keep), 0)


def turned(at: Path) -> tuple[Path, np.ndarray]:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(COLOUR8).save(at / "a.png", exif=exif)
    return at / "a.png", np.rot90(COLOUR8, -1)


def pages(at: Path) -> tuple[Path, np.ndarray]:
    with tifffile.TiffWriter(at / "a.tif") as file:
        file.write(COLOUR8[::2, ::2], photometric="rgb", subfiletype=1)
        file.write(COLOUR8, photometric="rgb")
    return at / "a.tif", COLOUR8


ROWS: dict[str, Callable[[Path], tuple[Path, np.ndarray]]] = {
    "grey or RGB of 8 bits or fewer": eight_bits,
    "more bits, signed, float, complex (magnitude)": deeper,
    "a window stored in DICOM, or a table of one": stored_window,
    "several windows": several_windows,
    "smallest value is white (MINISWHITE, MONOCHROME1)": inverted,
    "palette, also of 16 bits": palette,
    "CMYK of 8 or 16 bits, or float": inks,
    r"L\*a\*b\* of 8 or 16 bits (CIELAB, ICCLAB)": lab,
    "YCbCr of 8 bits": ycbcr,
    "opacity (straight or premultiplied)": opacity,
    "other channels (near infrared, filler)": others,
    "no data (GDAL_NODATA, NaN, PixelPaddingValue and its range, missing tiles)": no_data,
    "turned (EXIF, TIFF orientation)": turned,
    "pages and frames": pages,
}


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_table(tmp_path: Path, row: str) -> None:
    path, wanted = ROWS[row](tmp_path)
    wanted = wanted if wanted.ndim == 3 else np.dstack([wanted] * 3)
    assert np.abs(load_image(path).rgb.astype(float) - wanted).max() <= 2


def test_the_table_has_these_rows_and_no_others() -> None:
    text = DOCS.read_text(encoding="utf-8")
    table = text[text.index("| in the file | shown |") :]
    lines = table[: table.index("\n\n")].splitlines()[2:]
    assert [line.split("|")[1].strip() for line in lines] == list(ROWS)
