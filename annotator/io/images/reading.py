"""Image files to RGB: what is an image, which there are in a folder, and how each is read (in a reader process)."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np

from annotator.domain.answering.zoom import Region
from annotator.domain.errors import ImageError
from annotator.domain.window import Window
from annotator.io.images import listing, trouble
from annotator.io.images.asking import ask, block_of, pixels_of, pool
from annotator.io.images.decoding import HEAD_BYTES, readers
from annotator.io.images.display import DISPLAY_VERSION
from annotator.io.images.listing import natural_key
from annotator.io.images.native_wire import from_wire
from annotator.io.images.places import FilePlaces, PlacingReader
from annotator.io.images.pool import POOL_SIZE
from annotator.io.images.reader import DEFAULT_MAX_PIXELS, LoadedImage, Pixels, Reader, Regions, RgbArray
from annotator.io.images.suffixes import suffix_of
from annotator.io.images.survey import Survey, SurveyingReader, may_be_several
from annotator.io.images.windowed import Remembered, through_stored
from annotator.io.segments.found import Found, Picture

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "LoadedImage",
    "Pixels",
    "Reader",
    "interrupt",
    "is_supported",
    "list_images",
    "load_image",
    "load_region",
    "load_stored",
    "load_thumbnail",
    "natural_key",
    "pixels_version",
    "read_heads",
    "read_identity",
    "read_places",
    "read_segments",
    "read_size",
    "survey_files",
    "warm_up",
]

_log = logging.getLogger(__name__)
_MANY_HEADS, _HEADS_AT_ONCE = 500, 50


def is_supported(path: str | os.PathLike[str]) -> bool:
    """Whether a file can be opened as an image, by its suffix; without a suffix (or with a number as in DICOM UIDs)
    by its first bytes. Missing and unreadable files of that last kind are not."""
    name = os.path.basename(os.fspath(path))
    if name.startswith(".") or name.upper() == "DICOMDIR":
        return False
    suffix = suffix_of(name)
    if suffix and not suffix[1:].isdigit():
        return suffix in _suffixes()
    head = _head_of(path)
    return bool(head) and any(reader.sniff(head) for reader in readers())


def list_images(
    folder: str | os.PathLike[str],
    *,
    known: Container[str] = (),
    on_problem: Callable[[str], None] | None = None,
    on_found: Callable[[int], None] | None = None,
) -> list[str]:
    """Images below a folder that can be read here; see :func:`annotator.io.images.listing.list_images`."""
    return listing.list_images(
        folder, is_supported, suffixes=_suffixes(), known=known, on_problem=on_problem, on_found=on_found
    )


def load_image(
    path: str | os.PathLike[str],
    *,
    frame: int = 0,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    is_native: bool = False,
    window: Window | None = None,
    may_be_overview: bool = False,
) -> LoadedImage:
    """Read an image as it is to be shown and encoded.

    Args:
        frame: page or frame, from 0.
        max_pixels: larger images are refused before they are decoded.
        is_native: with the file's own numbers (:attr:`LoadedImage.native`), where they are deeper than 8 bits.
        may_be_overview: a picture of more than 100 megapixels is read small where its file can be read region by region
            (:attr:`LoadedImage.regions`, :func:`load_region`); ``max_pixels`` does not hold for it.
        window: show it through this one; one that shows nothing of the image is passed over, which the note says.

    Raises:
        ImageError: missing, unreadable, empty, cut off, not an image, too large, compressed in an unknown way; or so
            damaged that it ended its reader, now or the last time.
    """
    needs_native = is_native or window is not None
    about: Any = {"frame": frame, "max_pixels": max_pixels, "may_be_overview": may_be_overview}
    answer = ask("load", path, is_native=needs_native, **about)
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in answer.data.items()
        if name not in ("shape", "native")
    }
    block = block_of(answer)
    rgb = pixels_of(answer, block)
    numbers = answer.data.get("native")
    native = from_wire(numbers, block, rgb) if numbers else None
    is_small = rgb.shape[:2] != (values["height"], values["width"])
    regions = Regions(os.path.abspath(os.fsdecode(path)), frame) if is_small else None
    image = LoadedImage(rgb=rgb, native=native, regions=regions, **values)
    if window is not None:
        image = through_stored(image, Remembered(window))
    return image if is_native else image.without_native()


def load_region(
    regions: Regions, region: Region, size_wh: tuple[int, int], *, window: Window | None = None
) -> RgbArray:
    """A region of a large picture at the size that is wanted: height x width x 3 uint8, read-only.

    Args:
        region: in pixels of the full picture, inside it.
        window: as for the overview, without its local contrast; None: the numbers of 8 bits as they are.

    Raises:
        ImageError: as :func:`load_image`.
    """
    edges = [region.x0, region.y0, region.x1, region.y1]
    about: Any = {"region": edges, "size": list(size_wh), "window": None if window is None else window.to_json()}
    return pixels_of(ask("region", regions.path, frame=regions.frame, **about))


def load_thumbnail(
    path: str | os.PathLike[str], *, frame: int = 0, max_side: int = 160, max_pixels: int = DEFAULT_MAX_PIXELS
) -> RgbArray:
    """A small copy, h x w x 3 uint8, C-contiguous, read-only, longest side at most ``max_side``.

    Raises:
        ImageError: as :func:`load_image`.
    """
    return pixels_of(ask("thumbnail", path, frame=frame, max_side=max_side, max_pixels=max_pixels))


def load_stored(
    path: str | os.PathLike[str], *, is_grey: bool = False, max_pixels: int = DEFAULT_MAX_PIXELS
) -> RgbArray:
    """The samples of a JPEG or PNG as they are stored, neither turned nor stretched: H x W x 3 uint8, or with
    ``is_grey`` the first channel, H x W x 1; C-contiguous, read-only.

    Raises:
        ImageError: as :func:`load_image`.
    """
    return pixels_of(ask("stored", path, is_grey=is_grey, max_pixels=max_pixels))


def load_label_map(
    path: str | os.PathLike[str], *, max_pixels: int = DEFAULT_MAX_PIXELS
) -> np.ndarray[tuple[int, int], np.dtype[np.int32]]:
    """Whole numbers of a picture with one channel, of one with a palette its indices: H x W.

    Raises:
        ImageError: it cannot be read, is a colour picture, damaged or too large.
    """
    data = pixels_of(ask("label_map", path, max_pixels=max_pixels))
    height, width = data.shape[:2]
    return np.ascontiguousarray(data).view("<i4").reshape(height, width).astype(np.int32)


def pixels_version() -> str:
    """Names what decides which pixels a file becomes: the program, its readers and their decoders."""
    own = (f"{reader.name} {reader.version}" for reader in readers())
    return ", ".join((f"display {DISPLAY_VERSION}", *own, trouble.decoder_versions()))


def read_size(path: str | os.PathLike[str], *, frame: int = 0) -> tuple[int, int]:
    """Width and height as shown: of the first frame from the file's header only, of others from their pixels.

    Raises:
        ImageError: as :func:`load_image`.
    """
    width, height = ask("size", path, frame=frame).data["size"]
    return int(width), int(height)


def read_identity(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Who a DICOM file is of, for the search for places where that must not stand; None for other files. See
    :func:`annotator.io.images.dicom_identity.identity_in`.

    Raises:
        ImageError: as :func:`load_image`.
    """
    found: dict[str, Any] | None = ask("identity", path).data["identity"]
    return found


