"""``annotator serve --ray``: replicas on the machines of a Ray cluster, one front for HTTP in this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from annotator.commands.batch.ray_pool import connected
from annotator.domain.errors import UserError
from annotator.server.problems import Problem, busy
from annotator.server.process import announce, listen, load_model, make_server, run
from annotator.server.settings import ServerSettings
from annotator.server.spread.asked import Answered, Asked
from annotator.server.spread.front import Front
from annotator.server.spread.replica import Replica

_NAME = "annotator"
_ROUTER = "ray.serve.experimental.consistent_hash_router.ConsistentHashRouter"
"""Takes the replica from a hash of the session's id, here the image's; experimental, says Ray: used here only."""
_TRIES, _AGAIN_S = 5, 0.5
_BUSY_S = 10.0
"""So long there have to be too many requests before another replica is started: a model takes about as long to load."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spread:
    """How a server is spread.

    Attributes:
        address: of the cluster; ``local`` starts one of this computer.
        models: that requests may name; the first one is meant without a name.
        most_models: in memory of a replica at a time.
        cards: of a replica; a part of one is shared with others.
        least, most: replicas; Ray starts more at over ``target`` requests for each, and ends those that were too many
            for ``idle_s`` seconds.
    """

    address: str
    models: tuple[str, ...]
    most_models: int = 2
    least: int = 1
    most: int = 1
    target: float = 4.0
    cards: float = 0.0
    idle_s: float = 600.0


class RayReplica(Replica):
    """With the model that each machine has under that name."""

    def __init__(self, settings: ServerSettings, models: Sequence[str], most_models: int) -> None:
        super().__init__(settings, models, most_models, load=load_model)


def serve_on_ray(settings: ServerSettings, spread: Spread) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        UserError: no cluster, no Ray, the address cannot be had, a model that cannot be loaded there.
    """
    settings = settings.checked()
    with listen(settings) as listening, connected(spread.address) as ray:
        announce(listening)
        ask = deployed(ray, settings, spread)
        front = Front(settings, spread.models, ask)
        try:
            count = f"{spread.least}" if spread.least == spread.most else f"{spread.least} to {spread.most}"
            print(f"Ready: {', '.join(spread.models)} on Ray, replicas: {count}.", flush=True)
            run(make_server(front.app(), front, lifespan="off"), listening)
        finally:
            _serve_module().shutdown()
    print("Stopped.", flush=True)


def deployed(ray: Any, settings: ServerSettings, spread: Spread) -> Callable[[str, Asked], Awaitable[Answered]]:
    """Start the replicas. Returns: what asks one of them.

    Raises:
        UserError: Ray Serve is not installed, or they cannot start.
    """
    serve = _serve_module()
    serve.start(proxy_location="Disabled")
    made = serve.deployment(
        RayReplica,
        name="replica",
        max_ongoing_requests=2 * settings.requests,
        max_queued_requests=settings.requests,
        max_constructor_retry_count=2,
        graceful_shutdown_timeout_s=settings.drain_s,
        ray_actor_options={"num_cpus": 1, "num_gpus": spread.cards},
        request_router_config={"request_router_class": _ROUTER, "request_router_kwargs": {"num_fallback_replicas": 0}},
        **scaling_of(spread),
    )
    try:
        handle = serve.run(made.bind(settings, spread.models, spread.most_models), name=_NAME, route_prefix=None)
    except RuntimeError as error:
        raise UserError(f"The replicas cannot start ({_last_line(error)}).", "Look at Ray's log for more.") from error
    return _Asking(ray, serve, handle)


def scaling_of(spread: Spread) -> dict[str, Any]:
    """Options of a deployment."""
    if spread.least == spread.most:
        return {"num_replicas": spread.least}
    replicas = {"min_replicas": spread.least, "max_replicas": spread.most}
    delays = {"upscale_delay_s": _BUSY_S, "downscale_delay_s": spread.idle_s}
    return {"autoscaling_config": {**replicas, **delays, "target_ongoing_requests": spread.target}}


class _Asking:
    """Asks the replica of a key; when that one has died, the one that takes its place."""

    def __init__(self, ray: Any, serve: Any, handle: Any) -> None:
        self._handle, self._full = handle, serve.exceptions.BackPressureError
        self._gone = (ray.exceptions.RayActorError, serve.exceptions.DeploymentUnavailableError)

    async def __call__(self, key: str, asked: Asked) -> Answered:
        handle = self._handle.options(session_id=key) if key else self._handle
        for tried in range(_TRIES):
            try:
                answered: Answered = await handle.answer.remote(asked)
                return answered
            except self._full:
                raise busy("busy", "The replica of this image has too much to do. Ask again in 1 s.", 1) from None
            except self._gone:
                _log.warning("a replica has gone, try %d", tried + 1)
                await asyncio.sleep(_AGAIN_S)
        raise Problem(503, "no-replica", "No replica answers now. Ask again soon.", headers={"Retry-After": "2"})


def _serve_module() -> Any:
    try:
        from ray import serve
    except ImportError as error:
        raise UserError("--ray needs Ray Serve, which is not installed.", "pip install 'annotator[ray]'") from error
    return serve


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
