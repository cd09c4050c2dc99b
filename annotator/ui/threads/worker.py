"""The engine session on a Qt thread: its news are signals there, and requests come from the GUI thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import QObject, Qt, QThread, QTimer, Signal, Slot

from annotator.domain.ports.concept import ConceptRequest
from annotator.domain.ports.engine import AdapterInUse, AdapterSetter, EngineFactory, ModelInfo
from annotator.domain.ports.likeness import LikeRequest
from annotator.domain.ports.requests import (
    LOAD_EPOCH,
    DecodeRequest,
    DecodeResult,
    EncodeRequest,
    EncodeResult,
    EngineFailure,
    EverythingRequest,
    EverythingResult,
    WarmRequest,
)
from annotator.domain.ports.tracking import CarryRequest, CarryResult
from annotator.engine.mailboxes import Job, Lane, Mailboxes
from annotator.engine.session import EngineSession


class EngineWorker(QObject):
    """Lives on the engine thread and gives it to the session. Its signals are the client's, from that thread."""

    loading = Signal(str)
    loaded = Signal(object, int)  # ModelInfo, how many models were loaded
    encode_started = Signal(str)
    encoded = Signal(object)
    decoded = Signal(object)
    compared = Signal(object)
    everything = Signal(object)
    carried = Signal(object)
    adapter_set = Signal(object, float, int)  # AdapterInUse or None, milliseconds, the model that took it
    moved = Signal(object, int)  # ModelInfo, the model that it is
    failed = Signal(object)

    def __init__(self, mailboxes: Mailboxes, *, prefetch_idle_ms: int) -> None:
        super().__init__()
        self._session = EngineSession(mailboxes, self, prefetch_idle_ms=prefetch_idle_ms)
        self._idle_timer = QTimer(self)
        self._idle_timer.setSingleShot(True)
        self._idle_timer.timeout.connect(self.drain)

    @Slot()
    def drain(self) -> None:
        """Do all that waits, most urgent first."""
        again_s = self._session.work()
        if again_s is not None:
            self._idle_timer.start(int(again_s * 1000) + 1)

    @Slot()
    def release(self) -> None:
        """Let the engine go on the thread that owns it."""
        self._idle_timer.stop()
        self._session.release()

    # --- what the session reports -------------------------------------------------------------------------------------

    def on_loading(self, line: str) -> None:
        self.loading.emit(line)

    def on_loaded(self, info: ModelInfo, model: int) -> None:
        self.loaded.emit(info, model)

    def on_moved(self, info: ModelInfo, model: int) -> None:
        self.moved.emit(info, model)

    def on_adapter_set(self, adapter: AdapterInUse | None, took_ms: float, model: int) -> None:
        self.adapter_set.emit(adapter, took_ms, model)

    def on_encode_started(self, image_key: str) -> None:
        self.encode_started.emit(image_key)

    def on_encoded(self, result: EncodeResult) -> None:
        self.encoded.emit(result)

    def on_decoded(self, result: DecodeResult) -> None:
        self.decoded.emit(result)

    def on_compared(self, result: DecodeResult) -> None:
        self.compared.emit(result)

    def on_everything(self, result: EverythingResult) -> None:
        self.everything.emit(result)

    def on_carried(self, result: CarryResult) -> None:
        self.carried.emit(result)

    def on_failed(self, failure: EngineFailure) -> None:
        self.failed.emit(failure)


class CarryLane:
    """Asks for frames of a run, one at a time; clicks and encodes go first."""

    def __init__(self, put: Callable[[Job], object], mailboxes: Mailboxes) -> None:
        self._put, self._mailboxes = put, mailboxes

    def submit(self, request: CarryRequest) -> None:
        self._put(Job(Lane.CARRY, request))

    def drop(self) -> None:
        """The frame that was asked for is not wanted any more."""
        self._mailboxes.drop(Lane.CARRY)


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
    everything = Signal(object)
    """EverythingResult: a step of what :meth:`EngineClient.submit_everything` or ``submit_like`` asked"""
    carried = Signal(object)
    """CarryResult: a frame that :attr:`EngineClient.carry_lane` was given"""
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
        self.carry_lane = CarryLane(self._put, self._mailboxes)
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
        self._worker.everything.connect(self.everything, queued)
        self._worker.carried.connect(self.carried, queued)
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

    def submit_everything(self, request: EverythingRequest | ConceptRequest) -> None:
        """Ask for everything in an image, or for what words name; clicks and encodes go first between its steps."""
        self._put(Job(Lane.EVERYTHING, request, self._model))

    def submit_like(self, request: LikeRequest) -> None:
        """Ask for all that is like examples; answered as the question for everything. Of an image that may come later
        in a lane of its own."""
        self._put(Job(Lane.AHEAD if request.is_ahead else Lane.EVERYTHING, request, self._model))

    def drop_everything(self) -> None:
        """What is left of the question for everything, or for all that is like examples, is not wanted; a step that
        runs ends by itself."""
        self._mailboxes.drop(Lane.EVERYTHING)

    def drop_ahead(self) -> None:
        """What is left of the search of another image is not wanted."""
        self._mailboxes.drop(Lane.AHEAD)

    def use_adapter(self, setter: AdapterSetter) -> None:
        """Change the adapter. A setter that fails leaves what is in use (``failed`` with ``ADAPTER_EPOCH``)."""
        self._put(Job(Lane.ADAPTER, setter, self._model))

    def submit_encode(self, request: EncodeRequest) -> None:
        """Ask for the current image; an encode of another image yields."""
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
