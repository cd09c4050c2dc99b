"""Videos: each frame is a picture. They are decoded in order only, because seeking leads to wrong frames in many files
(of 40 seeks into a video with a variable frame rate 24 were wrong with OpenCV).
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, cast

import cv2

from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError
from annotator.domain.frame_pick import step_ms
from annotator.domain.media import VIDEO_SUFFIXES
from annotator.io.images.claims import ask_for
from annotator.io.images.frame_store import FrameStore, VideoFacts
from annotator.io.images.reader import COPY_AGAIN, Pixels, RgbArray, check_frame, check_size, frame_note, joined
from annotator.io.images.survey import MAX_FRAMES, Counted, Survey
from annotator.io.images.video_boxes import is_cut_off

_KEPT_BEFORE, _KEPT_ON_THE_WAY, _LATE = 24, 4, 48
"""Frames before the wanted one are kept as well: a person goes back and forth. Fewer where decoding goes on by no more
than a second or two: a video that plays passes over frames when it is late, and would be later still by keeping
them."""
_LATE_FACTOR = 10
_CONVERT = "Convert it to MP4 (H.264)."
_STILL_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis")
_ATOMS = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")


def is_video(head: bytes) -> bool:
    """By the first 16 bytes: MP4 and MOV, AVI, Matroska and WebM, MPEG program streams. Nothing else is given to the
    decoder: it would follow the addresses in a playlist."""
    if head[4:8] in _ATOMS:
        return head[4:8] != b"ftyp" or head[8:12] not in _STILL_BRANDS
    is_avi = head[:4] == b"RIFF" and head[8:12] == b"AVI "
    return is_avi or head.startswith((b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3"))


class VideoReader:
    """Video files, through OpenCV's FFmpeg; rotated as the file asks."""

    name = "video"
    version = 1
    suffixes = VIDEO_SUFFIXES
    surveyed = suffixes

    def sniff(self, head: bytes) -> bool:
        return is_video(head)

    def survey(self, stream: BinaryIO, name: str) -> Survey:
        """See :class:`annotator.io.images.survey.SurveyingReader`. Counts by decoding, unless that was done before:
        what files say of their length is often wrong."""
        return _survey(_facts(stream, name), stream)

    def glance(self, stream: BinaryIO, name: str, *, seconds: float) -> Survey:
        """See :class:`annotator.io.images.survey.CountingReader`."""
        known = FrameStore(_stamp(stream)).facts()
        if known is not None:
            return _survey(known, stream)
        count = _counted(stream, name, seconds)
        if not count.is_over:
            count.capture.release()
            FrameStore(count.stamp).keep_begun(count.facts())
        return replace(_survey(count.facts(), stream), is_counted=count.is_over)

    def count(self, stream: BinaryIO, name: str, *, seconds: float) -> Counted:
        """See :class:`annotator.io.images.survey.CountingReader`."""
        known = FrameStore(_stamp(stream)).facts()
        if known is not None:
            return Counted(len(known.times_ms), len(known.times_ms), _survey(known, stream))
        count = _counted(stream, name, seconds)
        if not count.is_over:
            _counting.append(count)
        return Counted(len(count.times_ms), count.about, _survey(count.facts(), stream) if count.is_over else None)

    def size(self, stream: BinaryIO, name: str) -> tuple[int, int]:
        known = FrameStore(_stamp(stream)).facts()
        if known is not None:
            return known.width, known.height
        with _opened(stream, name) as capture:
            bgr = _next(capture)
            if bgr is None:
                raise _no_picture(name)
            return bgr.shape[1], bgr.shape[0]

    def read(self, stream: BinaryIO, name: str, *, frame: int, max_pixels: int) -> Pixels:
        facts, is_counted = _facts_for(stream, name, frame)
        check_frame(name, frame, len(facts.times_ms))
        check_size(name, facts.width, facts.height, max_pixels)
        ask_for(name, facts.width, facts.height, 12)
        stamp = _stamp(stream)
        store = FrameStore(stamp)
        rgb = store.read(frame)
        if rgb is None:
            rgb = _decode(stream, name, stamp, store, frame)
        place = frame_note(frame, len(facts.times_ms), word="frame") if is_counted else f"frame {frame + 1}"
        return Pixels(rgb, note=joined(place, f"at {facts.times_ms[frame] / 1000:.2f} s"))

    def thumbnail(self, stream: BinaryIO, name: str, *, max_side: int, max_pixels: int) -> RgbArray:
        return self.read(stream, name, frame=0, max_pixels=max_pixels).rgb


@dataclass(slots=True)
class _Going:
    """A video that is being decoded, and the number of its next frame."""

    stamp: tuple[int, ...]
    capture: Any
    next: int = 0


_going: list[_Going] = []
"""At most one in this process: frames are mostly wanted one after the other."""


def _decode(stream: BinaryIO, name: str, stamp: tuple[int, ...], store: FrameStore, frame: int) -> RgbArray:
    """Decode up to the frame; it and those before it are stored."""
    going = _going.pop() if _going else None
    plays = going is not None and going.stamp == stamp and going.next <= frame <= going.next + _LATE
    kept_before = _KEPT_ON_THE_WAY if plays else _KEPT_BEFORE
    if going is None or going.stamp != stamp or going.next > frame:
        if going is not None:
            going.capture.release()
        going = _Going(stamp, _open(stream, name))
    try:
        while going.next < frame:
            number = going.next
            if number < frame - kept_before or store.has(number):
                if not going.capture.grab():
                    raise _cut_off(name, number)
            else:
                store.keep(number, _wanted(going.capture, name, number))
            going.next += 1
        shown = store.keep(frame, _wanted(going.capture, name, frame))
        going.next += 1
    except BaseException:
        going.capture.release()
        raise
    _going.append(going)
    return shown


