"""Frames of videos on the disk, each a file of its own: a video is decoded once, in order, and shown in any.

Always safe to delete. Frames are JPEG of high quality: what is shown is what was stored, also the first time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from annotator.files.atomic import write_atomic
from annotator.files.places import cache_dir
from annotator.files.private import make_private_folder
from annotator.io.images.reader import RgbArray

MOST_BYTES = 10 << 30
QUALITY = 95
_IN_A_FOLDER = 1000
_FACTS, _BEGUN = "video.json", "begun.json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What decoding a video to its end has shown: ``times_ms`` of its frames."""

    width: int
    height: int
    times_ms: tuple[float, ...]


class FrameStore:
    """Of one video. Several processes may write: the same frame is the same file.

    Args:
        stamp: names the state of the video's file.
    """

    def __init__(self, stamp: tuple[int, ...], *, root: Path | None = None) -> None:
        self._root = root or cache_dir() / "frames"
        self._folder = self._root / hashlib.sha256(repr(stamp).encode()).hexdigest()[:32]

    def facts(self) -> VideoFacts | None:
        """None when they are not known, or damaged."""
        return self._read_facts(_FACTS)

    def begun(self) -> VideoFacts | None:
        """What is known of the first frames of a video that was not counted to its end."""
        return self._read_facts(_BEGUN)

    def keep_begun(self, facts: VideoFacts) -> None:
        self._write_facts(_BEGUN, facts)

    def _read_facts(self, name: str) -> VideoFacts | None:
        try:
            found = json.loads((self._folder / name).read_text("utf-8"))
            facts = VideoFacts(int(found["width"]), int(found["height"]), tuple(map(float, found["times_ms"])))
            os.utime(self._folder)  # it is in use
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return facts if facts.times_ms else None

    def keep_facts(self, facts: VideoFacts) -> None:
        self._write_facts(_FACTS, facts)
        self._make_room()

    def _write_facts(self, name: str, facts: VideoFacts) -> None:
        data = {"width": facts.width, "height": facts.height, "times_ms": facts.times_ms}
        self._write(self._folder / name, json.dumps(data).encode())

    def has(self, frame: int) -> bool:
        return self._place(frame).is_file()

    def read(self, frame: int) -> RgbArray | None:
        """The frame, h x w x 3; None when it is not there, or damaged."""
        try:
            data = self._place(frame).read_bytes()
        except OSError:
            return None
        return _decoded(data)

    def keep(self, frame: int, bgr: RgbArray) -> RgbArray:
        """Store a frame as OpenCV has it; the answer is what :meth:`read` will give, also when the disk is full."""
        is_encoded, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not is_encoded:
            raise RuntimeError("OpenCV did not encode a JPEG")
        content = data.tobytes()
        self._write(self._place(frame), content)
        shown = _decoded(content)
        if shown is None:
            raise RuntimeError("OpenCV does not read its own JPEG")
        return shown

    def _place(self, frame: int) -> Path:
        return self._folder / str(frame // _IN_A_FOLDER) / f"{frame}.jpg"

    def _write(self, file: Path, content: bytes) -> None:
        try:
            make_private_folder(self._root)
            make_private_folder(file.parent)
            write_atomic(file, content, is_private=True)
        except OSError as error:
            _log.info("a frame is not kept: %s", error)

    def _make_room(self) -> None:
        """Other videos go, the one used longest ago first."""
        try:
            others = [one for one in self._root.iterdir() if one.is_dir() and one != self._folder]
            sizes = {one: sum(file.stat().st_size for file in one.rglob("*.jpg")) for one in others}
            order = sorted(others, key=lambda one: one.stat().st_mtime)
        except OSError as error:
            _log.info("the frames of videos cannot be counted: %s", error)
            return
        total = sum(sizes.values())
        for one in order:
            if total <= MOST_BYTES:
                return
            shutil.rmtree(one, ignore_errors=True)
            total -= sizes[one]


def _decoded(data: bytes) -> RgbArray | None:
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:  # an empty file
        return None
    return None if bgr is None else cast(RgbArray, np.ascontiguousarray(bgr[..., ::-1]))
