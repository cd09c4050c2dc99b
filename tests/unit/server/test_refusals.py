"""What is refused, and how: always as problem JSON, before it costs anything, with nothing of the image in the log."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import logging
import socket
import struct
import threading
import zlib
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from annotator.domain.errors import UserError
from annotator.domain.ports.engine import Segmenter
from annotator.server import connections
from annotator.server.app import make_app
from annotator.server.core import ServerCore
from annotator.server.settings import ServerSettings, read_tokens
from tests.loopback_server import LoopbackServer
from tests.unit.server.conftest import BASE, GATE_S, GatedSegmenter, Serve, is_problem, picture

TOKEN = "a-token-for-the-tests-1"


def bomb(width: int, height: int) -> bytes:
    """A PNG that claims a size; its pixels are not there."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def embedding(client: TestClient) -> str:
    return str(client.put("/v1/images", content=picture()).json()["embedding"])


@pytest.mark.parametrize(
    ("change", "status", "kind"),
    [
        ({}, 422, "unusable-prompt"),
        ({"points": [{"x": 500, "y": 5}]}, 422, "unusable-prompt"),
        ({"points": [{"x": -1, "y": 5}]}, 422, "unusable-prompt"),
        ({"box": [10, 10, 10, 20]}, 422, "unusable-prompt"),
        ({"box": [50, 40, 20, 20]}, 422, "unusable-prompt"),
        ({"box": [1, 2, 3]}, 422, "invalid-request"),
        ({"points": [{"x": 1, "y": 1}] * 257}, 422, "invalid-request"),
        ({"points": [{"x": 1, "y": 1, "label": 2}]}, 422, "invalid-request"),
        ({"points": [{"x": "1", "y": 1}]}, 422, "invalid-request"),
        ({"box": [1, 2, 3, 4], "more": 1}, 422, "invalid-request"),
        ({"box": [1, 2, 3, 4], "format": "list"}, 422, "invalid-request"),
        ({"box": [1, 2, 3, 4], "embedding": "../../etc"}, 422, "invalid-request"),
    ],
)
def test_prompts_that_make_no_sense(
    client: TestClient, embedding: str, change: dict[str, Any], status: int, kind: str
) -> None:
    answer = client.post("/v1/predict", json={"embedding": embedding} | change)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:annotator:problem:{kind}")
    assert is_problem(answer)
    assert kind != "invalid-request" or answer.json()["errors"][0]["at"].startswith("body.")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 422),
        (b"no image at all", 415),
        (picture()[:90], 422),
        (bomb(60_000, 60_000), 413),
        (bomb(4000, 4000), 422),
    ],
)
def test_files_that_are_no_sound_image(client: TestClient, data: bytes, status: int) -> None:
    answer = client.put("/v1/images", content=data)
    assert answer.status_code == status, answer.text
    assert is_problem(answer)
    if data:
        answer = client.post("/v1/images", json={"image": base64.b64encode(data).decode()})
        assert answer.status_code == status
        assert is_problem(answer)


def test_other_requests_that_are_refused(client: TestClient) -> None:
    kind = {"content-type": "application/json"}
    answers = {
        404: client.get("/v1/nothing"),
        405: client.delete("/v1/models"),
        400: client.post("/v1/predict", content=b"{", headers=kind),
        413: client.post("/v1/predict", content=b" " * (1 << 20) + b"{}", headers=kind),
        421: client.get("/v1/models", headers={"host": "attacker.example"}),
        422: client.post("/v1/images", json={"image": "%%%"}),
    }
    for status, answer in answers.items():
        assert answer.status_code == status
        assert is_problem(answer)
    assert "access-control-allow-origin" not in client.get("/v1/health", headers={"origin": "http://a.example"}).headers
    assert client.put("/v1/images", content=picture(), params={"frame": 4}).status_code == 422


def sent_by_hand(client: TestClient, receive: Any, *headers: tuple[bytes, bytes]) -> tuple[int, dict[str, Any]]:
    """Status and body of an upload whose parts come from ``receive``."""
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    head = [(b"host", b"127.0.0.1"), *headers]
    scope = {"type": "http", "method": "PUT", "path": "/v1/images", "query_string": b"", "headers": head}
    asyncio.run(client.app(scope, receive, send))  # type: ignore[arg-type]
    return told[0]["status"], json.loads(told[1]["body"])


