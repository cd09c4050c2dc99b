"""A reader process: decodes images for the program, one at a time, and answers until the program is gone.

It imports neither torch nor Qt, prints nothing, and is ended by the
system itself when a decoder hangs or takes too much memory (see ``docs/adr/0013-reader-processes.md``).
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.domain import budget
from annotator.domain.answering.zoom import Region
from annotator.domain.errors import ImageError
from annotator.domain.window import window_from_json
from annotator.io.images import decoding
from annotator.io.images.channel import INLINE_BYTES, Channel, ChannelEndedError, PipeChannel, SocketChannel
from annotator.io.images.native_wire import aligned, to_wire
from annotator.io.images.reader import LoadedImage, RgbArray, memory_error
from annotator.io.images.sink import Sink, bands_of
from annotator.io.images.stored import read_label_map, read_stored

_SLACK_BYTES = 256 << 20
"""Beside the limit: the threads' stacks and what decoders keep."""
_WATCH_S = 0.1
_IS_LINUX = sys.platform.startswith("linux")


def main() -> None:
    """Serve what is at the other end of standard input (a socket, or with ``--pipes`` both pipes)."""
    channel = _channel("--pipes" in sys.argv)
    logging.disable(logging.CRITICAL)
    decoding.readers()
    empty_bytes = _used_bytes()
    threading.Thread(target=_end_with_program, daemon=True).start()
    # What native code prints goes nowhere; until here it is the reason why this process did not start.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    channel.send({"ready": True})
    sink = Sink()
    while True:
        try:
            sink.get_ready(_serve(channel, channel.receive().data, empty_bytes, sink))
        except ChannelEndedError:
            return


def _channel(over_pipes: bool) -> Channel:
    if over_pipes:
        out = os.dup(1)
        os.dup2(2, 1)  # whatever prints must not get between the messages
        return PipeChannel(os.fdopen(os.dup(0), "rb"), os.fdopen(out, "wb"))
    return SocketChannel(socket.socket(fileno=os.dup(0)))


def _serve(channel: Channel, request: dict[str, Any], empty_bytes: int, own_sink: Sink) -> int:
    """Answer one request: ``ask`` names it, ``cpu_s`` and ``limit_bytes`` bound it, the others are its arguments.

    Returns:
        What its pixels took in the sink's file, in bytes.
    """
    cpu_s, limit = request.pop("cpu_s"), request.pop("limit_bytes")
    budget.set_limit_bytes(limit)
    with own_sink as sink:
        _bound(cpu_s, empty_bytes + limit + sink.ready_bytes + _SLACK_BYTES)
        name = os.path.basename(request["path"])
        try:
            data, rgb, more = ANSWERS[request.pop("ask")](**request)
            size = sum(array.nbytes for array in (rgb, *more)) if rgb is not None else 0
            is_large = size >= INLINE_BYTES and channel.passes_files
            file = sink.file_of(rgb, more) if rgb is not None and is_large else None
            payload = b"" if rgb is None or file is not None else _payload(rgb, more)
        except ImageError as error:
            data, rgb, file, payload = {"error": [error.message, error.advice]}, None, None, b""
        except MemoryError:
            refusal = memory_error(name)
            data, rgb, file, payload = {"error": [refusal.message, refusal.advice]}, None, None, b""
        except Exception:
            data, rgb, file, payload = {"bug": traceback.format_exc()}, None, None, b""
        finally:
            _bound(0, None)
        if rgb is not None:
            data["shape"] = list(rgb.shape)
        channel.send(data, payload, file)
        return 0 if file is None else size


def _payload(rgb: RgbArray, more: Planes) -> memoryview | bytes:
    """What a file would hold, for a channel that passes none."""
    if not more:
        return np.ascontiguousarray(rgb).data.cast("B")
    block = bytearray(np.ascontiguousarray(rgb).data.cast("B"))
    for array in more:
        block += bytes(aligned(len(block)) - len(block))
        for band in bands_of(array):
            block += band
    return memoryview(block)


Planes = Sequence[npt.NDArray[Any]]
Answer = tuple[dict[str, Any], RgbArray | None, Planes]
"""Plain JSON data, the pixels, and what follows them."""
_NOT_SENT = ("rgb", "native", "window", "regions")


def _load(path: str, frame: int, max_pixels: int, is_native: bool = False, may_be_overview: bool = False) -> Answer:
    image = decoding.load_image(path, frame=frame, max_pixels=max_pixels, may_be_overview=may_be_overview)
    data = {one.name: getattr(image, one.name) for one in fields(LoadedImage) if one.name not in _NOT_SENT}
    if not is_native or image.native is None:
        return data, image.rgb, ()
    data["native"], planes = to_wire(image.native, image.rgb)
    return data, image.rgb, planes


def _region(path: str, frame: int, region: list[int], size: list[int], window: str | None) -> Answer:
    width, height = size
    shown_through = None if window is None else window_from_json(window)
    about: Any = {"region": Region(*region), "size_wh": (width, height), "window": shown_through}
    return {}, decoding.read_region(path, frame=frame, **about), ()


