"""What is answered: the same masks as the Python interface gives, in every form."""

from __future__ import annotations

import base64
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

import annotator
from annotator.domain.answering.named import named_proposal
from annotator.domain.cues.cue import Cue
from annotator.domain.cues.rows import KINDS, cue_to_json
from annotator.domain.errors import ModelError
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import EverythingStep, ModelInfo, Segmenter
from tests.unit.server.conftest import Serve, is_problem, picture


def opened(client: TestClient, data: bytes | None = None) -> str:
    answer = client.put("/v1/images", content=data or picture())
    assert answer.status_code == 200, answer.text
    return str(answer.json()["embedding"])


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("serve") / "a.png"
    path.write_bytes(picture())
    return annotator.Segmenter("nano", device="cpu").encode(Path(path))


@pytest.mark.parametrize("kind", KINDS)
def test_a_cue_is_asked_by_its_clicks(client: TestClient, kind: type[Cue]) -> None:
    body: dict[str, Any] = {"embedding": opened(client), "points": [{"x": 80, "y": 60}]}
    clicks = [{"x": one.x, "y": one.y, "label": int(one.is_positive)} for one in kind.example().clicks()]
    by_cue = client.post("/v1/predict", json=body | {"cues": [cue_to_json(kind.example())]}).json()
    by_clicks = client.post("/v1/predict", json=body | {"points": [*body["points"], *clicks]}).json()
    assert by_cue["candidates"] == by_clicks["candidates"]
    damaged = client.post("/v1/predict", json=body | {"cues": [{"kind": kind.kind}]})
    assert is_problem(damaged)
    assert damaged.json()["type"].endswith("unusable-prompt")


@pytest.mark.parametrize(
    ("points", "box", "stepwise"),
    [
        ([(80, 60, 1)], None, True),
        ([(80, 60, 1), (5, 5, 0)], (50, 40, 110, 80), True),
        ([(80, 60, 1), (5, 5, 0)], (50, 40, 110, 80), False),
        ([], (48, 38, 112, 82), True),
    ],
)
def test_masks_are_those_of_the_python_interface(
    client: TestClient, local: Any, points: Any, box: Any, stepwise: bool
) -> None:
    body: dict[str, Any] = {"embedding": opened(client), "stepwise": stepwise}
    body["points"] = [{"x": x, "y": y, "label": label} for x, y, label in points]
    body["box"] = None if box is None else list(box)
    answer = client.post("/v1/predict", json=body).json()
    expected = local.predict(points=points, box_xyxy=box, stepwise=stepwise)
    assert answer["best"] == expected.best
    assert len(answer["candidates"]) == len(expected.items)
    for found, one in zip(answer["candidates"], expected.items, strict=True):
        mask = Mask.from_rle(found["segmentation"]["counts"], 160, 120)
        assert mask.same_pixels(one.mask)
        assert not mask.is_empty
        assert found["bbox"] == list(one.mask.bbox_xywh)
        assert found["predicted_iou"] == pytest.approx(one.predicted_iou)
        assert (found["area"], found["label"]) == (one.mask.area, one.label)


def test_a_mask_as_png_as_base64_and_as_run_lengths_is_the_same(client: TestClient) -> None:
    body = {"embedding": opened(client), "box": [48, 38, 112, 82]}
    rle = client.post("/v1/predict", json=body).json()["candidates"][0]["segmentation"]
    full = Mask.from_rle(rle["counts"], 160, 120).full()
    png = client.post("/v1/predict", json=body | {"format": "png"})
    assert png.headers["content-type"] == "image/png"
    assert 0 < float(png.headers["x-predicted-iou"]) < 1.2
    text = client.post("/v1/predict", json=body | {"format": "base64_png"}).json()["candidates"][0]["png"]
    for data in (png.content, base64.b64decode(text)):
        pixels = np.asarray(Image.open(io.BytesIO(data)))
        assert pixels.shape == (120, 160)
        assert np.array_equal(pixels, np.where(full, 255, 0))


def test_one_content_is_one_embedding_however_it_is_sent(client: TestClient) -> None:
    data = picture(shift=7)
    sha256 = hashlib.sha256(data).hexdigest()
    assert client.get(f"/v1/images/{sha256}").status_code == 404
    first = client.put("/v1/images", content=data).json()
    assert (first["sha256"], first["width"], first["height"]) == (sha256, 160, 120)
    assert first["was_cached"] is False
    text = base64.b64encode(data).decode()
    again = [
        client.post("/v1/images", json={"image": text}).json(),
        client.post("/v1/images", json={"image": f"data:image/png;base64,{text}"}).json(),
        client.get(f"/v1/images/{sha256}").json(),
    ]
    assert all(one["was_cached"] and one["embedding"] == first["embedding"] for one in again)
    assert client.head(f"/v1/images/{sha256}").status_code == 200
    assert client.get(f"/v1/images/{sha256}", params={"frame": 1}).status_code == 404


