"""Other tools' contracts, asked with the requests that their own documents and examples show."""

from __future__ import annotations

import base64
import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Segmenter
from annotator.server.compat.brush import brush_of
from tests.loopback_server import LoopbackServer
from tests.unit.server.conftest import Serve, is_problem, picture

ALL = ("label-studio", "cvat", "x-anylabeling")
CONFIG = """
<View>
  <Image name="image" value="$image" zoom="true"/>
  <BrushLabels name="tag" toName="image"><Label value="Banana" background="#FF0000"/></BrushLabels>
  <KeyPointLabels name="tag2" toName="image" smart="true"><Label value="Banana" showInline="true"/></KeyPointLabels>
  <RectangleLabels name="tag3" toName="image" smart="true"><Label value="Banana" showInline="true"/></RectangleLabels>
</View>"""
TOKEN = "token-of-all-that-ask"


class Images(BaseHTTPRequestHandler):
    """A Label Studio that has one upload, for whoever brings its token."""

    asked: list[str] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        is_known = self.headers["Authorization"] == "Token ls-token"
        self.send_response(200 if is_known else 401)
        self.end_headers()
        self.wfile.write(picture() if is_known else b"")

    def log_message(self, *_args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def label_studio() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Images)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture(scope="module")
def tools(serve: Serve, label_studio: str) -> Iterator[TestClient]:
    with serve(compat=ALL, label_studio_url=label_studio, label_studio_token="ls-token") as client:
        yield client


@pytest.fixture(scope="module")
def expected(tools: TestClient) -> np.ndarray[Any, Any]:
    """What the server's own path answers to a click on (80, 60)."""
    opened = tools.put("/v1/images", content=picture()).json()["embedding"]
    answer = tools.post("/v1/predict", json={"embedding": opened, "points": [{"x": 80, "y": 60}]}).json()
    rle = answer["candidates"][answer["best"]]["segmentation"]
    return Mask.from_rle(rle["counts"], rle["size"][1], rle["size"][0]).full()


# --- Label Studio -----------------------------------------------------------------------------------------------------


def decoded(rle: list[int]) -> np.ndarray[Any, Any]:
    """As Label Studio's front end does it: a stream of bits with the lengths' sizes in its head."""
    bits, at = "".join(f"{byte:08b}" for byte in rle), 0

    def read(count: int) -> int:
        nonlocal at
        at += count
        return int(bits[at - count : at], 2)

    number, word_bits, sizes = read(32), read(5) + 1, [0, 0, 0, 0]
    for index in range(4):
        sizes[index] = read(4) + 1
    out, place = np.zeros(number, np.uint8), 0
    while place < number:
        is_run = read(1)
        end = place + 1 + read(sizes[read(2)])
        for one in [place] if is_run else range(place, end):
            out[one : end if is_run else one + 1] = read(word_bits)
        place = end
    return out


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.randoms(use_true_random=False))
def test_brushes_are_read_back_as_the_front_end_does(width: int, height: int, chance: Any) -> None:
    bits = np.array([[chance.random() < 0.3 for _ in range(width)] for _ in range(height)])
    out = decoded(brush_of(Mask.from_full(bits))).reshape(height, width, 4)
    assert (out == bits[..., None] * 255).all()


def test_a_brush_of_a_large_image_splits_long_runs() -> None:
    bits = np.zeros((300, 400), bool)
    bits[100:250, 200:] = True
    assert (decoded(brush_of(Mask.from_full(bits))).reshape(300, 400, 4)[..., 3] == bits * 255).all()


def test_label_studios_own_package_reads_our_brushes() -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    bits = np.zeros((90, 130), bool)
    bits[10:70, 20:110] = True
    bits[30:50, 40:60] = False
    bits[::7, ::5] ^= True
    drawn = np.asarray(brush.decode_rle(brush_of(Mask.from_full(bits)))).reshape(90, 130, 4)
    assert (drawn == bits[..., None] * 255).all()


