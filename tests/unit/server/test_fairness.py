"""Turns before the model: whoever floods waits for others, not they for him; too many are sent away at once."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from heapq import heapify, heappop, heappush
from itertools import pairwise
from statistics import quantiles
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from annotator.server import gate
from annotator.server.fair_queue import Admission, FairQueue, Job
from annotator.server.problems import Problem
from tests.unit.server.conftest import GATE_S, GatedSegmenter, Serve, is_problem, picture

KINDS = ("decode", "encode", "auto")
A, B, C = (f"the-token-of-client-{name}" for name in "abc")


def job(client: str, kind: str = "decode") -> Job:
    return Job(kind, client, lambda _owned, _job: None)


def test_clients_take_turns_and_quick_work_goes_first() -> None:
    queue = FairQueue(KINDS, clock=lambda: 0.0)
    flood = [job("a") for _ in range(5)]
    encode, other = job("c", "encode"), job("b")
    for one in (encode, *flood, other):
        queue.put(one)
    assert [queue.take() for _ in range(7)] == [flood[0], other, *flood[1:], encode]


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(KINDS)), max_size=40))
def test_nobody_waits_for_more_than_one_job_of_each_other(asked: list[tuple[str, str]]) -> None:
    queue = FairQueue(KINDS, clock=lambda: 0.0)
    jobs = [job(client, kind) for client, kind in asked]
    for one in jobs:
        queue.put(one)
    taken = [queue.take() for _ in jobs]
    assert {id(one) for one in taken} == {id(one) for one in jobs}
    assert [one.kind for one in taken if one] == sorted((kind for _, kind in asked), key=KINDS.index)
    for kind in KINDS:
        order = [one.client for one in taken if one and one.kind == kind]
        for client in set(order):
            places = [at for at, name in enumerate(order) if name == client]
            for before, after in pairwise(places):
                between = order[before + 1 : after]
                assert all(between.count(name) <= 1 for name in between)
        for client in "abcd":  # each client's own jobs stay in their order
            mine = [one for one in jobs if (one.client, one.kind) == (client, kind)]
            assert [one for one in taken if one in mine] == mine


class Desks:
    """Four people with half a second between clicks, 20 ms of the model each, for two minutes; beside them, where
    ``is_flooded``, one who always has eight jobs inside. Time is counted, not waited for."""

    def __init__(self, *, is_flooded: bool) -> None:
        self.now_s, self.took_s = 0.0, list[float]()
        self.queue, self._waiting = FairQueue(KINDS, clock=lambda: self.now_s), dict[Job, float]()
        chance = random.Random(3)
        self._asks = [(chance.uniform(0, 0.5), f"person {number}") for number in range(4)] + [(0.0, "flood")] * (
            8 * is_flooded
        )
        heapify(self._asks)
        while self.now_s < 120:
            if not self._waiting:
                self._come(self._asks[0][0])
            done = self.queue.take()
            assert done is not None
            self._come(self.now_s + 0.02)
            self.queue.note(done.client, 0.02)
            asked_s, pause_s = self._waiting.pop(done), 0.0
            if done.client != "flood":
                self.took_s.append(self.now_s - asked_s)
                pause_s = chance.uniform(0, 0.5)
            heappush(self._asks, (self.now_s + pause_s, done.client))

    def _come(self, until_s: float) -> None:
        while self._asks and self._asks[0][0] <= until_s:
            self.now_s, client = max(self.now_s, self._asks[0][0]), heappop(self._asks)[1]
            self._waiting[asked := job(client)] = self.now_s
            self.queue.put(asked)
        self.now_s = max(self.now_s, until_s)


def test_a_flood_raises_the_wait_of_others_by_no_more_than_half() -> None:
    alone, beside = (quantiles(Desks(is_flooded=flooded).took_s, n=20)[-1] for flooded in (False, True))
    assert beside < 1.5 * alone


def test_a_floods_clicks_do_not_go_before_the_image_that_another_opens() -> None:
    queue = FairQueue(KINDS, clock=lambda: 0.0)
    queue.note("a", 0.4)
    click, image = job("a"), job("b", "encode")
    queue.put(click)
    queue.put(image)
    assert queue.take() is click
    queue.note("a", 0.4)
    queue.put(click)
    assert [queue.take(), queue.take()] == [image, click]


def test_one_who_had_much_is_not_put_off_for_long() -> None:
    now_s = 0.0
    queue = FairQueue(KINDS, clock=lambda: now_s)
    queue.note("a", 100.0)
    late = job("a")
    queue.put(late)
    queue.put(job("b"))
    served = 0
    while queue.take() is not late:
        served += 1
        now_s += 0.02
        queue.note("b", 0.02)
        queue.put(job("b"))
    assert 10 < served < 60


def test_what_has_waited_long_is_not_passed_any_more() -> None:
    now_s = 0.0
    queue = FairQueue(KINDS, patience_s=2.0, clock=lambda: now_s)
    slow = job("a", "auto")
    queue.put(slow)
    now_s = 1.9
    queue.put(job("b"))
    assert queue.take() is not slow
    queue.put(job("b"))
    queue.put(job("b"))
    now_s = 2.0
    assert slow in (queue.take(), queue.take())


def test_what_is_given_up_goes_at_once_and_what_waits_at_the_end_is_told() -> None:
    queue = FairQueue(KINDS)
    one, two = job("a"), job("a")
    queue.put(one)
    queue.put(two)
    queue.discard(one)
    assert queue.waiting("decode") == 1
    queue.close()
    with pytest.raises(Problem, match="being stopped"):
        two.answer.result(0)
    assert queue.take() is None
    with pytest.raises(Problem):
        queue.put(job("a"))


def test_admission_counts_and_says_when_to_come_again() -> None:
    admission = Admission(3, 2, mean_s=lambda: 4.0)
    with admission.entered("a"), admission.entered("a"):
        with pytest.raises(Problem) as refused, admission.entered("a"):
            pass
        assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "8")
        with admission.entered("b"), pytest.raises(Problem) as refused, admission.entered("c"):
            pass
        assert (refused.value.kind, refused.value.headers["Retry-After"]) == ("busy", "12")
    assert admission.inside == 0
    admission.close()
    with pytest.raises(Problem) as refused, admission.entered("a"):
        pass
    assert refused.value.status == 503


@contextmanager
def flooded(
    serve: Serve, gated: GatedSegmenter, monkeypatch: pytest.MonkeyPatch, **limits: Any
) -> Iterator[tuple[TestClient, Any, Any]]:
    """A client, ``ask(x, token)`` in a thread, and ``queued()`` that waits until one more job was queued."""
    with serve(gated, tokens=(A, B, C), **limits) as client, ThreadPoolExecutor(8) as pool:
        opened = client.put("/v1/images", content=picture(), headers={"authorization": f"Bearer {A}"}).json()
        queue, put_jobs = client.app.state.core.queue, threading.Semaphore(0)  # type: ignore[attr-defined]
        put = queue.put

        def noted(*args: Any, **options: Any) -> None:
            put(*args, **options)
            put_jobs.release()

        monkeypatch.setattr(queue, "put", noted)

        def ask(x: float, token: str) -> Any:
            body = {"embedding": opened["embedding"], "points": [{"x": x, "y": 60}]}
            headers = {"authorization": f"Bearer {token}"}
            return pool.submit(client.post, "/v1/predict", json=body, headers=headers)

        try:
            yield client, ask, lambda: put_jobs.acquire(timeout=GATE_S)
        finally:
            gated.gate.set()


def test_a_flood_is_sent_away_and_others_get_their_turn(
    serve: Serve, gated: GatedSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with flooded(serve, gated, monkeypatch, requests=4, requests_per_client=3) as (_, ask, queued):
        gated.gate.clear()
        waiting = [ask(1, A)]
        assert queued()
        assert gated.began.acquire(timeout=GATE_S)
        for x, token in ((2, A), (3, A), (4, B)):
            waiting.append(ask(x, token))
            assert queued()
        held_back_s: list[float] = []

        async def sleep(seconds: float) -> None:
            held_back_s.append(seconds)

        monkeypatch.setattr(gate, "asyncio", SimpleNamespace(sleep=sleep, timeout=asyncio.timeout))
        refused = [ask(5, A).result(GATE_S), ask(6, C).result(GATE_S)]
        gated.gate.set()
        assert [one.result(GATE_S).status_code for one in waiting] == [200] * 4
    assert gated.order == [1, 4, 2, 3]  # who has had nothing goes before one who has
    assert held_back_s == [gate.REFUSAL_S] * 2  # and not those that were let in
    assert [one.json()["type"].rsplit(":", 1)[1] for one in refused] == ["too-many-requests", "busy"]
    for answer in refused:
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) >= 1
        assert is_problem(answer)


def test_a_stop_lets_what_was_let_in_come_to_its_end(
    serve: Serve, gated: GatedSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with flooded(serve, gated, monkeypatch) as (client, ask, queued):
        gated.gate.clear()
        running = ask(1, A)
        assert gated.began.acquire(timeout=GATE_S)
        assert queued()
        late = ask(2, B)
        assert queued()
        core = client.app.state.core  # type: ignore[attr-defined]
        core.drain()
        refused = ask(3, C).result(GATE_S)
        ready = client.get("/v1/ready")
        core.give_up()
        assert late.result(GATE_S).status_code == 503
        gated.gate.set()
        assert running.result(GATE_S).status_code == 200
    for answer in (refused, ready, late.result()):
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert is_problem(answer)
    assert gated.order == [1]


def test_a_request_whose_client_has_gone_is_dropped(
    serve: Serve, gated: GatedSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with flooded(serve, gated, monkeypatch) as (client, ask, queued):
        gated.gate.clear()
        running = ask(1, A)
        assert gated.began.acquire(timeout=GATE_S)
        assert queued()
        body = running_body(client)
        messages = iter([{"type": "http.request", "body": body}, {"type": "http.disconnect"}])
        statuses: list[int] = []

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        headers = [(b"content-type", b"application/json"), (b"authorization", f"Bearer {B}".encode())]
        scope = {"type": "http", "method": "POST", "path": "/v1/predict", "query_string": b"", "headers": headers}
        asyncio.run(client.app(scope, receive, send))  # type: ignore[arg-type]
        assert queued()
        assert statuses == [408]
        core = client.app.state.core  # type: ignore[attr-defined]
        assert core.queue.waiting("decode") == 0
        assert core.admission.inside == 1
        gated.gate.set()
        assert running.result(GATE_S).status_code == 200
    assert gated.order == [1]


def running_body(client: TestClient) -> bytes:
    found = client.get(f"/v1/images/{sha256(picture()).hexdigest()}", headers={"authorization": f"Bearer {A}"}).json()
    return json.dumps({"embedding": found["embedding"], "points": [{"x": 2, "y": 60}]}).encode()


def test_an_answer_that_takes_too_long_is_504_and_its_job_goes(
    serve: Serve, gated: GatedSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with flooded(serve, gated, monkeypatch) as (client, ask, queued):
        gated.gate.clear()
        running = ask(1, A)
        assert gated.began.acquire(timeout=GATE_S)
        assert queued()
        core = client.app.state.core  # type: ignore[attr-defined]
        object.__setattr__(core.settings, "job_s", 0.0)
        late = ask(2, B).result(GATE_S)
        object.__setattr__(core.settings, "job_s", GATE_S)
        assert late.status_code == 504
        assert is_problem(late)
        assert core.queue.waiting("decode") == 0
        gated.gate.set()
        assert running.result(GATE_S).status_code == 200
    assert gated.order == [1]
