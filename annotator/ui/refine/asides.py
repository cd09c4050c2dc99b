"""What the engine is asked beside the current object: to be ready for what comes, and for the base's opinion."""

from __future__ import annotations

from collections.abc import Callable

from annotator.domain.drafts.work import Work
from annotator.domain.ports.engine import RgbArray
from annotator.domain.ports.requests import DecodeRequest, EncodeRequest, WarmRequest
from annotator.ui.threads.worker import EngineClient


class EngineAsides:
    """None of it changes the work."""

    def __init__(self, client: EngineClient, work: Callable[[], Work]) -> None:
        self._client, self._work = client, work

    @property
    def can_answer(self) -> bool:
        """Whether there is an engine, or one is to come."""
        return self._client.can_answer

    def prefetch(self, image_key: str, rgb: RgbArray) -> None:
        """Encode the image that will probably be next, when there is nothing better to do."""
        self._client.submit_prefetch(EncodeRequest(self._work().epoch, image_key, rgb, is_prefetch=True))

    def get_ready(self, x: float, y: float) -> None:
        """The pointer rests at (x, y), in image pixels: a click there, if it is an object's first, will be quicker."""
        opened, draft = self._work().opened, self._work().draft
        if opened is not None and opened.is_here and (draft is None or not draft.session.is_active):
            if opened.sight is not None:
                x, y = opened.sight.point(x, y)
            self._client.submit_warm(WarmRequest(opened.epoch, opened.key, x, y))

    def ask_base(self) -> bool:
        """Ask what the base says to the current prompts, for ``client.compared``; False when there are none."""
        draft = self._work().draft
        if draft is None or not draft.has_prompts:
            return False
        image = draft.image
        self._client.submit_compare(
            DecodeRequest(draft.epoch, 0, image.key, image.rgb, draft.prompts, sight=image.sight)
        )
        return True
