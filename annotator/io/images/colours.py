"""Numbers of a picture, with what they mean, to the RGB that is shown: grey, RGB, inks and L*a*b*, opacity, no-data.

Numbers of 8 bits in grey or RGB are never changed. Deeper ones are stretched (``display.py``) over what is data: pixels
without data, or wholly transparent, do not count. Inks and L*a*b* have a scale of their own and are converted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from annotator.domain.window import Window
from annotator.domain.windowing import Native
from annotator.io.images.display import (
    ALPHA_BACKGROUND,
    BoolArray,
    ByteArray,
    flatten_alpha,
    grey_to_rgb,
    orient,
    stretch_to_bytes,
)

ColourModel = Literal["grey", "rgb", "cmyk", "cielab", "icclab"]

_BASE_CHANNELS: dict[ColourModel, int] = {"grey": 1, "rgb": 3, "cmyk": 4, "cielab": 3, "icclab": 3}
_BLOCK_ROWS = 256
_SMALL_PIXELS = 4_000_000
_ON_GREY = "transparency shown on grey"
_EXACT_IN_FLOAT = 2**53

# Bradford's adaptation of the D50 white of L*a*b* to the D65 white of sRGB, times sRGB's matrix (IEC 61966-2-1).
_D50_WHITE = np.array((0.96422, 1.0, 0.82521))
_XYZ_D50_TO_SRGB = np.array(
    (
        (3.1338561, -1.6168667, -0.4906146),
        (-0.9787684, 1.9161415, 0.0334540),
        (0.0719453, -0.2289914, 1.4052427),
    )
)


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """A picture as it is stored.

    Attributes:
        values: H x W x C, any number type (complex numbers count by their magnitude).
        model: of the first channels; grey with three channels or more that are not opacity shows them as RGB.
        bits: that whole numbers use; None for all that their type has. Opacity and inks are full at the greatest number
            of so many bits, or at 1.0.
        alpha: the channel that is opacity; None without one.
        is_premultiplied: whether the colours have been multiplied by it.
        is_inverted: the smallest number is white.
        missing: a number that means "no data", besides NaN.
        holes: H x W, True where nothing is stored at all; shown black.
    """

    values: npt.NDArray[Any]
    model: ColourModel
    bits: int | None = None
    alpha: int | None = None
    is_premultiplied: bool = False
    is_inverted: bool = False
    missing: float | int | None = None
    holes: BoolArray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Samples as they are shown.

    Attributes:
        rgb: H x W x 3 uint8.
        words: what was done.
        native: the numbers, for other windows; None where 8 bits have all that there is.
    """

    rgb: ByteArray
    words: str
    native: Native | None = None

    def turned(self, orientation: int) -> Shown:
        """Upright, by an EXIF/TIFF orientation."""
        native = self.native
        if native is not None and orientation != 1:
            native = replace(
                native,
                values=orient(native.values, orientation),
                empty=None if native.empty is None else orient(native.empty, orientation),
                opacity=None if native.opacity is None else orient(native.opacity, orientation),
            )
        return replace(self, rgb=orient(self.rgb, orientation), native=native)