def smart_click(image: str, **change: Any) -> dict[str, Any]:
    """As the example of the backend's own repository shows it."""
    value = {"x": 50, "y": 50, "width": 0.3189792663476874, "labels": ["Banana"], "keypointlabels": ["Banana"]}
    prompt = {
        "original_width": 160, "original_height": 120, "image_rotation": 0, "value": value, "is_positive": True,
        "id": "fBWv1t0S2L", "from_name": "tag2", "to_name": "image", "type": "keypointlabels", "origin": "manual",
    }  # fmt: skip
    return {
        "tasks": [{"id": 1, "data": {"image": image}, "meta": {}, "annotations": [], "predictions": []}],
        "project": "12.1690000000", "label_config": CONFIG, "force_reload": False, "try_fetch": True,
        "params": {"login": None, "password": None, "context": {"result": [prompt | change]}},
    }  # fmt: skip


def test_label_studio_gets_a_brush_for_a_smart_click(tools: TestClient, expected: Any) -> None:
    assert tools.get("/label-studio/health").json()["status"] == "UP"
    setup = {"project": "12.1690000000", "schema": CONFIG, "hostname": "", "access_token": "x", "extra_params": None}
    version = tools.post("/label-studio/setup", json=setup).json()["model_version"]
    Images.asked.clear()
    answer = tools.post("/label-studio/predict", json=smart_click("/data/upload/1/a.png"))
    assert answer.status_code == 200, answer.text
    (one,) = answer.json()["results"]
    (row,) = one["result"]
    assert (one["model_version"], Images.asked) == (version, ["/data/upload/1/a.png"])
    assert (row["type"], row["from_name"], row["to_name"], row["value"]["brushlabels"]) == (
        "brushlabels", "tag", "image", ["Banana"],
    )  # fmt: skip
    drawn = decoded(row["value"]["rle"]).reshape(row["original_height"], row["original_width"], 4)[..., 3]
    assert (drawn == expected * 255).all()


def test_label_studio_without_an_interaction_gets_nothing(tools: TestClient) -> None:
    asked = smart_click("/data/upload/1/a.png") | {"params": {"context": None}}
    assert tools.post("/label-studio/predict", json=asked).json()["results"] == []


@pytest.mark.parametrize(
    ("image", "config"),
    [
        ("http://169.254.169.254/latest/meta-data", CONFIG),
        ("file:///etc/passwd", CONFIG),
        ("//example.org/a.png", CONFIG),
        ("/data/upload/1/a.png", "<View></View>"),
        ("/data/upload/1/a.png", "<!DOCTYPE a [<!ENTITY b 'c'>]><View>&b;</View>"),
        ("/data/upload/1/a.png", "<View"),
    ],
)
def test_label_studio_is_asked_for_images_and_nobody_else(tools: TestClient, image: str, config: str) -> None:
    Images.asked.clear()
    answer = tools.post("/label-studio/predict", json=smart_click(image) | {"label_config": config})
    assert (answer.status_code, is_problem(answer), Images.asked) == (422, True, [])


# --- CVAT -------------------------------------------------------------------------------------------------------------


