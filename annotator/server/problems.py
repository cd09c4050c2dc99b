"""What is wrong with a request, as RFC 9457 has it: ``application/problem+json``, never a traceback."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from annotator.domain.errors import DeviceMemoryError, ImageError, ModelError, PromptError, UserError

_log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
SHOWN_ERRORS = 20


class Problem(Exception):  # noqa: N818 - the name that RFC 9457 gives it
    """An answer that is an error.

    Args:
        status: of HTTP.
        kind: last part of its type's URN, such as "busy".
        detail: a sentence for the person, with what to do.
        headers: of the answer, such as ``Retry-After``.
        errors: [{"at": place in the request, "why": reason}, ...].
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail = status, kind, detail
        self.headers, self.errors = dict(headers or {}), list(errors)

    def response(self, path: str) -> Response:
        content: dict[str, Any] = {
            "type": f"urn:annotator:problem:{self.kind}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": path,
        }
        if self.errors:
            content["errors"] = self.errors
        return Response(json.dumps(content), self.status, self.headers, MEDIA_TYPE)


def busy(why: str, detail: str, retry_after_s: int) -> Problem:
    return Problem(429, why, detail, headers={"Retry-After": str(retry_after_s)})


def stopping() -> Problem:
    return Problem(503, "stopping", "The server is being stopped. Ask again later.", headers={"Retry-After": "10"})


def of_error(error: Exception) -> Problem:
    """What is answered when ``error`` ends a request; one that is a bug of ours is logged under a random number."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, DeviceMemoryError):
        return Problem(503, "no-memory", str(error), headers={"Retry-After": "10"})
    kinds = {ImageError: "unreadable-image", PromptError: "unusable-prompt", ModelError: "model", UserError: "refused"}
    for kind, name in kinds.items():
        if isinstance(error, kind):
            return Problem(422, name, str(error))
    number = secrets.token_hex(6)
    _log.error("request failed, number %s", number, exc_info=error)
    return Problem(500, "bug", f"Something went wrong in the server; its log has more under {number}.")


async def on_error(request: Request, error: Exception) -> Response:
    return of_error(error).response(request.url.path)


async def on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    errors = [{"at": ".".join(map(str, one["loc"])), "why": str(one["msg"])} for one in found[:SHOWN_ERRORS]]
    detail = "The request is not as the API has it; errors tells where."
    if found and found[0]["type"] == "json_invalid":
        return Problem(400, "no-json", "The body is not JSON.", errors=errors).response(request.url.path)
    return Problem(422, "invalid-request", detail, errors=errors).response(request.url.path)


async def on_http(request: Request, error: Exception) -> Response:
    """What the router itself refuses: no such path, another method, a body that cannot be parsed."""
    assert isinstance(error, HTTPException)
    words = {404: "There is no such path; GET /openapi.json has all.", 405: "The path has no such method."}
    kind = {404: "no-such-path", 405: "no-such-method"}.get(error.status_code, "refused")
    detail = words.get(error.status_code, str(error.detail))
    return Problem(error.status_code, kind, detail, headers=error.headers).response(request.url.path)
