"""TIFF pages, decoded with tifffile: which pages are pictures, and what their numbers mean.

What libtiff has to convert (old JPEG, YCbCr that is not JPEG) is read with Pillow. What neither can show is refused by
its name. Messages quote nothing but names from the TIFF specification.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.io.images.colours import Samples, Shown, show_samples, thinning
from annotator.io.images.display import BoolArray, orient
from annotator.io.images.reader import (
    CHANNEL_FACT,
    CONVERT,
    COPY_AGAIN,
    Pixels,
    check_frame,
    check_size,
    frame_note,
    joined,
)
from annotator.io.images.tiff_colours import (
    CMYK_INKS,
    INK_SET,
    INKS,
    JPEG,
    MODELS,
    OLD_JPEG,
    ORIENTATION,
    PALETTE,
    YCBCR,
    alpha_of,
    orientation_of,
    photometric,
    show_values,
    unknown_colours,
    word_for,
)
from annotator.io.images.tiff_segments import ask_memory, check_segments, thinned_values
from annotator.io.images.tiff_space import TiffSpace, space_of

_log = logging.getLogger(__name__)

_Place = int | tuple[int, int]
"""A page's number, or that of the page that it lies below (SubIFDs) and its number there."""

_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_PAGES_WITH_OTHERS = 16
"""How many reduced pages are asked for what lies below them."""
_SWAPPED = (5, 6, 7, 8)
_TURNED_BACK = {6: 8, 8: 6}


