"""The engine port over HTTP: what the window of another computer asks. Answers are safetensors, to the bit."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from annotator.engine.remote import wire
from annotator.server.core import ServerCore
from annotator.server.routes import PROBLEM
from annotator.server.schemas import DecodeIn, EverythingIn

_BINARY: dict[int | str, dict[str, Any]] = {
    200: {"content": {wire.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
}
router = APIRouter(responses=PROBLEM | _BINARY, default_response_class=Response)


@router.post("/v1/decode")
async def decode(request: Request, wanted: DecodeIn) -> Response:
    """Candidates with their logits, for prompts that extend those of ``continue_from``."""
    core: ServerCore = request.app.state.core
    client, info = request.state.client, core.check_ready()
    with core.admission.entered(client):
        image = core.shelf.get(wanted.embedding)
        width, height = image.embedding.width, image.embedding.height
        prompts, before = wanted.prompts(width=width, height=height), wanted.continued(width=width, height=height)
        found, timing = await core.decode(request, client, image, prompts, before, adapter=wanted.adapter)
        facts = {"model_sha256": info.sha256, "queue_ms": timing.queue_ms, "model_ms": timing.model_ms}
        data: bytes = await core.draw(request, client, lambda: wire.pack_candidates(found, facts))
    return Response(data, media_type=wire.MEDIA_TYPE)


@router.post("/v1/everything")
async def everything(request: Request, wanted: EverythingIn) -> Response:
    """All proposals; others' clicks are answered in between."""
    core: ServerCore = request.app.state.core
    client, info = request.state.client, core.check_ready()
    settings = wanted.wanted()
    with core.admission.entered(client):
        image = core.shelf.get(wanted.embedding)
        found = await core.everything(request, client, image, settings, adapter=wanted.adapter)
        facts = {"model_sha256": info.sha256}
        data: bytes = await core.draw(request, client, lambda: wire.pack_proposals(found, facts))
    return Response(data, media_type=wire.MEDIA_TYPE)
