"""Jobs over many images, and the adapters that may be named."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from annotator.domain.phrase import split_phrases
from annotator.domain.ports.concept import ConceptAsk
from annotator.server.batch_jobs import AskImage, BatchJob
from annotator.server.core import ServerCore
from annotator.server.job_schemas import (
    AdapterOut,
    AdaptersOut,
    JobIn,
    JobOut,
    JobsOut,
)
from annotator.server.routes import PROBLEM, auto_objects, named_objects
from annotator.server.schemas import WordsIn

JobId = Annotated[str, Path(pattern="^[0-9a-f]{8}-[0-9a-f]{24}$", description="of POST /v1/jobs")]
_RESULT: dict[int | str, dict[str, Any]] = {200: {"content": {"application/json": {"schema": {"type": "object"}}}}}
router = APIRouter(responses=PROBLEM)


@router.get("/v1/adapters")
def adapters(request: Request) -> AdaptersOut:
    """Those of the model that answers; requests name them. Files are looked at: not on the event loop."""
    core = _core(request)
    rows = []
    for entry, sha256 in core.adapters.entries(core.check_ready()):
        card = entry.info
        rows.append(AdapterOut(name=entry.name, sha256=sha256, domain=card.domain, licence=card.licence))
    return AdaptersOut(adapters=rows)


@router.post("/v1/jobs", status_code=202)
async def begin(request: Request, response: Response, wanted: JobIn) -> JobOut:
    """Ask for everything, or for what words name, in many open images; clicks go before it."""
    core, client = _core(request), request.state.client
    core.check_ready()
    made = core.jobs.begin(wanted.kind, client, wanted.images, _asking(core, client, wanted))
    response.headers["Location"] = f"/v1/jobs/{made.id}"
    return _job_out(made)


@router.get("/v1/jobs")
async def mine(request: Request) -> JobsOut:
    """Those of this client, the newest last."""
    core = _core(request)
    return JobsOut(jobs=[_job_out(one) for one in core.jobs.of(request.state.client)])


@router.get("/v1/jobs/{job_id}")
async def state(request: Request, job_id: JobId) -> JobOut:
    """How far a job is."""
    return _job_out(_core(request).jobs.get(job_id))


@router.get("/v1/jobs/{job_id}/result", response_class=Response, responses=_RESULT)
async def result(request: Request, job_id: JobId) -> Response:
    """What a job found, image by image; of one that was called off, what was finished."""
    return Response(_core(request).jobs.get(job_id).result(), media_type="application/json")


@router.delete("/v1/jobs/{job_id}")
async def end(request: Request, job_id: JobId) -> JobOut:
    """Call a job off; one that is over is forgotten."""
    return _job_out(_core(request).jobs.end(job_id))


def _asking(core: ServerCore, client: str, wanted: JobIn) -> AskImage:
    if wanted.kind == "auto":
        settings = {} if wanted.settings is None else wanted.settings.model_dump(exclude_none=True)

        async def everything(image_id: str) -> dict[str, Any]:
            image = core.shelf.get(image_id)
            found = await core.everything(None, client, image, settings, adapter=wanted.adapter, kind="batch")
            return {"objects": await core.draw(None, client, lambda: [one.model_dump() for one in auto_objects(found)])}

        return everything
    asked = WordsIn(embedding=wanted.images[0], examples=[], points=[], text=wanted.text, min_score=wanted.min_score)
    phrases = split_phrases(asked.text)

    async def words(image_id: str) -> dict[str, Any]:
        image = core.shelf.get(image_id)
        found, finder = await core.words(None, client, image, ConceptAsk(phrases), kind="batch")
        objects = await core.draw(
            None, client, lambda: [one.model_dump() for one in named_objects(found, asked.min_score)]
        )
        return {"finder": finder, "objects": objects}

    return words


def _job_out(one: BatchJob) -> JobOut:
    standing = asdict(one.job.standing)
    return JobOut(
        id=one.id, kind=one.kind, **{name: standing[name] for name in ("state", "done", "total", "left_s", "error")}
    )


def _core(request: Request) -> ServerCore:
    core: ServerCore = request.app.state.core
    return core
