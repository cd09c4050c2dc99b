"""Questions to the engine that a job on a thread of its own waits for: one at a time, in line with everything else."""

from __future__ import annotations

import itertools
import queue
from collections.abc import Callable

from PySide6.QtCore import QObject, Slot

from annotator.domain.errors import ModelError
from annotator.domain.ports.engine import RgbArray
from annotator.domain.ports.requests import LOAD_EPOCH, DecodeRequest, DecodeResult, EngineFailure
from annotator.domain.prompt import Prompts
from annotator.ui.threads.worker import EngineClient

_FIRST_EPOCH = 1 << 40
"""Above the epochs of images that are visited: answers are distinguished by it, and such a question is never stale."""
_LOOK_EVERY_S = 0.1
_ASK_AGAIN_AFTER = 100
"""Looks without an answer: the mailbox has one slot, and a click or another model may have taken the question out."""
_epochs = itertools.count(_FIRST_EPOCH)


class EngineQuestions(QObject):
    """Made and deleted on the GUI thread; :meth:`ask` is called from one other thread."""

    def __init__(self, client: EngineClient, parent: QObject) -> None:
        super().__init__(parent)
        self._client = client
        self._epoch = next(_epochs)
        self._generation = 0
        self._answers: queue.SimpleQueue[DecodeResult | EngineFailure] = queue.SimpleQueue()
        client.decoded.connect(self._on_answer)
        client.failed.connect(self._on_answer)

    def ask(
        self, image: RgbArray, image_key: str, prompts: Prompts, *, look: Callable[[], object]
    ) -> DecodeResult | EngineFailure:
        """The engine's answer; encoding the image first where that has to be.

        Args:
            image: H x W x 3 uint8 RGB.
            look: called every tenth of a second; what it raises ends the waiting.

        Raises:
            ModelError: there is no model, or it cannot be loaded.
        """
        self._generation += 1
        request = DecodeRequest(self._epoch, self._generation, image_key, image, prompts)
        for looks in itertools.count():
            if not self._client.can_answer:
                raise ModelError("There is no model that could be asked.", "Choose one in the Model menu.")
            if looks % _ASK_AGAIN_AFTER == 0:
                self._client.submit_decode(request)
            look()
            try:
                answer = self._answers.get(timeout=_LOOK_EVERY_S)
            except queue.Empty:
                continue
            if isinstance(answer, EngineFailure) and answer.epoch == LOAD_EPOCH:
                raise ModelError(answer.message)
            if answer.generation == self._generation:
                return answer
        raise AssertionError("the loop above has no end")

    @Slot(object)
    def _on_answer(self, answer: DecodeResult | EngineFailure) -> None:
        is_lost_model = isinstance(answer, EngineFailure) and answer.epoch == LOAD_EPOCH
        if answer.epoch == self._epoch or (is_lost_model and not self._client.can_answer):
            self._answers.put(answer)