def test_a_body_is_counted_while_it_comes(serve: Serve) -> None:
    taken = 0

    async def endless() -> Any:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"x" * 4096, "more_body": True}

    with serve(max_body_bytes=10_000) as client:
        status, body = sent_by_hand(client, endless)
        assert (status, body["type"]) == (413, "urn:annotator:problem:body-too-large")
        assert taken == 3 + 3, "up to the limit, and as much again is passed over"
        for declared in (b"10001", b"9" * 5000):
            taken = 0
            status, _ = sent_by_hand(client, endless, (b"content-length", declared), (b"expect", b"100-continue"))
            assert (status, taken) == (413, 0)
            status, _ = sent_by_hand(client, endless, (b"content-length", declared))
            assert (status, taken) == (413, 3)
        assert client.put("/v1/images", content=picture()).status_code == 200
    with serve(max_pixels=160 * 120 - 1) as client:
        assert client.put("/v1/images", content=picture()).status_code == 413


def test_a_body_that_does_not_come_is_408(serve: Serve) -> None:
    async def never() -> Any:
        await asyncio.Event().wait()

    with serve(body_s=0.0) as client:
        status, body = sent_by_hand(client, never)
    assert (status, body["type"]) == (408, "urn:annotator:problem:slow-body")


def test_a_connection_that_sends_no_head_is_closed_and_others_are_answered(
    nano: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.05)
    server = LoopbackServer(nano)
    try:
        with socket.create_connection(("127.0.0.1", server.port), GATE_S) as slow:
            slow.sendall(b"GET /v1/health HTTP/1.1\r\nHost: 127")
            assert slow.recv(100) == b""
        asking = http.client.HTTPConnection("127.0.0.1", server.port, timeout=GATE_S)
        asking.request("GET", "/v1/health")
        answer = asking.getresponse()
        assert (answer.status, bool(answer.read())) == (200, True)
        assert asking.sock is not None
        assert asking.sock.recv(100) == b""  # so is one that asked, and then sends no other
        asking.close()
    finally:
        server.end()


