"""A picture's own numbers through a window to the RGB that is shown and encoded. Pure functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.greys import (
    HIGH_PERCENT,
    LOW_PERCENT,
    BoolArray,
    ByteArray,
    count_numbers,
    flatten_alpha,
    has_few_numbers,
    linear_limits,
    scale_to_unit,
    sigmoid,
    unit_to_bytes,
)
from annotator.domain.window import CT_PRESETS, Preset, Window

WINDOWING_VERSION = 1
"""Part of the key of what is shown through a window: a change of these rules must not find old embeddings."""
_BAND_ROWS = 256
_CLAHE_TILES = (8, 8)
_FEWEST_GREYS = 2
"""A window that gives the data no more than this many neighbouring greys shows nothing to the eye."""
_CV_HAS_DEEP_TABLES = int(cv2.__version__.split(".")[0]) >= 5
UnitArray = npt.NDArray[np.float64]


_AVERAGED = (np.uint8, np.uint16, np.int16, np.float32)


def _smaller(array: npt.NDArray[Any], step: int) -> npt.NDArray[Any]:
    size = (max(1, -(-array.shape[1] // step)), max(1, -(-array.shape[0] // step)))
    return np.asarray(cv2.resize(np.ascontiguousarray(array), size, interpolation=cv2.INTER_AREA))


@dataclass(frozen=True, slots=True, eq=False)
class Native:
    """A picture's numbers, as deep as its file has them, and what they mean.

    Attributes:
        values: H x W (grey) or H x W x 3 (RGB), any real number type in native byte order; read-only.
        default: the window that the file asks for, or what is nearest to how it is shown without one.
        slope, intercept: ``values * slope + intercept`` are the units of every window.
        unit: their name, "" where nobody says ("HU" for CT).
        is_inverted: the least number is white (MONOCHROME1, white-is-zero).
        empty: H x W, True where there is no data; black.
        opacity: H x W uint8, 255 is opaque; None: all is.
        plain: H x W x 3 uint8, how the file asks to be shown, where ``default`` does not say it exactly (a table).
        kind: what pictures have presets in common: "CT", "MR", ... or the number type.
    """

    values: npt.NDArray[Any]
    default: Window
    slope: float = 1.0
    intercept: float = 0.0
    unit: str = ""
    is_inverted: bool = False
    empty: BoolArray | None = None
    opacity: ByteArray | None = None
    plain: ByteArray | None = None
    kind: str = ""

    @classmethod
    def of_rgb(cls, rgb: ByteArray) -> Native:
        """A picture of 8 bits: its numbers are what is shown."""
        return cls(rgb, Window.of_range(0.0, 255.0), plain=rgb, kind="uint8")

    @property
    def is_deep(self) -> bool:
        """Whether there is more in the numbers than 8 bits show; brightness and contrast else."""
        return self.values.dtype != np.uint8 or self.slope != 1.0 or self.intercept != 0.0

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.values.shape[1], self.values.shape[0]

    @property
    def nbytes(self) -> int:
        """Memory of all arrays."""
        return sum(array.nbytes for array in (self.values, self.empty, self.opacity, self.plain) if array is not None)

    def part(self, rows: slice, columns: slice) -> Native:
        """A part of the picture, without copying."""

        def cut(array: npt.NDArray[Any] | None) -> Any:
            return None if array is None else array[rows, columns]

        return replace(
            self, values=cut(self.values), empty=cut(self.empty), opacity=cut(self.opacity), plain=cut(self.plain)
        )

    def reduced(self, step: int) -> Native:
        """Smaller by a whole number, averaged, so that fine patterns keep their mean; what has no data anywhere near
        does not mix with data."""
        if step <= 1:
            return self
        thin = slice(None, None, step)
        if self.values.dtype in _AVERAGED and self.empty is None:
            opacity = None if self.opacity is None else _smaller(self.opacity, step)
            return replace(self, values=_smaller(self.values, step), opacity=opacity, plain=None)
        return replace(self.part(thin, thin), plain=None)


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """How the values of a picture are spread, in the units of windows.

    Attributes:
        low, high: robust percentiles of the data. least, greatest: its extremes.
        counts: of equally wide bins from ``least`` to ``greatest``; 256 of them.
        sample: sorted values, evenly through the data; 1024 or fewer, none for a picture without data.
    """

    low: float
    high: float
    least: float
    greatest: float
    counts: npt.NDArray[np.int64]
    sample: UnitArray = field(default_factory=lambda: np.zeros(0))

    @property
    def within(self) -> tuple[float, float]:
        """For drags: least and greatest value, never equal."""
        return self.least, self.greatest if self.greatest > self.least else self.least + 1.0


_SPREAD_VALUES = 300_000
_BINS, _SAMPLE = 256, 1024


def spread_of(native: Native) -> Spread:
    """The spread of the data; of a large picture, of a grid of some hundred thousand values."""
    values = native.values
    step = max(1, int(np.sqrt(values.size / _SPREAD_VALUES)))
    part = values[::step, ::step]
    counted: Any = ...
    if native.empty is not None or native.opacity is not None:
        counted = np.ones(part.shape, np.bool_)
    if native.empty is not None:
        counted &= ~_as_planes(native.empty[::step, ::step], part)
    if native.opacity is not None:
        counted &= _as_planes(native.opacity[::step, ::step] > 0, part)
    units, often = _distinct(part[counted].reshape(-1), native)
    if units.size == 0:
        return Spread(0.0, 1.0, 0.0, 1.0, np.zeros(_BINS, np.int64))
    ends = np.cumsum(often)
    low, high = (float(value) for value in _at_shares(units, ends, np.array((LOW_PERCENT, HIGH_PERCENT)) / 100.0))
    least, greatest = float(units[0]), float(units[-1])
    if high <= low:
        low, high = least, greatest
    span = min(max(greatest - least, 1e-300), 1e308)
    bins = np.minimum((units - least) / span * _BINS, _BINS - 1).astype(np.int64)
    counts = np.bincount(bins, often, minlength=_BINS).astype(np.int64)
    sample = _at_shares(units, ends, np.linspace(0.0, 1.0, min(_SAMPLE, int(ends[-1]))))
    return Spread(low, high, least, greatest, counts, sample)


def _distinct(values: npt.NDArray[Any], native: Native) -> tuple[UnitArray, npt.NDArray[np.int64]]:
    """Units that occur, in order, and how often. Numbers of 16 bits are counted, which is far quicker than to sort."""
    if has_few_numbers(values):
        numbers, often = count_numbers(values)
        units = _units(numbers.astype(np.float64), native)
        kept = np.isfinite(units)
        units, often = units[kept], often[kept]
        order = np.argsort(units, kind="stable")
        return units[order], often[order]
    units = _units(values.astype(np.float64), native)
    units = units[np.isfinite(units)]
    units.sort()
    return units, np.ones(units.size, np.int64)


def _at_shares(units: UnitArray, ends: npt.NDArray[np.int64], shares: UnitArray) -> UnitArray:
    """Quantiles of sorted units of which ``ends`` counts how many there are up to each."""
    places = shares * (int(ends[-1]) - 1)
    before = np.floor(places).astype(np.int64)
    low, high = (units[np.searchsorted(ends, np.minimum(at, ends[-1] - 1), "right")] for at in (before, before + 1))
    with np.errstate(over="ignore", invalid="ignore"):
        between = low + (high - low) * (places - before)
    return cast(UnitArray, np.where(np.isfinite(between), between, low))


def is_blank(window: Window, spread: Spread) -> bool:
    """Whether a window shows (nearly) nothing of the data: all of it in two neighbouring greys."""
    middle = spread.sample[(spread.sample >= spread.low) & (spread.sample <= spread.high)]
    if middle.size == 0 or spread.high <= spread.low:
        return False
    shown = unit_to_bytes(through(middle, window))
    return int(shown.max()) - int(shown.min()) < _FEWEST_GREYS


def through(units: UnitArray, window: Window) -> UnitArray:
    """Units to 0..1 by the window's function and gamma, without inversion and local contrast; NaN stays.

    For gamma 1 the greys are those of :func:`annotator.domain.greys.apply_window`.
    """
    if window.function == "SIGMOID":
        unit = sigmoid(units, window.centre, window.width)
    else:
        exact = window.function == "LINEAR_EXACT"
        half = window.width / 2
        low, high = (
            (window.centre - half, window.centre + half) if exact else linear_limits(window.centre, window.width)
        )
        unit = scale_to_unit(units, low, high) if high > low else np.where(units > low, 1.0, 0.0 * units)
    if window.gamma != 1.0:
        unit **= 1.0 / window.gamma
    return unit


def show(native: Native, window: Window | None = None) -> ByteArray:
    """The picture through a window.

    Args:
        window: None: as the file asks for.

    Returns:
        H x W x 3, uint8, C-contiguous, read-only. Without a window, and of 8 bits as they are, it may be the very
        array of the picture.
    """
    if native.plain is not None and (window is None or (window == native.default and not native.is_deep)):
        return native.plain
    window = native.default if window is None else window
    is_inverted = window.is_inverted is not native.is_inverted
    out = (_equalised if window.clahe else _streamed)(native, window, is_inverted)
    if native.opacity is not None:
        out = flatten_alpha(out, native.opacity)
    out.setflags(write=False)
    return out


def bytes_for(native: Native, window: Window) -> int:
    """Memory that :func:`show` takes at its peak, with its result."""
    width, height = native.size_wh
    alpha = 3 if native.opacity is not None else 0
    return width * height * (3 + alpha + (10 if window.clahe and native.values.ndim == 3 else 6 if window.clahe else 0))


def _streamed(native: Native, window: Window, is_inverted: bool) -> ByteArray:
    """Band by band, so that a large picture costs no copies but the one that is made."""
    height, width = native.values.shape[:2]
    out = np.empty((height, width, 3), np.uint8)
    greys = _converter(native, lambda units: _bytes(through(units, window), is_inverted), np.uint8)
    for start in range(0, height, _BAND_ROWS):
        rows = slice(start, start + _BAND_ROWS)
        band = greys(native.values[rows])
        if band.ndim == 2:
            cv2.cvtColor(band, cv2.COLOR_GRAY2RGB, dst=out[rows])
        else:
            out[rows] = band
        _blacken(out[rows], native, rows)
    return out


def _equalised(native: Native, window: Window, is_inverted: bool) -> ByteArray:
    """With local contrast: greys in 16 bits, so that stretching shows no steps; colours by their lightness."""
    clahe = cv2.createCLAHE(window.clahe, _CLAHE_TILES)
    height, width = native.values.shape[:2]
    if native.values.ndim == 3:
        rgb = _streamed(native, replace(window, clahe=0.0), is_inverted)
        lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
        lab[:, :, 0] = clahe.apply(np.ascontiguousarray(lab[:, :, 0]))
        out = np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)
        _blacken(out, native, slice(None))
        return out
    deep = np.empty((height, width), np.uint16)
    greys = _converter(native, lambda units: _words(through(units, window), is_inverted), np.uint16)
    for start in range(0, height, _BAND_ROWS):
        rows = slice(start, start + _BAND_ROWS)
        deep[rows] = greys(native.values[rows])
    grey = cv2.convertScaleAbs(clahe.apply(deep), alpha=255.0 / 65535.0)
    out = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)
    _blacken(out, native, slice(None))
    return out


def _converter(
    native: Native, convert: Callable[[UnitArray], npt.NDArray[Any]], to: type[np.uint8] | type[np.uint16]
) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    """Values to greys. Where there are so few possible numbers that all are worked out once, by a table."""
    if not has_few_numbers(native.values):
        return lambda band: convert(_units(band.astype(np.float64), native))
    size = native.values.dtype.itemsize
    codes = np.arange(2 ** (8 * size), dtype=np.uint8 if size == 1 else np.uint16)
    # The table is read by the bits of a number, whatever its sign.
    table = convert(_units(codes.view(native.values.dtype).astype(np.float64), native)).astype(to)

    def look_up(band: npt.NDArray[Any]) -> npt.NDArray[Any]:
        bits: Any = np.ascontiguousarray(band).view(codes.dtype)
        found = cv2.LUT(bits, cast(Any, table)) if _CV_HAS_DEEP_TABLES or size == 1 else table[bits]
        return np.asarray(found).reshape(bits.shape)

    return look_up


def _units(values: UnitArray, native: Native) -> UnitArray:
    if native.slope == 1.0 and native.intercept == 0.0:
        return values
    with np.errstate(over="ignore"):  # what grows beyond all numbers is white
        return values * native.slope + native.intercept


def _bytes(unit: UnitArray, is_inverted: bool) -> ByteArray:
    shown = unit_to_bytes(unit)
    if not is_inverted:
        return shown
    return np.where(np.isnan(unit), np.uint8(0), ~shown)


def _words(unit: UnitArray, is_inverted: bool) -> npt.NDArray[np.uint16]:
    """0..1 to 0..65535; NaN becomes 0."""
    shown = 1.0 - unit if is_inverted else unit
    return np.rint(np.nan_to_num(shown, nan=0.0) * 65535.0).astype(np.uint16)


def _blacken(rgb: ByteArray, native: Native, rows: slice) -> None:
    """Black where there is no data."""
    if native.empty is not None:
        rgb[native.empty[rows]] = 0
    if native.values.dtype.kind == "f":
        lost = np.isnan(native.values[rows])
        rgb[lost if lost.ndim == 2 else lost.all(axis=2)] = 0


def _as_planes(flags: BoolArray, like: npt.NDArray[Any]) -> BoolArray:
    """H x W flags for each number of an H x W or H x W x 3 array."""
    return flags if like.ndim == 2 else np.broadcast_to(flags[:, :, None], like.shape)


def presets_of(native: Native, spread: Spread) -> tuple[Preset, ...]:
    """The presets that make sense for a picture, in the order of their keys: those of CT in Hounsfield units, then what
    its own numbers say."""
    low, high = spread.low, spread.high
    own = [("Percentiles", low, high), ("Full range", spread.least, spread.greatest)]
    if not native.is_deep:
        own = [("Automatic", low, high), ("As stored", *native.default.limits)]
    made = [(title, Window.of_range(*limits)) for title, *limits in own]
    presets = tuple(Preset(title, window.centre, window.width) for title, window in made)
    return (*CT_PRESETS, *presets) if native.unit == "HU" else presets
