"""The engine without a window: what waits is done one by one, the most urgent first.

Whoever owns the session gives it a thread: the window a QThread, a batch or a server a plain one. Only requests,
results and numpy arrays cross the border. After each job the mailboxes are looked at from the top again: load, adapter,
decode, compare, encode, warm, carry, everything (or all that is like examples), prefetch, searches of other images. A
decode is short and never cancelled; an encode yields between blocks of the encoder when something more urgent waits.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from annotator.domain.brevity import brief
from annotator.domain.errors import EncodeCancelled, ModelError, ServerAwayError, UserError
from annotator.domain.ports.concept import ConceptImage, ConceptRequest
from annotator.domain.ports.engine import (
    Adaptable,
    AdapterInUse,
    AdapterSetter,
    AnswersEverything,
    Candidate,
    Candidates,
    Embedding,
    Engine,
    EngineFactory,
    EverythingStep,
    ModelInfo,
    RgbArray,
    Segmenter,
    Warmable,
)
from annotator.domain.ports.likeness import AnswersLike, LikeRequest, masks_of
from annotator.domain.ports.requests import (
    ADAPTER_EPOCH,
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
from annotator.domain.ports.tracking import CarryRequest, CarryResult, Propagator, Trackable, TrackFrame
from annotator.domain.seen import ask_in, known_in, steps_outside
from annotator.engine.finders import FinderShelf
from annotator.engine.mailboxes import Job, Lane, Mailboxes
from annotator.engine.tracking.carrier import Carrier

_log = logging.getLogger(__name__)

_Question = ConceptRequest | EverythingRequest | LikeRequest
BUG_MESSAGE = "Something went wrong in the engine; the session goes on."


class LoadCancelled(Exception):  # noqa: N818 - a signal to the factory, not a failure
    """Raised out of the factory's progress callback when the program ends or another model is wanted."""


class SessionListener(Protocol):
    """Who hears of what the session does, on the session's thread. ``model`` counts the models that were loaded."""

    def on_loading(self, line: str) -> None: ...
    def on_loaded(self, info: ModelInfo, model: int) -> None: ...
    def on_moved(self, info: ModelInfo, model: int) -> None: ...
    def on_adapter_set(self, adapter: AdapterInUse | None, took_ms: float, model: int) -> None: ...
    def on_encode_started(self, image_key: str) -> None: ...
    def on_encoded(self, result: EncodeResult) -> None: ...
    def on_decoded(self, result: DecodeResult) -> None: ...
    def on_compared(self, result: DecodeResult) -> None: ...
    def on_everything(self, result: EverythingResult) -> None: ...
    def on_carried(self, result: CarryResult) -> None: ...
    def on_failed(self, failure: EngineFailure) -> None: ...


