"""One of several processes with models: it answers what the front hands on, and loads models when they are named."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from anyio import to_thread
from starlette.types import ASGIApp

from annotator.domain.ports.engine import ModelInfo, Segmenter
from annotator.server.app import make_app
from annotator.server.core import ServerCore
from annotator.server.problems import Problem, of_error
from annotator.server.settings import ServerSettings
from annotator.server.spread.asked import Answered, Asked, answer_of

REPLICA_HEADER = b"x-annotator-replica"
_log = logging.getLogger(__name__)
Load = Callable[[ServerSettings], Segmenter]


@dataclass(eq=False, slots=True)
class _Loaded:
    core: ServerCore
    app: ASGIApp
    inside: int = 0
    failure: list[Exception] = field(default_factory=list)


class Replica:
    """All methods are called on one event loop.

    Args:
        models: that may be named; the first one is loaded at once.
        most_models: in memory at a time; of idle ones the one used longest ago goes first, with its images.
    """

    def __init__(self, settings: ServerSettings, models: Sequence[str], most_models: int, *, load: Load) -> None:
        self._settings, self._models, self._most, self._load = settings, tuple(models), most_models, load
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self._name = secrets.token_hex(4)
        first = self._begun(self._models[0])
        first.core.settled.wait()
        if first.failure:
            raise first.failure[0]

    @property
    def loaded(self) -> tuple[str, ...]:
        """Models in memory, the one that was asked last at the end."""
        return tuple(self._loaded)

    async def answer(self, asked: Asked) -> Answered:
        """Never raises but for being called off."""
        try:
            answered = await self._answer(asked)
        except Exception as error:
            response = of_error(error).response(asked.path)
            answered = Answered(response.status_code, tuple(response.raw_headers), bytes(response.body))
        return Answered(answered.status, (*answered.headers, (REPLICA_HEADER, self._name.encode())), answered.body)

    async def _answer(self, asked: Asked) -> Answered:
        if asked.model not in self._models:
            raise Problem(404, "no-such-model", f"This server has: {', '.join(self._models)}.")
        loaded = self._loaded.get(asked.model) or self._begun(asked.model)
        self._loaded.move_to_end(asked.model)
        loaded.inside += 1
        try:
            await self._make_room()
            await to_thread.run_sync(loaded.core.settled.wait)
            if loaded.failure:
                self._loaded.pop(asked.model, None)
                raise loaded.failure[0]
            return await answer_of(loaded.app, asked)
        finally:
            loaded.inside -= 1

    def _begun(self, model: str) -> _Loaded:
        settings = replace(self._settings, model=model)
        failure: list[Exception] = []

        def on_ready(what: ModelInfo | Exception) -> None:
            if isinstance(what, Exception):
                failure.append(what)

        core = ServerCore(settings, load=lambda: self._load(settings), on_ready=on_ready)
        found = self._loaded[model] = _Loaded(core, make_app(core, is_gated=False), failure=failure)
        core.start()
        return found

    async def _make_room(self) -> None:
        for name, one in list(self._loaded.items()):
            if len(self._loaded) <= self._most:
                return
            if not one.inside:
                del self._loaded[name]
                _log.info("%s makes room", name)
                await to_thread.run_sync(one.core.stop)

    async def stop(self) -> None:
        """What still waits is answered 503."""
        await asyncio.gather(*(to_thread.run_sync(one.core.stop) for one in self._loaded.values()))
