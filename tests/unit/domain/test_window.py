"""Windows as values, and pictures through them, beside pydicom's own windowing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_windowing

from annotator.domain.greys import apply_window, count_numbers, counted_percentile_range, percentile_range
from annotator.domain.window import FUNCTIONS, Window, window_from_json
from annotator.domain.windowing import Native, bytes_for, is_blank, show, spread_of, through

finite = st.floats(-1e6, 1e6)
windows = st.builds(
    Window,
    centre=finite,
    width=st.floats(1.0, 1e6),
    function=st.sampled_from(FUNCTIONS),
    is_inverted=st.booleans(),
    gamma=st.floats(0.1, 10.0),
    clahe=st.floats(0.0, 10.0),
)


def grey(values: np.ndarray, window: Window | None = None, **more: object) -> np.ndarray:
    """The first channel of a picture of one row or more."""
    shown = show(Native(values, Window.of_range(0.0, 255.0), **more), window)
    assert shown.shape == (*values.shape[:2], 3)
    assert shown.dtype == np.uint8
    assert shown.flags.c_contiguous
    return shown[..., 0]


# --- the value ------------------------------------------------------------------------------------------------------


@given(windows)
def test_a_window_comes_back_from_its_text_and_its_key_tells_it_apart(window: Window) -> None:
    again = window_from_json(window.to_json())
    assert again == window
    assert again is not None
    assert again.key() == window.key()


@given(windows, windows)
def test_two_windows_have_one_key_only_when_they_are_equal(one: Window, other: Window) -> None:
    assert (one.key() == other.key()) == (one == other)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "null", "{}", '{"version": 2}', '{"version": 1, "centre": 1}', "[" * 100_000],
)
def test_what_is_no_window_is_none(text: str) -> None:
    assert window_from_json(text) is None


@pytest.mark.parametrize(("name", "value"), [("width", 0), ("width", math.inf), ("centre", math.nan), ("gamma", 0)])
def test_nonsense_is_refused_where_it_is_made_and_where_it_is_read(name: str, value: float) -> None:
    numbers = {"centre": 1.0, "width": 2.0, "gamma": 1.0, name: value}
    with pytest.raises(ValueError):
        Window(**numbers)
    good = Window(1.0, 2.0).to_json()
    for key, number in numbers.items():
        good = good.replace(f'"{key}": {float(getattr(Window(1.0, 2.0), key))}', f'"{key}": {number}')
    assert window_from_json(good.replace("nan", "NaN").replace("inf", "Infinity")) is None


@given(st.floats(-1e5, 1e5), st.floats(0.01, 1e5), st.sampled_from(FUNCTIONS))
def test_limits_are_kept_by_every_function(low: float, width: float, function: str) -> None:
    made = Window(0.0, 100.0, function).with_limits(low, low + width)
    assert made.limits == pytest.approx((low, low + width), rel=1e-9, abs=1e-6)


@given(windows, finite, finite)
def test_no_drag_leaves_the_values_behind(window: Window, dx: float, dy: float) -> None:
    dragged = window.dragged(dx, dy, (-1000.0, 3000.0))
    low, high = dragged.centre - dragged.width / 2, dragged.centre + dragged.width / 2
    assert low <= 3000.0 + 1e-6 * dragged.width
    assert high >= -1000.0 - 1e-6 * dragged.width
    assert dragged.width > 0


def test_a_drag_to_the_right_is_wider_and_up_is_brighter() -> None:
    window, within = Window(40.0, 400.0), (-1000.0, 1000.0)
    assert window.dragged(50, 0, within).width > 400.0
    assert window.dragged(0, -50, within).centre < 40.0
    assert 400.0 < window.dragged(50, 0, within, is_fine=True).width < window.dragged(50, 0, within).width


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_brightness_and_contrast_are_a_window_in_other_words(brightness: float, contrast: float) -> None:
    whole = Window.of_range(0.0, 255.0)
    made = whole.with_brightness_contrast(brightness, contrast, whole)
    assert made.brightness_contrast(whole) == pytest.approx((brightness, contrast), abs=1e-9)


# --- the picture ----------------------------------------------------------------------------------------------------


def windowed_by_pydicom(values: np.ndarray, window: Window) -> np.ndarray:
    """0..255 by pydicom, which spreads a window over the whole range of the stored bits."""
    data = Dataset()
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsStored, data.PixelRepresentation = 16, int(values.dtype.kind == "i")
    data.WindowCenter, data.WindowWidth, data.VOILUTFunction = window.centre, window.width, window.function
    low, high = (-32768.0, 32767.0) if data.PixelRepresentation else (0.0, 65535.0)
    with np.errstate(over="ignore"):
        return (apply_windowing(values, data) - low) / (high - low) * 255.0


@given(
    st.lists(st.integers(-32768, 32767), min_size=1, max_size=50),
    st.integers(-30000, 30000),
    st.integers(2, 40000),
    st.sampled_from(FUNCTIONS),
    st.booleans(),
)
def test_a_window_shows_what_pydicom_shows(
    numbers: list[int], centre: int, width: int, function: str, is_signed: bool
) -> None:
    values = np.array([numbers], np.int16) if is_signed else np.array([numbers], np.int64).clip(0).astype(np.uint16)
    window = Window(float(centre), float(width), function)
    wanted = windowed_by_pydicom(values, window)
    assert np.abs(grey(values, window) - wanted).max() <= 0.5 + 1e-3
    assert np.array_equal(grey(values, window), apply_window(values, window.centre, window.width, function))


@given(
    st.sampled_from([np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32, np.float32, np.float64]),
    st.floats(0.1, 4.0),
    st.floats(-100.0, 100.0),
    windows,
)
def test_tables_and_arithmetic_give_the_same_greys(kind: type, slope: float, intercept: float, window: Window) -> None:
    """The way by a table (8 and 16 bits) and the way by numbers may not differ."""
    values = np.arange(0, 128, dtype=kind).reshape(4, 32)
    window = Window(window.centre % 300, 1 + window.width % 300, window.function, window.is_inverted, window.gamma)
    greys = np.rint(through(values.astype(np.float64) * slope + intercept, window) * 255).astype(np.uint8)
    wanted = ~greys if window.is_inverted else greys
    assert np.array_equal(grey(values, window, slope=slope, intercept=intercept), wanted)


@given(windows)
def test_a_window_never_turns_the_order_of_greys_round(window: Window) -> None:
    plain = Window(window.centre, window.width, window.function, window.is_inverted, window.gamma)
    greys = grey(np.linspace(-1e6, 1e6, 200)[None, :], plain)[0].astype(int)
    steps = np.diff(greys)
    assert (steps <= 0).all() if window.is_inverted else (steps >= 0).all()


def test_inversion_is_of_the_picture_as_it_is_shown_and_no_data_stays_black() -> None:
    values = np.array([[0.0, 50.0, 100.0, np.nan]], np.float32)
    window = Window.of_range(0.0, 100.0)
    assert grey(values, window).tolist() == [[0, 128, 255, 0]]
    inverted = Window.of_range(0.0, 100.0).__class__(50.0, 100.0, is_inverted=True)
    assert grey(values, inverted).tolist() == [[255, 127, 0, 0]]
    assert grey(values, inverted, is_inverted=True).tolist() == [[0, 128, 255, 0]]
    empty = np.array([[True, False, False, False]])
    assert grey(values, inverted, empty=empty).tolist() == [[0, 127, 0, 0]]


def test_opacity_lies_on_grey_whatever_the_window() -> None:
    values = np.full((2, 2), 1000, np.uint16)
    opacity = np.array([[0, 255], [255, 0]], np.uint8)
    assert grey(values, Window.of_range(0, 10), opacity=opacity).tolist() == [[128, 255], [255, 128]]


def test_gamma_lifts_the_middle_and_keeps_the_ends() -> None:
    values = np.array([[0, 128, 255]], np.uint8)
    bright = grey(values, Window(127.5, 255.0, gamma=2.0))[0]
    assert bright[0] == 0
    assert bright[2] == 255
    assert bright[1] == round(255 * math.sqrt(128 / 255))


@pytest.mark.parametrize("shape", [(64, 64), (64, 64, 3)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_local_contrast_brings_out_what_is_faint(shape: tuple[int, ...], kind: type) -> None:
    values = np.full(shape, 100, kind)
    values[::2] += 4
    flat, local = Window.of_range(0.0, 255.0), Window(127.5, 255.0, clahe=4.0)
    assert np.ptp(grey(values, flat)) < np.ptp(grey(values, local).astype(int))


@given(st.integers(1, 700), st.integers(1, 40))
def test_bands_meet_without_a_seam(height: int, width: int) -> None:
    values = (np.arange(height * width).reshape(height, width) % 4096).astype(np.uint16)
    window = Window(2000.0, 3000.0)
    assert np.array_equal(grey(values, window), apply_window(values, 2000.0, 3000.0, "LINEAR_EXACT"))


def test_a_picture_of_8_bits_through_its_own_window_is_the_very_picture() -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    native = Native.of_rgb(rgb)
    assert show(native) is rgb
    assert show(native, native.default) is rgb
    assert np.array_equal(show(native, Window(127.5, 255.0, is_inverted=True)), ~rgb)
    assert not native.is_deep


def test_the_native_numbers_are_not_touched() -> None:
    values = np.random.default_rng(0).integers(0, 4096, (40, 50)).astype(np.uint16)
    before = values.copy()
    values.setflags(write=False)
    for window in (Window(2000.0, 10.0), Window(100.0, 5.0, clahe=3.0, is_inverted=True), None):
        show(Native(values, Window.of_range(0, 4095)), window)
    assert np.array_equal(values, before)


# --- the spread -----------------------------------------------------------------------------------------------------


def test_the_spread_leaves_out_what_is_no_data() -> None:
    values = np.concatenate([np.full(100, -9999.0), np.linspace(0.0, 100.0, 900)]).reshape(10, 100).astype(np.float32)
    native = Native(values, Window.of_range(0, 1), slope=2.0, intercept=1.0, empty=values == -9999)
    spread = spread_of(native)
    assert (spread.least, spread.greatest) == pytest.approx((1.0, 201.0))
    assert spread.counts.sum() == 900
    assert spread.within == (spread.least, spread.greatest)


@pytest.mark.parametrize("values", [np.full((3, 3), np.nan, np.float32), np.full((3, 3), 7, np.uint16)])
def test_a_picture_without_any_contrast_has_a_spread(values: np.ndarray) -> None:
    spread = spread_of(Native(values, Window.of_range(0, 1)))
    assert spread.within[1] > spread.within[0]
    assert not is_blank(Window(1e6, 1.0), spread)  # nothing to be seen, whatever the window


@given(st.floats(-1e5, 1e5), st.floats(1.0, 1e5))
def test_a_window_is_blank_exactly_when_the_data_gets_two_greys_or_fewer(centre: float, width: float) -> None:
    values = np.linspace(0.0, 1000.0, 1024).reshape(32, 32)
    window = Window(centre, width)
    low, high = np.percentile(values, (0.2, 99.8))
    shown = show(Native(values, Window.of_range(0, 1)), window)[..., 0]
    inside = shown[(values >= low) & (values <= high)].astype(int)
    assert is_blank(window, spread_of(Native(values, Window.of_range(0, 1)))) == (np.ptp(inside) < 2)


pixels = st.lists(st.integers(-300, 300), min_size=1, max_size=60)
slopes = st.sampled_from([1.0, 2.5, -0.75, 0.0])


@given(pixels, slopes, st.integers(1, 30))
def test_numbers_that_are_counted_are_spread_as_if_they_were_sorted(
    numbers: list[int], slope: float, repeat: int
) -> None:
    values = np.repeat(np.array(numbers, np.int16), repeat).reshape(1, -1)
    found, sorted_ = (
        spread_of(Native(values.astype(kind), Window.of_range(0, 1), slope=slope, intercept=-7.0))
        for kind in (np.int16, np.int32)
    )
    assert (found.low, found.high) == (sorted_.low, sorted_.high)
    assert (found.least, found.greatest) == (sorted_.least, sorted_.greatest)
    assert np.array_equal(found.counts, sorted_.counts)
    assert found.counts.sum() == values.size
    assert np.array_equal(found.sample, sorted_.sample)
    units = np.sort(values.reshape(-1) * slope - 7.0)
    assert found.sample == pytest.approx(np.quantile(units, np.linspace(0, 1, found.sample.size)))


@given(pixels, slopes, st.integers(1, 30))
def test_percentiles_of_counted_numbers_are_those_of_the_numbers_to_the_bit(
    numbers: list[int], slope: float, repeat: int
) -> None:
    values = np.repeat(np.array(numbers, np.int16), repeat)
    distinct, often = count_numbers(values)
    assert counted_percentile_range(distinct * slope, often) == percentile_range(values * slope)


@pytest.mark.parametrize("kind", [np.uint16, np.float32, np.int32])
def test_a_reduced_picture_is_of_the_same_greys(kind: type) -> None:
    values = np.repeat(np.repeat(np.arange(100, dtype=kind).reshape(10, 10) * 10, 4, axis=0), 4, axis=1)
    small = Native(values, Window.of_range(0, 1000)).reduced(4)
    assert small.size_wh == (10, 10)
    assert np.array_equal(show(small), show(Native(values[::4, ::4], Window.of_range(0, 1000))))


def test_the_memory_that_it_will_take_is_known_before() -> None:
    native = Native(np.zeros((1000, 1000), np.uint16), Window.of_range(0, 1))
    assert bytes_for(native, native.default) == 3_000_000
    assert bytes_for(native, Window(1.0, 1.0, clahe=1.0)) > 3_000_000
