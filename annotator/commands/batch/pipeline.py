"""Reading, encoding, decoding and writing at once: threads that read, one that encodes the next image where the model
can do that, the decodes on the caller's thread, one that writes."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar, runtime_checkable

from annotator.commands.batch.handover import Handover
from annotator.commands.batch.together import Groups, groups_of
from annotator.commands.batch.work_list import WorkItem
from annotator.domain.errors import ImageError, UserError
from annotator.domain.mask import Mask
from annotator.io.images.reader import LoadedImage

_Done = TypeVar("_Done")
_log = logging.getLogger(__name__)

READ_AHEAD = 4
READ_AHEAD_BYTES = 512 << 20
"""Of pixels that wait for the model; one larger image waits alone."""
ENCODED_AHEAD = 1
WRITE_BEHIND = 4
WRITE_BEHIND_BYTES = 256 << 20


class TakesRows(Protocol):
    """As :class:`annotator.commands.batch.journal.Journal`."""

    def add(self, row: Mapping[str, Any]) -> None: ...


@runtime_checkable
class BeginsAhead(Protocol):
    """An ``ask`` in two parts: the second one's image can be begun while the first one's is finished."""

    @property
    def may_overlap(self) -> bool:
        """Whether ``begin`` may be called on another thread than what it returned."""
        ...

    def begin(self, item: WorkItem, image: LoadedImage) -> Callable[[], Answer]:
        """Encode the image. Returns: what asks about it. Both may raise UserError."""
        ...


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
class _Begun:
    read: _Read
    answer: Callable[[], Answer] | None
    error: str
    seconds: float


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


_Begin = Callable[[WorkItem, LoadedImage], Callable[[], Answer]]


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
    ask: Callable[[WorkItem, LoadedImage], Answer] | BeginsAhead,
    on_asked: Callable[[WorkItem, int], object],
    readers: int,
    interrupt: Callable[[], object] = lambda: None,
) -> None:
    """Put every image into the journal, with its answer or the reason why there is none.

    Args:
        load: called by ``readers`` threads; ask: on this thread, an image after the other, but for the beginnings of
            one that :class:`BeginsAhead`.
        on_asked: called after each image with how many there were.
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
    ahead: Handover[_Begun] = Handover(most=ENCODED_AHEAD, limit_bytes=READ_AHEAD_BYTES)
    begin = ask.begin if isinstance(ask, BeginsAhead) else partial(partial, ask)
    groups = groups_of(ask)
    overlaps = groups is None and isinstance(ask, BeginsAhead) and ask.may_overlap
    if overlaps:
        threads.append(threading.Thread(target=_begin_all, args=(incoming, ahead, begin), name="encode", daemon=True))
    for thread in threads:
        thread.start()
    try:
        if groups is not None:
            answered = _in_groups(incoming, len(items), groups, begin)
        else:
            answered = _one_by_one(incoming, len(items), begin, ahead if overlaps else None)
        for count, asked in enumerate(answered, start=1):
            writer.put(asked)
            on_asked(asked.item, count)
    except BaseException:
        incoming.close()
        interrupt()
        raise
    finally:
        incoming.close()
        ahead.close()
        for thread in threads:
            thread.join()
        writer.finish()


def _one_by_one(
    incoming: Handover[_Read], count: int, begin: _Begin, ahead: Handover[_Begun] | None
) -> Iterator[_Asked]:
    """``ahead``: what another thread has begun already."""
    for _ in range(count):
        begun = _begun(incoming.take(), begin) if ahead is None else ahead.take()
        assert begun is not None  # they are closed by the caller only
        yield _asked(begun)


def _in_groups(incoming: Handover[_Read], count: int, groups: Groups, begin: _Begin) -> Iterator[_Asked]:
    """As many images at once as there is memory for; twice as many are read ahead."""
    while count:
        incoming.widen(max(READ_AHEAD, 2 * groups.size))
        reads = list(_taken(incoming, min(count, groups.size)))
        count -= len(reads)
        started = time.monotonic()
        work = [(read.item, read.image) for read in reads if read.image is not None]
        answers = iter(groups.answers(work))
        seconds = (time.monotonic() - started) / max(len(work), 1)
        for read in reads:
            answer = None if read.image is None else next(answers)
            if read.image is None or answer is None:
                yield _asked(_begun(read, begin))
            else:
                yield _Asked(read.item, read.stamp, (read.image.width, read.image.height), answer, "", seconds)


def _taken(incoming: Handover[_Read], most: int) -> Iterator[_Read]:
    """As many, or as many as weigh what may wait."""
    weight_bytes = 0
    for _ in range(most):
        read = incoming.take()
        assert read is not None  # it is closed by the caller only
        yield read
        weight_bytes += 0 if read.image is None else read.image.rgb.nbytes
        if weight_bytes >= READ_AHEAD_BYTES:
            return


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


def _begin_all(incoming: Handover[_Read], ahead: Handover[_Begun], begin: _Begin) -> None:
    while (read := incoming.take()) is not None:
        if not ahead.put(_begun(read, begin)):
            return


def _begun(read: _Read | None, begin: _Begin) -> _Begun:
    assert read is not None
    started = time.monotonic()
    answer, error = None, read.error
    if read.image is not None:
        answer, error = _kept(read.item, partial(begin, read.item, read.image))
    return _Begun(read, answer, error, time.monotonic() - started)


def _asked(begun: _Begun) -> _Asked:
    started = time.monotonic()
    read, error, answer = begun.read, begun.error, None
    if begun.answer is not None:
        answer, error = _kept(read.item, begun.answer)
    size = (0, 0) if read.image is None else (read.image.width, read.image.height)
    seconds = begun.seconds + time.monotonic() - started
    return _Asked(read.item, read.stamp, size, answer or Answer(), error, seconds)


def _kept(item: WorkItem, work: Callable[[], _Done]) -> tuple[_Done | None, str]:
    """What came of it, or in a sentence why nothing did."""
    try:
        return work(), ""
    except UserError as problem:
        return None, str(problem)
    except Exception as problem:
        return None, _bug(item, problem)


def _bug(item: WorkItem, error: Exception) -> str:
    """One image is not worth the end of thousands: its traceback is logged, its row says so."""
    _log.error("%s: an error in the program", item.key, exc_info=error)
    return f"An error in the program stopped this ({type(error).__name__}: {error})."
