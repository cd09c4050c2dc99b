"""Jobs over many open images: progress, result, calling off, a new start; and adapters that requests name."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient

from annotator.domain.ports.engine import Segmenter
from annotator.server import batch_jobs
from annotator.server.batch_jobs import BatchJobs
from annotator.server.problems import Problem
from tests.unit.server.conftest import GATE_S, Serve, is_problem, picture

QUICK = {"points_per_side": 2, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}


class GatedGrid:
    """The embedded model, whose question for everything waits before each step."""

    def __init__(self, inner: Any) -> None:
        self._inner, self.gate, self.began = inner, threading.Semaphore(0), threading.Semaphore(0)
        self.everything_settings = inner.everything_settings

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def everything(self, *args: Any, **options: Any) -> Iterator[Any]:
        self.began.release()
        assert self.gate.acquire(timeout=GATE_S)
        yield from self._inner.everything(*args, **options)


@contextmanager
def running(serve: Serve, nano: Segmenter, images: int) -> Iterator[tuple[TestClient, GatedGrid, list[str], str]]:
    """A job over so many images, at its first one."""
    grid = GatedGrid(nano)
    with serve(grid) as client:
        opened = [client.put("/v1/images", content=picture(at)).json()["embedding"] for at in range(images)]
        began = client.post("/v1/jobs", json={"kind": "auto", "images": opened, "settings": QUICK})
        assert began.status_code == 202
        assert began.headers["Location"] == f"/v1/jobs/{began.json()['id']}"
        assert grid.began.acquire(timeout=GATE_S)
        try:
            yield client, grid, opened, f"/v1/jobs/{began.json()['id']}"
        finally:
            for _ in range(images):
                grid.gate.release()


def wait_for(client: TestClient, place: str) -> dict[str, Any]:
    """The job's state when it is over."""
    task = client.app.state.core.jobs.get(place.rsplit("/", 1)[1]).task  # type: ignore[attr-defined]

    async def over() -> None:
        await asyncio.wait([task])

    client.portal.call(over)  # type: ignore[union-attr]
    state: dict[str, Any] = client.get(place).json()
    return state


def test_a_job_is_polled_and_its_result_is_that_of_single_questions(serve: Serve, nano: Segmenter) -> None:
    with running(serve, nano, 2) as (client, grid, opened, place):
        assert (client.get(place).json()["state"], client.get(place).json()["total"]) == ("running", 2)
        early = client.get(f"{place}/result")
        assert (early.status_code, is_problem(early), early.headers["Retry-After"]) == (409, True, "5")
        click = {"embedding": opened[0], "points": [{"x": 80, "y": 60}]}
        grid.gate.release()
        assert grid.began.acquire(timeout=GATE_S)
        state = client.get(place).json()
        assert (state["done"], state["state"]) == (1, "running")
        grid.gate.release()
        state = wait_for(client, place)
        assert (state["state"], state["done"], state["error"]) == ("done", 2, "")
        assert client.post("/v1/predict", json=click).status_code == 200
        found = client.get(f"{place}/result").json()
        assert [one["embedding"] for one in found["images"]] == opened
        for one in found["images"]:
            grid.gate.release()
            alone = client.post("/v1/auto", json={"embedding": one["embedding"], **QUICK}).json()
            assert one["objects"] == alone["objects"]
            assert one["objects"]
        assert [one["id"] for one in client.get("/v1/jobs").json()["jobs"]] == [found["id"]]
        assert client.delete(place).json()["state"] == "done"
        gone = client.get(place)
        assert (gone.status_code, gone.json()["type"]) == (404, "urn:annotator:problem:unknown-job")


def test_a_job_that_is_called_off_keeps_what_it_has(serve: Serve, nano: Segmenter) -> None:
    with running(serve, nano, 3) as (client, grid, opened, place):
        grid.gate.release()
        assert grid.began.acquire(timeout=GATE_S)
        client.delete(place)
        state = wait_for(client, place)
        assert (state["state"], state["done"]) == ("cancelled", 1)
        assert [one["embedding"] for one in client.get(f"{place}/result").json()["images"]] == opened[:1]


def test_an_image_that_is_not_open_fails_alone(serve: Serve, nano: Segmenter) -> None:
    with serve() as client:
        opened = client.put("/v1/images", content=picture()).json()["embedding"]
        asked = {"kind": "auto", "images": ["0" * 32, opened], "settings": QUICK}
        place = client.post("/v1/jobs", json=asked).headers["Location"]
        assert wait_for(client, place)["state"] == "done"
        first, second = client.get(f"{place}/result").json()["images"]
        assert "Send it first" in first["error"]
        assert second["error"] is None


def test_after_a_new_start_a_job_is_said_to_be_gone(serve: Serve) -> None:
    with serve() as client:
        answer = client.get(f"/v1/jobs/{'0' * 8}-{'1' * 24}")
    assert (answer.status_code, is_problem(answer)) == (410, True)
    assert "started anew" in answer.json()["detail"]


@pytest.mark.parametrize(
    "change", [{"kind": "words"}, {"text": "cell"}, {"images": []}, {"images": ["x"]}, {"settings": {"more": 1}}]
)
def test_jobs_that_make_no_sense(client: TestClient, change: dict[str, Any]) -> None:
    answer = client.post("/v1/jobs", json={"kind": "auto", "images": ["0" * 32]} | change)
    assert (answer.status_code, is_problem(answer)) == (422, True)


def test_jobs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_jobs, "MOST_RESULT_BYTES", 600)

    async def work() -> None:
        jobs, gate = BatchJobs(), asyncio.Event()

        async def ask(_image: str) -> dict[str, Any]:
            await gate.wait()
            return {"objects": ["x" * 300]}

        made = [jobs.begin("auto", "me", ["a"], ask) for _ in range(batch_jobs.MOST_RUNNING_PER_CLIENT)]
        with pytest.raises(Problem) as refused:
            jobs.begin("auto", "me", ["a"], ask)
        assert refused.value.status == 429
        other = jobs.begin("auto", "another", ["a"], ask)
        gate.set()
        await asyncio.gather(*(one.task for one in [*made, other] if one.task))
        assert jobs.of("me") == []  # the newest result stays, the older ones had to go
        assert json.loads(jobs.get(other.id).result())["images"][0]["objects"] == ["x" * 300]

    asyncio.run(work())


def test_adapters_are_listed_and_named_by_a_request(client: TestClient, nano: Any) -> None:
    rows = {row["name"]: row for row in client.get("/v1/adapters").json()["adapters"]}
    assert {"nuclei", "facades", "animals"} <= set(rows)
    opened = client.put("/v1/images", content=picture()).json()["embedding"]
    click = {"embedding": opened, "points": [{"x": 60, "y": 50}]}

    def asked(**more: str) -> Any:
        answer = client.post("/v1/predict", json=click | more)
        assert answer.status_code == 200, answer.text
        return [one["predicted_iou"] for one in answer.json()["candidates"]]

    alone, named = asked(), asked(adapter="nuclei")
    assert named != alone
    assert asked(adapter=rows["nuclei"]["sha256"]) == named
    assert asked() == alone
    strange = client.post("/v1/predict", json=click | {"adapter": "../../nuclei.safetensors"})
    assert (strange.status_code, strange.json()["type"]) == (422, "urn:annotator:problem:unknown-adapter")
    assert asked() == alone