def _thumbnail(path: str, max_side: int, max_pixels: int, frame: int = 0) -> Answer:
    return {}, decoding.load_thumbnail(path, frame=frame, max_side=max_side, max_pixels=max_pixels), ()


def _size(path: str, frame: int = 0) -> Answer:
    return {"size": list(decoding.read_size(path, frame=frame))}, None, ()


def _survey(path: str, within_s: float | None) -> Answer:
    return {"survey": decoding.survey(path, within_s=within_s).to_data()}, None, ()


def _count(path: str, seconds: float) -> Answer:
    found = decoding.count(path, seconds=seconds)
    survey = None if found.survey is None else found.survey.to_data()
    return {"frames": found.frames, "about": found.about, "survey": survey}, None, ()


def _surveys(path: str, paths: list[str], within_s: float | None) -> Answer:
    """Of many files below a folder: an answer for each would take longer than the looks."""
    return {"surveys": [_survey_or_none(os.path.join(path, one), within_s) for one in paths]}, None, ()


def _survey_or_none(path: str, within_s: float | None) -> dict[str, Any] | None:
    try:
        return decoding.survey(path, within_s=within_s).to_data()
    except ImageError:  # it is reported when it is to be shown
        return None


def _places(path: str, paths: list[str]) -> Answer:
    """Of many files below a folder."""
    return {"places": [_places_or_none(os.path.join(path, one)) for one in paths]}, None, ()


def _places_or_none(path: str) -> dict[str, Any] | None:
    try:
        return decoding.places(path).to_data()
    except ImageError:  # it is missing or damaged: nothing is known of it
        return None


def _heads(path: str, paths: list[str], with_patient: bool) -> Answer:
    """Of many files below a folder."""
    return {"heads": [_head_or_none(os.path.join(path, one), with_patient) for one in paths]}, None, ()


def _head_or_none(path: str, with_patient: bool) -> dict[str, Any] | None:
    try:
        return decoding.read_head(path, with_patient=with_patient)
    except ImageError:  # it is missing or damaged
        return None


def _segments(path: str, pictures: list[Any]) -> Answer:
    from annotator.io.segments.reading import read_segments  # seldom needed

    return {"segments": read_segments(path, pictures)}, None, ()


def _identity(path: str) -> Answer:
    return {"identity": decoding.read_identity(path)}, None, ()


def _stored(path: str, is_grey: bool, max_pixels: int) -> Answer:
    return {}, read_stored(path, is_grey=is_grey, max_pixels=max_pixels), ()


def _label_map(path: str, max_pixels: int) -> Answer:
    return {}, read_label_map(path, max_pixels=max_pixels), ()


ANSWERS: dict[str, Callable[..., Answer]] = {
    "load": _load,
    "region": _region,
    "thumbnail": _thumbnail,
    "size": _size,
    "survey": _survey,
    "count": _count,
    "surveys": _surveys,
    "places": _places,
    "heads": _heads,
    "segments": _segments,
    "identity": _identity,
    "stored": _stored,
    "label_map": _label_map,
}


def _bound(cpu_s: float, memory_bytes: int | None) -> None:
    """Let the system end this process after so much computing (0: no end), and refuse it more memory. Where the system
    cannot, the program's own deadline and the watch below do."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, cpu_s)  # SIGPROF, whose default is to end the process
    if _IS_LINUX:
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        wanted = resource.RLIM_INFINITY if memory_bytes is None else memory_bytes
        if most != resource.RLIM_INFINITY:
            wanted = most if wanted == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_AS, (wanted, most))
    else:
        _watched.limit_bytes = memory_bytes


def _used_bytes() -> int:
    """Address space on Linux (what its limit counts), elsewhere the most memory so far; 0 where nobody says."""
    if _IS_LINUX:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if os.uname().sysname == "Darwin" else 1024)


class _Watched:
    """What the watch compares the memory with; None between requests."""

    limit_bytes: int | None = None


_watched = _Watched()
MEMORY_EXIT = 77
"""The exit code for too much memory, where the system has no limit of its own."""


def _end_with_program() -> None:
    """On a thread: end with the program, also in the middle of a picture."""
    waits = select.poll() if hasattr(select, "poll") else None
    if waits is not None:
        waits.register(0, 0)  # asks for nothing but the end of the other side
    while True:
        if waits is not None:
            if waits.poll(None if _IS_LINUX else _WATCH_S * 1000):
                os._exit(0)
        elif not threading.main_thread().is_alive() or _wait_for_parent(_WATCH_S):
            os._exit(0)
        if _watched.limit_bytes is not None and _used_bytes() > _watched.limit_bytes:
            os._exit(MEMORY_EXIT)


def _wait_for_parent(timeout_s: float) -> bool:
    """Windows: whether the program has ended; waits so long for it."""
    import _winapi

    synchronize, signalled = 0x00100000, 0
    try:
        handle = _winapi.OpenProcess(synchronize, False, os.getppid())  # type: ignore[attr-defined]
    except OSError:
        return True
    try:
        return bool(_winapi.WaitForSingleObject(handle, int(timeout_s * 1000)) == signalled)  # type: ignore[attr-defined]
    finally:
        _winapi.CloseHandle(handle)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
