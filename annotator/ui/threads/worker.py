"""The engine on a thread of its own: one-slot mailboxes, where the newest request replaces a waiting one.

The engine thread owns the model. Only requests, results and numpy arrays cross the border. After each job the worker
looks at the mailboxes from the top again: load, adapter, decode, compare, encode, warm, prefetch. A decode is short
and never cancelled; an encode gives way between the blocks of the encoder when something more urgent is waiting.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from PySide6.QtCore import QObject, Qt, QThread, QTimer, Signal, Slot

from annotator.domain.errors import EncodeCancelled, UserError
from annotator.domain.ports.engine import (
    ADAPTER_EPOCH,
    LOAD_EPOCH,
    Adaptable,
    AdapterInUse,
    AdapterSetter,
    DecodeRequest,
    DecodeResult,
    Embedding,
    EncodeRequest,
    EncodeResult,
    Engine,
    EngineFactory,
    EngineFailure,
    ModelInfo,
    RgbArray,
    Warmable,
    WarmRequest,
)
from annotator.engine.mailboxes import Job, Lane, Mailboxes

_log = logging.getLogger(__name__)

BUG_MESSAGE = "Something went wrong in the engine; the session goes on."


class LoadCancelled(Exception):  # noqa: N818 - a signal to the factory, not a failure
    """Raised out of the factory's progress callback when the program ends or another model is wanted."""


