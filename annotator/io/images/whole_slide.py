"""Whole-slide files of microscopes' makers, read with OpenSlide (the extra ``[wsi]``), region by region."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from annotator.domain.answering.zoom import Region
from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.io.images.claims import ask_for
from annotator.io.images.colours import Shown
from annotator.io.images.display import flatten_alpha
from annotator.io.images.reader import COPY_AGAIN, Pixels, RgbArray, check_frame, check_size
from annotator.io.images.regions import TILED_PIXELS, Level, Pyramid, full_size, read_overview
from annotator.io.images.suffixes import SLIDE_SUFFIXES

_BAND_PIXELS = 16_000_000


class WholeSlideReader:
    """SVS, NDPI, MRXS, SCN, BIF, VMS, VMU: what OpenSlide opens."""

    name = "wsi"
    version = 1
    suffixes = SLIDE_SUFFIXES

    def sniff(self, head: bytes) -> bool:
        """Most are TIFF files by their first bytes: the suffix decides."""
        return False

    def read(self, stream: BinaryIO, name: str, *, frame: int, max_pixels: int) -> Pixels:
        check_frame(name, frame, 1)
        with _opened(stream, name) as slide:
            full = slide.levels[0]
            check_size(name, full.width, full.height, max_pixels)
            ask_for(name, full.width, full.height, 7)
            shown = slide.read(0, Region(0, 0, full.width, full.height), 1)
            return Pixels(shown.rgb, spacing_mm=slide.spacing_mm)

    def size(self, stream: BinaryIO, name: str) -> tuple[int, int]:
        with _opened(stream, name) as slide:
            return full_size(slide, name)

    def thumbnail(self, stream: BinaryIO, name: str, *, max_side: int, max_pixels: int) -> RgbArray:
        with _opened(stream, name) as slide:
            return read_overview(slide, 2 * max_side).rgb

    @contextmanager
    def pyramid(self, stream: BinaryIO, name: str, *, frame: int) -> Iterator[Pyramid | None]:
        """See :class:`annotator.io.images.regions.RegionReader`."""
        check_frame(name, frame, 1)
        with _opened(stream, name) as slide:
            full = slide.levels[0]
            yield slide if full.width * full.height > TILED_PIXELS else None


class _Slide:
    """See :class:`annotator.io.images.regions.Pyramid`."""

    def __init__(self, slide: Any, name: str) -> None:
        self._slide, self._name = slide, name
        sizes, steps = slide.level_dimensions, slide.level_downsamples
        self.levels = tuple(Level(int(w), int(h), float(step)) for (w, h), step in zip(sizes, steps, strict=True))
        self.spacing_mm = _spacing(slide.properties)

    def read(self, level: int, region: Region, step: int) -> Shown:
        """Band by band, so that a large region costs no more than what is kept of it."""
        scale, width = self.levels[level].step, region.width
        rows, columns = -(-region.height // step), -(-width // step)
        ask_for(self._name, 1, 1, 3 * rows * columns + 8 * min(_BAND_PIXELS, width * region.height))
        out = np.empty((rows, columns, 3), np.uint8)
        at_once = max(step, _BAND_PIXELS // width // step * step)
        for top in range(0, region.height, at_once):
            height = min(at_once, region.height - top)
            corner = (round(region.x0 * scale), round((region.y0 + top) * scale))
            rgba = np.asarray(self._slide.read_region(corner, level, (width, height)))[::step, ::step]
            # What no scanner has looked at is transparent.
            band = flatten_alpha(np.ascontiguousarray(rgba[:, :, :3]), np.ascontiguousarray(rgba[:, :, 3]))
            out[top // step : top // step + band.shape[0]] = band
        return Shown(out, "")


@contextmanager
def _opened(stream: BinaryIO, name: str) -> Iterator[_Slide]:
    try:
        import openslide
    except ImportError as error:
        what = f"{brief(name)} is a whole-slide file, for which OpenSlide is needed."
        raise ImageError(what, "Run: pip install 'annotator[wsi]'") from error
    path = os.fspath(stream.name)
    try:
        slide = openslide.OpenSlide(path)
    except openslide.OpenSlideUnsupportedFormatError as error:
        raise ImageError(f"{brief(name)} is no whole-slide file that OpenSlide knows.", COPY_AGAIN) from error
    with slide:
        yield _Slide(slide, name)


def _spacing(properties: Any) -> tuple[float, float] | None:
    """Millimetres, from micrometres."""
    try:
        x, y = (float(properties[f"openslide.mpp-{axis}"]) / 1000.0 for axis in "xy")
    except (KeyError, ValueError):
        return None
    return (x, y) if x > 0 and y > 0 else None
