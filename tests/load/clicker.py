"""One person's program: opens images by their hash, clicks on them, and does what the answers say."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import random
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, ImageDraw

CLICK, OPEN, KNOWN = "click", "open", "known"
_BROKEN = (OSError, http.client.HTTPException)
_AGAIN_S = 0.1
SIZE = (640, 480)


def picture(number: int) -> bytes:
    """A JPEG of blobs on a ground with grain; each number has its own, and each call other grain."""
    chance = random.Random(number)
    image = Image.effect_noise(SIZE, 40).convert("RGB")
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, r = chance.randrange(SIZE[0]), chance.randrange(SIZE[1]), chance.randrange(15, 70)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=tuple(chance.randrange(256) for _ in range(3)))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=90)
    return stream.getvalue()


@dataclass
class Seen:
    """What clients met; all of them share one."""

    took_ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    reopened: int = 0
    wrong: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, kind: str, status: int, took_ms: float) -> None:
        with self.lock:
            self.statuses[status] += 1
            if status < 300:
                self.took_ms[kind].append(took_ms)


class Clicker(threading.Thread):
    """Clicks without a pause, or with ``think_s`` between an answer and the next click, until ``stop`` is set.

    Args:
        clicks_an_image: then it goes to the next one.
        waits: whether it does what ``Retry-After`` says; one that floods does not.
    """

    def __init__(
        self,
        port: int,
        token: str,
        pictures: list[bytes],
        seen: Seen,
        stop: threading.Event,
        *,
        seed: int,
        think_s: float = 0.0,
        clicks_an_image: int = 10,
        waits: bool = True,
    ) -> None:
        super().__init__(name=f"clicker {seed}", daemon=True)
        self._port, self._pictures, self._seen, self._end = port, pictures, seen, stop
        self._chance = random.Random(seed)
        self._think_s, self._clicks_an_image, self._waits = think_s, clicks_an_image, waits
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection: http.client.HTTPConnection | None = None
        self._first: dict[int, tuple[str, dict[str, Any]]] = {}
        """By picture: its id and the answer to its first click; they have to come again after a restart."""
        self._back = threading.Event()
        self.answered = 0

    def run(self) -> None:
        while not self._end.is_set():
            number = self._chance.randrange(len(self._pictures))
            opened = self._opened(number)
            for at in range(self._clicks_an_image):
                if opened is None or self._end.is_set():
                    break
                opened = self._clicked(number, opened, is_first=at == 0)
                self._end.wait(self._chance.uniform(0, 2 * self._think_s))

    def _opened(self, number: int) -> str | None:
        """The picture's id there; None: the time is over."""
        data = self._pictures[number]
        status, body = self._asked(KNOWN, "GET", f"/v1/images/{hashlib.sha256(data).hexdigest()}")
        if status in (404, 410):
            status, body = self._asked(OPEN, "PUT", "/v1/images", data)
        if status >= 300:
            return None
        opened = str(body["embedding"])
        known = self._first.get(number)
        if known is not None and known[0] != opened:
            self._seen.wrong.append(f"picture {number} was {known[0]} and is {opened}")
        return opened

    def _clicked(self, number: int, opened: str, *, is_first: bool) -> str | None:
        """The id that the picture has after a click on it."""
        chance = random.Random(number) if is_first else self._chance
        point = {"x": chance.uniform(1, SIZE[0] - 1), "y": chance.uniform(1, SIZE[1] - 1)}
        question = json.dumps({"embedding": opened, "points": [point]}).encode()
        status, body = self._asked(CLICK, "POST", "/v1/predict", question)
        if status in (404, 410):
            with self._seen.lock:
                self._seen.reopened += 1
            return self._opened(number)
        if status >= 300:
            return None
        self.answered += 1
        if is_first:
            answer = {"best": body["best"], "masks": [one["segmentation"] for one in body["candidates"]]}
            if self._first.setdefault(number, (opened, answer))[1] != answer:
                self._seen.wrong.append(f"picture {number}: another mask for the same click")
        return opened

    def _asked(self, kind: str, method: str, path: str, data: bytes | None = None) -> tuple[int, Any]:
        """The answer; a server that is busy or away is asked again."""
        content = {"Content-Type": "application/json"} if method == "POST" else {}
        while not self._end.is_set():
            started_s = time.perf_counter()
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=90)
                self._connection.request(method, path, data, self._headers | content)
                answer = self._connection.getresponse()
                body = answer.read()
            except _BROKEN:
                self._connection = None
                with self._seen.lock:
                    self._seen.broken += 1
                self._end.wait(_AGAIN_S)
                continue
            self._seen.note(kind, answer.status, (time.perf_counter() - started_s) * 1e3)
            if answer.headers.get("Connection", "").lower() == "close":
                self._connection = None
            if answer.status in (429, 503) and self._waits:
                self._end.wait(float(answer.headers.get("Retry-After", 1)))
                continue
            return answer.status, json.loads(body)
        return 599, {}
