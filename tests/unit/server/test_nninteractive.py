"""nnInteractive's contract, asked by its own client (``nninteractive-client``): volumes, a slice at a time."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from tests.unit.server.conftest import Serve, is_problem

remote = pytest.importorskip("nnInteractive.inference.remote")
serialization = pytest.importorskip("nnInteractive.inference.remote.serialization")
PREFIX = "/nninteractive"
SHAPE = (6, 96, 128)


def volume() -> np.ndarray:
    """A bright block in the slices 1 to 4, on grey with a little noise: 1 x X x Y x Z."""
    image = np.random.default_rng(0).normal(100, 4, SHAPE).astype(np.float32)
    image[1:5, 30:70, 40:90] += 400
    return image[None]


TRUTH = np.zeros(SHAPE, bool)
TRUTH[1:5, 30:70, 40:90] = True


@pytest.fixture(scope="module")
def http(serve: Serve) -> Iterator[TestClient]:
    with serve(compat=("nninteractive",)) as client:
        yield client


@pytest.fixture
def session(http: TestClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The real client; its HTTP goes to the server of this process."""
    import nnInteractive.inference.remote.remote_session as used

    class Connected(TestClient):
        """Its times are not this test's subject."""

        def request(self, *args: Any, timeout: Any = None, **keywords: Any) -> Any:
            return super().request(*args, **keywords)

    def connected(*, base_url: str, headers: dict[str, str], timeout: Any) -> TestClient:
        return Connected(http.app, base_url=base_url, headers=headers)

    monkeypatch.setattr(used.httpx, "Client", connected)
    made = remote.nnInteractiveRemoteInferenceSession(f"http://127.0.0.1:8765{PREFIX}")
    made.set_image(volume(), {"spacing": [3.0, 1.0, 1.0]})
    made.set_target_buffer(np.zeros(SHAPE, np.uint8))
    yield made
    made.close()


def iou(found: np.ndarray, at: int) -> float:
    mine, truth = found[at] > 0, TRUTH[at]
    return float((mine & truth).sum() / (mine | truth).sum())


def test_a_point_answers_its_slice_and_undo_takes_it_back(session: Any) -> None:
    assert session.original_image_shape == (1, *SHAPE)
    assert session.supports_undo
    assert session.supported_interactions == {
        "points": True, "bbox2d": True, "bbox3d": False, "scribble": True, "lasso": True,
    }  # fmt: skip
    changed = session.add_point_interaction([2, 50, 60], include_interaction=True)
    assert changed == [[2, 3], [0, 96], [0, 128]]
    assert iou(session.target_buffer, 2) > 0.9
    assert not session.target_buffer[[0, 1, 3, 4, 5]].any()
    session.add_point_interaction([3, 50, 60], include_interaction=True)
    assert iou(session.target_buffer, 3) > 0.9
    assert session.undo()
    assert not session.target_buffer[3].any()
    assert iou(session.target_buffer, 2) > 0.9
    assert session.undo()
    assert not session.undo()
    assert not session.target_buffer.any()


def test_boxes_strokes_and_lassos(session: Any) -> None:
    session.add_bbox_interaction([[1, 2], [28, 72], [38, 92]], include_interaction=True)
    assert iou(session.target_buffer, 1) > 0.9
    stroke = np.zeros(SHAPE, np.uint8)
    stroke[2, 50, 50:80] = 1
    session.add_scribble_interaction(stroke, include_interaction=True)
    assert iou(session.target_buffer, 2) > 0.9
    ring = np.zeros((1, 46, 56), np.uint8)
    ring[0, [0, -1]] = ring[0, :, 0] = ring[0, :, -1] = 1
    session.add_lasso_interaction(ring, include_interaction=True, interaction_bbox=[[4, 5], [27, 73], [37, 93]])
    assert iou(session.target_buffer, 4) > 0.8
    session.reset_interactions()
    assert not session.target_buffer.any()
    across = [[0, 6], [28, 72], [60, 61]]  # on a slice of another direction
    assert session.add_bbox_interaction([[1, 5], *across[1:]], include_interaction=True) == [[0, 6], [0, 96], [60, 61]]
    assert session.target_buffer[:, :, 60].any()
    assert not session.target_buffer[:, :, 59].any()


def test_prompts_wait_until_they_are_asked(session: Any) -> None:
    for at in (1, 4):
        assert session.add_point_interaction([at, 50, 60], include_interaction=True, run_prediction=False) is None
    assert not session.target_buffer.any()
    assert session._predict() == [[1, 5], [0, 96], [0, 128]]
    assert iou(session.target_buffer, 1) > 0.9
    assert iou(session.target_buffer, 4) > 0.9
    assert session._predict() is None


def test_a_mask_to_begin_with_is_gone_on_from(session: Any) -> None:
    begun = np.zeros(SHAPE, np.uint8)
    begun[2, 35:65, 45:80] = 1
    session.add_initial_seg_interaction(begun)
    assert (session.target_buffer == begun).all()
    session.add_point_interaction([2, 50, 86], include_interaction=True)
    assert iou(session.target_buffer, 2) > iou(begun, 2)


def test_wrong_requests_are_refused(session: Any, http: TestClient) -> None:
    for call in (
        lambda: session.add_point_interaction([9, 5, 5], include_interaction=True),
        lambda: session.add_bbox_interaction([[0, 2], [5, 20], [5, 20]], include_interaction=True),
        lambda: session.add_bbox_interaction([[2, 3], [5, 20], [5, 20]], include_interaction=False),
        lambda: session.add_scribble_interaction(np.zeros(SHAPE, np.uint8), include_interaction=True),
        lambda: session.set_target_buffer(np.zeros((1, 2, 3), np.uint8)),
    ):
        with pytest.raises(Exception, match="400"):
            call()
    held = {"X-Lease-Token": session._lease_token}
    whole = serialization.pack_array(volume())
    for body, status in (
        (b"", 422),
        (whole[:-9], 422),
        (whole[:12] + struct.pack("<4q", 1, 1 << 40, 2, 2) + whole[44:], 422),
        (_head("float32", (1, 3000, 3000, 3000)), 413),
        (_head("object", (1, 2, 2, 2)), 422),
    ):
        answer = http.post(f"{PREFIX}/set_image", content=body, headers=held)
        assert answer.status_code in (status, 413)
        assert is_problem(answer)
    assert http.post(f"{PREFIX}/predict", json={}, headers={"X-Lease-Token": "stranger"}).status_code == 410
    for meta in ("[", "[]", json.dumps({"interaction_bbox": [[0, 1]]})):
        stroke = serialization.pack_array(np.ones((1, 2, 2), np.uint8))
        answer = http.post(f"{PREFIX}/add_lasso_interaction", content=stroke, headers={**held, "X-Meta": meta})
        assert answer.status_code == 400


def _head(name: str, shape: tuple[int, ...]) -> bytes:
    text = name.encode()
    return struct.pack(f"<4sBBBB{len(text)}s{len(shape)}qI", b"NNIA", 1, 1, len(shape), len(text), text, *shape, 0)