def test_cvats_function_hands_clicks_on(nano: Segmenter, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that is deployed, called as its runtime does."""
    path = Path(__file__).parents[3] / "resources" / "cvat" / "main.py"
    server = LoopbackServer(nano, compat=("cvat",))
    monkeypatch.setenv("ANNOTATOR_SERVER", server.address)
    spec = importlib.util.spec_from_file_location("cvat_function", path)
    assert spec is not None
    assert spec.loader is not None
    function = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(function)
    context = SimpleNamespace(logger=SimpleNamespace(info=lambda _text: None), Response=SimpleNamespace)
    try:
        function.init_context(context)
        image = base64.b64encode(picture()).decode()
        body = {"image": image, "pos_points": [[80, 60]], "neg_points": [], "obj_bbox": None, "threshold": 0.5}
        answer = function.handler(context, SimpleNamespace(body=body))
        assert answer.status_code == 200
        assert (np.array(json.loads(answer.body)["mask"]) == expected).all()
        boxed = body | {"pos_points": [], "obj_bbox": [[110, 80], [50, 40]]}
        mask = np.array(json.loads(function.handler(context, SimpleNamespace(body=boxed)).body)["mask"])
        assert mask.shape == (120, 160)
        assert 0.8 < mask[40:80, 50:110].mean() <= 1
    finally:
        server.end()


# --- X-AnyLabeling ----------------------------------------------------------------------------------------------------


def x_asked(client: TestClient, **params: Any) -> Any:
    """As the client in the server's documents sends it."""
    image = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"
    asked = {"model": "annotator", "image": image, "params": params}
    return client.post("/x-anylabeling/v1/predict", json=asked, headers={"Token": TOKEN}).json()


def test_x_anylabeling_gets_polygons_for_marks(tools: TestClient, expected: Any) -> None:
    assert tools.get("/x-anylabeling/health").json()["status"] == "healthy"
    models = tools.get("/x-anylabeling/v1/models").json()["data"]
    assert {one["name"] for one in models["annotator"]["widgets"]} >= {"button_add_point", "button_add_rect"}
    params = {"conf_threshold": 0.0, "iou_threshold": 0.0, "epsilon_factor": 0.001}
    answer = x_asked(tools, marks=[{"type": "point", "data": [80, 60], "label": 1}], **params)
    assert answer["success"], answer
    shapes = answer["data"]["shapes"]
    assert {(one["shape_type"], one["label"], one["group_id"]) for one in shapes} == {
        ("polygon", "AUTOLABEL_OBJECT", 1)
    }
    (xs, ys) = np.array(max((one["points"] for one in shapes), key=len)).T
    columns, rows = np.flatnonzero(expected.any(0)), np.flatnonzero(expected.any(1))
    assert (abs(np.array([xs.min(), xs.max()]) - [columns[0], columns[-1] + 1]) <= 1).all()
    assert (abs(np.array([ys.min(), ys.max()]) - [rows[0], rows[-1] + 1]) <= 1).all()
    assert x_asked(tools, marks=[{"type": "rectangle", "data": [50, 40, 110, 80], "label": 1}], **params)["success"]


def test_x_anylabelings_errors_are_200_with_a_code(tools: TestClient) -> None:
    two = [{"type": "rectangle", "data": [1, 1, 9, 9], "label": 1}] * 2
    assert x_asked(tools, marks=two)["error"]["code"] == "INFERENCE_ERROR"
    other = {"model": "yolo11n", "image": "eA==", "params": {}}
    assert tools.post("/x-anylabeling/v1/predict", json=other).json()["error"]["code"] == "MODEL_NOT_FOUND"
    broken = tools.post("/x-anylabeling/v1/predict", json={"model": "annotator", "image": "eA=="})
    assert (broken.status_code, broken.json()["error"]["code"]) == (200, "INVALID_IMAGE")


# --- all --------------------------------------------------------------------------------------------------------------


def test_tokens_come_as_each_tool_sends_them(serve: Serve) -> None:
    with serve(tokens=(TOKEN,), compat=ALL) as client:
        basic = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
        for headers in ({"Token": TOKEN}, {"Authorization": f"Basic {basic}"}, {"Authorization": f"Bearer {TOKEN}"}):
            assert client.get("/x-anylabeling/v1/models", headers=headers).status_code == 200
        for headers in ({}, {"Token": "x"}, {"Authorization": "Basic x"}, {"Authorization": f"Digest {TOKEN}"}):
            assert client.get("/x-anylabeling/v1/models", headers=headers).status_code == 401


def test_without_the_option_the_paths_are_not_there(client: TestClient) -> None:
    assert client.post("/cvat", json={"image": "eA==", "pos_points": [[1, 1]]}).status_code == 404
