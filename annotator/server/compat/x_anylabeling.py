"""X-AnyLabeling's remote server: clicks and boxes, everything and words, answered as polygons."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from annotator.domain.answering.everything import Proposal
from annotator.domain.errors import UserError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.phrase import split_phrases
from annotator.domain.polygon import bridged_ring, mask_to_polygons
from annotator.domain.ports.concept import ConceptAsk
from annotator.domain.prompt import PointPrompt
from annotator.server.compat.asking import asked, bytes_of, core_of, opened
from annotator.server.core import ServerCore
from annotator.server.problems import Problem
from annotator.server.schemas import MOST_POINTS, Coordinate
from annotator.server.settings import ServerSettings

MODEL = "annotator"
OBJECT = "AUTOLABEL_OBJECT"
"""What the client calls an object that has no name yet."""
_WIDGETS = (
    "button_run", "button_add_point", "button_remove_point", "button_add_rect", "button_clear", "button_finish_object",
    "edit_text", "button_send", "toggle_preserve_existing_annotations",
)  # fmt: skip
_PASSED_ON = (429, 503)
"""What the contract has a status for; every other error is 200 with ``success`` false."""


class MarkIn(BaseModel):
    type: Literal["point", "rectangle"]
    data: Annotated[list[Coordinate], Field(min_length=2, max_length=4)]
    label: int = 1


class ParamsIn(BaseModel):
    text_prompt: Annotated[str, Field(max_length=4000)] = ""
    marks: list[MarkIn] = Field(default_factory=list, max_length=MOST_POINTS)
    conf_threshold: Annotated[float, Field(ge=0, le=1)] = 0.0


class PredictIn(BaseModel):
    model: str
    image: str = Field(min_length=1, description="base64, also as a data URI")
    params: ParamsIn = ParamsIn()


def make_router(_settings: ServerSettings) -> APIRouter:
    """What the client's "remote server" asks; its address is that of the server with ``/x-anylabeling``."""
    router = APIRouter()

    @router.get("/health")
    async def health(request: Request) -> dict[str, Any]:
        core: ServerCore = request.app.state.core
        loaded = 0 if core.info is None else 1
        return {"status": "healthy", "models_loaded": loaded, "timestamp": datetime.now(UTC).isoformat()}

    @router.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        return {"success": True, "data": {MODEL: _about(core_of(request))}}

    @router.get("/v1/models/{model_id}/info")
    async def info(request: Request, model_id: str) -> dict[str, Any]:
        if model_id != MODEL:
            return _failed("MODEL_NOT_FOUND", f"There is no model {model_id[:60]!r} here, only {MODEL}.")
        return {"success": True, "data": {"model_id": MODEL, **_about(core_of(request))}}

    @router.post("/v1/predict")
    async def predict(request: Request, wanted: PredictIn) -> dict[str, Any]:
        if wanted.model != MODEL:
            return _failed("MODEL_NOT_FOUND", f"There is no model {wanted.model[:60]!r} here, only {MODEL}.")
        try:
            return {"success": True, "data": {"shapes": await _shapes(request, wanted), "description": ""}}
        except Problem as problem:
            if problem.status in _PASSED_ON:
                raise
            code = "INVALID_IMAGE" if problem.status in (413, 415) or problem.kind == "no-base64" else "INFERENCE_ERROR"
            return _failed(code, problem.detail)
        except UserError as error:
            return _failed("INFERENCE_ERROR", str(error))

    return router


async def _shapes(request: Request, wanted: PredictIn) -> list[dict[str, Any]]:
    core, client, params = core_of(request), request.state.client, wanted.params
    with core.admission.entered(client):
        image = await opened(request, bytes_of(wanted.image))
        if params.marks:
            found = await asked(request, image, *_prompts(params.marks))
            return await _drawn(core, request, [(found.mask, float(found.predicted_iou), OBJECT)])
        proposals: Sequence[Proposal]
        if params.text_prompt:
            proposals, _ = await core.words(request, client, image, ConceptAsk(split_phrases(params.text_prompt)))
        else:
            proposals = await core.everything(request, client, image, {})
        kept = [one for one in proposals if one.predicted_iou >= params.conf_threshold]
        return await _drawn(core, request, [(one.mask, float(one.predicted_iou), one.phrase or OBJECT) for one in kept])


async def _drawn(core: ServerCore, request: Request, found: list[tuple[Mask, float, str]]) -> list[dict[str, Any]]:
    def draw() -> list[dict[str, Any]]:
        return [shape for at, one in enumerate(found, start=1) for shape in _polygons(*one, group=at)]

    drawn: list[dict[str, Any]] = await core.draw(request, request.state.client, draw)
    return drawn


def _prompts(marks: list[MarkIn]) -> tuple[list[PointPrompt], Box | None]:
    """Raises:
    Problem: several boxes, or one that excludes.
    """
    points = [PointPrompt(mark.data[0], mark.data[1], mark.label == 1) for mark in marks if mark.type == "point"]
    boxes = [mark for mark in marks if mark.type == "rectangle"]
    if len(boxes) > 1 or any(len(mark.data) != 4 or mark.label != 1 for mark in boxes):
        raise Problem(422, "unusable-prompt", "One box around the object can be used, and points; clear the others.")
    if not boxes:
        return points, None
    x0, y0, x1, y1 = boxes[0].data
    return points, Box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def _polygons(mask: Mask, score: float, label: str, *, group: int) -> list[dict[str, Any]]:
    """A polygon a part, which share the group; holes are cut out along a line, as the tool has none."""
    return [
        {
            "label": label,
            "shape_type": "polygon",
            "points": [[float(x), float(y)] for x, y in bridged_ring((part.exterior, *part.holes))],
            "score": min(max(score, 0.0), 1.0),
            "attributes": {},
            "description": None,
            "difficult": False,
            "direction": 0,
            "flags": None,
            "group_id": group,
            "kie_linking": [],
        }
        for part in mask_to_polygons(mask)
    ]


def _about(core: ServerCore) -> dict[str, Any]:
    info = core.check_ready()
    return {
        "display_name": f"annotator, {info.name}",
        "widgets": [{"name": name, "value": False if name.startswith("toggle") else None} for name in _WIDGETS],
        "params": {"device": info.device},
        "batch_processing_mode": "default",
    }


def _failed(code: str, message: str) -> dict[str, Any]:
    return {
        "success": False,
        "error": {"code": code, "message": message},
        "data": {"shapes": [], "description": message},
    }
