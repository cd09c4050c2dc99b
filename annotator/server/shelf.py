"""Images that were opened: embedding and pixels by id, the one used longest ago goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from annotator.domain.ports.engine import Embedding, RgbArray
from annotator.server.problems import Problem

REMEMBERED = 10_000
ID_LETTERS = 32


@dataclass(frozen=True, slots=True, eq=False)
class OpenImage:
    """An encoded image.

    Attributes:
        id: names its pixels: the same file and frame get the same one, also after a restart.
        sha256: of the file; frame: from 0.
        rgb: H x W x 3 uint8; note: of the reader, may be empty.
    """

    id: str
    sha256: str
    frame: int
    rgb: RgbArray
    note: str
    embedding: Embedding

    @property
    def nbytes(self) -> int:
        return self.rgb.nbytes + self.embedding.nbytes


class Shelf:
    """Any thread may ask. The newest image stays, however large it is."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, OpenImage] = OrderedDict()
        self._ids: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        with self._lock:
            return sum(image.nbytes for image in self._kept.values())

    def put(self, image: OpenImage) -> None:
        with self._lock:
            self._kept[image.id] = image
            self._kept.move_to_end(image.id)
            self._ids[image.sha256, image.frame] = image.id
            while len(self._ids) > REMEMBERED:
                self._ids.popitem(last=False)
        self.trim()

    def trim(self) -> None:
        """Count anew: an embedding grows while it is asked."""
        with self._lock:
            total = sum(image.nbytes for image in self._kept.values())
            while total > self._most_bytes and len(self._kept) > 1:
                total -= self._kept.popitem(last=False)[1].nbytes

    def get(self, image_id: str) -> OpenImage:
        """Raises:
        Problem: 410 when it had to go, 404 when it never was here.
        """
        with self._lock:
            found = self._kept.get(image_id)
            if found is not None:
                self._kept.move_to_end(image_id)
                return found
            raise _absent(was_here=image_id in self._ids.values())

    def find(self, sha256: str, frame: int) -> OpenImage:
        """By the SHA-256 of the file, hexadecimal.

        Raises:
            Problem: as :meth:`get`.
        """
        with self._lock:
            image_id = self._ids.get((sha256, frame))
            found = None if image_id is None else self._kept.get(image_id)
            if found is not None:
                self._kept.move_to_end(found.id)
                return found
            raise _absent(was_here=image_id is not None)

    def known(self, sha256: str, frame: int) -> OpenImage | None:
        """As :meth:`find`; None when it is not here."""
        try:
            return self.find(sha256, frame)
        except Problem:
            return None


def _absent(*, was_here: bool) -> Problem:
    if was_here:
        return Problem(410, "gone", "The image is not kept any more. Send it again.")
    return Problem(404, "unknown-image", "There is no such image here. Send it first.")
