"""The engine on a server is the engine port: the same masks to the bit, whatever the server forgets meanwhile."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotator.cli import main
from annotator.domain.errors import EncodeCancelled, ModelError, ServerAwayError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.ports.engine import Candidates, RgbArray, Segmenter
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.load import load_sam2_segmenter, load_segmenter, weights_file
from annotator.engine.remote import connection
from annotator.engine.remote.address import keep_token, parse_address, token_for
from annotator.engine.remote.segmenter import RemoteSegmenter, load_remote
from annotator.engine.sam2.adapter_shelf import AdapterShelf
from tests.loopback_server import LoopbackServer

TOKEN = "a-token-of-enough-letters-for-this"


@pytest.fixture(scope="module")
def nano() -> Segmenter:
    return load_segmenter("nano", device="cpu")


@pytest.fixture(scope="module")
def server(nano: Segmenter) -> Iterator[LoopbackServer]:
    made = LoopbackServer(nano)
    yield made
    made.end()


@pytest.fixture
def remote(server: LoopbackServer) -> Iterator[RemoteSegmenter]:
    made = load_remote(server.address)
    yield made
    made.close()


def picture(shift: int = 0) -> RgbArray:
    image = np.full((120, 160, 3), 120, np.uint8)
    image[40:80, 50 + shift : 110 + shift] = (230, 60, 40)
    image[90:110, 10:30] = (20, 200, 90)
    return image


def same(one: Candidates, other: Candidates) -> None:
    assert (len(one.items), one.best, one.object_score) == (len(other.items), other.best, other.object_score)
    for a, b in zip(one.items, other.items, strict=True):
        assert np.array_equal(a.logits, b.logits)
        assert (a.mask.x, a.mask.y, a.mask.width, a.mask.height) == (b.mask.x, b.mask.y, b.mask.width, b.mask.height)
        assert np.array_equal(a.mask.bits, b.mask.bits)
        assert (a.predicted_iou, a.stability, a.label) == (b.predicted_iou, b.stability, b.label)
        assert a.logits_box == b.logits_box


def steps() -> list[Prompts]:
    clicks = tuple(PointPrompt(x, y, sign) for x, y, sign in ((80.5, 60.25, True), (104, 75, True), (5, 5, False)))
    base = Mask.from_full(np.pad(np.ones((40, 60), bool), ((40, 40), (50, 50))))
    return [
        Prompts(clicks[:1]),
        Prompts(clicks[:2]),
        Prompts(clicks),
        Prompts(box=Box(48, 38, 112, 82)),
        Prompts(clicks[2:], Box(48, 38, 112, 82)),
        Prompts(clicks[1:2], base_mask=base),
        Prompts((PointPrompt(400, -20),)),
    ]


def answers(segmenter: Any, image: RgbArray) -> list[Candidates]:
    embedding = segmenter.encode(image, "k")
    found: list[Candidates] = []
    before: tuple[Prompts, Candidates] | None = None
    for prompts in steps():
        goes_on = before is not None and prompts.extends(before[0])
        continued = before[1].items[-1] if before is not None and goes_on else None
        found.append(segmenter.decode(embedding, prompts, continue_from=continued))
        before = prompts, found[-1]
    return found


def test_every_prompt_is_answered_as_here(nano: Segmenter, remote: RemoteSegmenter) -> None:
    there, here = answers(remote, picture()), answers(nano, picture())
    for a, b in zip(there, here, strict=True):
        same(a, b)
        assert a.travel is not None
        assert a.travel.network_ms >= 0 <= a.travel.queue_ms
    assert any(not one.chosen.mask.is_empty for one in there)
    assert (remote.info.name, remote.info.sha256) == (nano.info.name, nano.info.sha256)


def test_everything_is_found_as_here(nano: Any, remote: RemoteSegmenter) -> None:
    settings = replace(remote.everything_settings, points_per_side=4, crop_n_layers=0)
    assert remote.everything_settings == nano.everything_settings
    *_, last = remote.everything(remote.encode(picture(), "k"), picture(), settings)
    *_, expected = nano.everything(nano.encode(picture(), "k"), picture(), settings)
    assert last.is_last
    assert len(last.proposals or ()) == len(expected.proposals) > 0
    for a, b in zip(last.proposals or (), expected.proposals, strict=True):
        assert a.mask.same_pixels(b.mask)
        assert (a.predicted_iou, a.stability_score, a.point_xy, a.crop) == (
            *(b.predicted_iou, b.stability_score, b.point_xy, b.crop),
        )


def test_a_server_that_was_started_anew_is_given_the_image_again(nano: Segmenter) -> None:
    server = LoopbackServer(nano)
    remote = load_remote(server.address)
    embedding = remote.encode(picture(7), "k")
    one = remote.decode(embedding, steps()[0])
    server.end()
    with pytest.raises(ServerAwayError, match="does not answer"):
        remote.decode(embedding, steps()[0])
    anew = LoopbackServer(nano, port=server.port)
    try:
        same(remote.decode(embedding, steps()[0]), one)
        later = remote.decode(embedding, steps()[1], continue_from=one.items[-1])
        here = nano.decode(nano.encode(picture(7), "k"), steps()[1], continue_from=one.items[-1])
        same(later, here)
        *_, last = remote.everything(
            replace(embedding, id="0" * 32), picture(7), replace(remote.everything_settings, points_per_side=2)
        )
        assert last.is_last
    finally:
        remote.close()
        anew.end()


def test_a_server_with_another_model_is_noticed(nano: Segmenter) -> None:
    class Other:
        def __init__(self) -> None:
            self.info = replace(nano.info, name="other", sha256="f" * 64)

        def __getattr__(self, name: str) -> Any:
            return getattr(nano, name)

    server = LoopbackServer(nano)
    remote = load_remote(server.address)
    embedding = remote.encode(picture(), "k")
    server.end()
    anew = LoopbackServer(Other(), port=server.port)  # type: ignore[arg-type]
    try:
        with pytest.raises(ModelError, match="has other in place of nano"):
            remote.decode(embedding, steps()[0])
        assert remote.info.name == "other"
        assert remote.embedding_key("k") != embedding.key
        assert remote.decode(remote.encode(picture(), "k"), steps()[0]).items
    finally:
        remote.close()
        anew.end()


class Held:
    """The model, whose encodes wait."""

    def __init__(self, inner: Segmenter) -> None:
        self._inner = inner
        self.began, self.gate = threading.Event(), threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def encode(self, image: RgbArray, key: str, **more: Any) -> Any:
        self.began.set()
        assert self.gate.wait(60)
        return self._inner.encode(image, key, **more)


def test_a_wait_for_an_encode_is_called_off(nano: Segmenter) -> None:
    held = Held(nano)
    server = LoopbackServer(held)  # type: ignore[arg-type]
    remote = load_remote(server.address)
    try:
        with pytest.raises(EncodeCancelled):
            remote.encode(picture(), "k", is_cancelled=held.began.is_set)
        held.gate.set()
        assert remote.encode(picture(), "k").width == 160
    finally:
        held.gate.set()
        remote.close()
        server.end()


def test_a_server_that_is_busy_is_asked_again_and_then_said(
    server: LoopbackServer, remote: RemoteSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedding = remote.encode(picture(), "k")
    answered = remote.decode(embedding, steps()[0])
    real, refused = connection.Connection._once, [429, 503]

    def once(self: connection.Connection, *what: Any) -> connection.Reply:
        if refused:
            return connection.Reply(refused.pop(), b"{}", {"retry-after": "0"}, 0.0)
        return real(self, *what)

    monkeypatch.setattr(connection.Connection, "_once", once)
    same(remote.decode(embedding, steps()[0]), answered)
    refused += [429] * 1000
    monkeypatch.setattr(connection, "BUSY_S", 0.1)
    with pytest.raises(ServerAwayError, match="has no time"):
        remote.decode(embedding, steps()[0])


def test_tokens_are_asked_for_and_kept(nano: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNOTATOR_HOME", str(tmp_path))
    server = LoopbackServer(nano, tokens=(TOKEN,))
    try:
        with pytest.raises(ModelError, match="another token"):
            load_remote(server.address)
        address = parse_address(server.address)
        keep_token(address, TOKEN)
        assert token_for(address) == TOKEN
        (file,) = tmp_path.glob("servers.toml")
        if sys.platform != "win32":
            assert file.stat().st_mode & 0o077 == 0
        load_remote(server.address).close()
        keep_token(address, "")
        assert token_for(address) == ""
        monkeypatch.setenv("ANNOTATOR_SERVER_TOKEN", TOKEN)
        load_remote(server.address).close()
    finally:
        server.end()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("host", "http://host:8765"),
        ("http://host", "http://host:8765"),
        ("https://host", "https://host:443"),
        ("http://host:1/", "http://host:1"),
        ("https://host/annotator/", "https://host:443/annotator"),
        ("http://[::1]:9", "http://[::1]:9"),
    ],
)
def test_addresses(text: str, wanted: str) -> None:
    assert parse_address(text).text == wanted
    assert parse_address(wanted).text == wanted


@pytest.mark.parametrize(
    "text",
    ["", " ", "ftp://host", "http://", "http://a b", "http://host:x", "http://host:99999", "http://me:secret@host"],
)
def test_what_is_no_address_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse_address(text)
    assert "secret" not in str(caught.value)


def test_what_needs_weights_says_so(server: LoopbackServer) -> None:
    with pytest.raises(ModelError, match="on this computer"):
        weights_file(server.address)
    with pytest.raises(ModelError):
        load_sam2_segmenter(server.address)


def test_an_adapter_that_the_server_has_too_answers_there(nano: Any, remote: RemoteSegmenter, tmp_path: Path) -> None:
    entry = next(one for one in AdapterShelf().entries() if one.name == "nuclei")
    image, prompts = picture(), Prompts(points=(PointPrompt(80, 60, True),))
    there, here = remote.encode(image, "i"), nano.encode(image, "i")
    in_use = AdapterShelf().setter(entry)(remote)
    assert (in_use, in_use.name if in_use else "") == (remote.adapter, "nuclei")
    AdapterShelf().setter(entry)(nano)
    try:
        same(nano.decode(here, prompts), remote.decode(there, prompts))
    finally:
        nano.set_adapter(None)
    AdapterShelf().setter(None)(remote)
    same(nano.decode(here, prompts), remote.decode(there, prompts))
    other = tmp_path / entry.path.name
    shutil.copy(entry.path, other)
    with other.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelError, match="no adapter nuclei, or another version"):
        AdapterShelf().setter(replace(entry, path=other))(remote)
    assert remote.adapter is None


def test_a_stranger_at_the_address_is_said() -> None:
    import http.server

    class Stranger(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b'{"models": [{"name": 3}]}' if self.path == "/v1/models" else b"<html>"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_what: Any) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        thread = threading.Thread(target=stranger.serve_forever)
        thread.start()
        try:
            with pytest.raises(ModelError, match="no annotator server"):
                load_remote(f"http://127.0.0.1:{stranger.server_port}")
        finally:
            stranger.shutdown()
            thread.join()


def test_commands_take_an_address_for_a_model(
    server: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(picture()).save(tmp_path / "a.png")
    outs = []
    for model in (server.address, "nano"):
        outs.append(tmp_path / f"{len(outs)}.png")
        command = ["predict", str(tmp_path / "a.png"), "--point", "80,60", "--model", model, "--out", str(outs[-1])]
        assert main(command) == 0
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_a_click_there_needs_no_torch_here(server: LoopbackServer) -> None:
    script = f"""
import sys
import numpy as np
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.remote.segmenter import make_remote_engine
engine = make_remote_engine({server.address!r}, ram_bytes=1 << 20, progress=lambda line: None)
image = np.zeros((40, 60, 3), np.uint8)
image[10:30, 20:40] = 255
found = engine.segmenter.decode(engine.segmenter.encode(image, "k"), Prompts((PointPrompt(30, 20),)))
print(len(found.items), "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["3", "False"]
