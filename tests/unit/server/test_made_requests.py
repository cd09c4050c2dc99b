"""Requests made from the server's own OpenAPI document: none is answered 5xx (20,000: ``python -m tests.load``)."""

from __future__ import annotations

import base64

import pytest
import torch

from annotator.engine.sam2.nano import build_nano
from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.server import examples
from tests.load.requests import Questions, is_bad
from tests.small_base import BASE, SMALL
from tests.unit.server.conftest import Serve

COUNT = 100


@pytest.mark.parametrize("seed", [1])
def test_no_request_is_answered_with_a_bug(serve: Serve, seed: int) -> None:
    torch.manual_seed(3)
    small = Sam2Segmenter(build_nano(SMALL).eval(), BASE, dense_prompt="stamps-2")
    with serve(small) as client:
        client.put("/v1/images", content=base64.b64decode(examples.IMAGE_BASE64))
        found = set()
        for _, ask in zip(range(COUNT), Questions(client.get("/openapi.json").json(), seed), strict=False):
            headers = {name: value.encode("latin-1") for name, value in ask.headers.items()}
            answer = client.request(ask.method, ask.path, content=ask.body, headers=headers, follow_redirects=False)
            assert not is_bad(answer.status_code, answer.content, answer.headers.get("content-type", ""), ask), str(ask)
            found.add(answer.status_code)
    assert {200, 400, 404, 405, 415, 422} <= found
