"""What a server owns: the model on its one thread, the queue before it, and the images that are open."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from starlette.requests import Request

from annotator.domain.answering.asking import ask_at_once, ask_stepwise, check_prompts
from annotator.domain.answering.everything import EverythingSettings, Proposal
from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.domain.geometry import Box
from annotator.domain.ports.concept import ConceptAsk, ConceptImage
from annotator.domain.ports.engine import AnswersEverything, Candidate, Candidates, EverythingStep, ModelInfo, Segmenter
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.finders import FinderShelf, check_takes_examples
from annotator.io.images.reading import LoadedImage
from annotator.server.adapters import ServedAdapters
from annotator.server.batch_jobs import BatchJobs
from annotator.server.fair_queue import UNFINISHED, Admission, FairQueue, Job
from annotator.server.metrics import Metrics
from annotator.server.pictures import read_upload
from annotator.server.problems import Problem, stopping
from annotator.server.settings import ServerSettings
from annotator.server.shelf import ID_LETTERS, OpenImage, Shelf
from annotator.server.workers import Workers

_log = logging.getLogger(__name__)
KINDS = ("decode", "encode", "auto", "batch")
"""Of the model's work, the most urgent first."""
PICTURE_KINDS = ("png", "read")
_PICTURE_THREADS = 2


@dataclass(frozen=True, slots=True)
class Timing:
    """How long a job waited for the model, and how long that took."""

    queue_ms: float
    model_ms: float


