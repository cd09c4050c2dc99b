"""A front and two replicas in this process: requests of one image meet the replica that has it, models go by path."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
from fastapi.testclient import TestClient

from annotator.cli import main
from annotator.commands import serve_on_ray
from annotator.domain.errors import ModelError
from annotator.domain.ports.engine import Segmenter
from annotator.server.settings import ServerSettings
from annotator.server.spread.asked import Answered, Asked
from annotator.server.spread.front import Front, key_of
from annotator.server.spread.replica import Replica
from tests.unit.server.conftest import BASE, is_problem, picture

TOKEN = "a-token-for-the-front-1"
SETTINGS = ServerSettings(tokens=(TOKEN,))
WHO = {"authorization": f"Bearer {TOKEN}"}


class Replicas:
    """By the last digit of the key; ``loaded`` has the names of models in the order in which they were loaded."""

    def __init__(self, nano: Segmenter) -> None:
        self.loaded: list[str | None] = []

        def load(settings: ServerSettings) -> Segmenter:
            self.loaded.append(settings.model)
            if settings.model == "broken":
                raise ModelError("broken is not on this computer.")
            return nano

        self.all = [Replica(SETTINGS, ("one", "two", "broken"), 1, load=load) for _ in range(2)]
        self.keys: list[str] = []

    async def ask(self, key: str, asked: Asked) -> Answered:
        self.keys.append(key)
        return await self.all[int(key[-1:] or "0", 16) % 2].answer(asked)


@pytest.fixture
def replicas(nano: Segmenter) -> Iterator[Replicas]:
    made = Replicas(nano)
    yield made
    for one in made.all:
        asyncio.run(one.stop())


@pytest.fixture
def client(replicas: Replicas) -> TestClient:
    front = Front(SETTINGS, ("one", "two", "broken"), replicas.ask)
    client = TestClient(front.app(), base_url=BASE, headers=WHO)
    client.front = front  # type: ignore[attr-defined]
    return client


def point(opened: Any) -> dict[str, Any]:
    return {"embedding": opened["embedding"], "points": [{"x": 80, "y": 60}]}


def test_an_image_stays_with_its_replica_however_it_is_named(client: TestClient, replicas: Replicas) -> None:
    homes = set()
    for shift in range(6):
        data = picture(shift)
        first = client.put("/v1/images", content=data)
        answers = [
            first,
            client.get(f"/v1/images/{sha256(data).hexdigest()}"),
            client.post("/v1/images", json={"image": base64.b64encode(data).decode()}),
            client.post("/v1/predict", json=point(first.json())),
            client.post("/v1/decode", json={"embedding": first.json()["embedding"], "points": [{"x": 80, "y": 60}]}),
        ]
        assert [answer.status_code for answer in answers[:4]] == [200] * 4
        found = {answer.headers["x-annotator-replica"] for answer in answers}
        assert len(found) == 1
        homes |= found
    assert len(homes) == 2
    assert client.get("/v1/models").json()["models"][0]["name"] == "nano"


def test_models_are_named_before_the_path_and_make_room_for_each_other(client: TestClient, replicas: Replicas) -> None:
    assert replicas.loaded == ["one"] * 2
    data = picture()
    for name in ("two", "one"):
        opened = client.put(f"/models/{name}/v1/images", content=data)
        assert opened.status_code == 200
        assert client.post(f"/models/{name}/v1/predict", json=point(opened.json())).status_code == 200
        assert (name,) in [one.loaded for one in replicas.all]
    assert replicas.loaded == ["one", "one", "two", "one"]
    assert all(len(one.loaded) == 1 for one in replicas.all)
    for name, status in (("three", 404), ("broken", 422)):
        refused = client.get(f"/models/{name}/v1/models")
        assert refused.status_code == status
        assert is_problem(refused)
    assert client.get("/v1/models").status_code == 200  # what could not be loaded takes no room


def test_what_the_front_says_itself(client: TestClient, replicas: Replicas) -> None:
    stranger = TestClient(client.app, base_url=BASE)
    assert stranger.get("/v1/health").json()["status"] == "ok"
    assert stranger.put("/v1/images", content=picture()).status_code == 401
    assert client.post("/v1/jobs", json={"kind": "auto", "images": ["a"]}).status_code == 501
    assert client.post("/v1/predict", content=b"[" * 2000).status_code in (400, 422)
    assert client.get("/nowhere").status_code == 404
    assert 'data-path="v1/predict"' in stranger.get("/docs").text
    assert b"annotator_requests_total" in client.get("/metrics").content
    client.front.drain()  # type: ignore[attr-defined]
    assert client.get("/v1/models").status_code == 503


def test_a_replica_that_has_gone_is_a_problem_and_a_stop_ends_what_waits() -> None:
    async def scene() -> list[int]:
        statuses: list[int] = []
        asked = asyncio.Event()

        async def never(_key: str, _asked: Asked) -> Answered:
            asked.set()
            await asyncio.Event().wait()
            raise AssertionError

        front = Front(ServerSettings(), ("one",), never)

        async def send(message: Any) -> None:
            statuses.extend([message["status"]] if "status" in message else [])

        sent = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Any:
            found = next(sent, None)
            return found or await asyncio.Event().wait()

        scope = {"type": "http", "method": "GET", "path": "/v1/models", "query_string": b""}
        scope["headers"] = [(b"host", b"127.0.0.1")]
        task = asyncio.ensure_future(front.app()(scope, receive, send))
        await asked.wait()
        front.give_up()
        await task
        return statuses

    assert asyncio.run(scene()) == [503]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1", {"num_replicas": 1}),
        (
            "2-6",
            {
                "autoscaling_config": {
                    "min_replicas": 2,
                    "max_replicas": 6,
                    "target_ongoing_requests": 3.0,
                    "upscale_delay_s": 10.0,
                    "downscale_delay_s": 45.0,
                }
            },
        ),
    ],
)
def test_what_ray_is_told_of_scaling(given: str, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(serve_on_ray, "serve_on_ray", lambda _settings, spread: asked.append(spread))
    options = ["--ray", "local", "--models", "nano, nano-3", "--target", "3", "--idle-seconds", "45"]
    assert main(["serve", *options, "--replicas", given]) == 0
    assert serve_on_ray.scaling_of(asked[0]) == expected
    assert asked[0].models == ("nano", "nano-3")
    assert asked[0].cards == 0
    for more, cards in ((["--device", "cuda"], 1), (["--ray-gpus", "0.25"], 0.25)):
        assert main(["serve", *options, *more]) == 0
        assert asked[-1].cards == cards
    assert main(["serve", *options, "--compat", "cvat"]) == 2
    with pytest.raises(SystemExit):
        main(["serve", *options, "--replicas", "3-2"])


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[" * 50_000, b'{"embedding": 3}', b'{"image": 1}'])
def test_a_key_of_anything(body: bytes) -> None:
    for path in ("/v1/predict", "/v1/images"):
        asked = Asked("one", "POST", path, b"", (), "who", body)
        assert isinstance(key_of(asked, {}), str)  # type: ignore[arg-type]