@dataclass(slots=True)
class _Count:
    """A video that is being counted: the times of the frames so far, and how many there are as the file says."""

    stamp: tuple[int, ...]
    capture: Any
    size_wh: tuple[int, int]
    times_ms: list[float]
    about: int
    is_over: bool = False

    def go_on(self, seconds: float) -> None:
        """For about so long of computing, so that it depends on the video and not on a busy machine; where a disk is
        slow, a few times that by the clock. Not for less than two frames: one alone would be a picture."""
        end, late = time.process_time() + seconds, time.monotonic() + _LATE_FACTOR * seconds
        while len(self.times_ms) < 2 or (time.process_time() < end and time.monotonic() < late):
            if len(self.times_ms) > MAX_FRAMES or not self.capture.grab():
                self.is_over = True
                self.capture.release()
                return
            self.times_ms.append(float(self.capture.get(cv2.CAP_PROP_POS_MSEC)))

    def facts(self) -> VideoFacts:
        return VideoFacts(*self.size_wh, tuple(self.times_ms))


_counting: list[_Count] = []
"""At most one in this process."""


def _counted(stream: BinaryIO, name: str, seconds: float) -> _Count:
    """Count for so long, from where this process has come to, or from the beginning. The result is kept."""
    stamp = _stamp(stream)
    count = _counting.pop() if _counting else None
    if count is None or count.stamp != stamp:
        if count is not None:
            count.capture.release()
        count = _begin_count(stream, name, stamp)
    try:
        count.go_on(seconds)
    except BaseException:
        count.capture.release()
        raise
    if count.is_over:
        FrameStore(stamp).keep_facts(count.facts())
    return count


def _begin_count(stream: BinaryIO, name: str, stamp: tuple[int, ...]) -> _Count:
    capture = _open(stream, name)
    first = _next(capture)
    if first is None:
        capture.release()
        raise _no_picture(name)
    about = min(MAX_FRAMES, max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT))))
    times_ms = [float(capture.get(cv2.CAP_PROP_POS_MSEC))]
    return _Count(stamp, capture, (first.shape[1], first.shape[0]), times_ms, about)


def _facts(stream: BinaryIO, name: str) -> VideoFacts:
    """Known from before, or found by decoding to the end."""
    known = FrameStore(_stamp(stream)).facts()
    return known if known is not None else _counted(stream, name, math.inf).facts()


def _facts_for(stream: BinaryIO, name: str, frame: int) -> tuple[VideoFacts, bool]:
    """What is known of a frame, and whether all frames are counted: the first ones are shown before that."""
    store = FrameStore(_stamp(stream))
    known = store.facts()
    if known is None and (begun := store.begun()) is not None and frame < len(begun.times_ms):
        return begun, False
    return known or _facts(stream, name), True


def _survey(facts: VideoFacts, stream: BinaryIO) -> Survey:
    notes: tuple[str, ...] = ("cut off: the frames that follow are missing",) if is_cut_off(stream) else ()
    if len(facts.times_ms) > MAX_FRAMES:
        notes = (*notes, f"has more than {MAX_FRAMES:,} frames")
    frames, size_wh = min(MAX_FRAMES, len(facts.times_ms)), (facts.width, facts.height)
    times_ms = facts.times_ms[:frames]
    return Survey(frames, size_wh=size_wh, notes=notes, step_ms=step_ms(times_ms), times_ms=times_ms)


def _stamp(stream: BinaryIO) -> tuple[int, ...]:
    info = os.fstat(stream.fileno())
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns


@contextmanager
def _opened(stream: BinaryIO, name: str) -> Iterator[Any]:
    capture = _open(stream, name)
    try:
        yield capture
    finally:
        capture.release()


def _open(stream: BinaryIO, name: str) -> Any:
    stream.seek(0)
    head = stream.read(16)
    stream.seek(0)
    if not is_video(head):
        raise ImageError(f"{brief(name)} is not a video of a kind that can be read here.", _CONVERT)
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = "protocol_whitelist;file"  # nothing is fetched for a file's sake
    path = os.path.abspath(os.fspath(cast(Any, stream).raw.name))
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
    if not capture.isOpened():
        capture.release()
        raise _no_picture(name)
    return capture


def _next(capture: Any) -> RgbArray | None:
    is_read, bgr = capture.read()
    return cast(RgbArray, bgr) if is_read else None


def _wanted(capture: Any, name: str, number: int) -> RgbArray:
    bgr = _next(capture)
    if bgr is None:
        raise _cut_off(name, number)
    return bgr


def _no_picture(name: str) -> ImageError:
    return ImageError(
        f"{brief(name)} has no picture that can be decoded; it may be cut off, or hold sound alone.",
        f"If it should have pictures, copy it again. {_CONVERT}",
    )


def _cut_off(name: str, number: int) -> ImageError:
    return ImageError(f"{brief(name)} cannot be decoded from frame {number + 1} on.", COPY_AGAIN)
