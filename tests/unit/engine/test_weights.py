"""Downloads and imports against a real HTTP server on the loopback address."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from annotator.domain.errors import ModelError
from annotator.engine import weights
from annotator.engine.weights import ModelEntry

CONTENT = bytes(range(256)) * 4000


class Server(ThreadingHTTPServer):
    daemon_threads = True
    mode = "whole"

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/model.pt"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_args: object) -> None:
        return

    def do_GET(self) -> None:
        mode = self.server.mode
        asked = self.headers.get("Range")
        self.server.ranges.append(asked)
        if mode == "404":
            self.send_error(404)
            return
        if mode == "redirect" and self.path == "/model.pt":
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/other.pt")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = CONTENT[::-1] if mode == "corrupt" else CONTENT
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        rest = body[start:]
        self.wfile.write(rest[: len(rest) // 2] if mode == "truncate" else rest)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def entry(url: str) -> ModelEntry:
    return ModelEntry("m", "sam2", "model.pt", "test", 1, url=url, sha256=hashlib.sha256(CONTENT).hexdigest())


def test_a_whole_download_is_verified_and_reported(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    status = weights.fetch(entry(server.url), tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert status.path is not None
    assert status.path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_cut_download_goes_on_where_it_stopped(server: Server, tmp_path: Path) -> None:
    server.mode = "truncate"
    with pytest.raises(ModelError, match="could not be downloaded"):
        weights.fetch(entry(server.url), tmp_path)
    kept = (tmp_path / "model.pt.part").stat().st_size
    assert kept > 0
    server.mode = "whole"
    weights.fetch(entry(server.url), tmp_path)
    assert server.ranges[-1] == f"bytes={kept}-"
    assert (tmp_path / "model.pt").read_bytes() == CONTENT


def test_a_corrupt_download_is_refused_and_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.mode = "corrupt"
    with pytest.raises(ModelError, match="SHA-256 differs"):
        weights.fetch(entry(server.url), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_to_another_host_is_followed_and_verified(server: Server, tmp_path: Path) -> None:
    server.mode = "redirect"
    weights.fetch(entry(server.url), tmp_path)
    assert (tmp_path / "model.pt").read_bytes() == CONTENT


def test_a_missing_file_is_one_clear_message(server: Server, tmp_path: Path) -> None:
    server.mode = "404"
    with pytest.raises(ModelError, match="404"):
        weights.fetch(entry(server.url), tmp_path)


def test_a_host_that_cannot_be_reached_is_one_clear_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        port = taken.getsockname()[1]
        with pytest.raises(ModelError) as caught:
            weights.fetch(entry(f"http://127.0.0.1:{port}/model.pt"), tmp_path)
    text = str(caught.value)
    assert text.startswith("m could not be downloaded: 127.0.0.1 cannot be reached from this computer. ")
    assert "annotator models import FILE" in text
    assert not any(word in text for word in ("HTTP", "Connection", "Errno", "object at"))


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED"), "could not prove who it is"),
        (requests.exceptions.ProxyError("Max retries exceeded"), "proxy between here and"),
        (requests.exceptions.ReadTimeout("Read timed out."), "broke off"),
        (requests.exceptions.ConnectTimeout("timed out"), "cannot be reached"),
        (requests.exceptions.InvalidURL("the server redirects to an insecure address"), "insecure address"),
        (requests.exceptions.ContentDecodingError("bad gzip"), "cannot be used (ContentDecodingError)"),
    ],
)
def test_every_failure_has_its_words(
    error: Exception, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(requests.Session, "get", fails)
    with pytest.raises(ModelError) as caught:
        weights.fetch(entry("https://weights.example/model.pt"), tmp_path)
    assert wanted in str(caught.value)
    assert "Max retries" not in str(caught.value)


def test_a_full_disk_is_one_clear_message(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(ModelError, match="No space left"):
        weights.fetch(entry(server.url), tmp_path)


def test_import_takes_only_known_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = entry("")
    monkeypatch.setattr(weights, "registry", lambda: {"m": known})
    good, bad = tmp_path / "copied.bin", tmp_path / "bad.bin"
    good.write_bytes(CONTENT)
    bad.write_bytes(b"x")
    status = weights.import_file(good)
    assert status.is_verified
    assert weights.find_file(known) == weights.user_dir() / "model.pt"
    with pytest.raises(ModelError, match="none of the known"):
        weights.import_file(bad)
    with pytest.raises(ModelError, match="cannot be read"):
        weights.import_file(tmp_path / "absent")


def test_a_damaged_file_is_never_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "registry", lambda: {"m": entry("")})
    weights.user_dir().mkdir(parents=True)
    (weights.user_dir() / "model.pt").write_bytes(b"damaged")
    assert not weights.list_models()[0].is_verified
    with pytest.raises(ModelError, match="No model is installed"):
        weights.default_model()


def test_the_official_models_are_in_the_registry() -> None:
    names = set(weights.registry())
    assert {"nano", "sam2.1-tiny", "sam2.1-small", "sam2.1-base-plus", "sam2.1-large"} <= names
