"""The application: paths, gate and errors round a core."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse

from annotator import __version__
from annotator.domain.errors import UserError
from annotator.server import problems
from annotator.server.compat import CONTRACTS
from annotator.server.core import ServerCore
from annotator.server.gate import Gate
from annotator.server.job_routes import router as job_router
from annotator.server.page import page_of
from annotator.server.port_routes import router as port_router
from annotator.server.routes import router


def make_app(core: ServerCore, *, is_gated: bool = True) -> FastAPI:
    """ASGI; without the gate where a front has one (:mod:`annotator.server.spread`) and starts and stops the core.
    Its start starts the core's threads, its end stops them. The one page asks its own server: CORS stays off."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        core.start()
        try:
            yield
        finally:
            await core.jobs.stop()
            await to_thread.run_sync(core.stop)

    app = FastAPI(title="annotator", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.core = core
    app.include_router(router)
    app.include_router(port_router)
    app.include_router(job_router)
    app.add_api_route("/docs", _page, include_in_schema=False, response_class=HTMLResponse)
    for name in core.settings.compat:
        contract = CONTRACTS[name]
        app.include_router(contract.make(core.settings), prefix=contract.prefix)
    app.add_exception_handler(problems.Problem, problems.on_error)
    app.add_exception_handler(UserError, problems.on_error)
    app.add_exception_handler(RequestValidationError, problems.on_invalid)
    app.add_exception_handler(HTTPException, problems.on_http)
    if is_gated:
        app.add_middleware(Gate, core=core)
    return app


async def _page(request: Request) -> HTMLResponse:
    page, policy = page_of(request.app.openapi())
    return HTMLResponse(page, headers={"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"})
