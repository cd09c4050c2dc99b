"""What waits for the engine thread: one slot per kind of work, the newest request wins."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import IntEnum

from annotator.domain.ports.concept import ConceptRequest
from annotator.domain.ports.engine import AdapterSetter, EngineFactory
from annotator.domain.ports.likeness import LikeRequest
from annotator.domain.ports.requests import DecodeRequest, EncodeRequest, EverythingRequest, WarmRequest
from annotator.domain.ports.tracking import CarryRequest

Request = ConceptRequest | DecodeRequest | EncodeRequest | EverythingRequest | LikeRequest | WarmRequest | CarryRequest
"""What is about an image."""


class Lane(IntEnum):
    """The mailboxes, most urgent first."""

    LOAD = 0
    ADAPTER = 1
    DECODE = 2
    COMPARE = 3
    ENCODE = 4
    WARM = 5
    CARRY = 6
    EVERYTHING = 7
    PREFETCH = 8
    AHEAD = 9


@dataclass(frozen=True, slots=True)
class Job:
    """What waits in a lane. ``model`` counts the models that the sender had seen (older logits do not fit newer)."""

    lane: Lane
    content: EngineFactory | AdapterSetter | Request
    model: int = 0

    @property
    def image_key(self) -> str:
        return "" if self.request is None else self.request.image_key

    @property
    def request(self) -> Request | None:
        return self.content if isinstance(self.content, Request) else None

    def is_left_behind_by(self, other: Job | None) -> bool:
        """Whether ``other`` shows that the person has gone on to another image since."""
        if other is None or self.request is None or other.request is None:
            return False
        return other.image_key != self.image_key and other.request.epoch > self.request.epoch


class Mailboxes:
    """One slot per lane; any thread may use it. A newer job replaces the one that waits in its lane."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: dict[Lane, Job] = {}
        self._dropped: set[Lane] = set()
        self._dead_before = 0
        self._is_stopping = False

    def put(self, job: Job) -> bool:
        """Returns whether the worker has to be woken (the lane was empty)."""
        with self._lock:
            was_empty = job.lane not in self._slots
            self._slots[job.lane] = job
            self._dropped.discard(job.lane)
            return was_empty

    def put_back(self, job: Job) -> None:
        """Return a job that yielded, unless a newer one has taken its lane or nobody wants it any more."""
        with self._lock:
            if job.lane not in self._dropped:
                self._slots.setdefault(job.lane, job)

    def take(self, *, is_ready: bool) -> Job | None:
        """The most urgent job; only a load while there is no engine."""
        with self._lock:
            if self._is_stopping:
                return None
            lanes = sorted(lane for lane in self._slots if is_ready or lane is Lane.LOAD)
            return self._slots.pop(lanes[0]) if lanes else None

    def peek(self, lane: Lane) -> Job | None:
        with self._lock:
            return self._slots.get(lane)

    def clear(self) -> None:
        """Forget everything but a load and the choice of an adapter."""
        with self._lock:
            for lane in (Lane.DECODE, Lane.COMPARE, Lane.ENCODE, Lane.WARM, Lane.EVERYTHING, Lane.PREFETCH):
                self._slots.pop(lane, None)

    def drop(self, lane: Lane) -> None:
        """Forget what waits in a lane; long work of it that has begun ends with the step that it is busy with."""
        with self._lock:
            self._slots.pop(lane, None)
            self._dropped.add(lane)

    def drop_decodes(self, before_epoch: int) -> None:
        """Decodes of epochs before this one are not wanted any more."""
        with self._lock:
            self._dead_before = max(self._dead_before, before_epoch)
            job = self._slots.get(Lane.DECODE)
            if job is not None and isinstance(job.content, DecodeRequest) and job.content.epoch < before_epoch:
                del self._slots[Lane.DECODE]

    def stop(self) -> None:
        with self._lock:
            self._is_stopping = True
            self._slots.clear()

    @property
    def is_stopping(self) -> bool:
        return self._is_stopping

    def is_in_the_way(self, job: Job) -> bool:
        """Whether a step of long work, which can be begun anew, shall end now: something more urgent waits, whatever
        image it is about, or nobody wants the rest any more."""
        with self._lock:
            is_unwanted = self._is_stopping or job.lane in self._dropped or job.lane in self._slots
            return is_unwanted or any(lane < job.lane and lane is not Lane.WARM for lane in self._slots)

    def has_to_yield(self, job: Job) -> bool:
        """Whether the encode that ``job`` is busy with shall end now; asked between the encoder's blocks.

        Work on the very image that the more urgent job is about goes on: it is what that job needs.
        """
        with self._lock:
            if self._is_stopping or Lane.LOAD in self._slots:
                return True
            others = [self._slots[lane] for lane in (Lane.DECODE, Lane.ENCODE) if lane in self._slots]
            has_other_image = any(other.image_key != job.image_key for other in others)
            if isinstance(job.content, DecodeRequest):
                # A click is answered unless the person has left it, and its image, behind.
                return has_other_image and job.content.epoch < self._dead_before
            return has_other_image