def is_tiff(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a TIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def tiff_size(stream: BinaryIO, name: str) -> tuple[int, int]:
    """Width and height of the first full page, as shown."""
    with opened(stream, name) as tiff:
        page = page_at(tiff, picture_pages(stream, tiff)[0][0])
        width, height = int(page.imagewidth), int(page.imagelength)
        return (height, width) if orientation_of(page) in _SWAPPED else (width, height)


def tiff_pages(stream: BinaryIO, name: str) -> tuple[int, TiffSpace, bool]:
    """How many pages are pictures of their own, what is known of them, and whether the file ends before the last."""
    with opened(stream, name) as tiff:
        pages = len(picture_pages(stream, tiff))
        return pages, space_of(tiff, pages), _is_cut_off(stream, tiff)


def _is_cut_off(stream: BinaryIO, tiff: tifffile.TiffFile) -> bool:
    """Whether the last directory that is there names another one, or lacks its end."""
    layout: Any = tiff.tiff
    order: Any = "big" if tiff.byteorder == ">" else "little"
    last: Any = tiff.pages[len(tiff.pages) - 1]
    stream.seek(last.offset)
    tags = int.from_bytes(stream.read(layout.tagnosize), order)
    stream.seek(last.offset + layout.tagnosize + tags * layout.tagsize)
    following = stream.read(layout.offsetsize)
    return len(following) < layout.offsetsize or any(following)


def read_tiff(stream: BinaryIO, name: str, frame: int, max_pixels: int, *, max_side: int | None = None) -> Pixels:
    """A page that is a picture of its own, counted without reduced copies and masks.

    Args:
        max_side: for a thumbnail: so many pixels of the longer side are enough, and a few more may come.

    Raises:
        ImageError: no such page, too large, cut off, or stored in a way that cannot be shown (named).
    """
    with opened(stream, name) as tiff:
        pictures = picture_pages(stream, tiff)
        check_frame(name, frame, len(pictures))
        at, mask_at = pictures[frame]
        page = page_at(tiff, at)
        _check_page(page, stream, name, max_pixels)
        kind = photometric(page)
        needs_pillow = kind == YCBCR and page.compression != JPEG
        is_whole = max_side is None or kind == PALETTE or needs_pillow
        step = 1 if max_side is None or is_whole else thinning(int(page.imagewidth), int(page.imagelength), max_side)
        ask_memory(page, name, step)
        if needs_pillow:
            shown = _with_pillow(page, stream, at, name)
        else:
            shown = _shown(page, kind, name, stream, at, step=step)
        if mask_at is not None and step == 1:
            shown = _masked(shown, tiff.pages[mask_at])
        shown = shown.turned(orientation_of(page))
        space = space_of(tiff, len(pictures))
        spacing = space.spacing_xy
        if spacing is not None and orientation_of(page) in _SWAPPED:
            spacing = spacing[::-1]
    place = space.words(frame) or frame_note(frame, len(pictures), word="page")
    channel = space.places(frame).get("C")
    extra = {} if channel is None else {CHANNEL_FACT: channel + 1}
    return Pixels(shown.rgb, "", spacing, extra, joined(shown.words, place), shown.native)


def opened(stream: BinaryIO, name: str) -> tifffile.TiffFile:
    """The file, parsed.

    Raises:
        ImageError: its head is damaged.
    """
    stream.seek(0)
    try:
        tiff = tifffile.TiffFile(stream)
        if len(tiff.pages) == 0:
            raise ValueError("no pages")
    except Exception as error:  # tifffile raises nearly anything on damaged headers
        raise ImageError(f"{brief(name)} is a damaged TIFF file.", COPY_AGAIN) from error
    return tiff


def picture_pages(stream: BinaryIO, tiff: tifffile.TiffFile) -> list[tuple[_Place, int | None]]:
    """The pages that are pictures, each with the page that masks it. Where none says that it is full: those that lie
    below a reduced one (raw photographs), else all."""
    pictures: list[tuple[_Place, int | None]] = []
    for at, kind in enumerate(_subfile_types(stream, tiff)):
        if not kind & (_REDUCED | _MASK):
            pictures.append((at, None))
        elif kind & _MASK and not kind & _REDUCED and pictures and pictures[-1][1] is None:
            pictures[-1] = (pictures[-1][0], at)
    if not pictures:
        pictures = [(place, None) for place in _full_pages_below(tiff)]
    return pictures or [(at, None) for at in range(len(tiff.pages))]


def page_at(tiff: tifffile.TiffFile, at: _Place) -> Any:
    if isinstance(at, int):
        return tiff.pages[at]
    above: Any = tiff.pages[at[0]]
    return above.pages[at[1]]


def _full_pages_below(tiff: tifffile.TiffFile) -> Iterator[tuple[int, int]]:
    for at in range(min(len(tiff.pages), _PAGES_WITH_OTHERS)):
        page: Any = tiff.pages[at]
        for number in range(len(getattr(page, "subifds", None) or ())):
            if not int(page_at(tiff, (at, number)).subfiletype) & (_REDUCED | _MASK):
                yield at, number


def _subfile_types(stream: BinaryIO, tiff: tifffile.TiffFile) -> Iterator[int]:
    """NewSubfileType of each page. It is among a directory's first tags: a stack of ten thousand pages is not parsed
    for it."""
    layout: Any = tiff.tiff
    order = "big" if tiff.byteorder == ">" else "little"
    place = stream.tell()

    def number(at: int, size: int) -> int:
        return int.from_bytes(block[at : at + size], order)  # type: ignore[arg-type]

    try:
        stream.seek(layout.offsetsize if layout.offsetsize == 8 else 4)
        block = stream.read(layout.offsetsize)
        offset = number(0, layout.offsetsize)
        for _ in range(len(tiff.pages)):
            stream.seek(offset)
            block = stream.read(layout.tagnosize)
            tags = number(0, layout.tagnosize)
            block = stream.read(tags * layout.tagsize + layout.offsetsize)
            kind = 0
            for tag in range(0, tags * layout.tagsize, layout.tagsize):
                if number(tag, 2) >= 254:
                    kind = number(tag + layout.tagsize - layout.offsetsize, 4) if number(tag, 2) == 254 else 0
                    break
            yield kind
            offset = number(tags * layout.tagsize, layout.offsetsize)
    finally:
        stream.seek(place)


def _check_page(page: Any, stream: BinaryIO, name: str, max_pixels: int) -> None:
    check_size(name, int(page.imagewidth), int(page.imagelength), max_pixels)
    if page.dtype is None:
        raise ImageError(f"{brief(name)} has a TIFF sample type that cannot be shown.", CONVERT)
    if int(page.nbytes) > 16 * max_pixels:
        raise ImageError(
            f"{brief(name)} is too large: {int(page.nbytes) / 1e9:,.1f} GB in one page.", "Save fewer channels."
        )
    check_segments(page, name)
    end = stream.seek(0, 2)
    stored = (offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False))
    if max(stored, default=0) > end:
        raise ImageError(f"{brief(name)} is cut off: the file ends before the picture does.", COPY_AGAIN)


def _shown(page: Any, kind: int, name: str, stream: BinaryIO, at: _Place, *, step: int) -> Shown:
    if kind not in MODELS and kind != PALETTE:
        raise unknown_colours(name, page)
    ink_set = page.tags.get(INK_SET)
    if kind == INKS and ink_set is not None and ink_set.value != CMYK_INKS:
        raise ImageError(f"{brief(name)} is a TIFF of inks that are not CMYK.", CONVERT)
    try:
        values = _values(page) if step == 1 else thinned_values(page, step)
    except Exception as error:
        return _second_try(page, stream, at, name, error)
    holes = _holes(page)
    if holes is not None:
        holes = holes[::step, ::step]
    if kind == PALETTE:
        return _through_palette(page, values, holes, name)
    return show_values(page, values, name, holes)


