"""A binary mask: a boolean crop at a place in an image, and the COCO run-length codec.

The crop is all that is stored, so that memory and time follow the object, not the image. The codec works on runs:
it never makes an image-sized array, and a hostile run-length cannot make it allocate one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Mask:
    """A set of pixels of one image.

    Attributes:
        bits: bool, h x w (rows first), the crop; tight or not, read-only.
        x, y: column and row of the crop's top left pixel in the image.
        width, height: size of the whole image in pixels.

    Raises:
        ValueError: the crop is not a 2-D boolean array inside the image.
    """

    bits: BoolArray
    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.bits.ndim != 2 or self.bits.dtype != np.bool_:
            raise ValueError("a mask's crop is a 2-D boolean array")
        h, w = self.bits.shape
        if self.x < 0 or self.y < 0 or self.x + w > self.width or self.y + h > self.height:
            place = f"{w} x {h} at ({self.x}, {self.y})"
            raise ValueError(f"a crop of {place} leaves an image of {self.width} x {self.height}")
        self.bits.setflags(write=False)

    @classmethod
    def empty(cls, width: int, height: int) -> Mask:
        return cls(np.zeros((0, 0), np.bool_), 0, 0, width, height)

    @classmethod
    def from_full(cls, array: npt.NDArray[np.generic]) -> Mask:
        """The tight mask of an H x W array; non-zero is inside. The array is copied."""
        full = np.asarray(array) != 0
        if full.ndim != 2:
            raise ValueError("a full mask is a 2-D array")
        return cls(full, 0, 0, full.shape[1], full.shape[0]).tight()

    def tight(self) -> Mask:
        """The same pixels in the smallest crop (0 x 0 when empty); itself when that is what it has."""
        bits = self.bits
        if bits.size and all(line.any() for line in (bits[0], bits[-1], bits[:, 0], bits[:, -1])):
            return self  # looked at by its rim alone: of a large mask the rest takes milliseconds
        rows = np.flatnonzero(self.bits.any(axis=1))
        if rows.size == 0:
            return Mask.empty(self.width, self.height)
        columns = np.flatnonzero(self.bits.any(axis=0))
        y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
        return Mask(self.bits[y0:y1, x0:x1].copy(), self.x + x0, self.y + y0, self.width, self.height)

    @cached_property
    def area(self) -> int:
        """Number of pixels."""
        return int(np.count_nonzero(self.bits))

    @property
    def is_empty(self) -> bool:
        return not self.bits.any()  # ends at the first pixel, which the area does not

    @cached_property
    def bbox_xywh(self) -> tuple[int, int, int, int]:
        """The tight pixel box (x, y, w, h), w = last - first + 1; (0, 0, 0, 0) when empty."""
        rows = np.flatnonzero(self.bits.any(axis=1))
        if rows.size == 0:
            return 0, 0, 0, 0
        columns = np.flatnonzero(self.bits.any(axis=0))
        return (
            self.x + int(columns[0]),
            self.y + int(rows[0]),
            int(columns[-1] - columns[0]) + 1,
            int(rows[-1] - rows[0]) + 1,
        )

    def full(self) -> BoolArray:
        """An image-sized boolean array, H x W. Costs memory: not for a click."""
        out = np.zeros((self.height, self.width), np.bool_)
        h, w = self.bits.shape
        out[self.y : self.y + h, self.x : self.x + w] = self.bits
        return out

    def contains(self, x: float, y: float) -> bool:
        """Whether the pixel under an image position belongs to the mask."""
        column, row = int(np.floor(x)) - self.x, int(np.floor(y)) - self.y
        h, w = self.bits.shape
        return 0 <= row < h and 0 <= column < w and bool(self.bits[row, column])

    def has_pixel_in(self, x0: float, y0: float, x1: float, y1: float) -> bool:
        """Whether one of its pixels touches the inside of a rectangle (image pixels)."""
        top, bottom = (max(0, int(v) - self.y) for v in (np.floor(y0), np.ceil(y1)))
        left, right = (max(0, int(v) - self.x) for v in (np.floor(x0), np.ceil(x1)))
        return bool(self.bits[top:bottom, left:right].any())

    def intersection_area(self, other: Mask) -> int:
        self._check_same_image(other)
        x0, y0 = max(self.x, other.x), max(self.y, other.y)
        x1 = min(self.x + self.bits.shape[1], other.x + other.bits.shape[1])
        y1 = min(self.y + self.bits.shape[0], other.y + other.bits.shape[0])
        if x0 >= x1 or y0 >= y1:
            return 0
        return int(np.count_nonzero(self._window(x0, y0, x1, y1) & other._window(x0, y0, x1, y1)))

    def iou(self, other: Mask) -> float:
        """Intersection over union, 0..1; two empty masks agree (1)."""
        both = self.intersection_area(other)
        either = self.area + other.area - both
        return 1.0 if either == 0 else both / either

    def union(self, other: Mask) -> Mask:
        return self._combine(other, np.logical_or)

    def subtract(self, other: Mask) -> Mask:
        return self._combine(other, np.greater)

    def xor(self, other: Mask) -> Mask:
        return self._combine(other, np.not_equal)

    def same_pixels(self, other: Mask) -> bool:
        same_image = (self.width, self.height) == (other.width, other.height)
        return same_image and self.area == other.area and self.intersection_area(other) == self.area

    def rle(self) -> bytes:
        """COCO's compressed run-length ``counts`` of the whole image (column-major), as ASCII bytes."""
        return compress_counts(self._counts())

    @classmethod
    def from_rle(cls, counts: bytes | str, width: int, height: int, *, max_crop_bytes: int | None = None) -> Mask:
        """The mask of COCO's compressed ``counts``; for ``max_crop_bytes`` see :meth:`from_counts`.

        Raises:
            ValueError: the runs are damaged or do not add up to width * height, or the mask is too large.
        """
        return cls.from_counts(decompress_counts(counts), width, height, max_crop_bytes=max_crop_bytes)

    @classmethod
    def from_counts(cls, counts: IntArray, width: int, height: int, *, max_crop_bytes: int | None = None) -> Mask:
        """The mask of uncompressed COCO runs (background first, column-major).

        Args:
            max_crop_bytes: a larger crop (a byte a pixel) is refused before it is allocated: of runs that come from
                somebody else, two numbers can ask for gigabytes.

        Raises:
            ValueError: a run is negative, they do not add up to width * height, or the crop is too large.
        """
        if width <= 0 or height <= 0:
            raise ValueError(f"a mask needs a positive size, not {width} x {height}")
        runs = np.asarray(counts, np.int64).ravel()
        if runs.size and int(runs.min()) < 0:
            raise ValueError("a run length is negative")
        # Python's integers do not overflow: hostile runs may add up to 2**64 and more.
        if sum(runs.tolist()) != width * height:
            raise ValueError(f"the runs do not add up to {width} x {height} pixels")
        ends = np.cumsum(runs)
        starts, stops = ends[0::2][: runs.size // 2], ends[1::2]
        keep = stops > starts
        return _from_runs(starts[keep], stops[keep], width, height, max_crop_bytes)

    def _counts(self) -> IntArray:
        """Alternating background and foreground run lengths of the whole image in column-major order."""
        h, w = self.bits.shape
        total = self.width * self.height
        if h == 0 or w == 0 or self.area == 0:
            return np.array([total], np.int64)
        padded = np.zeros((w, h + 2), np.int8)
        padded[:, 1:-1] = self.bits.T
        change = np.diff(padded, axis=1)
        column, start_row = np.nonzero(change == 1)
        _, stop_row = np.nonzero(change == -1)
        base = (column.astype(np.int64) + self.x) * self.height + self.y
        starts, stops = base + start_row, base + stop_row
        # Runs that touch at the foot of one column and the head of the next are one run.
        joined = starts[1:] == stops[:-1]
        starts, stops = starts[np.r_[True, ~joined]], stops[np.r_[~joined, True]]
        edges = np.empty(2 * starts.size + 2, np.int64)
        edges[0], edges[-1] = 0, total
        edges[1:-1:2], edges[2:-1:2] = starts, stops
        counts = np.diff(edges)
        return counts if counts[-1] > 0 else counts[:-1]

    def _window(self, x0: int, y0: int, x1: int, y1: int) -> BoolArray:
        return self.bits[y0 - self.y : y1 - self.y, x0 - self.x : x1 - self.x]

    def _check_same_image(self, other: Mask) -> None:
        if (self.width, self.height) != (other.width, other.height):
            raise ValueError(
                f"masks of different images: {self.width} x {self.height} and {other.width} x {other.height}"
            )

    def _combine(self, other: Mask, operation: np.ufunc) -> Mask:
        self._check_same_image(other)
        x0, y0 = min(self.x, other.x), min(self.y, other.y)
        x1 = max(self.x + self.bits.shape[1], other.x + other.bits.shape[1])
        y1 = max(self.y + self.bits.shape[0], other.y + other.bits.shape[0])
        out = np.zeros((y1 - y0, x1 - x0), np.bool_)
        h, w = self.bits.shape
        out[self.y - y0 : self.y - y0 + h, self.x - x0 : self.x - x0 + w] = self.bits
        h, w = other.bits.shape
        second = np.zeros_like(out)
        second[other.y - y0 : other.y - y0 + h, other.x - x0 : other.x - x0 + w] = other.bits
        return Mask(operation(out, second), x0, y0, self.width, self.height).tight()


def _from_runs(starts: IntArray, stops: IntArray, width: int, height: int, max_crop_bytes: int | None) -> Mask:
    """The tight mask of foreground runs [start, stop) in column-major pixel order."""
    if starts.size == 0:
        return Mask.empty(width, height)
    first_column, last_column = starts // height, (stops - 1) // height
    x0, x1 = int(first_column[0]), int(last_column[-1]) + 1
    spans = bool((first_column != last_column).any())
    if spans:
        y0, y1 = 0, height
    else:
        y0, y1 = int((starts % height).min()), int(((stops - 1) % height).max()) + 1
    crop_height = y1 - y0
    crop_bytes = (x1 - x0) * crop_height
    if max_crop_bytes is not None and crop_bytes > max_crop_bytes:
        raise ValueError(f"covers {crop_bytes:,} pixels with its box, more than the limit of {max_crop_bytes:,}")
    if spans:
        flat_starts, flat_stops = starts - x0 * height, stops - x0 * height
    else:
        rows = starts - first_column * height - y0
        flat_starts = (first_column - x0) * crop_height + rows
        flat_stops = flat_starts + (stops - starts)
    edges = np.zeros(crop_bytes + 1, np.int8)
    edges[flat_starts] += 1
    np.subtract.at(edges, flat_stops, 1)
    np.cumsum(edges, dtype=np.int8, out=edges)
    bits = np.ascontiguousarray(edges[:-1].view(np.bool_).reshape(x1 - x0, crop_height).T)
    del edges
    return Mask(bits, x0, y0, width, height).tight()


def compress_counts(counts: IntArray) -> bytes:
    """COCO's string form of run lengths: differences to the count before last, 5 bits a character, offset 48."""
    values = np.asarray(counts, np.int64)
    deltas = values.copy()
    deltas[3:] -= values[1:-2]
    out = bytearray()
    for delta in deltas.tolist():
        more = True
        while more:
            chunk = delta & 0x1F
            delta >>= 5
            more = delta != -1 if chunk & 0x10 else delta != 0
            out.append((chunk | 0x20 if more else chunk) + 48)
    return bytes(out)


def decompress_counts(text: bytes | str) -> IntArray:
    """Run lengths of COCO's string form, the inverse of :func:`compress_counts`.

    Raises:
        ValueError: a character outside the alphabet, a cut-off number, or one of more than 60 bits.
    """
    try:
        raw = text.encode("ascii") if isinstance(text, str) else bytes(text)
    except UnicodeEncodeError as error:
        raise ValueError("run lengths hold a character outside ASCII") from error
    if not raw:
        raise ValueError("run lengths are empty")
    codes = np.frombuffer(raw, np.uint8).astype(np.int64) - 48
    if int(codes.min()) < 0 or int(codes.max()) > 63:
        raise ValueError("run lengths hold a character outside COCO's alphabet")
    last = (codes & 0x20) == 0
    if not bool(last[-1]):
        raise ValueError("run lengths are cut off")
    ends = np.flatnonzero(last)
    begins = np.r_[0, ends[:-1] + 1]
    lengths = ends - begins + 1
    if int(lengths.max()) > 12:
        raise ValueError("a run length is too large")
    place = np.arange(codes.size) - np.repeat(begins, lengths)
    values = np.add.reduceat((codes & 0x1F) << (5 * place), begins)
    negative = (codes[ends] & 0x10) != 0
    values = np.where(negative, values - (np.int64(1) << (5 * lengths)), values)
    # Undo the differences: every count from the fourth on adds the one two before it.
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
