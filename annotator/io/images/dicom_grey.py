"""Stored numbers of a DICOM picture in grey to what is shown: rescale, padding, stored windows, the stretch.

A stored VOI table goes before a window, as the standard says, and of several windows the first. One that misses the
data (nearly everything would be one grey), or is none (width 0), is passed over; when no other is left, values are
stretched between robust percentiles, and the words say so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pydicom

from annotator.domain.greys import SAMPLE_VALUES, count_numbers, counted_percentile_range, has_few_numbers
from annotator.domain.window import Function, Window
from annotator.domain.windowing import Native
from annotator.io.images.colours import Shown, stretch_words
from annotator.io.images.dicom_facts import (
    all_numbers,
    functional_group,
    modality_of,
    number_in,
    value_of,
    whole_number,
)
from annotator.io.images.dicom_tables import read_table
from annotator.io.images.display import (
    BoolArray,
    ByteArray,
    apply_window,
    grey_to_rgb,
    percentile_range,
    scale_to_bytes,
)

Units = npt.NDArray[np.float64]
ToUnits = Callable[[Units], Units]
ToBytes = Callable[[Units], ByteArray]

_FEWEST_GREYS = 2
"""A window that gives the data no more than this many neighbouring greys shows nothing to the eye."""

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


@dataclass(frozen=True, slots=True)
class _Window:
    """A stored way to show units.

    Attributes:
        show: None when it cannot be used.
        value: the same as a window; None for a table.
    """

    show: ToBytes | None
    words: str
    value: Window | None = None


def show_grey(values: npt.NDArray[Any], dataset: pydicom.Dataset, frame: int) -> Shown:
    """H x W stored numbers as the file asks for them, inverted for MONOCHROME1; pixels of padding are black."""
    modality = _modality(dataset, frame)
    to_units = modality.to_units
    padding = _padding(values, dataset)
    population, often = _population(values, to_units, padding)
    low, high = percentile_range(population) if often is None else counted_percentile_range(population, often)
    chosen, why = _choose(dataset, frame, population, (low, high))
    words = why if chosen is None else chosen.words
    default = Window.of_range(low, high)
    is_plain = chosen is None and not words and values.dtype == np.uint8 and not has_rescale(dataset, frame)
    if is_plain and whole_number(dataset, "BitsStored", 8) == 8 and not 0 < high - low < _FEWEST_GREYS:
        grey, words, default = values, "", Window.of_range(0.0, 255.0)
        padding = None
    elif chosen is None or chosen.show is None:
        grey = _through(values, to_units, lambda x: scale_to_bytes(x, low, high))
        words = stretch_words(low, high) + words
    else:
        grey = _through(values, to_units, chosen.show)
        default = chosen.value or _nearest(chosen.show, low, high)
    is_inverted = _model(dataset) == "MONOCHROME1"
    if is_inverted:
        grey = ~grey
    if padding is not None:
        grey = np.where(padding, np.uint8(0), grey)
    native = _native(values, modality, dataset, default=default, padding=padding, is_inverted=is_inverted)
    rgb = grey_to_rgb(grey)
    if chosen is not None and chosen.value is None:
        native = replace(native, plain=rgb)  # no window says exactly what a table does
    return Shown(rgb, words, native)


def _native(
    values: npt.NDArray[Any],
    modality: _Modality,
    dataset: pydicom.Dataset,
    *,
    default: Window,
    padding: BoolArray | None,
    is_inverted: bool,
) -> Native:
    kind = modality_of(dataset) or values.dtype.name
    slope, intercept = modality.line or (1.0, 0.0)
    if modality.line is None:
        values = _tabled(values, lambda x: modality.to_units(x).astype(np.float32))
    unit = "HU" if kind == "CT" else ""
    return Native(values, default, slope, intercept, unit, is_inverted, padding, kind=kind)


def _nearest(show: ToBytes, low: float, high: float) -> Window:
    """The window that is closest to a table: from where it leaves black to where it reaches white."""
    units = np.linspace(low, high, 1024)
    greys = show(units).astype(np.int16)
    rising = greys[-1] >= greys[0]
    dark, bright = (units[greys <= greys.min() + 2], units[greys >= greys.max() - 2])
    if not rising or dark.size == 0 or bright.size == 0 or bright[0] <= dark[-1]:
        return Window.of_range(low, high)
    return Window.of_range(float(dark[-1]), float(bright[0]))


def has_rescale(dataset: pydicom.Dataset, frame: int) -> bool:
    """Whether stored numbers are not the units themselves."""
    group = functional_group(dataset, frame, "PixelValueTransformationSequence") or dataset
    return bool(value_of(dataset, "ModalityLUTSequence")) or "RescaleSlope" in group


def _model(dataset: pydicom.Dataset) -> str:
    return str(value_of(dataset, "PhotometricInterpretation") or "").strip().upper()


def _choose(
    dataset: pydicom.Dataset, frame: int, population: Units, limits: tuple[float, float]
) -> tuple[_Window | None, str]:
    """The first stored window that shows the data; else None and why there is none."""
    why = ""
    middle = population[(population >= limits[0]) & (population <= limits[1])]
    for window in _stored_windows(dataset, frame):
        if window.show is None:
            why = why or " (the stored window cannot be used)"
            continue
        shown = window.show(middle) if middle.size else np.zeros(1, np.uint8)
        if limits[0] == limits[1] or int(shown.max()) - int(shown.min()) >= _FEWEST_GREYS:
            return window, ""
        why = " (the stored window misses the data)"
    return None, why


def _stored_windows(dataset: pydicom.Dataset, frame: int) -> Iterator[_Window]:
    group = functional_group(dataset, frame, "FrameVOILUTSequence") or dataset
    for item in value_of(group, "VOILUTSequence") or []:
        yield _table_window(item, dataset)
    centres, widths = all_numbers(value_of(group, "WindowCenter")), all_numbers(value_of(group, "WindowWidth"))
    function = str(value_of(group, "VOILUTFunction") or "LINEAR").strip().upper()
    function = function if function in _FUNCTIONS else "LINEAR"
    for centre, width in zip(centres, widths, strict=False):
        # A width below 1 is none for LINEAR (PS3.3 C.11.2.1.2.1), one of 0 for no function.
        if centre is None or width is None or width <= 0 or (width < 1 and function == "LINEAR"):
            yield _Window(None, "")
        else:
            yield _window(centre, width, function)


def _window(centre: float, width: float, function: str) -> _Window:
    words = f"window {width:g}/{centre:g}" + ("" if function == "LINEAR" else f" {function.lower()}")
    value = Window(centre, width, cast(Function, function))
    return _Window(lambda x: apply_window(x, centre, width, function), words, value)


def _table_window(item: pydicom.Dataset, dataset: pydicom.Dataset) -> _Window:
    try:
        table = read_table(item, dataset)
    except (ValueError, TypeError, AttributeError):
        return _Window(None, "")
    full = float(2**table.bits - 1)
    return _Window(lambda x: scale_to_bytes(table(x), 0.0, full), "window table")


@dataclass(frozen=True, slots=True)
class _Modality:
    """How stored numbers become units; ``line``: slope and intercept, None for a table."""

    to_units: ToUnits
    line: tuple[float, float] | None = None


def _modality(dataset: pydicom.Dataset, frame: int) -> _Modality:
    """Stored numbers to the units of the window (Hounsfield, ...): a table, or slope and intercept. A slope of 0 is
    none."""
    items = value_of(dataset, "ModalityLUTSequence")
    if items:
        table = read_table(items[0], dataset)
        return _Modality(lambda x: table(x).astype(np.float64))
    group = functional_group(dataset, frame, "PixelValueTransformationSequence") or dataset
    slope, intercept = number_in(value_of(group, "RescaleSlope")), number_in(value_of(group, "RescaleIntercept"))
    a, b = slope or 1.0, intercept or 0.0

    def scaled(x: Units) -> Units:
        with np.errstate(over="ignore"):  # what grows beyond all numbers is white
            return x * a + b

    return _Modality(scaled, (a, b))


def _padding(values: npt.NDArray[Any], dataset: pydicom.Dataset) -> BoolArray | None:
    """H x W, True where a stored number means that there is no data; None when none does. The element's type may differ
    from the pixels': -2000 is written as 63536, too."""
    if values.dtype.kind == "f":
        wanted = number_in(
            value_of(dataset, "FloatPixelPaddingValue") or value_of(dataset, "DoubleFloatPixelPaddingValue")
        )
        found = np.isnan(values) if wanted is None else np.isnan(values) | (values == values.dtype.type(wanted))
        return found if bool(found.any()) else None
    ends = [number_in(value_of(dataset, name)) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None:
        return None
    first, last = (_as_stored(end, values, dataset) for end in (ends[0], ends[0] if ends[1] is None else ends[1]))
    found = (values >= min(first, last)) & (values <= max(first, last))
    return found if bool(found.any()) else None


def _as_stored(number: float, values: npt.NDArray[Any], dataset: pydicom.Dataset) -> int:
    """A number in the sign and bits of the stored ones."""
    whole, own_bits = int(number), values.dtype.itemsize * 8
    if values.dtype.kind == "i" and whole > 0:
        for bits in (own_bits, whole_number(dataset, "BitsStored", 16)):
            if 1 << (bits - 1) <= whole < 1 << bits:
                return whole - (1 << bits)
    if values.dtype.kind == "u" and whole < 0:
        return whole + (1 << own_bits)
    return whole


def _population(
    values: npt.NDArray[Any], to_units: ToUnits, padding: BoolArray | None
) -> tuple[Units, npt.NDArray[np.int64] | None]:
    """The units that the data have, one-dimensional, and how often each occurs; None: as often as it is there (of large
    pictures, a share of it)."""
    kept = values.reshape(-1) if padding is None else values[~padding]
    if not has_few_numbers(values):
        units = to_units(kept.astype(np.float64))
        return units[np.isfinite(units)], None
    numbers, often = count_numbers(kept)
    units = to_units(numbers.astype(np.float64))
    is_finite = np.isfinite(units)
    units, often = units[is_finite], often[is_finite]
    share = -(-values.size // SAMPLE_VALUES)
    return (units, often) if share <= 1 else (np.repeat(units, -(-often // share)), None)


def _through(values: npt.NDArray[Any], to_units: ToUnits, show: ToBytes) -> ByteArray:
    grey: ByteArray = _tabled(values, lambda x: show(to_units(x)))
    return grey


def _tabled(values: npt.NDArray[Any], convert: Callable[[Units], npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Stored numbers converted one by one, or by a table of all that there can be."""
    if not has_few_numbers(values):
        return convert(values.astype(np.float64))
    # The table is read by the bits of a number, whatever its sign.
    codes = np.arange(2 ** (8 * values.dtype.itemsize)).astype(f"u{values.dtype.itemsize}")
    table = convert(codes.view(values.dtype.newbyteorder("=")).astype(np.float64))
    bits: Any = np.ascontiguousarray(values, values.dtype.newbyteorder("=")).view(codes.dtype)
    return np.asarray(table[bits])
