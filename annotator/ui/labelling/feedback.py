"""What the person sees of the engine: model, times, the busy line, failures."""

from __future__ import annotations

import logging

from PySide6.QtCore import QObject, Signal

from annotator.domain.brevity import brief
from annotator.domain.drafts.state import RefineState
from annotator.domain.ports.engine import ModelInfo
from annotator.domain.ports.requests import LOAD_EPOCH, EncodeResult, EngineFailure
from annotator.ui.notices import Notices, Subject
from annotator.ui.shell.hud import BusyLine
from annotator.ui.shell.status import StatusLine
from annotator.ui.threads.worker import EngineClient

_log = logging.getLogger(__name__)
_ENGINE = "engine"
"""A request that failed."""


class EngineFeedback(QObject):
    """Follows the engine's signals. ``image_encoded``: the image that is shown can be clicked without waiting.
    ``freed``: nothing that the person asked for is waited for any more."""

    image_encoded = Signal()
    freed = Signal()

    def __init__(self, client: EngineClient, notices: Notices, *, status: StatusLine, busy: BusyLine) -> None:
        super().__init__(status)
        self._client, self._notices = client, notices
        self._status, self._busy = status, busy
        self._image_key = ""
        self._reasons = {"model"}
        client.loading.connect(self._on_progress)
        client.ready.connect(self._on_ready)
        client.moved.connect(self._on_moved)
        client.encode_started.connect(self._on_encode_started)
        client.encoded.connect(self._on_encoded)
        client.failed.connect(self._on_failure)
        self._refresh()

    def show_image(self, image_key: str, *, is_slice: bool = False) -> None:
        """Another image is shown; an empty key: none, or one that is still read. ``is_slice``: of the same series."""
        self._image_key = image_key
        self._status.clear_times(keeps_room=is_slice)
        self.set_busy("encode", is_busy=False)

    def show_refine(self, state: RefineState) -> None:
        """Times of the newest answer."""
        if state.decode_ms:
            self._status.set_decode_ms(state.decode_ms, looked_closer=state.looked_closer, travel=state.travel)
        if state.encode_ms and "encode" not in self._reasons:
            self._status.set_encode_ms(state.encode_ms, was_cached=state.was_cached)

    def set_busy(self, reason: str, *, is_busy: bool) -> None:
        """The busy line moves while there is any reason."""
        if is_busy:
            self._reasons.add(reason)
        else:
            self._reasons.discard(reason)
        self._refresh()

    @property
    def is_engaged(self) -> bool:
        """Whether the engine works on what the person sees: the image, or an answer to a click."""
        return "click" in self._reasons

    def on_deciding(self, is_busy: bool) -> None:
        """An answer to a click is awaited, or has come."""
        # Without a model nothing is on its way.
        self.set_busy("click", is_busy=is_busy and self._client.can_answer)
        if not is_busy:
            self.set_busy("encode", is_busy=False)
            self.freed.emit()

    def _refresh(self) -> None:
        self._busy.set_busy(bool(self._reasons))

    def _on_progress(self, line: str) -> None:
        self.set_busy("model", is_busy=True)
        self._notices.tell(line, about=Subject.MODEL, stays=True)

    def _on_ready(self, info: ModelInfo) -> None:
        self.set_busy("model", is_busy=False)
        self._notices.withdraw(Subject.MODEL)
        self._status.set_engine(info)
        self._notices.tell(info.note or f"{brief(info.name)} is ready.", about=Subject.MODEL)

    def _on_moved(self, info: ModelInfo) -> None:
        adapter = self._client.adapter
        self._status.set_engine(info, adapter="" if adapter is None else adapter.name)
        self._notices.warn(info.note, about=Subject.MODEL, is_error=False)

    def _on_encode_started(self, image_key: str) -> None:
        if image_key == self._image_key:
            self.set_busy("encode", is_busy=True)
            self._status.set_encoding()

    def _on_encoded(self, result: EncodeResult) -> None:
        if result.image_key != self._image_key:
            return
        self.set_busy("encode", is_busy=False)
        self._status.set_encode_ms(result.encode_ms, was_cached=result.was_cached)
        self.image_encoded.emit()

    def _on_failure(self, failure: EngineFailure) -> None:
        is_model = failure.epoch == LOAD_EPOCH
        if is_model:
            self.set_busy("model", is_busy=False)
            self._notices.withdraw(Subject.MODEL)  # also that it is being loaded
            if not self._client.can_answer:
                self.set_busy("click", is_busy=False)
                self.freed.emit()
            self._status.set_no_engine(failure.message, has_other=self._client.info is not None)
        self.set_busy("encode", is_busy=False)
        if not failure.is_away:  # that is said, and seen to, where the server is looked for
            self._notices.warn(failure.message, about=Subject.MODEL if is_model else _ENGINE)
        if failure.details:
            _log.error("engine: %s", failure.details)