class EngineSession:
    """Owns the engine and does what lies in the mailboxes. All methods belong to one thread.

    Args:
        mailboxes: any thread may put jobs there; the owner then has to call :meth:`work`.
        prefetch_idle_ms: how long nothing else may have happened before an image is encoded ahead. Work on an
            accelerator is queued ahead and cannot be called back.
        finders: holds the model for words; None for those of the registry.
    """

    def __init__(
        self,
        mailboxes: Mailboxes,
        listener: SessionListener,
        *,
        prefetch_idle_ms: int = 0,
        finders: FinderShelf | None = None,
    ) -> None:
        self._mailboxes, self._listener = mailboxes, listener
        self._finders = finders or FinderShelf()
        self._engine: Engine | None = None
        self._model = 0
        self._info: ModelInfo | None = None
        self._adapter: AdapterInUse | None = None
        self._running: dict[Lane, tuple[_Question, Iterator[EverythingStep]]] = {}
        self._carrier: Carrier | None = None
        self._prefetch_idle_s = prefetch_idle_ms / 1000
        self._busy_until_s = 0.0
        self._handlers: Mapping[Lane, Callable[[Job, Any], None]] = {
            Lane.LOAD: self._load,
            Lane.ADAPTER: self._set_adapter,
            Lane.DECODE: self._decode,
            Lane.COMPARE: self._compare,
            Lane.ENCODE: self._encode_ahead,
            Lane.WARM: self._warm,
            Lane.CARRY: self._carry,
            Lane.EVERYTHING: self._everything,
            Lane.PREFETCH: self._encode_ahead,
            Lane.AHEAD: self._everything,
        }

    def work(self) -> float | None:
        """Do all that waits, most urgent first.

        Returns:
            After how many seconds to call again, for work that waits for quiet; None when nothing is left.
        """
        while (job := self._mailboxes.take(is_ready=self._engine is not None)) is not None:
            left_s = self._busy_until_s - time.monotonic()
            if job.lane is Lane.PREFETCH and left_s > 0:
                self._mailboxes.put_back(job)
                return left_s
            self._do(job)
            self._tell_if_moved()
            self._finders.release_unused()
            if job.lane < Lane.PREFETCH:
                self._busy_until_s = time.monotonic() + self._prefetch_idle_s
        return None

    def release(self) -> None:
        """Let the engine go, on the thread that owns it."""
        self._engine, self._running, self._carrier = None, {}, None
        self._finders.release()

    def _do(self, job: Job) -> None:
        try:
            self._handlers[job.lane](job, job.content)
        except EncodeCancelled:
            self._yield(job)
        except LoadCancelled:
            _log.info("loading a model was given up for a newer wish")
        except UserError as error:
            _log.warning("%s", error)
            self._fail(job, str(error), is_away=isinstance(error, ServerAwayError))
        except Exception as error:
            _log.exception("engine job failed")
            self._fail(job, f"{BUG_MESSAGE} ({type(error).__name__})", traceback.format_exc())

    def _fail(self, job: Job, message: str, details: str = "", *, is_away: bool = False) -> None:
        self._running.pop(job.lane, None)
        if job.lane in (Lane.WARM, Lane.PREFETCH):
            # Nobody asked for that yet: it fails again, and is reported, when somebody does.
            return
        no_request = ADAPTER_EPOCH if job.lane is Lane.ADAPTER else LOAD_EPOCH
        epoch = no_request if job.request is None else job.request.epoch
        generation = getattr(job.content, "generation", 0)
        self._listener.on_failed(EngineFailure(epoch, generation, message, details, is_away))

    def _load(self, _job: Job, factory: EngineFactory) -> None:
        # The engine in use stays until the new one is complete: a model that cannot be loaded costs nothing.
        engine = factory(self._report)
        self._engine = engine
        self._adapter, self._running, self._carrier = None, {}, None
        self._model += 1
        self._info = engine.segmenter.info
        self._listener.on_loaded(self._info, self._model)

    def _tell_if_moved(self) -> None:
        """A model leaves a graphics card that has become too small for it in the middle of any job."""
        info = None if self._engine is None else self._engine.segmenter.info
        if info is not None and info != self._info:
            self._info = info
            self._listener.on_moved(info, self._model)

    def _set_adapter(self, _job: Job, setter: AdapterSetter) -> None:
        """Nothing is encoded again: an adapter works on the embeddings that there are."""
        started = time.perf_counter()
        self._adapter = setter(self._loaded_engine().segmenter)
        self._running.clear()  # what was begun with another adapter begins anew
        self._listener.on_adapter_set(self._adapter, (time.perf_counter() - started) * 1e3, self._model)

    def _report(self, line: str) -> None:
        if self._mailboxes.is_stopping or self._mailboxes.peek(Lane.LOAD) is not None:
            raise LoadCancelled
        self._listener.on_loading(line)

    def _encode_ahead(self, job: Job, request: EncodeRequest) -> None:
        embedding, was_cached = self._embedding(job, request.image, request.image_key)
        self._listener.on_encoded(
            EncodeResult(request.epoch, request.image_key, embedding.encode_ms, was_cached, request.is_prefetch)
        )

    def _decode(self, job: Job, request: DecodeRequest) -> None:
        embedding, was_cached = self._embedding(job, request.image, request.image_key)
        if not was_cached and self._has_newer(request):
            # Clicks went on while the image was encoded: only the newest is worth an answer.
            return
        previous = request.continue_from if job.model == self._model else None
        candidates = _decoded(self._loaded_engine().segmenter, embedding, request, previous)
        self._listener.on_decoded(
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
            found = _decoded(segmenter, embedding, request, None)
        finally:
            segmenter.set_adapter(kept)
        about = (request.epoch, request.generation, request.image_key, request.prompts)
        self._listener.on_compared(DecodeResult(*about, found, embedding.encode_ms, was_cached))

    def _warm(self, job: Job, request: WarmRequest) -> None:
        """One piece of the work; then the mailboxes are looked at again."""
        engine = self._loaded_engine()
        segmenter = engine.segmenter
        embedding = engine.cache.get(segmenter.embedding_key(request.image_key))
        if embedding is None or not isinstance(segmenter, Warmable):
            return
        if segmenter.warm(embedding, request.x, request.y, is_cancelled=self._question(job)):
            self._mailboxes.put_back(job)

    def _everything(self, job: Job, request: _Question) -> None:
        """One step; then the mailboxes are looked at again, and the rest waits in its lane."""
        running = self._running.get(job.lane)
        if running is None or running[0] is not request:
            self._running.pop(job.lane, None)
            steps, sight = self._begun(job, request), request.sight
            steps = steps if sight is None else steps_outside(sight, steps)
            running = self._running[job.lane] = (request, steps)
        step = next(running[1])
        adapter = "" if self._adapter is None else self._adapter.record
        finder = self._finders.info if isinstance(request, ConceptRequest) else None
        self._listener.on_everything(
            EverythingResult(request.epoch, request.generation, request.image_key, step, adapter, finder)
        )
        if step.is_last:
            self._running.pop(job.lane, None)
        else:
            self._mailboxes.put_back(job)

    def _carry(self, job: Job, request: CarryRequest) -> None:
        """One frame, with what is taken up there; anything more urgent goes first between its encodes."""
        segmenter = self._loaded_engine().segmenter
        if self._carrier is None or self._carrier.generation != request.generation:
            if request.wanted:  # the model that has seen the frames before is gone
                raise ModelError("Another model was loaded meanwhile, so carrying ended here.", "Start it again.")
            made = self._propagator(segmenter, request)
            self._carrier = Carrier(request.generation, made)
        answers = self._carrier.answer(request, is_cancelled=lambda: self._mailboxes.is_in_the_way(job))
        by, adapter = self._carrier.propagator, "" if self._adapter is None else self._adapter.record
        about = (request.generation, request.frame.position, answers, by.note, by.finds_again)
        self._listener.on_carried(CarryResult(*about, segmenter.info, adapter))

    def _propagator(self, segmenter: Segmenter, request: CarryRequest) -> Propagator:
        about: dict[str, Any] = {"frames": request.frames, "direction": request.direction}
        if isinstance(segmenter, Trackable):
            return segmenter.propagator(**about, embedding_of=self._embedding_of)
        from annotator.engine.tracking.propagators import propagator_of  # torch, which is loaded by then

        return propagator_of(segmenter, **about, embedding_of=self._embedding_of)

    def _embedding_of(self, frame: TrackFrame, is_cancelled: Callable[[], bool]) -> Embedding:
        """A frame's embedding from the cache. What a run encodes is not kept: it would push everything else out."""
        engine = self._loaded_engine()
        cached = engine.cache.get(engine.segmenter.embedding_key(frame.image_key), frame.image)
        return cached or engine.segmenter.encode(frame.image, frame.image_key, is_cancelled=is_cancelled)

    def _begun(self, job: Job, request: _Question) -> Iterator[EverythingStep]:
        segmenter = self._loaded_engine().segmenter
        if isinstance(request, ConceptRequest):
            return self._named(job, request, segmenter)
        embedding, _ = self._embedding(job, request.image, request.image_key)

        def has_to_yield() -> bool:
            return self._mailboxes.is_in_the_way(job)

        if isinstance(request, LikeRequest):
            if not isinstance(segmenter, AnswersLike):
                raise ModelError(
                    f"{brief(segmenter.info.name)} cannot look for objects like others.", "Choose another model."
                )
            known = masks_of(request.known)
            known = known if request.sight is None else known_in(request.sight, known)
            asked = (embedding, request.image, request.image_key, request.question, known)
            return segmenter.likeness.steps(*asked, has_to_yield=has_to_yield)
        if not isinstance(segmenter, AnswersEverything):
            raise ModelError(f"{brief(segmenter.info.name)} cannot segment everything.", "Choose another model.")
        settings = request.settings or segmenter.everything_settings
        return segmenter.everything(embedding, request.image, settings, has_to_yield=has_to_yield, begun=request.begun)

    def _named(self, job: Job, request: ConceptRequest, segmenter: Segmenter) -> Iterator[EverythingStep]:
        """What words name, by a model that is loaded beside the one in use."""

        def embedding() -> Embedding:
            return self._embedding(job, request.image, request.image_key)[0]

        image = ConceptImage(request.image, request.image_key, segmenter, embedding)
        return self._finders.steps(
            request.finder,
            image,
            request.ask if request.sight is None else ask_in(request.sight, request.ask),
            has_to_yield=lambda: self._mailboxes.is_in_the_way(job),
            say=self._listener.on_loading,
        )

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
        self._listener.on_encode_started(image_key)
        embedding = engine.segmenter.encode(image, image_key, is_cancelled=self._question(job))
        engine.cache.put(embedding)
        return embedding, False

    def _question(self, job: Job) -> Callable[[], bool]:
        return lambda: self._mailboxes.has_to_yield(job)

    def _yield(self, job: Job) -> None:
        """After a cancelled encode: keep the job unless nobody wants it any more."""
        urgent = [self._mailboxes.peek(lane) for lane in (Lane.DECODE, Lane.ENCODE)]
        has_left = any(job.is_left_behind_by(other) for other in urgent)
        if job.lane in (Lane.PREFETCH, Lane.CARRY) or not has_left:
            self._mailboxes.put_back(job)

    def _loaded_engine(self) -> Engine:
        if self._engine is None:
            raise RuntimeError("a job was taken before the engine was loaded")
        return self._engine


def _decoded(
    segmenter: Segmenter, embedding: Embedding, request: DecodeRequest, previous: Candidate | None
) -> Candidates:
    """The answer in pixels of the whole image, also where the model sees a part of it."""
    sight = request.sight
    if sight is None:
        return segmenter.decode(embedding, request.prompts, continue_from=previous)
    before = None if previous is None else sight.candidate(previous)
    return sight.candidates(segmenter.decode(embedding, sight.prompts(request.prompts), continue_from=before))
