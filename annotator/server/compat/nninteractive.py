"""nnInteractive's server: volumes, answered a slice at a time. Its model fills a volume; this one knows pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any

import cv2
import numpy as np
import numpy.typing as npt
from anyio import to_thread
from fastapi import APIRouter, Header, Request, Response
from pydantic import BaseModel, Field

from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.prompt import Prompts
from annotator.server.compat.asking import asked, core_of, opened
from annotator.server.compat.frames import blosc, packed, unpacked
from annotator.server.compat.leases import (
    IDLE_S,
    LEASES,
    LIVENESS_S,
    Lease,
    Leases,
    Plane,
    slice_of,
    with_box,
    with_points,
)
from annotator.server.core import ServerCore
from annotator.server.problems import Problem
from annotator.server.settings import ServerSettings

VERSION = "2.6.0"
"""Of the package whose contract this is."""
_META = "X-Meta"
_POINTS_OF_STROKE = 6
_MOST_META = 10_000
_Span = Annotated[list[int], Field(min_length=2, max_length=2)]


class Said(BaseModel):
    include_interaction: bool = True
    run_prediction: bool = True


class PointIn(Said):
    coordinates: Annotated[list[float], Field(min_length=3, max_length=3)]


class BoxIn(Said):
    bbox_coords: Annotated[list[_Span], Field(min_length=3, max_length=3)]


class StrokeIn(Said):
    interaction_bbox: Annotated[list[_Span], Field(min_length=3, max_length=3)] | None = None


class BufferIn(BaseModel):
    shape: Annotated[list[int], Field(min_length=3, max_length=3)]


LeaseToken = Annotated[str, Header(alias="X-Lease-Token")]


def make_router(settings: ServerSettings) -> APIRouter:
    """What ``nninteractive-client`` asks; its address is that of the server with ``/nninteractive``.

    Raises:
        UserError: the package for its arrays is not installed.
    """
    blosc()
    router, leases = APIRouter(), Leases()
    _add_lease_paths(router, leases)
    _add_volume_paths(router, leases, settings.max_pixels)
    _add_mask_paths(router, leases, settings.max_pixels)
    _add_prompt_paths(router, leases)
    _add_stroke_paths(router, leases, settings.max_pixels)
    return router


def _add_lease_paths(router: APIRouter, leases: Leases) -> None:
    @router.get("/healthz")
    async def health() -> dict[str, Any]:
        return {"status": "ok"}

    @router.get("/capabilities")
    async def capabilities(request: Request) -> dict[str, Any]:
        return _capabilities(core_of(request))

    @router.post("/claim")
    async def claim(request: Request) -> dict[str, Any]:
        core_of(request)
        lease = leases.claim(request.state.client)
        times = {"idle_timeout_seconds": IDLE_S, "liveness_timeout_seconds": LIVENESS_S}
        return {"lease_token": lease.token, **times, "max_sessions": LEASES}

    @router.post("/release")
    async def release(request: Request, token: LeaseToken = "") -> dict[str, Any]:
        leases.release(token, request.state.client)
        return {"released": True}

    @router.post("/heartbeat")
    async def heartbeat(request: Request, token: LeaseToken = "") -> dict[str, Any]:
        return {"remaining_seconds": leases.left_s(leases.of(token, request.state.client, is_active=False))}

    @router.get("/lease_status")
    async def lease_status(request: Request, token: LeaseToken = "") -> dict[str, Any]:
        left_s = leases.left_s(leases.of(token, request.state.client, is_active=False))
        return {"remaining_seconds": left_s, "idle_timeout_seconds": IDLE_S}


def _add_volume_paths(router: APIRouter, leases: Leases, most: int) -> None:
    @router.post("/set_image")
    async def set_image(request: Request, token: LeaseToken = "") -> dict[str, Any]:
        lease = leases.of(token, request.state.client)
        about, data = _meta(request).get("image_properties"), await request.body()
        spacing = about.get("spacing") if isinstance(about, dict) else None

        def work() -> list[int]:
            image = unpacked(data, axes=4, most=most)
            lease.open(image[0], spacing)  # of several channels the first is what a person sees
            return list(image.shape)

        async with lease.turn:
            return {"original_image_shape": await to_thread.run_sync(work)}

    @router.post("/set_target_buffer")
    async def set_target_buffer(request: Request, wanted: BufferIn, token: LeaseToken = "") -> dict[str, Any]:
        lease = leases.of(token, request.state.client)
        if tuple(wanted.shape) != lease.shape():
            raise Problem(400, "other-shape", "The target has another shape than the image.")
        lease.forget()
        return {"ok": True}

    @router.post("/set_do_autozoom")
    async def set_do_autozoom(request: Request, token: LeaseToken = "") -> dict[str, Any]:
        leases.of(token, request.state.client)  # the model looks closer by itself
        return {"ok": True}


def _add_mask_paths(router: APIRouter, leases: Leases, most: int) -> None:
    @router.post("/reset_interactions")
    async def reset_interactions(request: Request, token: LeaseToken = "") -> dict[str, Any]:
        leases.of(token, request.state.client).forget()
        return {"ok": True}

    @router.post("/undo")
    async def undo(request: Request, token: LeaseToken = "") -> Response:
        lease = leases.of(token, request.state.client)
        async with lease.turn:
            plane = lease.undo()
        return _changed(lease, [] if plane is None else [plane], ran=plane is not None)

    @router.post("/add_initial_seg_interaction")
    async def add_initial_seg(request: Request, token: LeaseToken = "") -> Response:
        lease, data = leases.of(token, request.state.client), await request.body()
        found = await to_thread.run_sync(lambda: unpacked(data, axes=3, most=most) > 0)
        if found.shape != lease.shape():
            raise Problem(400, "other-shape", "The mask has another shape than the image.")
        async with lease.turn:
            lease.forget()
            lease.mask = found.astype(np.uint8)
        return _changed(lease, [], ran=False)


def _add_prompt_paths(router: APIRouter, leases: Leases) -> None:
    @router.post("/add_point_interaction")
    async def add_point(request: Request, wanted: PointIn, token: LeaseToken = "") -> Response:
        lease = leases.of(token, request.state.client)
        place = _inside([round(one) for one in wanted.coordinates], lease.shape())
        plane = (lease.slices_along, place[lease.slices_along])
        row, column = _across(place, plane[0])
        return await _said(
            request, lease, wanted, plane,
            lambda prompts: with_points(prompts, [(row, column)], is_positive=wanted.include_interaction),
        )  # fmt: skip

    @router.post("/add_bbox_interaction")
    async def add_bbox(request: Request, wanted: BoxIn, token: LeaseToken = "") -> Response:
        lease = leases.of(token, request.state.client)
        if not wanted.include_interaction:
            raise Problem(400, "unusable-prompt", "Boxes round what is not meant are not understood. Use points.")
        spans = [sorted(span) for span in wanted.bbox_coords]
        plane = _plane([(low, max(high, low + 1)) for low, high in spans], lease)
        (top, bottom), (left, right) = _across(spans, plane[0])
        box = Box(left, top, max(right, left + 1), max(bottom, top + 1))
        return await _said(request, lease, wanted, plane, lambda prompts: with_box(prompts, box))


def _add_stroke_paths(router: APIRouter, leases: Leases, most: int) -> None:
    @router.post("/add_scribble_interaction")
    async def add_scribble(request: Request, token: LeaseToken = "") -> Response:
        lease = leases.of(token, request.state.client)
        wanted, plane, drawn = await _drawn(request, lease, most)
        points = _along(drawn)
        return await _said(
            request, lease, wanted, plane,
            lambda prompts: with_points(prompts, points, is_positive=wanted.include_interaction),
        )  # fmt: skip

    @router.post("/add_lasso_interaction")
    async def add_lasso(request: Request, token: LeaseToken = "") -> Response:
        lease = leases.of(token, request.state.client)
        wanted, plane, drawn = await _drawn(request, lease, most)
        filled = _filled(drawn)
        points = _along(filled)

        def change(prompts: Prompts) -> Prompts:
            if wanted.include_interaction:
                return Prompts(prompts.points, base_mask=Mask.from_full(filled))
            return with_points(prompts, points, is_positive=False)

        return await _said(request, lease, wanted, plane, change)

    @router.post("/predict")
    async def predict(request: Request, token: LeaseToken = "") -> Response:
        lease = leases.of(token, request.state.client)
        return await _answered(request, lease)


async def _said(
    request: Request, lease: Lease, wanted: Said, plane: Plane, change: Callable[[Prompts], Prompts]
) -> Response:
    lease.say(plane, change)
    return await _answered(request, lease) if wanted.run_prediction else _changed(lease, [], ran=False)


async def _answered(request: Request, lease: Lease) -> Response:
    """Ask about all slices that wait."""
    lease.shape()
    core, client = core_of(request), request.state.client
    done: list[Plane] = []
    async with lease.turn:
        with core.admission.entered(client):
            while lease.waiting:
                plane = lease.waiting[0]
                prompts = lease.said[plane]
                picture = lease.picture(plane)
                if prompts.box or prompts.base_mask or any(point.is_positive for point in prompts.points):
                    data = await to_thread.run_sync(_png, picture)
                    image = await opened(request, data)
                    if prompts.base_mask is None:
                        mask = (await asked(request, image, prompts.points, prompts.box)).mask
                    else:
                        mask = (await core.decode(request, client, image, prompts, None))[0].chosen.mask
                    lease.put(plane, mask.full())
                lease.waiting.remove(plane)
                done.append(plane)
    return _changed(lease, done, ran=bool(done))


def _changed(lease: Lease, planes: list[Plane], *, ran: bool) -> Response:
    """The part of the mask that may be another one now."""
    meta: dict[str, Any] = {"ran_prediction": ran, "bbox": None}
    body = b""
    if planes and lease.mask is not None:
        touched = np.zeros((3, 2), int)
        touched[:, 0], touched[:, 1] = lease.mask.shape, 0
        for axis, at in planes:
            for one in range(3):
                low, high = (at, at + 1) if one == axis else (0, lease.mask.shape[one])
                touched[one] = min(touched[one, 0], low), max(touched[one, 1], high)
        bbox = touched.tolist()
        part = lease.mask[tuple(slice(low, high) for low, high in bbox)]
        meta |= {"bbox": bbox, "dtype": "uint8", "shape": list(part.shape)}
        body = packed(part)
    headers = {_META: json.dumps(meta, separators=(",", ":"))}
    return Response(body, media_type="application/octet-stream", headers=headers)


async def _drawn(request: Request, lease: Lease, most: int) -> tuple[StrokeIn, Plane, npt.NDArray[np.bool_]]:
    """What was drawn, on its slice.

    Raises:
        Problem: it is on several slices, or nowhere.
    """
    shape, data = lease.shape(), await request.body()
    try:
        wanted = StrokeIn.model_validate(_meta(request))
    except ValueError as error:
        raise Problem(400, "bad-meta", f"The header {_META} is not understood.") from error

    def work() -> tuple[Plane, npt.NDArray[np.bool_]]:
        drawn = unpacked(data, axes=3, most=most) > 0
        corner = [0, 0, 0]
        if wanted.interaction_bbox is not None:
            corner = [low for low, _ in wanted.interaction_bbox]
        ends = [low + side for low, side in zip(corner, drawn.shape, strict=True)]
        if min(corner) < 0 or any(end > side for end, side in zip(ends, shape, strict=True)):
            raise Problem(400, "outside", "What was drawn does not lie in the image.")
        places = [np.flatnonzero(drawn.any(axis=tuple(a for a in range(3) if a != axis))) for axis in range(3)]
        if not len(places[0]):
            raise Problem(400, "nothing-drawn", "Nothing is drawn.")
        spans = [(c + int(p[0]), c + int(p[-1]) + 1) for c, p in zip(corner, places, strict=True)]
        plane = _plane(spans, lease)
        whole = np.zeros(shape, bool)[slice_of(plane)]
        (top, bottom), (left, right) = _across([(c, e) for c, e in zip(corner, ends, strict=True)], plane[0])
        whole[top:bottom, left:right] = np.take(drawn, plane[1] - corner[plane[0]], axis=plane[0])
        return plane, whole

    plane, whole = await to_thread.run_sync(work)
    return wanted, plane, whole


def _plane(spans: list[tuple[int, int]], lease: Lease) -> Plane:
    """The slice that something lies on.

    Raises:
        Problem: on several, or outside the image.
    """
    shape = lease.shape()
    if any(low < 0 or high > side for (low, high), side in zip(spans, shape, strict=True)):
        raise Problem(400, "outside", "It does not lie in the image.")
    flat = [axis for axis, (low, high) in enumerate(spans) if high - low == 1]
    if not flat:
        raise Problem(400, "no-slice", "It reaches over several slices in every direction. Draw it on one.")
    axis = lease.slices_along if lease.slices_along in flat else flat[0]
    return axis, spans[axis][0]


def _inside(place: list[int], shape: tuple[int, ...]) -> list[int]:
    if any(not 0 <= at < side for at, side in zip(place, shape, strict=True)):
        raise Problem(400, "outside", "The point does not lie in the image.")
    return place


def _across(values: Any, axis: int) -> tuple[Any, Any]:
    """Of three the two that are the rows and columns of a slice."""
    row, column = (one for at, one in enumerate(values) if at != axis)
    return row, column


def _along(drawn: npt.NDArray[np.bool_]) -> list[tuple[float, float]]:
    """A few places of a stroke, far from each other."""
    places = np.argwhere(drawn).astype(float)
    middle = places.mean(0)
    chosen = [int(((places - middle) ** 2).sum(1).argmin())]
    far = ((places - places[chosen[0]]) ** 2).sum(1)
    while len(chosen) < min(_POINTS_OF_STROKE, len(places)) and far.max() > 0:
        chosen.append(int(far.argmax()))
        far = np.minimum(far, ((places - places[chosen[-1]]) ** 2).sum(1))
    return [(float(row), float(column)) for row, column in places[chosen]]


def _filled(drawn: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """With what a closed line goes round."""
    rings, _ = cv2.findContours(drawn.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(drawn.shape, np.uint8)
    cv2.drawContours(filled, rings, -1, 1, cv2.FILLED)
    return np.asarray(filled > 0)


def _png(picture: npt.NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", picture)[1])


def _meta(request: Request) -> dict[str, Any]:
    """Raises:
    Problem: the header is no object (400).
    """
    text = request.headers.get(_META, "{}")
    try:
        found = json.loads(text) if len(text) <= _MOST_META else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Problem(400, "bad-meta", f"The header {_META} is not understood.")
    return found


def _capabilities(core: ServerCore) -> dict[str, Any]:
    """In the names of the contract; there are no channels here, as their client only shows them."""
    info = core.check_ready()
    return {
        "supported_interactions": {"points": True, "bbox2d": True, "bbox3d": False, "scribble": True, "lasso": True},
        "channel_mapping": {"prev_seg": 0, "bbox2d": [1, 2], "lasso": [1, 2], "points": [3, 4], "scribble": [5, 6]},
        "num_interaction_channels": 7,
        "supports_initial_label": True,
        "supports_zero_shot_label_refinement": False,
        "preferred_scribble_thickness": [2, 2, 2],
        "interaction_decay": None,
        "patch_size": None,
        "do_autozoom": True,
        "inference_session_version": VERSION,
        "license": f"{info.name}: see its model card",
        "supports_undo": True,
    }
