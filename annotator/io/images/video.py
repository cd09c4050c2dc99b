"""Frames of a video, decoded in order: jumping into one with OpenCV leads to wrong frames in many files.

Going back decodes again from the start, and keeps as many of the frames on the way as fit into a budget.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from annotator.domain.errors import ImageError
from annotator.domain.media import frame_name
from annotator.io.images.reader import LoadedImage, RgbArray

VIDEO_SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"))
KEPT_BYTES = 256 << 20


class VideoFrames:
    """A :class:`~annotator.io.images.frame_source.FrameSource` on a video file. One thread at a time."""

    is_video = True

    def __init__(self, path: Path, *, kept_bytes: int = KEPT_BYTES) -> None:
        """Counts the frames by decoding them: what a file says of itself is often wrong.

        Raises:
            ImageError: missing, unreadable, no video, or without a picture.
        """
        self._path, self._kept_bytes = path, kept_bytes
        self._capture = self._opened()
        self._next = 0
        self._kept: OrderedDict[int, RgbArray] = OrderedDict()
        self._count = 0
        while self._capture.grab():
            self._count += 1
        if self._count == 0:
            raise ImageError(f"{path.name} has no picture that can be decoded.", "Convert it to MP4 (H.264).")
        with path.open("rb") as stream:
            self._sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        self._rewind()

    def __len__(self) -> int:
        return self._count

    def name(self, position: int) -> str:
        """See :class:`~annotator.io.images.frame_source.FrameSource`."""
        return frame_name(self._path.name, position)

    def read(self, position: int) -> LoadedImage:
        """See :class:`~annotator.io.images.frame_source.FrameSource`."""
        if not 0 <= position < self._count:
            raise ImageError(f"{self._path.name} has no frame {position}.", f"It has {self._count}.")
        if position not in self._kept:
            if position < self._next:
                self._rewind()
            self._decode_to(position)
        rgb = self._kept[position]
        key = hashlib.sha256(f"{self._sha256}|video-1|{position}".encode()).hexdigest()
        height, width = rgb.shape[:2]
        return LoadedImage(rgb=rgb, width=width, height=height, sha256=self._sha256, image_key=key, file_key=key)

    def _decode_to(self, position: int) -> None:
        per_frame = 0
        while self._next <= position:
            # Frames that would not be kept anyway are not turned into pictures.
            is_near = per_frame == 0 or (position - self._next) * per_frame < self._kept_bytes
            if not is_near and self._next < position:
                if not self._capture.grab():
                    raise self._cut_off()
                self._next += 1
                continue
            is_read, bgr = self._capture.read()
            if not is_read:
                raise self._cut_off()
            rgb = cast(RgbArray, np.ascontiguousarray(bgr[..., ::-1]))
            rgb.setflags(write=False)
            per_frame = rgb.nbytes
            self._kept[self._next] = rgb
            self._next += 1
            while len(self._kept) > 2 and len(self._kept) * per_frame > self._kept_bytes:
                self._kept.popitem(last=False)

    def _rewind(self) -> None:
        self._capture.release()
        self._capture = self._opened()
        self._next = 0
        self._kept.clear()

    def _opened(self) -> Any:
        if not self._path.is_file():
            raise ImageError(f"There is no file {self._path}.", "Check the name.")
        capture = cv2.VideoCapture(str(self._path), cv2.CAP_FFMPEG)
        if not capture.isOpened():
            raise ImageError(f"{self._path.name} cannot be opened as a video.", "Convert it to MP4 (H.264).")
        return capture

    def _cut_off(self) -> ImageError:
        return ImageError(f"{self._path.name} ends at frame {self._next}.", "Copy it again from its source.")
