"""``annotator serve`` as it is started: a process on a port of its own, stopped in the middle of a request."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from annotator.cli import main
from annotator.server import examples

WAIT_S = 120.0
SERVE = (sys.executable, "-m", "annotator", "serve", "--port", "0")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    words = [*SERVE, "--model", "nano", "--device", "cpu", "--stop-seconds", "100", "--max-body-mib", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_sigterm_lets_the_running_request_end(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    address = process.stdout.readline().removeprefix("Listening on ").strip()
    assert address.startswith("http://127.0.0.1:")
    assert process.stdout.readline() == "Ready: nano on cpu.\n"
    with httpx2.Client(base_url=address, timeout=WAIT_S) as client, ThreadPoolExecutor(1) as pool:
        assert client.post("/v1/images", json=examples.OPEN).status_code == 200
        too_large = client.put("/v1/images", content=(b"x" * 100_000 for _ in range(15)))
        assert too_large.status_code == 413
        body = {**examples.AUTO, "points_per_side": 8}
        running = pool.submit(httpx2.post, f"{address}/v1/auto", json=body, timeout=WAIT_S)
        while "annotator_running_jobs 1.0" not in client.get("/metrics").text:
            assert not running.done()
        process.send_signal(signal.SIGTERM)
        answer = running.result(WAIT_S)
    assert answer.status_code == 200
    assert answer.json()["objects"]
    assert process.wait(WAIT_S) == 0
    assert process.stdout.read() == "Stopped.\n"
    log = process.stderr.read()
    assert "POST /v1/auto 200" in log
    assert "Traceback" not in log


def test_a_model_that_is_not_there_ends_it_with_one_line() -> None:
    words = [*SERVE, "--model", "no-such-model"]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert ended.returncode == 2
    assert "There is no model 'no-such-model'." in ended.stderr
    assert "Traceback" not in ended.stderr


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("fastapi", "uvicorn", "prometheus_client"):
        with monkeypatch.context() as without:
            without.setitem(sys.modules, name, None)
            assert main(["serve", "--port", "0"]) == 2
        assert "Run: pip install 'annotator[serve]'" in capsys.readouterr().err


def test_a_network_without_a_token_and_a_taken_port_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--host", "0.0.0.0", "--port", "0"]) == 2
    assert "Anyone who reaches 0.0.0.0" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["serve", "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot listen" in capsys.readouterr().err