def test_only_whoever_has_a_token_is_let_in(serve: Serve) -> None:
    with serve(tokens=(TOKEN, TOKEN + "-other")) as client:
        for headers in ({}, {"authorization": f"Bearer {TOKEN}x"}, {"authorization": TOKEN}, {"authorization": ""}):
            for path in ("/v1/models", "/metrics", "/nothing"):
                answer = client.get(path, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                assert is_problem(answer)
            assert client.put("/v1/images", content=picture(), headers=headers).status_code == 401
        for token in (TOKEN, TOKEN + "-other"):
            assert client.get("/v1/models", headers={"authorization": f"Bearer {token}"}).status_code == 200
        assert client.get("/v1/health").status_code == 200


def test_a_network_needs_a_token_that_cannot_be_guessed() -> None:
    for host in ("0.0.0.0", "192.168.0.4", "::", "example.org", ""):
        with pytest.raises(UserError, match="Anyone who reaches"):
            ServerSettings(host=host).checked()
        assert ServerSettings(host=host, tokens=(TOKEN,)).checked()
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        assert ServerSettings(host=host).checked()
    with pytest.raises(UserError, match="16 characters"):
        ServerSettings(tokens=("short",)).checked()


def test_tokens_of_a_file_and_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text(f"# of the clinic\n\n {TOKEN} \n{TOKEN}-2\n", "utf-8")
    monkeypatch.setenv("ANNOTATOR_SERVER_TOKEN", "of-the-environment-1")
    assert read_tokens(file) == ("of-the-environment-1", TOKEN, f"{TOKEN}-2")
    monkeypatch.delenv("ANNOTATOR_SERVER_TOKEN")
    assert read_tokens(None) == ()
    file.write_text("# none\n", "utf-8")
    for path in (file, tmp_path / "missing", tmp_path):
        with pytest.raises(UserError, match=path.name):
            read_tokens(path)
    for token in ("a token with some spaces", "ein-schlüssel-mit-umlaut"):
        with pytest.raises(UserError, match="outside ASCII"):
            ServerSettings(tokens=(token,)).checked()


def test_the_log_has_no_content_and_no_token(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serve(tokens=(TOKEN,)) as client:
        headers = {"authorization": f"Bearer {TOKEN}"}
        opened = client.put("/v1/images", content=picture(), headers=headers).json()
        client.put("/v1/images", content=picture()[:90], headers=headers)
        body = {"embedding": opened["embedding"], "points": [{"x": 81.25, "y": 61.75}]}
        assert client.post("/v1/predict", json=body, headers=headers).status_code == 200
    own = [record.getMessage() for record in caplog.records if record.name.startswith("annotator.server")]
    assert any("POST /v1/predict 200" in line for line in own)
    for secret in (TOKEN, opened["embedding"], opened["sha256"], "81.25", "testclient"):
        assert secret not in " ".join(own)


def test_a_bug_of_ours_is_a_number_and_not_a_traceback(
    serve: Serve, nano: Segmenter, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(GatedSegmenter):
        def decode(self, *_args: Any, **_options: Any) -> Any:
            raise ZeroDivisionError("secret of ours")

    with serve(Broken(nano)) as client:
        embedding = client.put("/v1/images", content=picture()).json()["embedding"]
        answer = client.post("/v1/predict", json={"embedding": embedding, "box": [1, 1, 9, 9]})
        assert answer.status_code == 500
        assert is_problem(answer)
        assert "secret" not in answer.text
        number = answer.json()["detail"].rsplit(" ", 1)[1].rstrip(".")
        assert any(number in record.getMessage() and record.exc_info for record in caplog.records)
        assert client.get("/v1/ready").status_code == 200


def test_until_the_model_is_there_it_is_503() -> None:
    gate = threading.Event()

    def load() -> Segmenter:
        assert gate.wait(GATE_S)
        raise UserError("There is no such model.")

    core = ServerCore(ServerSettings(), load=load)
    with TestClient(make_app(core), base_url=BASE) as client:
        assert client.get("/v1/health").status_code == 200
        answers = [client.get("/v1/ready"), client.put("/v1/images", content=picture())]
        gate.set()
    for answer in answers:
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "2"
        assert is_problem(answer)


_NUMBERS = st.one_of(st.integers(-(2**70), 2**70), st.floats(), st.floats(-10, 170))
_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _NUMBERS | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
_FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "points": st.lists(st.fixed_dictionaries({"x": _NUMBERS, "y": _NUMBERS}), max_size=3) | _VALUES,
        "box": st.lists(_NUMBERS, min_size=4, max_size=4) | _VALUES,
        "format": st.sampled_from(["rle", "png", "base64_png"]) | _VALUES,
        "stepwise": st.booleans() | _VALUES,
        "points_per_side": st.integers(-1, 3) | _VALUES,
        "min_mask_region_area": _NUMBERS,
        "image": st.binary(max_size=40).map(lambda data: base64.b64encode(data).decode()) | _VALUES,
        "frame": _NUMBERS,
        "embedding": _VALUES,
    },
)


@settings(max_examples=60)
@given(
    path=st.sampled_from(["/v1/predict", "/v1/auto", "/v1/images"]),
    fields=_FIELDS,
    body=_VALUES,
    is_known=st.booleans(),
)
def test_no_json_makes_the_server_fail(
    client: TestClient, embedding: str, path: str, fields: dict[str, Any], body: Any, is_known: bool
) -> None:
    wanted = fields | ({"embedding": embedding} if is_known else {})
    if path == "/v1/auto":
        wanted = {"points_per_side": 1} | wanted
    for sent in (wanted, body):
        text = json.dumps(sent)
        answer = client.post(path, content=text.encode(), headers={"content-type": "application/json"})
        assert answer.status_code < 500, (path, text, answer.text)
        assert answer.status_code == 200 or is_problem(answer)


@settings(max_examples=40)
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH"]),
    path=st.sampled_from(["/v1/images", "/v1/images/x", "/v1/predict", "/v1/auto", "/metrics", "/v1/models"]),
    kind=st.sampled_from(["application/json", "text/plain", "", "multipart/form-data"]),
    query=st.text(st.characters(max_codepoint=0x2FF), max_size=8),
    data=st.binary(max_size=60) | st.binary(max_size=20).map(lambda tail: picture()[:60] + tail),
)
def test_no_bytes_make_the_server_fail(
    client: TestClient, method: str, path: str, kind: str, query: str, data: bytes
) -> None:
    answer = client.request(method, path, content=data, params={"frame": query}, headers={"content-type": kind})
    assert answer.status_code < 500, answer.text
    assert answer.status_code == 200 or is_problem(answer)


def test_the_body_of_one_who_is_not_let_in_is_passed_over_so_that_the_answer_is_seen(client: TestClient) -> None:
    """With bytes unread the connection would be reset."""
    left = [{"type": "http.request", "body": b"x" * 1000, "more_body": more} for more in (True, True, False)]
    statuses: list[int] = []

    async def receive() -> Any:
        return left.pop(0)

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    scope = {
        "type": "http",
        "method": "PUT",
        "path": "/v1/images",
        "query_string": b"",
        "headers": [(b"host", b"x.org")],
    }
    asyncio.run(client.app(scope, receive, send))  # type: ignore[arg-type]
    assert statuses == [421]
    assert not left