def read_places(
    root: str | os.PathLike[str], paths: Sequence[str], *, on_done: Callable[[int], None] | None = None
) -> dict[str, FilePlaces]:
    """Where the frames of files lie in space; files that cannot be read are left out, and so are those of kinds that
    have no place.

    Args:
        paths: relative to ``root``, with forward slashes.
        on_done: called with how many were looked at; what it raises stops the look.
    """
    found: dict[str, FilePlaces] = {}
    without = _suffixes() - _placed()
    wanted = [path for path in paths if suffix_of(path) not in without]
    for at in range(0, len(wanted), _HEADS_AT_ONCE):
        part = wanted[at : at + _HEADS_AT_ONCE]
        try:
            places = _places(root, part)
        except ImageError as error:  # one of them ended its reader: which one, the others show
            _log.debug("%s files were not looked into together: %s", len(part), error)
            places = [one for path in part for one in _places_or_none(root, path)]
        pairs = zip(part, places, strict=True)
        found.update({path: FilePlaces.from_data(data) for path, data in pairs if data is not None})
        if on_done is not None:
            on_done(at + len(part))
    return found


def _places(root: str | os.PathLike[str], paths: Sequence[str]) -> list[dict[str, Any] | None]:
    answer = ask("places", root, paths=[os.path.join(*path.split("/")) for path in paths])
    found: list[dict[str, Any] | None] = answer.data["places"]
    return found


def _places_or_none(root: str | os.PathLike[str], path: str) -> list[dict[str, Any] | None]:
    try:
        return _places(root, [path])
    except ImageError:
        return [None]


