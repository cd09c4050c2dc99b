"""``annotator batch --ray``: workers on the machines of a Ray cluster; the driver alone writes the journal.

What is lost with a worker is asked again by another one; which image is a failed one, ``blame`` decides.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from annotator.commands.batch.blame import MOST_LOSSES, Call, End, Line, after_end
from annotator.commands.batch.pipeline import stamp_of
from annotator.commands.batch.ray_worker import BatchWorker, Begun, Recipe
from annotator.commands.batch.work_list import WorkItem
from annotator.commands.ray_option import most_by_cards, share_of
from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError, UserError

IMAGES_A_CALL = 8
IMAGES_A_CALL_ON_CARD = 32
"""There the model may take several at once."""
_CALLS_AHEAD = 2
"""Of a worker: the next one is there when one ends."""
_MOST_BAD_STARTS = 3
_LOOK_S = 1.0
_LOCAL = "local"
_NO_START = "Workers of the cluster end while they load the model."
_ENDED = "The process that was asked about it, and about nothing else, ended {} times. It is left out."
_LOST = "{} machines of the cluster went while they were asked about {}."
_LOST_ADVICE = "Look why they end. What is finished is kept: the same command goes on."
_NODE_GONE = "its node has died"
"""Ray's words for it."""


@dataclass(eq=False, slots=True)
class _Worker:
    """``calls``: in their order, each with the reference to its answer; ``is_new``: it was asked nothing yet."""

    actor: Any
    begun: Any
    is_ready: bool = False
    is_new: bool = True
    calls: deque[tuple[Any, Call]] = field(default_factory=deque)


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """The package Ray, connected; ``local`` starts a cluster of this computer, which ends with the context.

    Raises:
        UserError: it is not installed, or nothing answers there.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError(
            "--ray needs the package ray, which is not installed.", "pip install 'annotator[ray]'"
        ) from error
    where: dict[str, Any] = {"include_dashboard": False} if address == _LOCAL else {"address": address}
    try:
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except (OSError, RuntimeError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"There is no Ray cluster at {brief(address)} ({brief(first)}).", "Start one, or give --ray local."
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


class RayPool:
    """Use it as a context: its workers end with it.

    Args:
        ray: the package, connected.
        most: workers; None: as many as the cluster has cores (or room on cards), also of machines that come later.
        worker: a :class:`BatchWorker`.
    """

    def __init__(self, ray: Any, recipe: Recipe, *, most: int | None, worker: type[BatchWorker] = BatchWorker) -> None:
        self._ray, self._most = ray, most
        self._recipe = ray.put(recipe)
        self._cards = share_of(recipe.args)
        least = IMAGES_A_CALL_ON_CARD if self._cards else IMAGES_A_CALL
        self._images_a_call = max(least, recipe.args.batch_size or 1)
        self._actor = ray.remote(worker).options(num_cpus=1, num_gpus=self._cards)
        self._workers: list[_Worker] = []
        self._about, self._precision = "", ""
        self._bad_starts = 0
        failures = ray.exceptions
        self._ends = (failures.RayActorError, failures.OutOfMemoryError, failures.NodeDiedError)

    def __enter__(self) -> RayPool:
        return self

    def __exit__(self, *_exception: object) -> None:
        for worker in self._workers:
            self._ray.kill(worker.actor)

    def begin(self) -> str:
        """Wait for the first worker. Returns: what the answers depend on, JSON.

        Raises:
            UserError: the model cannot be loaded there.
        """
        while not self._about:
            if not self._workers:
                self._grow(1)
            self._look_at_new(_LOOK_S)
        return self._about

    def ask(self, items: Sequence[WorkItem], on_row: Callable[[Mapping[str, Any]], object]) -> None:
        """Ask about all; ``on_row`` gets each image's row once, on this thread.

        Raises:
            UserError: the machines have different models, or none can be loaded.
            BaseException: what ``on_row`` raised.
        """
        size = self._images_a_call
        line = Line(deque(Call(tuple(items[at : at + size])) for at in range(0, len(items), size)))
        while line or any(worker.calls for worker in self._workers):
            self._grow(len(line))
            self._look_at_new(0)
            self._hand_out(line)
            first = {worker.calls[0][0]: worker for worker in self._workers if worker.calls}
            new = [worker.begun for worker in self._workers if not worker.is_ready]
            if not first and not new:
                continue  # one was ended so that a new one may come
            done, _ = self._ray.wait([*first, *new], num_returns=1, timeout=_LOOK_S)
            for reference in done:
                if reference in first:
                    self._take(first[reference], line, on_row)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _grow(self, calls: int) -> None:
        """More workers where there is room and work for them: also on machines that came later."""
        there = self._ray.cluster_resources()
        room = most_by_cards(there.get("GPU", 0), self._cards) if self._cards else int(there.get("CPU", 0))
        room = max(1, room if self._most is None else min(room, self._most))
        for _ in range(min(room - len(self._workers), calls)):
            actor = self._actor.remote(self._recipe)
            self._workers.append(_Worker(actor, actor.begin.remote(self._precision)))

    def _look_at_new(self, within_s: float) -> None:
        new = {worker.begun: worker for worker in self._workers if not worker.is_ready}
        if not new:
            return
        for reference in self._ray.wait(list(new), num_returns=1, timeout=within_s)[0]:
            worker = new[reference]
            try:
                begun: Begun = self._ray.get(reference)
            except self._ends:
                self._end(worker)
                self._bad_starts += 1
                if self._bad_starts >= _MOST_BAD_STARTS:
                    raise UserError(_NO_START, "Look whether there is memory for the model.") from None
                continue
            if begun.message:
                raise UserError(begun.message, begun.advice)
            if self._about and begun.about != self._about:
                raise ModelError("The machines have other models or adapters of that name.", "Bring them to the same.")
            self._about, self._precision = begun.about, begun.precision
            worker.is_ready, self._bad_starts = True, 0

    def _hand_out(self, line: Line) -> None:
        leaving = self._makes_room(line)
        for ahead in range(_CALLS_AHEAD):
            for worker in self._workers:
                if worker is leaving or not worker.is_ready or len(worker.calls) > ahead:
                    continue
                call = line.next_for([call for _, call in worker.calls], is_new=worker.is_new)
                if call:
                    worker.is_new = False
                    worker.calls.append((worker.actor.ask.remote(call.items), call))

    def _makes_room(self, line: Line) -> _Worker | None:
        """The worker that is given nothing more and ends when it has answered: an image wants a new one instead."""
        if not line.proofs or not self._workers or any(worker.is_new for worker in self._workers):
            return None
        leaving = min(self._workers, key=lambda worker: len(worker.calls))
        if not leaving.calls:
            self._end(leaving)
        return leaving

    def _end(self, worker: _Worker) -> None:
        """Also of one that is only out of reach: its place is needed, and its answers are no longer waited for."""
        self._workers.remove(worker)
        self._ray.kill(worker.actor)

    def _take(self, worker: _Worker, line: Line, on_row: Callable[[Mapping[str, Any]], object]) -> None:
        try:
            rows = self._ray.get(worker.calls[0][0])
        except self._ends as error:
            self._end(worker)
            again, guilty = after_end([call for _, call in worker.calls], self._kind_of(error))
            for call in again:
                if call.losses >= MOST_LOSSES:
                    raise UserError(_LOST.format(call.losses, call.items[0].name), _LOST_ADVICE) from error
            line.give_back(again)
            rows = [_left_out(guilty)] if guilty else []
        else:
            worker.calls.popleft()
        for row in rows:
            on_row(row)

    def _kind_of(self, error: BaseException) -> End:
        failures = self._ray.exceptions
        gone = isinstance(error, (failures.ActorUnavailableError, failures.NodeDiedError))
        return End.MACHINE if gone or _NODE_GONE in str(error) or getattr(error, "preempted", False) else End.PROCESS


def _left_out(call: Call) -> dict[str, Any]:
    (item,) = call.items
    return {"key": item.key, "stamp": list(stamp_of(item)), "seconds": 0.0, "error": _ENDED.format(call.ends)}
