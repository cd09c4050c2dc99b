"""CVAT's agent function, asked by the agent's own driver (``cvat-cli``) over a server of this process."""

from __future__ import annotations

import importlib.util
import io
import urllib.error
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from annotator.domain.mask import Mask
from tests.unit.server.conftest import picture

pytest.importorskip("cvat_sdk.auto_annotation")
driver = pytest.importorskip("cvat_cli._internal.agent_driver_interaction")
masks = pytest.importorskip("cvat_sdk.masks")
FILE = Path(__file__).parents[3] / "resources/cvat/agent.py"


@pytest.fixture(scope="module")
def module() -> Any:
    spec = importlib.util.spec_from_file_location("agent", FILE)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture
def asked(client: TestClient, module: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Method and path of each request; the agent's function is the driver's."""
    paths: list[str] = []

    def urlopen(request: Any, timeout: float) -> Any:
        path = urlsplit(request.full_url).path
        paths.append(f"{request.method} {path}")
        headers = dict(request.header_items())
        answer = client.request(request.method, path, content=request.data, headers=headers)
        if answer.status_code >= 400:
            raise urllib.error.HTTPError(path, answer.status_code, answer.text, headers, None)  # type: ignore[arg-type]
        return io.BytesIO(answer.content)

    monkeypatch.setattr(module.urllib.request, "urlopen", urlopen)
    function = module.create()
    monkeypatch.setattr(driver, "worker_current_function", lambda: function)
    driver.AgentInteractionFunctionDriver.init_worker(object())
    return paths


def prompts(**given: Any) -> Any:
    return driver._InteractionPromptsImpl(**{"pos_points": (), "neg_points": (), "bounding_box": None, **given})


def drawn(shapes: Any) -> np.ndarray:
    (shape,) = shapes
    assert shape.type == "mask"
    assert 0 <= float(shape.attributes[0].value) <= 1
    return np.asarray(masks.decode_mask(shape.points, image_width=160, image_height=120))


def test_clicks_and_boxes_are_the_servers_masks_and_the_image_is_sent_once(
    asked: list[str], client: TestClient
) -> None:
    image = Image.open(io.BytesIO(picture()))
    first = drawn(driver._worker_job_interact("key", image, prompts(pos_points=((80.0, 60.0),))))
    opened = client.put("/v1/images", content=picture()).json()["embedding"]
    answer = client.post("/v1/predict", json={"embedding": opened, "points": [{"x": 80, "y": 60}]}).json()
    rle = answer["candidates"][answer["best"]]["segmentation"]
    assert (first == Mask.from_rle(rle["counts"], rle["size"][1], rle["size"][0]).full()).all()
    box = prompts(bounding_box=((112.0, 82.0), (48.0, 38.0)), neg_points=((20.0, 20.0),))
    again = driver._worker_job_interact_from_cache("key", box)
    truth = np.zeros((120, 160), bool)
    truth[40:80, 50:110] = True
    assert (drawn(again) & truth).sum() / (drawn(again) | truth).sum() > 0.9
    assert driver._worker_job_interact_from_cache("other", box) is None
    assert asked == ["PUT /v1/images", "POST /v1/predict", "POST /v1/predict"]
    assert driver._worker_job_interact_from_cache("key", prompts(neg_points=((5.0, 5.0),))) == []


def test_an_image_that_the_server_has_forgotten_is_sent_again(asked: list[str], module: Any) -> None:
    function, stream = driver.worker_current_function(), io.BytesIO(picture())
    kept = function.preprocess_image(None, Image.open(stream))
    asked.clear()
    shapes = function.detect(None, {**kept, "embedding": "0" * len(kept["embedding"])}, prompts(pos_points=((80, 60),)))
    assert drawn(shapes).any()
    assert asked == ["POST /v1/predict", "PUT /v1/images", "POST /v1/predict"]


def test_what_cvat_is_told_of_the_function(asked: list[str]) -> None:
    function = driver.worker_current_function()
    fields = driver.AgentInteractionFunctionDriver.get_remote_function_fields(function.spec)
    assert fields == {"min_pos_points": 0, "min_neg_points": 0, "startswith_box_optional": True}