def _values(page: Any) -> npt.NDArray[Any]:
    """H x W x C, the first plane of a block, whatever the page's own layout."""
    samples: npt.NDArray[Any] = np.asarray(page.asarray(squeeze=False))[:, 0]  # planes, rows, columns, samples
    return np.moveaxis(samples, 0, 2).reshape(*samples.shape[1:3], -1) if samples.shape[0] > 1 else samples[0]


def _second_try(page: Any, stream: BinaryIO, at: _Place, name: str, error: Exception) -> Shown:
    """With Pillow, which knows a few compressions that tifffile does not, in 8 bits."""
    if isinstance(error, MemoryError):
        raise error
    if page.dtype.itemsize == 1 and page.compression in (OLD_JPEG, 2, 3, 4, 32773, 32809):
        return _with_pillow(page, stream, at, name)
    cannot = getattr(page.decode, "__name__", "").startswith("decode_raise")  # tifffile's decoder for what it lacks
    if cannot or isinstance(error, NotImplementedError):
        kind = word_for(page.compression)
        raise ImageError(f"{brief(name)} is compressed in a way that cannot be read ({kind}).", CONVERT) from error
    raise error


def _with_pillow(page: Any, stream: BinaryIO, at: _Place, name: str) -> Shown:
    stream.seek(0)
    try:
        if isinstance(at, tuple):
            raise ValueError("Pillow does not go there")
        with Image.open(stream, formats=("TIFF",)) as image:
            image.seek(at)
            stored = ORIENTATION in image.getexif()
            image.load()
            rgb = np.asarray(image.convert("RGB"))
            if stored and ORIENTATION not in image.getexif():  # turned upright by Pillow, and here once more later
                turned = orientation_of(page)
                rgb = orient(rgb, _TURNED_BACK.get(turned, turned))
            return Shown(rgb, "")
    except MemoryError:
        raise
    except Exception as error:
        _log.debug("Pillow cannot read %s: %s", name, type(error).__name__)
        kind = f"{word_for(page.photometric)}, {word_for(page.compression)}"
        raise ImageError(
            f"{brief(name)} is a TIFF that cannot be read: damaged, or of a kind unknown here ({kind}).", CONVERT
        ) from error


def _through_palette(page: Any, values: npt.NDArray[Any], holes: BoolArray | None, name: str) -> Shown:
    colours = page.colormap
    if colours is None or np.ndim(colours) != 2 or len(colours) != 3 or values.dtype.kind not in "ub":
        raise ImageError(f"{brief(name)} has no usable palette.", CONVERT)
    entries = np.asarray(colours, np.uint16).T
    # Some write entries of 8 bits: nobody means the darkest 256th of all colours.
    table = entries.astype(np.uint8) if entries.max(initial=0) <= 255 else (entries >> 8).astype(np.uint8)
    rgb = table[np.minimum(values[:, :, 0], len(table) - 1)]
    extra, _ = alpha_of(page, "grey")
    alpha = [] if extra is None else [values[:, :, extra]]
    return show_samples(Samples(np.dstack([rgb, *alpha]), "rgb", alpha=3 if alpha else None, holes=holes))


def _holes(page: Any) -> BoolArray | None:
    """H x W, True in tiles and strips that the file leaves out; None when it has all."""
    left_out = [
        number
        for number, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=False))
        if offset == 0 or count == 0
    ]
    if not left_out:
        return None
    holes = np.zeros((int(page.imagelength), int(page.imagewidth)), np.bool_)
    for number in left_out:
        _, (_, _, row, column, _), shape = page.decode(None, number)
        holes[row : row + shape[1], column : column + shape[2]] = True
    return holes


def _masked(shown: Shown, mask: Any) -> Shown:
    """A picture on mid-grey where its mask, a page of its own, is zero."""
    if (int(mask.imagelength), int(mask.imagewidth)) != shown.rgb.shape[:2] or mask.dtype is None:
        return shown
    is_there = _values(mask)[:, :, 0] > 0
    if bool(is_there.all()):
        return shown
    alpha = np.where(is_there, np.uint8(255), np.uint8(0))
    laid = show_samples(Samples(np.dstack([shown.rgb, alpha]), "rgb", alpha=3))
    native = shown.native
    if native is not None:
        native = replace(native, opacity=alpha if native.opacity is None else np.minimum(alpha, native.opacity))
    return Shown(laid.rgb, joined(shown.words, laid.words), native)