def thinning(width: int, height: int, max_side: int) -> int:
    """Take every so-manyth row and column for a thumbnail, before anything is made of a large picture: twice as many
    as wanted stay. Small pictures are averaged as a whole (1), so that fine patterns keep their mean."""
    return 1 if width * height <= _SMALL_PIXELS else max(1, max(width, height) // (2 * max_side))


def thin_samples(samples: Samples, max_side: int | None) -> Samples:
    """Every n-th row and column of a large picture (:func:`thinning`); ``max_side`` None: all."""
    height, width = samples.values.shape[:2]
    step = 1 if max_side is None else thinning(width, height, max_side)
    if step == 1:
        return samples
    holes = None if samples.holes is None else samples.holes[::step, ::step]
    return replace(samples, values=np.ascontiguousarray(samples.values[::step, ::step]), holes=holes)


def show_samples(samples: Samples) -> Shown:
    """As the file asks to be shown.

    Raises:
        ValueError: fewer channels than the colour model has, or inks and L*a*b* of a type that gives them no scale.
    """
    values = _real(samples.values)
    bits = None if samples.values.dtype.kind == "b" else samples.bits
    used, notes = _channels(values.shape[2], samples)
    colours = values[:, :, used]
    alpha = None if samples.alpha is None else unit_bytes(values[:, :, samples.alpha], bits)
    if alpha is not None and bool((alpha == 255).all()):
        alpha = None
    native: Native | None = None
    if samples.model == "cmyk":
        shown = cmyk_to_rgb(unit_bytes(colours, bits))
    elif samples.model in ("cielab", "icclab"):
        shown = lab_to_rgb(colours, is_icc=samples.model == "icclab")
    elif colours.dtype == np.uint8:
        shown = unit_bytes(colours, bits)
        if samples.is_premultiplied and alpha is not None:
            return Shown(_lay_premultiplied(_as_rgb(shown), alpha), ", ".join([*notes, _ON_GREY]))
    else:
        shown, low, high = _stretched(colours, values, alpha, samples)
        notes.append(stretch_words(low, high))
        native = _native(colours, alpha, samples, Window.of_range(low, high))
    if samples.is_inverted:
        shown = ~shown
    shown = _without_holes(_as_rgb(shown), colours, samples)
    if alpha is not None:
        shown = flatten_alpha(shown, alpha)
        notes.append(_ON_GREY)
    return Shown(shown, ", ".join(notes), native)


def _native(colours: npt.NDArray[Any], alpha: ByteArray | None, samples: Samples, default: Window) -> Native | None:
    """The numbers behind a stretch. Not those that are multiplied by their opacity, which are no colours, nor whole
    numbers that a float cannot tell apart: these have what is shown."""
    if samples.is_premultiplied and samples.alpha is not None:
        return None
    is_wide = colours.dtype.kind in "iu" and colours.dtype.itemsize == 8 and colours.size > 0
    if is_wide and max(abs(int(colours.min())), abs(int(colours.max()))) >= _EXACT_IN_FLOAT:
        return None
    absent = _absent(colours, samples)
    return Native(
        colours[:, :, 0] if colours.shape[2] == 1 else colours,
        default,
        is_inverted=samples.is_inverted,
        empty=None if absent is None else np.logical_and.reduce(absent, axis=2),
        opacity=alpha,
        kind=f"{colours.dtype.name}/{colours.shape[2]}",
    )


def unit_bytes(values: npt.NDArray[Any], bits: int | None = None) -> ByteArray:
    """Numbers with a scale of their own (opacity, inks) to 0..255: whole numbers are full at the greatest one of
    ``bits`` (default: of their type), others at 1; what is outside is cut off, and NaN is 0."""
    if values.dtype == np.uint8 and bits in (None, 8):
        return values
    full = 1.0
    if values.dtype.kind in "iu":
        full = float(np.iinfo(values.dtype).max if bits is None or values.dtype.kind == "i" else 2**bits - 1)
    out = np.empty(values.shape, np.uint8)
    for start in range(0, values.shape[0], _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        share = np.nan_to_num(values[rows].astype(np.float64), nan=0.0) / full
        out[rows] = np.rint(np.clip(share, 0.0, 1.0) * 255.0).astype(np.uint8)
    return out


def cmyk_to_rgb(ink: ByteArray) -> ByteArray:
    """Four inks, 0 to 255, on white paper: each colour is what its ink and the black one leave of the light."""
    left = 255 - ink.astype(np.uint16)
    return ((left[:, :, :3] * left[:, :, 3:] + 127) // 255).astype(np.uint8)


def lab_to_rgb(lab: npt.NDArray[Any], *, is_icc: bool) -> ByteArray:
    """CIE L*a*b* (D50) in TIFF's encodings to sRGB.

    Args:
        lab: H x W x 3, 8 or 16 bit.
        is_icc: a* and b* are stored from 0 up, zero in the middle (ICCLAB); else as signed numbers (CIELAB).

    Raises:
        ValueError: another number type.
    """
    if lab.dtype not in (np.uint8, np.int8, np.uint16, np.int16):
        raise ValueError("L*a*b* of this type has no fixed scale")
    bits = lab.dtype.itemsize * 8
    unsigned = lab.view(lab.dtype.str.replace("i", "u"))
    signed = unsigned.view(lab.dtype.str.replace("u", "i"))
    full, step = (255.0, 1.0) if bits == 8 else (65280.0 if is_icc else 65535.0, 256.0)
    out = np.empty((*lab.shape[:2], 3), np.uint8)
    for start in range(0, lab.shape[0], _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        lightness = unsigned[rows, :, 0].astype(np.float64) * (100.0 / full)
        if is_icc:
            chroma = (unsigned[rows, :, 1:3].astype(np.float64) - 2 ** (bits - 1)) / step
        else:
            chroma = signed[rows, :, 1:3].astype(np.float64) / step
        out[rows] = _lab_block(lightness, chroma)
    return out


def _lab_block(lightness: npt.NDArray[np.float64], chroma: npt.NDArray[np.float64]) -> ByteArray:
    y = (lightness + 16.0) / 116.0
    f = np.stack((y + chroma[:, :, 0] / 500.0, y, y - chroma[:, :, 1] / 200.0), axis=2)
    xyz = np.where(f > 6.0 / 29.0, f**3, (f - 4.0 / 29.0) * (3.0 * (6.0 / 29.0) ** 2)) * _D50_WHITE
    linear = np.clip(xyz @ _XYZ_D50_TO_SRGB.T, 0.0, 1.0)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1.0 / 2.4) - 0.055)
    shown: ByteArray = np.rint(srgb * 255.0).astype(np.uint8)
    return shown


def _real(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if values.dtype.kind == "c":
        magnitude: npt.NDArray[Any] = np.abs(values)
        return magnitude
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def _channels(count: int, samples: Samples) -> tuple[slice, list[str]]:
    """Which channels are shown, and a note where others are not."""
    base = _BASE_CHANNELS[samples.model]
    others = count - (samples.alpha is not None)
    if samples.model == "grey" and others >= 3:
        base = 3
    if others < base:
        raise ValueError(f"{count} channels are too few for {samples.model}")
    if others == base:
        return slice(0, base), []
    return slice(0, base), [f"first {base} of {others} channels" if base > 1 else f"channel 1 of {others}"]


def _stretched(
    colours: npt.NDArray[Any], values: npt.NDArray[Any], alpha: ByteArray | None, samples: Samples
) -> tuple[ByteArray, float, float]:
    """The colours in 8 bits, and the limits of the stretch."""
    where = None
    absent = _absent(colours, samples)
    if absent is not None or alpha is not None:
        where = np.ones(colours.shape, np.bool_) if absent is None else ~absent
        if alpha is not None:
            where &= (alpha > 0)[:, :, None]
    if samples.is_premultiplied and samples.alpha is not None:
        opacity = values[:, :, samples.alpha, None]
        full = 1.0
        if opacity.dtype.kind in "iu":
            full = float(np.iinfo(opacity.dtype).max if samples.bits is None else 2**samples.bits - 1)
        colours = np.divide(colours * np.float64(full), opacity, out=np.zeros(colours.shape), where=opacity > 0)
    return stretch_to_bytes(colours, where=where)


def stretch_words(low: float, high: float) -> str:
    """How a stretch is described."""
    return f"stretched {low:g} to {high:g}"


def _absent(colours: npt.NDArray[Any], samples: Samples) -> BoolArray | None:
    """H x W x C: the numbers that are no data; None when all are."""
    kinds: list[BoolArray] = []
    if colours.dtype.kind == "f":
        kinds.append(np.isnan(colours))
    if samples.missing is not None and _fits(samples.missing, colours.dtype):
        kinds.append(colours == colours.dtype.type(samples.missing))
    if samples.holes is not None:
        kinds.append(np.repeat(samples.holes[:, :, None], colours.shape[2], axis=2))
    if not kinds:
        return None
    absent: BoolArray = np.logical_or.reduce(kinds)
    return absent if bool(absent.any()) else None


def _fits(number: float, dtype: np.dtype[Any]) -> bool:
    """Whether a no-data number can occur in an array of a type."""
    if dtype.kind == "f":
        return True
    limits = np.iinfo(dtype)
    return float(number).is_integer() and limits.min <= number <= limits.max


def _without_holes(rgb: ByteArray, colours: npt.NDArray[Any], samples: Samples) -> ByteArray:
    """Black where nothing is stored, and where a number of more than 8 bits says that there is no data."""
    empty: BoolArray | None = samples.holes
    if colours.dtype != np.uint8 and samples.model in ("grey", "rgb"):
        absent = _absent(colours, samples)
        empty = None if absent is None else np.logical_and.reduce(absent, axis=2)
    if empty is not None and bool(empty.any()):
        rgb = np.where(empty[:, :, None], np.uint8(0), rgb)
    return rgb


def _as_rgb(shown: ByteArray) -> ByteArray:
    return grey_to_rgb(shown[:, :, 0]) if shown.shape[2] == 1 else np.ascontiguousarray(shown)


def _lay_premultiplied(rgb: ByteArray, alpha: ByteArray) -> ByteArray:
    """Colours that are multiplied by their opacity already, on the mid-grey background."""
    behind = (np.uint32(ALPHA_BACKGROUND) * (255 - alpha.astype(np.uint32)) + 127) // 255
    return np.minimum(rgb + behind[:, :, None], 255).astype(np.uint8)
