"""CVAT's interactor: the body and answer of its serverless functions, which ``resources/cvat`` hands on."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from annotator.domain.geometry import Box
from annotator.domain.prompt import PointPrompt
from annotator.server.compat.asking import asked, bytes_of, core_of, opened
from annotator.server.schemas import MOST_POINTS, Coordinate
from annotator.server.settings import ServerSettings

Place = Annotated[list[Coordinate], Field(min_length=2, max_length=2, description="x, y in pixels")]


class InteractorIn(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [{"image": "", "pos_points": [[5, 5]], "neg_points": []}]})
    image: str = Field(min_length=1, description="base64 of the frame")
    pos_points: list[Place] = Field([], max_length=MOST_POINTS)
    neg_points: list[Place] = Field([], max_length=MOST_POINTS)
    obj_bbox: list[Place] | None = Field(
        None, max_length=2, description="two corners, where the function starts with a box"
    )


class InteractorOut(BaseModel):
    mask: list[list[int]] = Field(description="rows of the whole frame: 0 or 1")


def make_router(_settings: ServerSettings) -> APIRouter:
    """``POST /cvat`` is what CVAT asks of an interactor."""
    router = APIRouter()

    @router.post("")
    async def interact(request: Request, wanted: InteractorIn) -> InteractorOut:
        """One mask from clicks, and from a box where there is one."""
        core, client = core_of(request), request.state.client
        points = [PointPrompt(x, y, True) for x, y in wanted.pos_points]
        points += [PointPrompt(x, y, False) for x, y in wanted.neg_points]
        with core.admission.entered(client):
            image = await opened(request, bytes_of(wanted.image))
            found = await asked(request, image, points, _box(wanted.obj_bbox))
            rows: Any = await core.draw(request, client, lambda: found.mask.full().astype(int).tolist())
        return InteractorOut.model_construct(mask=rows)

    return router


def _box(corners: list[list[float]] | None) -> Box | None:
    if not corners or len(corners) < 2:
        return None
    (x0, y0), (x1, y1) = corners
    return Box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
