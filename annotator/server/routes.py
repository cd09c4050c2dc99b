"""The paths. Each turns a body into work for the core, and its answer into a body."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from annotator import __version__
from annotator.domain.answering.everything import Proposal
from annotator.domain.mask import Mask
from annotator.domain.phrase import split_phrases
from annotator.domain.ports.concept import ConceptAsk
from annotator.domain.ports.engine import Candidate, Candidates
from annotator.server import examples, metrics
from annotator.server.core import ServerCore
from annotator.server.pictures import png_of, rle_of
from annotator.server.problems import MEDIA_TYPE, Problem
from annotator.server.schemas import (
    MOST_FRAMES,
    AutoIn,
    AutoOut,
    ImageIn,
    ImageOut,
    MaskOut,
    ModelOut,
    ModelsOut,
    NamedOut,
    PredictIn,
    PredictOut,
    ProblemOut,
    RleOut,
    StateOut,
    WordsIn,
    WordsOut,
)
from annotator.server.shelf import OpenImage

PROBLEM: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ProblemOut, "content": {MEDIA_TYPE: {}}, "description": "what is wrong with the request"},
    "5XX": {"model": ProblemOut, "content": {MEDIA_TYPE: {}}, "description": "the server cannot answer now"},
}
_BINARY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
_AS_PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}}
FrameQuery = Annotated[int, Query(ge=0, lt=MOST_FRAMES, description="page or frame, from 0")]
Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$", examples=[examples.IMAGE_SHA256])]

router = APIRouter(responses=PROBLEM)


@router.get("/v1/health")
async def health() -> StateOut:
    """The process is alive."""
    return StateOut(status="ok", version=__version__)


@router.get("/v1/ready")
async def ready(request: Request) -> StateOut:
    """The model is loaded, and the server is not being stopped."""
    _core(request).check_ready()
    return StateOut(status="ready", version=__version__)


@router.get("/v1/models")
async def models(request: Request) -> ModelsOut:
    """What answers here."""
    core = _core(request)
    info = core.check_ready()
    can = ["points", "box", "decode", *(["auto", "everything"] if core.can_auto else [])]
    suits = core.everything_settings
    facts = {name: getattr(info, name) for name in ("name", "sha256", "device", "dtype", "image_size", "is_verified")}
    return ModelsOut(models=[ModelOut(**facts, can=can, everything=None if suits is None else asdict(suits))])


@router.get("/metrics", response_class=Response)
async def prometheus(request: Request) -> Response:
    """Requests, waits and times, as Prometheus reads them."""
    return Response(_core(request).metrics.text(), media_type=metrics.MEDIA_TYPE)


@router.put("/v1/images", openapi_extra=_BINARY)
async def open_bytes(request: Request, frame: FrameQuery = 0) -> ImageOut:
    """Open an image: the body is the file, of any kind that the program reads."""
    return await _opened(request, await request.body(), frame)


@router.post("/v1/images")
async def open_base64(request: Request, image: ImageIn) -> ImageOut:
    """Open an image that is sent as text."""
    text = image.image.split(",", 1)[1] if image.image.startswith("data:") and "," in image.image else image.image
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(422, "no-base64", "The image is not base64.") from None
    return await _opened(request, data, image.frame)


@router.head("/v1/images/{sha256}", include_in_schema=False)
@router.get("/v1/images/{sha256}")
async def open_known(request: Request, sha256: Sha256, frame: FrameQuery = 0) -> ImageOut:
    """Open an image that was sent before, by its file's SHA-256: 404 when it never was, 410 when it had to go."""
    core = _core(request)
    core.check_ready()
    found = core.shelf.find(sha256, frame)
    core.metrics.hits.inc()
    return _image_out(found, was_cached=True)


