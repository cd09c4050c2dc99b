"""What the contracts share: a picture that comes with each question, and one mask for clicks and a box."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from fastapi import Request

from annotator.domain.geometry import Box
from annotator.domain.ports.engine import Candidate
from annotator.domain.prompt import PointPrompt
from annotator.server.core import ServerCore
from annotator.server.problems import Problem
from annotator.server.shelf import OpenImage


def core_of(request: Request) -> ServerCore:
    """Raises:
    Problem: the model is not ready.
    """
    core: ServerCore = request.app.state.core
    core.check_ready()
    return core


def bytes_of(text: str) -> bytes:
    """Of base64, also as a data URI.

    Raises:
        Problem: it is none (422).
    """
    try:
        return base64.b64decode(
            text.split(",", 1)[1] if text.startswith("data:") and "," in text else text, validate=True
        )
    except (binascii.Error, ValueError):
        raise Problem(422, "no-base64", "The image is not base64.") from None


async def opened(request: Request, data: bytes) -> OpenImage:
    """The image of a file's bytes. The same bytes are encoded once, however often they come."""
    core, client = core_of(request), request.state.client
    return (await core.open_image(request, client, data, 0))[0]


async def asked(request: Request, image: OpenImage, points: Sequence[PointPrompt], box: Box | None) -> Candidate:
    """The mask to show. What lies a little outside is pulled to the edge: other tools round.

    Raises:
        Problem, PromptError.
    """
    core, client = core_of(request), request.state.client
    width, height = image.embedding.width, image.embedding.height
    inside = [
        PointPrompt(min(max(one.x, 0.0), width - 0.5), min(max(one.y, 0.0), height - 0.5), one.is_positive)
        for one in points
    ]
    box = None if box is None else box.clipped(width, height)
    found = await core.predict(request, client, image, inside, box, is_stepwise=True)
    return found.chosen