class ServerCore:
    """Args:
    load: makes the model, on the thread that then owns it.
    on_ready: called with the model, or why there is none; on that thread.
    """

    def __init__(
        self,
        settings: ServerSettings,
        *,
        load: Callable[[], Segmenter],
        on_ready: Callable[[ModelInfo | Exception], None] = lambda _what: None,
    ) -> None:
        self.settings, self.metrics = settings, Metrics()
        self.shelf = Shelf(settings.embeddings_bytes)
        self.queue, self._pictures = FairQueue(KINDS), FairQueue(PICTURE_KINDS)
        self.admission = Admission(settings.requests, settings.requests_per_client, mean_s=lambda: self.metrics.mean_s)
        self.info: ModelInfo | None = None
        self.can_auto = False
        self.everything_settings: EverythingSettings | None = None
        self.is_stopping = False
        self.settled = threading.Event()
        """The model is there, or will never be."""
        self._load, self._on_ready = load, on_ready
        self._finders = FinderShelf()
        self.adapters = ServedAdapters()
        self.jobs = BatchJobs()
        done, failed = self.metrics.job_done, self._failed
        self._model = Workers("model", 1, self.queue, prepare=self._loaded, on_failed=failed, on_done=done)
        self._readers = Workers(
            "pictures", _PICTURE_THREADS, self._pictures, prepare=lambda: None, on_failed=failed, on_done=done
        )
        self._watch()

    def start(self) -> None:
        self._model.start()
        self._readers.start()

    def drain(self) -> None:
        """Nothing new is begun; what was let in goes on."""
        self.is_stopping = True
        self.admission.close()

    def stop(self) -> None:
        """What still waits is answered 503; what runs is waited for, for a few seconds."""
        self.give_up()
        self._model.join()
        self._pictures.close()
        self._readers.join()

    def give_up(self) -> None:
        """What waits for the model is answered 503; an answer of what runs can still be drawn."""
        self.drain()
        self.queue.close()

    def check_ready(self) -> ModelInfo:
        """The model that answers.

        Raises:
            Problem: it is being loaded, or the server is being stopped (503).
        """
        if self.is_stopping:
            raise stopping()
        if self.info is None:
            raise Problem(503, "loading", "The model is being loaded. Ask again soon.", headers={"Retry-After": "2"})
        return self.info

    async def open_image(self, request: Request, client: str, data: bytes, frame: int) -> tuple[OpenImage, bool]:
        """The image of a file's bytes and whether it was open already.

        Raises:
            Problem, UserError.
        """
        if not data:
            raise Problem(422, "empty-body", "The body is empty. Send an image file's bytes.")

        def read(_owned: None, _job: Job) -> OpenImage | LoadedImage:
            known = self.shelf.known(hashlib.sha256(data).hexdigest(), frame)
            return known or read_upload(data, frame, self.settings.max_pixels)

        found = await self._answer(request, self._pictures, Job("read", client, read))
        if isinstance(found, OpenImage):
            self.metrics.hits.inc()
            return found, True

        def encode(segmenter: Segmenter, job: Job) -> tuple[OpenImage, bool]:
            known = self.shelf.known(found.sha256, frame)
            if known is not None:
                self.metrics.hits.inc()
                return known, True
            embedding = segmenter.encode(found.rgb, found.image_key, is_cancelled=lambda: job.is_given_up)
            image_id = found.image_key[:ID_LETTERS]
            opened = OpenImage(image_id, found.sha256, frame, found.rgb, found.note, embedding)
            self.shelf.put(opened)
            return opened, False

        answer: tuple[OpenImage, bool] = await self._answer(request, self.queue, Job("encode", client, encode))
        return answer

    async def predict(
        self,
        request: Request,
        client: str,
        image: OpenImage,
        points: list[PointPrompt],
        box: Box | None,
        *,
        is_stepwise: bool,
        adapter: str = "",
    ) -> Candidates:
        """Args:
            adapter: name or SHA-256; empty: the model alone. The same below.

        Raises:
        PromptError: as ``EncodedImage.predict``.
        Problem.
        """
        check_prompts(points, box, width=image.embedding.width, height=image.embedding.height)
        ask = ask_stepwise if is_stepwise else ask_at_once

        def decode(segmenter: Segmenter, _job: Job) -> Candidates:
            self.adapters.put(segmenter, adapter)
            found = ask(segmenter, image.embedding, points, box)
            self.shelf.trim()
            return found

        answer: Candidates = await self._answer(request, self.queue, Job("decode", client, decode))
        return answer

    async def decode(
        self,
        request: Request,
        client: str,
        image: OpenImage,
        prompts: Prompts,
        continue_from: Candidate | None,
        *,
        adapter: str = "",
    ) -> tuple[Candidates, Timing]:
        """One call of the engine port; places outside the image are pulled to its edge there.

        Raises:
            PromptError, Problem.
        """

        def decode(segmenter: Segmenter, job: Job) -> tuple[Candidates, Timing]:
            began_s = time.monotonic()
            self.adapters.put(segmenter, adapter)
            found = segmenter.decode(image.embedding, prompts, continue_from=continue_from)
            timing = Timing((began_s - job.queued_at_s) * 1e3, (time.monotonic() - began_s) * 1e3)
            self.shelf.trim()
            return found, timing

        answer: tuple[Candidates, Timing] = await self._answer(request, self.queue, Job("decode", client, decode))
        return answer

    async def everything(
        self,
        request: Request | None,
        client: str,
        image: OpenImage,
        wanted: dict[str, Any],
        *,
        adapter: str = "",
        kind: str = "auto",
    ) -> tuple[Proposal, ...]:
        """All objects, a step at a time, so that others' clicks go between.

        Args:
            request: None: nobody waits who could leave.
            wanted: fields of ``EverythingSettings`` in place of what suits the model.

        Raises:
            Problem, UserError.
        """
        steps: Iterator[EverythingStep] | None = None
        found: tuple[Proposal, ...] = ()

        def step(segmenter: Segmenter, job: Job) -> Any:
            nonlocal steps, found
            if not isinstance(segmenter, AnswersEverything):
                raise ModelError(f"{brief(segmenter.info.name)} cannot segment everything.", "Use another model.")
            if steps is None:
                settings = replace(segmenter.everything_settings, **wanted).checked()
                steps = segmenter.everything(
                    image.embedding, image.rgb, settings, has_to_yield=lambda: self.queue.has_more_urgent(job)
                )
            self.adapters.put(segmenter, adapter)
            now = next(steps)
            found = found if now.proposals is None else now.proposals
            return found if now.is_last else UNFINISHED

        answer: tuple[Proposal, ...] = await self._answer(request, self.queue, Job(kind, client, step))
        return answer

    async def words(
        self, request: Request | None, client: str, image: OpenImage, ask: ConceptAsk, *, kind: str = "auto"
    ) -> tuple[tuple[Proposal, ...], str]:
        """All that words name, a step at a time as everything, and the name of the model that says so.

        Raises:
            Problem, UserError: such as that there is no model for words.
        """
        steps: Iterator[EverythingStep] | None = None
        found: tuple[Proposal, ...] = ()

        def step(segmenter: Segmenter, job: Job) -> Any:
            nonlocal steps, found
            self.adapters.put(segmenter, "")
            if steps is None:
                if ask.examples:
                    check_takes_examples("")
                asked = ConceptImage(image.rgb, image.id, segmenter, lambda: image.embedding)
                has_to_yield = partial(self.queue.has_more_urgent, job)
                steps = self._finders.steps("", asked, ask, has_to_yield=has_to_yield, say=_log.info)
            now = next(steps)
            found = found if now.proposals is None else now.proposals
            info = self._finders.info
            return (found, "" if info is None else info.name) if now.is_last else UNFINISHED

        answer: tuple[tuple[Proposal, ...], str] = await self._answer(request, self.queue, Job(kind, client, step))
        return answer

    async def draw(self, request: Request | None, client: str, work: Callable[[], Any]) -> Any:
        """Do ``work`` with whole masks on one of the few threads for pictures: they are large."""
        return await self._answer(request, self._pictures, Job("png", client, lambda _owned, _job: work()))

    async def _answer(self, request: Request | None, queue: FairQueue, job: Job) -> Any:
        """Wait for a job, as long as somebody waits for us and the time allows; without a request, to its end."""
        queue.put(job)
        answer = asyncio.wrap_future(job.answer)
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        left = asyncio.ensure_future(asyncio.Event().wait() if request is None else _until_left(request))
        limit_s = None if request is None else self.settings.job_s
        try:
            await asyncio.wait({answer, left}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if left.done():
                raise Problem(408, "given-up", "The request was given up.")
            raise Problem(504, "too-slow", f"There was no answer within {self.settings.job_s:g} s. Ask for less.")
        finally:
            left.cancel()
            if not job.answer.done():
                queue.discard(job)

    def _loaded(self) -> Segmenter:
        segmenter = self._load()
        self.can_auto = isinstance(segmenter, AnswersEverything)
        self.everything_settings = segmenter.everything_settings if isinstance(segmenter, AnswersEverything) else None
        self.info = segmenter.info
        self.settled.set()
        self._on_ready(self.info)
        return segmenter

    def _failed(self, error: Exception) -> None:
        self.settled.set()
        self._on_ready(error)

    def _watch(self) -> None:
        watch, kinds = self.metrics.watch, self.metrics.watch_kinds
        watch("annotator_embedding_bytes", "Open images with their pixels", lambda: self.shelf.nbytes)
        watch("annotator_requests_inside", "Requests that were let in", lambda: self.admission.inside)
        watch("annotator_running_jobs", "Jobs that the model does now", lambda: self._model.running)
        kinds("annotator_queue_jobs", "Jobs that wait for the model", KINDS, self.queue.waiting)


async def _until_left(request: Request) -> bool:
    """Ends when the client has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return True