@router.post("/v1/predict", response_model=PredictOut, responses=_AS_PNG)
async def predict(request: Request, wanted: PredictIn) -> Any:
    """Masks of one object from clicks and a box."""
    core, client = _core(request), request.state.client
    core.check_ready()
    points, box = wanted.prompts()
    with core.admission.entered(client):
        image = core.shelf.get(wanted.embedding)
        found = await core.predict(
            request, client, image, points, box, is_stepwise=wanted.stepwise, adapter=wanted.adapter
        )
        if wanted.format == "png":
            data = await core.draw(request, client, lambda: png_of(found.chosen.mask))
            score = f"{found.chosen.predicted_iou:.4f}"
            return Response(data, media_type="image/png", headers={"X-Predicted-IoU": score})
        return await core.draw(request, client, lambda: _predict_out(wanted, found))


@router.post("/v1/auto")
async def auto(request: Request, wanted: AutoIn) -> AutoOut:
    """Masks of all objects; others' clicks are answered in between."""
    core, client = _core(request), request.state.client
    core.check_ready()
    with core.admission.entered(client):
        image = core.shelf.get(wanted.embedding)
        found = await core.everything(request, client, image, wanted.wanted(), adapter=wanted.adapter)
        objects = await core.draw(request, client, lambda: auto_objects(found))
        return AutoOut(embedding=image.id, objects=objects)


@router.post("/v1/words")
async def words(request: Request, wanted: WordsIn) -> WordsOut:
    """Masks of all that words name; others' clicks are answered in between."""
    core, client = _core(request), request.state.client
    core.check_ready()
    phrases, boxes = split_phrases(wanted.text, are_needed=not wanted.examples), wanted.boxes()
    with core.admission.entered(client):
        image = core.shelf.get(wanted.embedding)
        found, finder = await core.words(request, client, image, ConceptAsk(phrases, boxes, clicks=wanted.clicks()))
        objects = await core.draw(request, client, lambda: named_objects(found, wanted.min_score))
        return WordsOut(embedding=image.id, finder=finder, notes=list(phrases.notes), objects=objects)


def auto_objects(found: Sequence[Proposal]) -> list[MaskOut]:
    """Whole masks are drawn: not for the event loop."""
    return [_mask_out(one.mask, one.predicted_iou, one.stability_score, is_rle=True, label="") for one in found]


def named_objects(found: Sequence[Proposal], min_score: float) -> list[NamedOut]:
    """As :func:`auto_objects`, each with its phrase."""
    named = [one for one in found if one.predicted_iou >= min_score]
    return [
        NamedOut(**mask.model_dump(), phrase=one.phrase) for one, mask in zip(named, auto_objects(named), strict=True)
    ]


async def _opened(request: Request, data: bytes, frame: int) -> ImageOut:
    core, client = _core(request), request.state.client
    core.check_ready()
    with core.admission.entered(client):
        image, was_cached = await core.open_image(request, client, data, frame)
    return _image_out(image, was_cached=was_cached)


def _image_out(image: OpenImage, *, was_cached: bool) -> ImageOut:
    return ImageOut(
        embedding=image.id,
        sha256=image.sha256,
        frame=image.frame,
        width=image.embedding.width,
        height=image.embedding.height,
        encode_ms=image.embedding.encode_ms,
        was_cached=was_cached,
        note=image.note,
    )


def _predict_out(wanted: PredictIn, found: Candidates) -> PredictOut:
    def out(one: Candidate) -> MaskOut:
        is_rle = wanted.format == "rle"
        return _mask_out(one.mask, one.predicted_iou, one.stability, is_rle=is_rle, label=one.label)

    return PredictOut(
        embedding=wanted.embedding,
        candidates=[out(one) for one in found.items],
        best=found.best,
        object_score=found.object_score,
        decode_ms=found.decode_ms,
    )


def _mask_out(mask: Mask, predicted_iou: float, stability: float, *, is_rle: bool, label: str) -> MaskOut:
    return MaskOut(
        segmentation=RleOut(**rle_of(mask)) if is_rle else None,
        png=None if is_rle else base64.b64encode(png_of(mask)).decode("ascii"),
        bbox=list(mask.bbox_xywh),
        area=mask.area,
        predicted_iou=float(predicted_iou),
        stability=float(stability),
        label=label,
    )


def _core(request: Request) -> ServerCore:
    core: ServerCore = request.app.state.core
    return core