class EngineWorker(QObject):
    """Lives on the engine thread and does one job at a time. Its signals are the client's, from that thread."""

    loading = Signal(str)
    loaded = Signal(object, int)  # ModelInfo, how many models were loaded
    encode_started = Signal(str)
    encoded = Signal(object)
    decoded = Signal(object)
    compared = Signal(object)
    adapter_set = Signal(object, float, int)  # AdapterInUse or None, milliseconds, the model that took it
    moved = Signal(object, int)  # ModelInfo, the model that it is
    failed = Signal(object)

    def __init__(self, mailboxes: Mailboxes, *, prefetch_idle_ms: int) -> None:
        super().__init__()
        self._mailboxes = mailboxes
        self._engine: Engine | None = None
        self._model = 0
        self._info: ModelInfo | None = None
        self._adapter: AdapterInUse | None = None
        # Work on an accelerator is queued ahead and cannot be called back: a prefetch waits for quiet.
        self._prefetch_idle_s = prefetch_idle_ms / 1000
        self._busy_until_s = 0.0
        self._idle_timer = QTimer(self)
        self._idle_timer.setSingleShot(True)
        self._idle_timer.timeout.connect(self.drain)

    @Slot()
    def drain(self) -> None:
        """Do all that waits, most urgent first."""
        while (job := self._mailboxes.take(is_ready=self._engine is not None)) is not None:
            if job.lane is Lane.PREFETCH and self._waits_for_quiet():
                self._mailboxes.put_back(job)
                return
            self._do(job)
            self._tell_if_moved()
            if job.lane is not Lane.PREFETCH:
                self._busy_until_s = time.monotonic() + self._prefetch_idle_s

    @Slot()
    def release(self) -> None:
        """Let the engine go on the thread that owns it."""
        self._idle_timer.stop()
        self._engine = None

    def _waits_for_quiet(self) -> bool:
        left_s = self._busy_until_s - time.monotonic()
        if left_s <= 0:
            return False
        self._idle_timer.start(int(left_s * 1000) + 1)
        return True

    def _do(self, job: Job) -> None:
        content = job.content
        try:
            if job.lane is Lane.COMPARE and isinstance(content, DecodeRequest):
                self._compare(job, content)
            elif isinstance(content, DecodeRequest):
                self._decode(job, content)
            elif isinstance(content, EncodeRequest):
                self._encode_ahead(job, content)
            elif isinstance(content, WarmRequest):
                self._warm(job, content)
            elif job.lane is Lane.ADAPTER:
                self._set_adapter(cast(AdapterSetter, content))
            else:
                self._load(cast(EngineFactory, content))
        except EncodeCancelled:
            self._give_way(job)
        except LoadCancelled:
            _log.info("loading a model was given up for a newer wish")
        except UserError as error:
            _log.warning("%s", error)
            self._fail(job, str(error))
        except Exception as error:
            _log.exception("engine job failed")
            self._fail(job, f"{BUG_MESSAGE} ({type(error).__name__})", traceback.format_exc())

    def _fail(self, job: Job, message: str, details: str = "") -> None:
        if job.lane in (Lane.WARM, Lane.PREFETCH):
            # Nobody asked for that yet: it fails again, and is reported, when somebody does.
            return
        no_request = ADAPTER_EPOCH if job.lane is Lane.ADAPTER else LOAD_EPOCH
        epoch = no_request if job.request is None else job.request.epoch
        generation = job.content.generation if isinstance(job.content, DecodeRequest) else 0
        self.failed.emit(EngineFailure(epoch, generation, message, details))

    def _load(self, factory: EngineFactory) -> None:
        # The engine in use stays until the new one is complete: a model that cannot be loaded costs nothing.
        engine = factory(self._report)
        self._engine = engine
        self._adapter = None
        self._model += 1
        self._info = engine.segmenter.info
        self.loaded.emit(self._info, self._model)

    def _tell_if_moved(self) -> None:
        """A model leaves a graphics card that has become too small for it in the middle of any job."""
        info = None if self._engine is None else self._engine.segmenter.info
        if info is not None and info != self._info:
            self._info = info
            self.moved.emit(info, self._model)

    def _set_adapter(self, setter: AdapterSetter) -> None:
        """Nothing is encoded again: an adapter works on the embeddings that there are."""
        started = time.perf_counter()
        self._adapter = setter(self._loaded_engine().segmenter)
        self.adapter_set.emit(self._adapter, (time.perf_counter() - started) * 1e3, self._model)

    def _report(self, line: str) -> None:
        if self._mailboxes.is_stopping or self._mailboxes.peek(Lane.LOAD) is not None:
            raise LoadCancelled
        self.loading.emit(line)

    def _encode_ahead(self, job: Job, request: EncodeRequest) -> None:
        embedding, was_cached = self._embedding(job, request.image, request.image_key)
        self.encoded.emit(
            EncodeResult(request.epoch, request.image_key, embedding.encode_ms, was_cached, request.is_prefetch)
        )

    def _decode(self, job: Job, request: DecodeRequest) -> None:
        embedding, was_cached = self._embedding(job, request.image, request.image_key)
        if not was_cached and self._has_newer(request):
            # Clicks went on while the image was encoded: only the newest is worth an answer.
            return
        engine = self._loaded_engine()
        previous = request.continue_from if job.model == self._model else None
        candidates = engine.segmenter.decode(embedding, request.prompts, continue_from=previous)
        self.decoded.emit(
            DecodeResult(
                request.epoch,
                request.generation,
                request.image_key,
                request.prompts,
                candidates,
                embedding.encode_ms,
                was_cached,
                "" if self._adapter is None else self._adapter.record,
            )
        )

    def _compare(self, job: Job, request: DecodeRequest) -> None:
        """What the base alone says; the adapter is back before anything else is answered."""
        embedding, was_cached = self._embedding(job, request.image, request.image_key)
        segmenter = self._loaded_engine().segmenter
        if not isinstance(segmenter, Adaptable):
            return
        kept = segmenter.adapter
        segmenter.set_adapter(None)
        try:
            found = segmenter.decode(embedding, request.prompts)
        finally:
            segmenter.set_adapter(kept)
        about = (request.epoch, request.generation, request.image_key, request.prompts)
        self.compared.emit(DecodeResult(*about, found, embedding.encode_ms, was_cached))

    def _warm(self, job: Job, request: WarmRequest) -> None:
        """One piece of the work; then the mailboxes are looked at again."""
        engine = self._loaded_engine()
        segmenter = engine.segmenter
        embedding = engine.cache.get(segmenter.embedding_key(request.image_key))
        if embedding is None or not isinstance(segmenter, Warmable):
            return
        if segmenter.warm(embedding, request.x, request.y, is_cancelled=self._question(job)):
            self._mailboxes.put_back(job)

    def _has_newer(self, request: DecodeRequest) -> bool:
        waiting = self._mailboxes.peek(Lane.DECODE)
        newer = waiting.content if waiting is not None else None
        return isinstance(newer, DecodeRequest) and newer.epoch == request.epoch

    def _embedding(self, job: Job, image: RgbArray, image_key: str) -> tuple[Embedding, bool]:
        """The image's embedding and whether it was in the cache."""
        engine = self._loaded_engine()
        cached = engine.cache.get(engine.segmenter.embedding_key(image_key), image)
        if cached is not None:
            return cached, True
        self.encode_started.emit(image_key)
        embedding = engine.segmenter.encode(image, image_key, is_cancelled=self._question(job))
        engine.cache.put(embedding)
        return embedding, False

    def _question(self, job: Job) -> Callable[[], bool]:
        return lambda: self._mailboxes.has_to_yield(job)

    def _give_way(self, job: Job) -> None:
        """After a cancelled encode: keep the job unless nobody wants it any more."""
        urgent = [self._mailboxes.peek(lane) for lane in (Lane.DECODE, Lane.ENCODE)]
        has_left = any(job.is_left_behind_by(other) for other in urgent)
        if job.lane is Lane.PREFETCH or not has_left:
            self._mailboxes.put_back(job)

    def _loaded_engine(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("a job was taken before the engine was loaded")
        return self._engine


class EngineClient(QObject):
    """The engine as seen from the GUI thread. All methods return at once (``stop`` waits); all signals arrive there.

    Requests that come before the engine is loaded wait in their mailboxes and are answered afterwards.
    """

    loading = Signal(str)
    """A progress line of loading or downloading."""
    ready = Signal(object)
    """ModelInfo: an engine is loaded; the first or another one."""
    moved = Signal(object)
    """ModelInfo: the engine in use had to go to another device, with its adapter; its note says why."""
    encode_started = Signal(str)
    """image_key of an image that is not in the cache and is encoded now (also ahead of time)."""
    encoded = Signal(object)
    """EncodeResult"""
    decoded = Signal(object)
    """DecodeResult"""
    compared = Signal(object)
    """DecodeResult of the base alone, asked by :meth:`EngineClient.submit_compare`"""
    adapter_changed = Signal(object, float)
    """(AdapterInUse, or None for the base alone; milliseconds that the change took). Embeddings stay."""
    failed = Signal(object)
    """EngineFailure; ``epoch == LOAD_EPOCH`` when it is about loading the model."""
    _wake = Signal()

    def __init__(self, parent: QObject | None = None, *, prefetch_idle_ms: int = 150) -> None:
        super().__init__(parent)
        self._mailboxes = Mailboxes()
        self._model = 0
        self._info: ModelInfo | None = None
        self._adapter: AdapterInUse | None = None
        self._is_loading = False
        self._thread = QThread()
        self._thread.setObjectName("engine")
        self._worker = EngineWorker(self._mailboxes, prefetch_idle_ms=prefetch_idle_ms)
        self._worker.moveToThread(self._thread)
        queued = Qt.ConnectionType.QueuedConnection
        self._wake.connect(self._worker.drain, queued)
        # Directly: on the engine thread, as the last it does. A queued call is lost when the loop is left before it.
        self._thread.finished.connect(self._worker.release, Qt.ConnectionType.DirectConnection)
        self._worker.loading.connect(self.loading, queued)
        self._worker.loaded.connect(self._on_loaded, queued)
        self._worker.moved.connect(self._on_moved, queued)
        self._worker.encode_started.connect(self.encode_started, queued)
        self._worker.encoded.connect(self.encoded, queued)
        self._worker.decoded.connect(self.decoded, queued)
        self._worker.compared.connect(self.compared, queued)
        self._worker.adapter_set.connect(self._on_adapter_set, queued)
        self._worker.failed.connect(self._on_failed, queued)

    @property
    def info(self) -> ModelInfo | None:
        """The model whose answers arrive now; None until the first is loaded."""
        return self._info

    @property
    def adapter(self) -> AdapterInUse | None:
        """What answers beside the model; None for the base alone."""
        return self._adapter

    @property
    def can_answer(self) -> bool:
        """Whether a request will get an answer: an engine is loaded, or on its way."""
        return self._info is not None or self._is_loading

    @property
    def is_running(self) -> bool:
        return self._thread.isRunning()

    def start(self, factory: EngineFactory) -> None:
        """Start the thread and load the engine on it."""
        if self._mailboxes.is_stopping:
            raise RuntimeError("a stopped engine client cannot be started again")
        if not self._thread.isRunning():
            self._thread.start()
        self._is_loading = True
        self._put(Job(Lane.LOAD, factory))

    def restart(self, factory: EngineFactory) -> None:
        """Load another model. The one in use answers until then, and stays when the new one cannot be loaded."""
        self.start(factory)

    def submit_decode(self, request: DecodeRequest) -> None:
        self._put(Job(Lane.DECODE, request, self._model))

    def submit_compare(self, request: DecodeRequest) -> None:
        """Ask what the base alone says to these prompts."""
        self._put(Job(Lane.COMPARE, request, self._model))

    def use_adapter(self, setter: AdapterSetter) -> None:
        """Change the adapter. A setter that fails leaves what is in use (``failed`` with ``ADAPTER_EPOCH``)."""
        self._put(Job(Lane.ADAPTER, setter, self._model))

    def submit_encode(self, request: EncodeRequest) -> None:
        """Ask for the current image; an encode of another image gives way."""
        self._put(Job(Lane.ENCODE, request, self._model))

    def submit_prefetch(self, request: EncodeRequest) -> None:
        """Ask for an image that will probably be next; everything else goes first."""
        self._put(Job(Lane.PREFETCH, replace(request, is_prefetch=True), self._model))

    def submit_warm(self, request: WarmRequest) -> None:
        """The pointer rests on the current image: get ready for a click there."""
        self._put(Job(Lane.WARM, request, self._model))

    def clear(self) -> None:
        """Forget all waiting requests; a running one ends by itself."""
        self._mailboxes.clear()

    def drop_decodes(self, before_epoch: int) -> None:
        """Forget a waiting decode of an epoch before this one."""
        self._mailboxes.drop_decodes(before_epoch)

    def stop(self, timeout_ms: int = 5000) -> bool:
        """End the thread; True when it has ended.

        False means that a call into the engine does not come back. Then close the project and leave the process
        by ``os._exit``: destroying a running thread would abort it.
        """
        self._mailboxes.stop()
        if not self._thread.isRunning():
            return True
        self._thread.quit()
        return self._thread.wait(timeout_ms)

    def _put(self, job: Job) -> None:
        if not self._mailboxes.is_stopping and self._mailboxes.put(job):
            self._wake.emit()

    @Slot(object, int)
    def _on_loaded(self, info: ModelInfo, model: int) -> None:
        self._info, self._model, self._is_loading = info, model, False
        self._adapter = None
        self.ready.emit(info)

    @Slot(object, int)
    def _on_moved(self, info: ModelInfo, model: int) -> None:
        if model == self._model:
            self._info = info
            self.moved.emit(info)

    @Slot(object, float, int)
    def _on_adapter_set(self, adapter: AdapterInUse | None, took_ms: float, model: int) -> None:
        if model == self._model:
            self._adapter = adapter
            self.adapter_changed.emit(adapter, took_ms)

    @Slot(object)
    def _on_failed(self, failure: EngineFailure) -> None:
        if failure.epoch == LOAD_EPOCH:
            self._is_loading = False
        self.failed.emit(failure)
