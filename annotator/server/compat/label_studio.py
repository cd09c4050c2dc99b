"""Label Studio's ML backend: smart key points and rectangles, answered with brush masks that keep their holes."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from annotator.domain.geometry import Box
from annotator.domain.prompt import PointPrompt
from annotator.server.compat.asking import asked, bytes_of, core_of, opened
from annotator.server.compat.brush import brush_of
from annotator.server.problems import Problem
from annotator.server.schemas import MOST_POINTS, Coordinate
from annotator.server.settings import ServerSettings
from annotator.server.shelf import OpenImage

_FETCH_S = 20.0
_MOST_CONFIG_LETTERS = 200_000


class ValueIn(BaseModel):
    """In percent of the image."""

    x: Coordinate
    y: Coordinate
    width: Coordinate = 0.0
    height: Coordinate = 0.0
    keypointlabels: list[str] = []
    rectanglelabels: list[str] = []


class PromptIn(BaseModel):
    type: str
    value: ValueIn
    is_positive: bool | int = True


class ContextIn(BaseModel):
    result: list[PromptIn] = Field([], max_length=MOST_POINTS)


class ParamsIn(BaseModel):
    context: ContextIn | None = None


class TaskIn(BaseModel):
    id: int | str | None = None
    data: dict[str, Any] = {}


class AskIn(BaseModel):
    tasks: list[TaskIn] = Field(min_length=1, max_length=1000)
    label_config: Annotated[str, Field(max_length=_MOST_CONFIG_LETTERS)] = ""
    params: ParamsIn | None = None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_options: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)


def make_router(settings: ServerSettings) -> APIRouter:
    """What Label Studio asks of a model whose address is that of the server with ``/label-studio``."""
    router = APIRouter()

    @router.get("")
    @router.get("/")
    @router.get("/health")
    async def health() -> dict[str, Any]:
        return {"status": "UP", "model_class": "annotator"}

    @router.post("/setup")
    async def setup(request: Request) -> dict[str, Any]:
        return {"model_version": _version(request)}

    @router.post("/webhook", status_code=201)
    @router.post("/train", status_code=201)
    async def train() -> dict[str, Any]:
        """Training is a person's decision, in the window."""
        return {"status": "ignored", "detail": "This server does not train; use annotator train-adapter."}

    @router.post("/predict")
    async def predict(request: Request, wanted: AskIn) -> dict[str, Any]:
        return await _predicted(request, wanted, settings)

    return router


async def _predicted(request: Request, wanted: AskIn, settings: ServerSettings) -> dict[str, Any]:
    """Nothing without an interaction; else one mask.

    Raises:
        Problem, UserError.
    """
    context = wanted.params and wanted.params.context
    version = _version(request)
    if not context or not context.result:
        return {"results": [], "model_version": version}
    from_name, to_name, key = _names(wanted.label_config)
    core, client = core_of(request), request.state.client
    with core.admission.entered(client):
        image = await _image(request, settings, str(wanted.tasks[0].data.get(key, "")))
        width, height = image.embedding.width, image.embedding.height
        points, box, label = _prompts(context.result, width, height)
        found = await asked(request, image, points, box)
        brush = await core.draw(request, client, lambda: brush_of(found.mask))
    score = float(found.predicted_iou)
    row = {
        "id": image.id[:10],
        "type": "brushlabels",
        "from_name": from_name,
        "to_name": to_name,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": brush, "brushlabels": [label]},
        "score": score,
        "readonly": False,
    }
    one = {"result": [row], "score": score, "model_version": version}
    return {"results": [one], "model_version": version}


def _version(request: Request) -> str:
    info = core_of(request).check_ready()
    return f"{info.name}-{info.sha256[:8]}"


def _names(config: str) -> tuple[str, str, str]:
    """Of the labelling interface: the brush's and the image's name, and where a task has the image.

    Raises:
        Problem: it has no brush (422), or is no XML.
    """
    if "<!" in config.replace("<!--", ""):
        raise Problem(422, "unusable-config", "The labelling interface has a document type; take it out.")
    try:
        root = ElementTree.fromstring(config)
    except ElementTree.ParseError as error:
        raise Problem(422, "unusable-config", f"The labelling interface is no XML ({error}).") from None
    brush, image = root.find(".//BrushLabels"), root.find(".//Image")
    if brush is None or image is None:
        detail = "Masks need <BrushLabels> and <Image> in the labelling interface, beside smart KeyPointLabels."
        raise Problem(422, "unusable-config", detail)
    return brush.get("name", ""), brush.get("toName", ""), image.get("value", "$image").removeprefix("$")


def _prompts(given: list[PromptIn], width: int, height: int) -> tuple[list[PointPrompt], Box | None, str]:
    """Pixels of percents, and the class that was chosen with the newest prompt.

    Raises:
        Problem: nothing of it is a key point or a rectangle.
    """
    points: list[PointPrompt] = []
    box, label = None, ""
    for one in given:
        x, y = one.value.x * width / 100, one.value.y * height / 100
        if one.type == "keypointlabels":
            points.append(PointPrompt(x, y, bool(one.is_positive)))
        elif one.type == "rectanglelabels":
            box = Box(x, y, x + one.value.width * width / 100, y + one.value.height * height / 100)
        else:
            continue
        label = next(iter(one.value.keypointlabels or one.value.rectanglelabels), label)
    if not points and box is None:
        raise Problem(422, "unusable-prompt", "Only smart key points and smart rectangles can be answered.")
    return points, box, label


async def _image(request: Request, settings: ServerSettings, address: str) -> OpenImage:
    """The task's image: a data URI, or fetched from the Label Studio that the server was set up with, and nowhere else.

    Raises:
        Problem.
    """
    if address.startswith("data:"):
        return await opened(request, bytes_of(address))
    base = settings.label_studio_url
    if not base:
        raise Problem(
            422, "no-label-studio", "Start the server with --label-studio-url, so that it may fetch images there."
        )
    url = urllib.parse.urljoin(base.rstrip("/") + "/", address)
    wanted, allowed = urllib.parse.urlsplit(url), urllib.parse.urlsplit(base)
    is_there = (wanted.scheme, wanted.netloc) == (allowed.scheme, allowed.netloc)
    if not is_there or not wanted.path.startswith(allowed.path.rstrip("/") + "/"):
        raise Problem(
            422, "other-host", "The image is not on the Label Studio of --label-studio-url; only it is asked."
        )
    return await opened(request, await asyncio.to_thread(_fetched, url, settings))


def _fetched(url: str, settings: ServerSettings) -> bytes:
    headers = {"Authorization": f"Token {settings.label_studio_token}"} if settings.label_studio_token else {}
    try:
        with _OPENER.open(urllib.request.Request(url, headers=headers), timeout=_FETCH_S) as answer:
            data: bytes = answer.read(settings.max_body_bytes + 1)
    except urllib.error.HTTPError as error:
        raise Problem(
            422, "not-fetched", f"Label Studio answered {error.code} for the image. Check its token."
        ) from None
    except (OSError, ValueError) as error:
        raise Problem(422, "not-fetched", f"Label Studio did not give the image ({error}).") from None
    if len(data) > settings.max_body_bytes:
        raise Problem(413, "body-too-large", f"The image is larger than {settings.max_body_bytes:,} bytes.")
    return data
