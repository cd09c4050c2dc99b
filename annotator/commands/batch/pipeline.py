"""Reading, asking and writing at once: threads that read, the model on the caller's thread, one that writes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from annotator.commands.batch.handover import Handover
from annotator.commands.batch.work_list import WorkItem
from annotator.domain.errors import ImageError, UserError
from annotator.domain.mask import Mask
from annotator.io.images.reader import LoadedImage

_log = logging.getLogger(__name__)

READ_AHEAD = 4
READ_AHEAD_BYTES = 512 << 20
"""Of pixels that wait for the model; one larger image waits alone."""
WRITE_BEHIND = 4
WRITE_BEHIND_BYTES = 256 << 20


class TakesRows(Protocol):
    """As :class:`annotator.commands.batch.journal.Journal`."""

    def add(self, row: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """One object. ``extra`` goes into its COCO annotation as it is."""

    mask: Mask
    score: float
    category_id: int = 1
    extra: dict[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """Its COCO annotation, without ids."""
        mask = self.mask
        return {
            "category_id": self.category_id,
            "iscrowd": 0,
            "area": mask.area,
            "bbox": list(mask.bbox_xywh),
            "segmentation": {"size": [mask.height, mask.width], "counts": mask.rle().decode("ascii")},
            "score": round(float(self.score), 4),
            **self.extra,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the model says of an image, and in a sentence each what it was asked for and has no object for."""

    found: tuple[Found, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Read:
    item: WorkItem
    stamp: tuple[int, ...]
    image: LoadedImage | None
    error: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    item: WorkItem
    stamp: tuple[int, ...]
    size: tuple[int, int]
    answer: Answer
    error: str
    seconds: float

    def row(self) -> dict[str, Any]:
        common = {"key": self.item.key, "stamp": list(self.stamp), "seconds": round(self.seconds, 3)}
        if self.error:
            return {**common, "error": self.error}
        objects = [found.row() for found in self.answer.found]
        return {**common, "size": list(self.size), "objects": objects, "left_out": list(self.answer.left_out)}


def stamp_of(item: WorkItem) -> tuple[int, ...]:
    """Size and time of the image's file; empty when there is none."""
    try:
        facts = item.path.stat()
    except (OSError, ValueError):
        return ()
    return facts.st_size, facts.st_mtime_ns


def run_pipeline(
    items: Sequence[WorkItem],
    journal: TakesRows,
    *,
    load: Callable[[WorkItem], LoadedImage],
    ask: Callable[[WorkItem, LoadedImage], Answer],
    on_asked: Callable[[WorkItem, int], object],
    readers: int,
    interrupt: Callable[[], object] = lambda: None,
) -> None:
    """Put every image into the journal, with its answer or the reason why there is none.

    Args:
        load: called by ``readers`` threads; ask: on this thread, an image after the other.
        on_asked: told after each image, and how many there were.
        interrupt: ends reads that run, when the work is given up.

    Raises:
        ExportError: the journal cannot be written.
        BaseException: what ``on_asked`` raised, or KeyboardInterrupt; what was asked by then is in the journal.
    """
    incoming: Handover[_Read] = Handover(most=READ_AHEAD, limit_bytes=READ_AHEAD_BYTES)
    writer = _Writer(journal)
    queue = _Queue(items)
    threads = [
        threading.Thread(target=_read_all, args=(queue, incoming, load), name=f"read {number}", daemon=True)
        for number in range(readers)
    ]
    for thread in threads:
        thread.start()
    try:
        for count in range(1, len(items) + 1):
            read = incoming.take()
            assert read is not None  # it is closed below only
            writer.put(_asked(read, ask))
            on_asked(read.item, count)
    except BaseException:
        incoming.close()
        interrupt()
        raise
    finally:
        incoming.close()
        for thread in threads:
            thread.join()
        writer.finish()


class _Queue:
    """Hands out the images, to any thread."""

    def __init__(self, items: Sequence[WorkItem]) -> None:
        self._items: Iterator[WorkItem] = iter(items)
        self._guard = threading.Lock()

    def next(self) -> WorkItem | None:
        with self._guard:
            return next(self._items, None)


class _Writer:
    """Makes run lengths of masks and writes them, on a thread of its own."""

    def __init__(self, journal: TakesRows) -> None:
        self._journal = journal
        self._outgoing: Handover[_Asked] = Handover(most=WRITE_BEHIND, limit_bytes=WRITE_BEHIND_BYTES)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="write", daemon=True)
        self._thread.start()

    def put(self, asked: _Asked) -> None:
        """Raises:
        BaseException: what an earlier one could not be written for.
        """
        weight_bytes = sum(found.mask.bits.nbytes for found in asked.answer.found)
        if not self._outgoing.put(asked, weight_bytes):
            self._tell()

    def finish(self) -> None:
        """Wait until all is written.

        Raises:
            BaseException: what could not be written.
        """
        self._outgoing.finish()
        self._thread.join()
        self._tell()

    def _tell(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self) -> None:
        try:
            while (asked := self._outgoing.take()) is not None:
                self._journal.add(asked.row())
        except BaseException as error:
            self._error = error
            self._outgoing.close()


def _read_all(queue: _Queue, incoming: Handover[_Read], load: Callable[[WorkItem], LoadedImage]) -> None:
    while (item := queue.next()) is not None:
        read = _read(item, load)
        if not incoming.put(read, 0 if read.image is None else read.image.rgb.nbytes):
            return


def _read(item: WorkItem, load: Callable[[WorkItem], LoadedImage]) -> _Read:
    stamp = stamp_of(item)
    try:
        if item.problem:
            raise ImageError(item.problem)
        return _Read(item, stamp, load(item))
    except UserError as error:
        return _Read(item, stamp, None, str(error))
    except Exception as error:
        return _Read(item, stamp, None, _bug(item, error))


def _asked(read: _Read, ask: Callable[[WorkItem, LoadedImage], Answer]) -> _Asked:
    started = time.monotonic()
    image, error, answer, size = read.image, read.error, Answer(), (0, 0)
    if image is not None:
        size = image.width, image.height
        try:
            answer = ask(read.item, image)
        except UserError as problem:
            error = str(problem)
        except Exception as problem:
            error = _bug(read.item, problem)
    return _Asked(read.item, read.stamp, size, answer, error, time.monotonic() - started)


def _bug(item: WorkItem, error: Exception) -> str:
    """One image is not worth the end of thousands: its traceback is logged, its row says so."""
    _log.error("%s: an error in the program", item.key, exc_info=error)
    return f"An error in the program stopped this ({type(error).__name__}: {error})."
