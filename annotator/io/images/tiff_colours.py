"""What the numbers of a TIFF page mean: its colours, opacity, missing values and orientation."""

from __future__ import annotations

import logging
from typing import Any

import numpy.typing as npt

from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.io.images.colours import ColourModel, Samples, Shown, show_samples
from annotator.io.images.display import BoolArray
from annotator.io.images.reader import CONVERT

_log = logging.getLogger(__name__)

OLD_JPEG, JPEG = 6, 7
WHITE_ZERO, _BLACK_ZERO, _RGB, PALETTE, _STENCIL, INKS, YCBCR, _CIELAB, _ICCLAB = 0, 1, 2, 3, 4, 5, 6, 8, 9
_LINEAR_RAW, _DEPTH = 34892, 51177
MODELS: dict[int, ColourModel] = {
    WHITE_ZERO: "grey",
    _BLACK_ZERO: "grey",
    _STENCIL: "grey",
    _DEPTH: "grey",
    _RGB: "rgb",
    YCBCR: "rgb",  # tifffile gives RGB for JPEG; others go to Pillow
    _LINEAR_RAW: "rgb",
    INKS: "cmyk",
    _CIELAB: "cielab",
    _ICCLAB: "icclab",
}
_PHOTOMETRIC, _EXTRA_SAMPLES, ORIENTATION, INK_SET, _GDAL_NODATA = 262, 338, 274, 332, 42113
CMYK_INKS = 1
_PREMULTIPLIED, _OPACITY = 1, 2


def can_show_parts(page: Any) -> bool:
    """Whether a part of a page can be shown by itself, as it lies in the file."""
    kind = photometric(page)
    is_odd = kind == YCBCR and page.compression != JPEG
    ink_set = page.tags.get(INK_SET)
    has_other_inks = kind == INKS and ink_set is not None and ink_set.value != CMYK_INKS
    cannot = getattr(page.decode, "__name__", "").startswith("decode_raise")
    return kind in MODELS and not is_odd and not has_other_inks and not cannot and orientation_of(page) == 1


def show_values(page: Any, values: npt.NDArray[Any], name: str, holes: BoolArray | None = None) -> Shown:
    """Numbers of a page that has no palette, or of a part of it, as the page says that they are to be shown.

    Raises:
        ImageError: its colours cannot be shown.
    """
    kind = photometric(page)
    alpha, is_premultiplied = alpha_of(page, MODELS[kind])
    samples = Samples(
        values,
        MODELS[kind],
        bits=_bits(page),
        alpha=alpha,
        is_premultiplied=is_premultiplied,
        is_inverted=kind == WHITE_ZERO,
        missing=_missing(page),
        holes=holes,
    )
    try:
        return show_samples(samples)
    except ValueError as error:
        _log.debug("%s: %s", name, error)
        raise unknown_colours(name, page) from error


def unknown_colours(name: str, page: Any) -> ImageError:
    kind = word_for(page.photometric)
    numbers = "" if page.dtype is None else f", {page.samplesperpixel} x {page.dtype}"
    return ImageError(f"{brief(name)} uses TIFF colours that cannot be shown ({kind}{numbers}).", CONVERT)


def photometric(page: Any) -> int:
    tag = page.tags.get(_PHOTOMETRIC)
    if tag is not None and isinstance(tag.value, int):
        return int(tag.value)
    return _RGB if page.samplesperpixel >= 3 else _BLACK_ZERO


def word_for(value: Any) -> str:
    """The name that the specification gives a number."""
    return getattr(value, "name", None) or f"number {int(value)}"


def alpha_of(page: Any, model: ColourModel) -> tuple[int | None, bool]:
    """The channel that the file calls opacity, and whether colours are multiplied by it. An extra channel of another
    kind (near infrared, filler) is none."""
    tag = page.tags.get(_EXTRA_SAMPLES)
    if tag is None:
        return None, False
    kinds = tag.value if isinstance(tag.value, tuple) else (tag.value,)
    first = int(page.samplesperpixel) - len(kinds)
    for place, kind in enumerate(kinds):
        if kind in (_PREMULTIPLIED, _OPACITY) and first + place > 0:
            return first + place, kind == _PREMULTIPLIED
    return None, False


def _bits(page: Any) -> int | None:
    stored = page.bitspersample
    return stored if isinstance(stored, int) and 0 < stored < page.dtype.itemsize * 8 else None


def _missing(page: Any) -> float | int | None:
    tag = page.tags.get(_GDAL_NODATA)
    if tag is None:
        return None
    text = str(tag.value).strip().strip("\0")
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def orientation_of(page: Any) -> int:
    tag = page.tags.get(ORIENTATION)
    return int(tag.value) if tag is not None and isinstance(tag.value, int) else 1
