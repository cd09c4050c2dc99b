"""``annotator serve --ray`` on a real cluster of this computer: two replicas, one of which is killed."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from annotator.engine.load import load_segmenter
from annotator.server.routes import _mask_out
from tests.load.clicker import picture
from tests.load.serving import Serving

pytest.importorskip("ray.serve")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
IMAGES = 10
MOST_TRIES = 120
POINT = {"x": 300.0, "y": 200.0}


class Desk:
    """Opens and clicks over one connection; ``homes`` has the replica that answered, by image."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.pictures = [picture(number) for number in range(IMAGES)]
        self.homes: list[set[str]] = [set() for _ in self.pictures]
        self.reopened = 0

    def close(self) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: bytes | str = b"") -> tuple[int, Any, str]:
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        data = json.loads(answer.read())
        return answer.status, data, answer.headers.get("X-Annotator-Replica", "")

    def mask(self, number: int, model: str = "") -> str:
        """The best mask's run lengths, whatever it takes."""
        sha256 = hashlib.sha256(self.pictures[number]).hexdigest()
        for _ in range(MOST_TRIES):
            status, found, _ = self.ask("GET", f"{model}/v1/images/{sha256}")
            if status in (404, 410):
                self.reopened += 1
                status, found, _ = self.ask("PUT", f"{model}/v1/images", self.pictures[number])
            if status == 200:
                question = json.dumps({"embedding": found["embedding"], "points": [POINT]})
                status, found, home = self.ask("POST", f"{model}/v1/predict", question)
            if status == 200:
                self.homes[number].add(home)
                return str(found["candidates"][found["best"]]["segmentation"]["counts"])
            assert status in (404, 410, 429, 503), found
            time.sleep(0.5)  # a replica is being started: a process that loads torch
        raise AssertionError(found)


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    options = ("--ray", "local", "--replicas", "2", "--models", "nano,nano-3", "--precision", "fp32", "--device", "cpu")
    with Serving(options=options) as serving:
        desk = Desk(serving.port)
        desk.pid = serving.pid  # type: ignore[attr-defined]
        yield desk
        desk.close()


def replicas_of(pid: int) -> list[int]:
    """Processes of Ray's that descend from the server and have models."""
    parents, titles = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            titles[int(entry.name)] = (entry / "cmdline").read_bytes()
        except (OSError, IndexError):
            continue

    def descends(one: int) -> bool:
        while one > 1 and one != pid:
            one = parents.get(one, 0)
        return one == pid

    return [one for one, title in titles.items() if b"ServeReplica" in title and descends(one)]


def test_images_stay_with_their_replica_and_masks_are_those_of_one_process(desk: Desk) -> None:
    masks = [[desk.mask(number) for number in range(IMAGES)] for _ in range(3)]
    assert masks[0] == masks[1] == masks[2]
    assert [len(homes) for homes in desk.homes] == [1] * IMAGES
    assert len(set.union(*desk.homes)) == 2
    assert desk.reopened == IMAGES
    assert masks[0][0] == here("nano", desk)
    assert desk.mask(0, "/models/nano-3") == here("nano-3", desk)
    assert desk.ask("GET", "/models/nano-3/v1/models")[1]["models"][0]["name"] == "nano-3"


def here(name: str, desk: Desk) -> str:
    from annotator.domain.answering.asking import ask_at_once
    from annotator.domain.prompt import PointPrompt
    from annotator.server.pictures import read_upload

    segmenter = load_segmenter(name, device="cpu", dtype=torch.float32)
    image = read_upload(desk.pictures[0], 0, 10**8)
    chosen = ask_at_once(
        segmenter, segmenter.encode(image.rgb, "key"), [PointPrompt(POINT["x"], POINT["y"])], None
    ).chosen
    out = _mask_out(chosen.mask, 0.0, 0.0, is_rle=True, label="")
    assert out.segmentation is not None
    return out.segmentation.counts


def test_a_replica_that_is_killed_costs_its_images_an_encode(desk: Desk) -> None:
    before = [desk.mask(number) for number in range(IMAGES)]
    running = replicas_of(desk.pid)  # type: ignore[attr-defined]
    assert len(running) == 2
    os.kill(running[0], signal.SIGKILL)
    assert [desk.mask(number) for number in range(IMAGES)] == before
