"""The page for people: it shows every path, asks nobody else, and its requests work as they stand."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient

from annotator.domain.ports.engine import Segmenter
from annotator.engine.load import load_segmenter
from annotator.engine.sam2.nano import build_nano, save_nano
from annotator.server import examples
from tests.small_base import SMALL
from tests.unit.server.conftest import Serve

TOKEN = "a-token-that-cannot-be-guessed"


class Page(HTMLParser):
    """Attributes:
    forms: each a method, a path with its parameters filled in, and a body.
    elsewhere: addresses that are not below the page.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[dict[str, Any]] = []
        self.elsewhere: list[str] = []
        self._is_body = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.elsewhere += [value for name, value in given.items() if name in ("src", "href") and ":" in value]
        if tag == "form":
            self.forms.append({"method": given["data-method"], "path": given["data-path"], "body": ""})
        if given.get("data-in") == "path" and given["value"]:
            self.forms[-1]["path"] = self.forms[-1]["path"].replace(f"{{{given['name']}}}", given["value"])
        if "data-example" in given:
            self.forms[-1]["body"] = base64.b64decode(given["data-example"])
        self._is_body = tag == "textarea"

    def handle_data(self, data: str) -> None:
        if self._is_body:
            self.forms[-1]["body"] += data

    def handle_endtag(self, tag: str) -> None:
        self._is_body = False


def sent(client: TestClient, form: dict[str, Any], **filled: str) -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    if isinstance(form["body"], str):
        headers["Content-Type"] = "application/json"
    return client.request(form["method"], "/" + form["path"].format(**filled), content=form["body"], headers=headers)


@pytest.fixture
def small(tmp_path: Path) -> Segmenter:
    """It answers in moments; what it answers is nothing to a page."""
    torch.manual_seed(3)
    save_nano(build_nano(SMALL).eval(), tmp_path / "small.safetensors", config=SMALL, metadata={"sets": "none"})
    return load_segmenter(str(tmp_path / "small.safetensors"), device="cpu", dtype=torch.float32)


def test_all_paths_are_there_and_their_examples_work(serve: Serve, small: Segmenter) -> None:
    """The examples are those of ``/openapi.json``."""
    with serve(segmenter=small, tokens=(TOKEN,)) as client:
        answer = client.get("/docs")  # the page itself holds nothing of anybody
        assert answer.status_code == 200
        page = Page(answer.text)
        paths = client.get("/openapi.json").json()["paths"]
        assert {"/v1/health", "/v1/ready", "/v1/models", "/metrics", "/v1/images/{sha256}"} < set(paths)
        assert len(page.forms) == sum(map(len, paths.values())) + 1  # two examples of a prediction
        assert page.elsewhere == []
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        page.forms.sort(
            key=lambda form: (
                form["path"] != "v1/images",
                "jobs" in form["path"],
                "{" in form["path"],
                form["method"] == "DELETE",
            )
        )
        answers: dict[str, Any] = {}
        for form in page.forms:
            begun = answers.get("POST v1/jobs")
            name = f"{form['method']} {form['path']}"
            assert form["body"] or form["method"] in ("GET", "DELETE"), name
            answers[name] = sent(client, form, job_id=begun and begun.json()["id"])
    statuses = {name: found.status_code for name, found in answers.items()}
    assert statuses.pop("POST v1/words") == 422  # no model for words is there
    assert statuses.pop("POST v1/jobs") == 202
    assert statuses.pop("GET v1/jobs/{job_id}/result") in (200, 409)  # it may run still
    assert set(statuses.values()) == {200}, statuses
    assert answers[f"GET v1/images/{examples.IMAGE_SHA256}"].json()["embedding"] == examples.EMBEDDING