def read_heads(
    root: str | os.PathLike[str], paths: Sequence[str], *, with_patient: bool = False
) -> dict[str, dict[str, Any]]:
    """The heads of DICOM images as DICOM JSON, by path (:mod:`annotator.io.images.dicom_heads`); other files, and those
    that cannot be read, are left out.

    Raises:
        ImageError: one of them ended its reader.
    """
    found: dict[str, dict[str, Any]] = {}
    for at in range(0, len(paths), _HEADS_AT_ONCE):
        part = paths[at : at + _HEADS_AT_ONCE]
        names = [os.path.join(*path.split("/")) for path in part]
        heads = ask("heads", root, paths=names, with_patient=with_patient).data["heads"]
        found.update({path: head for path, head in zip(part, heads, strict=True) if head is not None})
    return found


def read_segments(path: str | os.PathLike[str], pictures: Sequence[Picture]) -> Found:
    """What a segmentation file has on pictures; see :mod:`annotator.io.segments.reading`.

    Raises:
        ImageError: as :func:`load_image`; also for a file that is no segmentation.
    """
    answer = ask("segments", path, pictures=[picture.to_data() for picture in pictures])
    return Found.from_data(answer.data["segments"])


def survey_files(
    root: str | os.PathLike[str],
    paths: Sequence[str],
    *,
    on_done: Callable[[int], None] | None = None,
    within_s: float | None = None,
) -> dict[str, Survey]:
    """What the heads of files show that may have several frames or be slices of a stack; files of other kinds, and
    those that cannot be read, are left out.

    Args:
        within_s: of a long video the frames that so long a look shows, instead of counting all
            (:attr:`Survey.is_counted`).
        paths: relative to ``root``, with forward slashes.
        on_done: called with how many were looked at; what it raises stops the look.
    """
    single = _suffixes() - _surveyed()  # most files are of one frame by their name: no path is made for them
    rest = [path for path in paths if path[path.rfind(".") :] not in single]
    wanted = [path for path in rest if _is_worth_a_look(os.path.join(root, *path.split("/")))]
    found: dict[str, Survey] = {}
    parts = [wanted[at : at + _HEADS_AT_ONCE] for at in range(0, len(wanted), _HEADS_AT_ONCE)]
    done = 0
    # Another reader takes longer to start than a few hundred heads to read.
    with ThreadPoolExecutor(POOL_SIZE if len(wanted) > _MANY_HEADS else 1) as pool:
        try:
            for part, surveys in zip(parts, pool.map(lambda part: _surveys(root, part, within_s), parts), strict=True):
                found.update(surveys)
                done += len(part)
                if on_done is not None:
                    on_done(done)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return found


def _is_worth_a_look(path: str) -> bool:
    suffix = suffix_of(path)
    if suffix in _suffixes() and suffix not in _surveyed():
        return False
    try:
        with open(path, "rb") as stream:
            return may_be_several(stream)
    except OSError:  # it is reported when it is to be shown
        return False


def _surveys(root: str | os.PathLike[str], paths: Sequence[str], within_s: float | None) -> dict[str, Survey]:
    """By path. Where one of the files ends its reader, they are looked into one by one, to know which."""
    try:
        names = [os.path.join(*path.split("/")) for path in paths]
        answers = ask("surveys", root, paths=names, within_s=within_s).data["surveys"]
    except ImageError as error:
        _log.debug("%s files were not looked into together: %s", len(paths), error)
        one_by_one = ((path, _survey(os.path.join(root, *path.split("/")), path, within_s)) for path in paths)
        return {path: survey for path, survey in one_by_one if survey is not None}
    pairs = zip(paths, answers, strict=True)
    return {path: Survey.from_data(data, path) for path, data in pairs if data is not None}


def _survey(path: str, name: str, within_s: float | None) -> Survey | None:
    try:
        return Survey.from_data(ask("survey", path, within_s=within_s).data["survey"], name)
    except ImageError as error:  # as above
        _log.debug("no look into %s: %s", path, error)
        return None


def warm_up() -> None:
    """Start a reader process ahead of the first image; does not wait."""
    pool().warm()


def interrupt() -> None:
    """End all reads that run now; whoever waits for one gets an ``ImageError``."""
    pool().interrupt()


@cache
def _suffixes() -> frozenset[str]:
    return frozenset().union(*(reader.suffixes for reader in readers()))


@cache
def _surveyed() -> frozenset[str]:
    own = (reader.surveyed for reader in readers() if isinstance(reader, SurveyingReader))
    return frozenset().union(*own)


@cache
def _placed() -> frozenset[str]:
    return frozenset().union(*(reader.placed for reader in readers() if isinstance(reader, PlacingReader)))


def _head_of(path: str | os.PathLike[str]) -> bytes:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return b""
        with open(path, "rb") as stream:
            return stream.read(HEAD_BYTES)
    except OSError as error:
        _log.debug("cannot look into %s: %s", path, error)
        return b""