def test_an_image_that_had_to_go_is_410_and_comes_back_under_its_name(serve: Serve) -> None:
    with serve(embeddings_bytes=1) as client:
        first, second = opened(client), opened(client, picture(shift=3))
        body = {"embedding": first, "box": [48, 38, 112, 82]}
        gone = client.post("/v1/predict", json=body)
        assert gone.status_code == 410
        assert is_problem(gone)
        assert client.get(f"/v1/images/{hashlib.sha256(picture()).hexdigest()}").status_code == 410
        assert client.post("/v1/predict", json=body | {"embedding": "0" * 32}).status_code == 404
        assert client.post("/v1/predict", json=body | {"embedding": second}).status_code == 200
        assert opened(client) == first
        assert client.post("/v1/predict", json=body).status_code == 200


def test_all_objects_are_those_that_the_model_finds(client: TestClient, nano: Segmenter) -> None:
    answer = client.post(
        "/v1/auto", json={"embedding": opened(client), "points_per_side": 4, "pred_iou_thresh": 0.5}
    ).json()
    masks = [Mask.from_rle(one["segmentation"]["counts"], 160, 120) for one in answer["objects"]]
    truth = np.zeros((120, 160), bool)
    truth[40:80, 50:110] = True
    assert max(mask.iou(Mask.from_full(truth)) for mask in masks) > 0.8
    assert all(one["predicted_iou"] > 0.5 for one in answer["objects"])


def test_health_models_and_metrics(client: TestClient) -> None:
    opened(client)
    assert client.get("/v1/health").json()["status"] == "ok"
    assert client.get("/v1/ready").json()["status"] == "ready"
    (model,) = client.get("/v1/models").json()["models"]
    assert (model["name"], model["can"]) == ("nano", ["points", "box", "decode", "auto", "everything"])
    text = client.get("/metrics").text
    held = [line for line in text.splitlines() if line.startswith("annotator_embedding_bytes ")]
    assert float(held[0].split()[1]) > 160 * 120 * 3
    assert 'annotator_job_seconds_count{kind="encode"}' in text
    assert 'annotator_requests_total{path="/v1/images",status="200"}' in text


def test_words_are_answered_by_the_model_for_words_or_its_absence_is_said(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"embedding": opened(client), "text": "rectangle, not shadow"}
    asked: list[Any] = []

    class Rectangles:
        info = ModelInfo("rectangles", "", "cpu", "float32", 112)

        def steps(self, image: Any, ask: Any, *, has_to_yield: Any = None) -> Any:
            asked.extend([ask.phrases.text, *([ask.examples] if ask.examples else [])])
            truth = np.zeros(image.rgb.shape[:2], bool)
            truth[40:80, 50:110] = True
            yield EverythingStep(1, 2, None)
            found = (named_proposal(Mask.from_full(truth), score, 1.0, "rectangle") for score in (0.9, 0.2))
            yield EverythingStep(2, 2, tuple(found), is_last=True)

    def none(*_: Any, **__: Any) -> Any:
        raise ModelError("No model for words is on this computer.", "Get one.")

    core = client.app.state.core  # type: ignore[attr-defined]
    monkeypatch.setattr(core._finders, "_load", none)
    refused = client.post("/v1/words", json=body)
    assert refused.status_code == 422
    assert "No model for words" in refused.json()["detail"]
    monkeypatch.setattr(core._finders, "_load", lambda *_a, **_k: Rectangles())
    answer = client.post("/v1/words", json=body).json()
    assert (answer["finder"], asked) == ("rectangles", ["rectangle, not shadow"])
    assert [(one["phrase"], one["area"]) for one in answer["objects"]] == [("rectangle", 2400)]
    assert len(client.post("/v1/words", json=body | {"min_score": 0.1}).json()["objects"]) == 2
    assert client.post("/v1/words", json=body | {"text": ","}).status_code == 422
    boxes = [{"box": [50, 40, 110, 80]}, {"box": [0, 0, 9, 9], "label": 0}]
    assert client.post("/v1/words", json=body | {"examples": boxes, "text": ""}).status_code == 200
    assert [(one.box.as_xyxy(), one.is_positive) for one in asked[-1]] == [
        ((50, 40, 110, 80), True),
        ((0, 0, 9, 9), False),
    ]
    assert client.post("/v1/words", json=body | {"points": [{"x": 80, "y": 60, "label": 0}]}).status_code == 200
    for bad in ([], boxes[1:], [{"box": [50, 40, 50, 80]}], [{"box": [1, 2, 3]}], boxes * 40):
        assert client.post("/v1/words", json=body | {"examples": bad, "text": ""}).status_code == 422
    core._finders.release()
