"""Requests made from a server's OpenAPI document, most of them damaged. A seed always makes the same ones."""

from __future__ import annotations

import base64
import http.client
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from annotator.server import examples

_ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, -(2**64), 1e308, -1e308, 1e-320, 0.5, float("nan"), float("inf"), "",
    "0", "\0", "\ud800", "é" * 40, "../../etc/passwd", "a" * 5000, [], {}, [[]], [None], {"": {}}, {"__proto__": 1},
)  # fmt: skip
_ODD_HEADERS: tuple[dict[str, str], ...] = (
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": "multipart/form-data; boundary=x"},
    {"Content-Type": ""},
    {"Authorization": "Bearer \xff\xfe"},
    {"Accept": "application/xml"},
    {"Content-Encoding": "gzip"},
    {"Range": "bytes=5-1"},
    {"Expect": "100-continue"},
    {"Host": "example.org"},
)
_PATHS = (
    "/",
    "/v1",
    "/v1/images/",
    "/v1/../metrics",
    "/v1/images/%00",
    "/v1/%ff%fe",
    "/docs",
    "//v1/models",
    "/v1/predict/1",
)
_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE")
_DEEP = 20_000
_LONG = ("/v1/auto", "/v1/everything")


@dataclass(frozen=True, slots=True)
class Ask:
    """A request: the body as it goes over the line."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path} {self.headers} {self.body[:300]!r}"


class Questions:
    """Args:
    document: of ``/openapi.json``.
    """

    def __init__(self, document: dict[str, Any], seed: int) -> None:
        self._document, self._chance = document, random.Random(seed)
        self._places = [
            (method.upper(), path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ]

    def __iter__(self) -> Iterator[Ask]:
        """Without an end."""
        while True:
            yield self._one()

    def _one(self) -> Ask:
        chance = self._chance
        method, path, operation = chance.choice(self._places)
        if path in _LONG and chance.random() < 0.8:  # seconds each, and a body as others
            method, path, operation = chance.choice(self._places)
        if chance.random() < 0.03:
            return Ask(chance.choice(_METHODS), chance.choice(_PATHS), self._bytes())
        if chance.random() < 0.03:
            method = chance.choice(_METHODS)
        body, kind = self._body(operation)
        headers = {"Content-Type": kind} if kind else {}
        if chance.random() < 0.05:
            headers |= chance.choice(_ODD_HEADERS)
        return Ask(method, self._path(path, operation), body, headers)

    def _path(self, path: str, operation: dict[str, Any]) -> str:
        query = []
        for parameter in operation.get("parameters", ()):
            name, value = parameter["name"], self._value(parameter["schema"], 0)
            if self._chance.random() < 0.3:
                value = self._chance.choice(_ODD)
            text = quote(str(value).encode("utf-8", "surrogatepass"), safe="")
            if parameter["in"] == "path":
                path = path.replace(f"{{{name}}}", text[:2000] or "0")
            elif self._chance.random() < 0.5:
                query.append(f"{name}={text[:2000]}")
        return path + ("?" + "&".join(query) if query else "")

    def _body(self, operation: dict[str, Any]) -> tuple[bytes, str]:
        content = operation.get("requestBody", {}).get("content", {})
        if not content:
            return (self._bytes(), "") if self._chance.random() < 0.05 else (b"", "")
        kind = next(iter(content))
        if kind != "application/json":
            return self._bytes(), kind
        schema = self._resolved(content[kind]["schema"])
        draw = self._chance.random()
        if draw < 0.25 and schema.get("examples"):
            value = self._chance.choice(schema["examples"])
        else:
            value = self._value(schema, 0)
        if draw > 0.4:
            value = self._damaged(value)
        data = json.dumps(value).encode()
        if draw > 0.97:
            data = self._chance.choice((b"[" * _DEEP, b'{"a":' * _DEEP, b"", b"null", b"\xff\xfe{", data * 2, b"1e999"))
        elif draw > 0.9:
            data = self._torn(data)
        return data, kind

    # --- values -------------------------------------------------------------------------------------------------------

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def _value(self, schema: dict[str, Any], depth: int) -> Any:
        """One that the schema allows, or nearly."""
        chance, schema = self._chance, self._resolved(schema)
        if "anyOf" in schema:
            return self._value(chance.choice(schema["anyOf"]), depth)
        if "const" in schema or "enum" in schema:
            return chance.choice(schema.get("enum", [schema.get("const")]))
        if schema.get("examples") and not isinstance(schema["examples"][0], dict) and chance.random() < 0.7:
            return chance.choice(schema["examples"])
        makers: dict[str, Callable[[dict[str, Any], int], Any]] = {
            "object": self._object, "array": self._array, "string": self._string, "null": lambda _s, _d: None,
            "integer": self._whole, "number": self._number, "boolean": lambda _s, _d: chance.random() < 0.5,
        }  # fmt: skip
        kind = schema.get("type")
        return makers[kind](schema, depth) if kind in makers else chance.choice(_ODD)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        needed = schema.get("required", ())
        made = {}
        for name, value in schema.get("properties", {}).items():
            if name in needed or self._chance.random() < 0.5:
                made[name] = self._value(value, depth + 1)
        more = schema.get("additionalProperties")
        if isinstance(more, dict) and self._chance.random() < 0.5:
            made[self._chance.choice(("points_per_side", "crop_layers", "x"))] = self._value(more, depth + 1)
        return made

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        least, most = schema.get("minItems", 0), min(schema.get("maxItems", 5), 5)
        return [
            self._value(schema.get("items", {}), depth + 1)
            for _ in range(self._chance.randint(least, max(least, most)))
        ]

    def _string(self, schema: dict[str, Any], _depth: int) -> str:
        choices = [
            examples.EMBEDDING,
            examples.IMAGE_SHA256,
            examples.IMAGE_BASE64,
            "x",
            "cell, not debris",
            "<<<",
            "A" * 64,
        ]
        if "pattern" in schema:
            choices = choices[:1] if "32" in schema["pattern"] else choices[:2]
        elif self._chance.random() < 0.1:
            choices = [base64.b64encode(self._bytes()).decode()]
        return self._chance.choice(choices)

    def _whole(self, schema: dict[str, Any], _depth: int) -> int:
        least = schema.get("minimum", 0)
        return self._chance.choice(
            (least, least, 1, 4, schema.get("maximum", 4) if schema.get("maximum", 4) < 8 else 3)
        )

    def _number(self, schema: dict[str, Any], _depth: int) -> float:
        if "maximum" in schema:
            return self._chance.uniform(schema.get("minimum", 0), schema["maximum"])
        return self._chance.choice((0.0, 3.5, 20, 47.999, 48.0, self._chance.uniform(0, 48)))

    # --- damage -------------------------------------------------------------------------------------------------------

    def _damaged(self, value: Any) -> Any:
        """One place of it is something else, is gone or is new."""
        chance = self._chance
        if isinstance(value, dict) and value and chance.random() < 0.9:
            name = chance.choice(list(value))
            draw = chance.random()
            if draw < 0.1:
                return {key: one for key, one in value.items() if key != name}
            if draw < 0.2:
                return value | {chance.choice(("more", "", "\ud800", "__class__")): chance.choice(_ODD)}
            return value | {name: self._damaged(value[name])}
        if isinstance(value, list) and value and chance.random() < 0.8:
            at = chance.randrange(len(value))
            return [*value[:at], self._damaged(value[at]), *value[at + 1 :]] if chance.random() < 0.8 else value * 300
        if isinstance(value, str) and chance.random() < 0.4:
            return self._torn(value.encode("utf-8", "surrogatepass")).decode("latin-1")
        return chance.choice(_ODD)

    def _torn(self, data: bytes) -> bytes:
        chance = self._chance
        if not data:
            return b"\0"
        at = chance.randrange(len(data))
        return chance.choice((data[:at], data[at:], data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]))

    def _bytes(self) -> bytes:
        """A picture, mostly damaged, or nothing of the kind."""
        chance = self._chance
        picture = base64.b64decode(examples.IMAGE_BASE64)
        draw = chance.random()
        if draw < 0.3:
            return picture
        if draw < 0.8:
            for _ in range(chance.randint(1, 4)):
                picture = self._torn(picture)
            return picture
        heads = (
            b"",
            b"II*\0",
            b"\xff\xd8\xff\xe0",
            b"RIFF",
            b"GIF89a",
            b"BM",
            b"8BPS",
            b"\0\0\0\x0cjP  ",
            b"NRRD0004\n",
            b"P6 9 9 255\n",
            b"\x1f\x8b",
        )
        return chance.choice(heads) + chance.randbytes(chance.randrange(200))


class Requests:
    """Sends them over one connection.

    Attributes:
        bad: those that were answered 5xx, or not at all, or with an error that is no problem document.
    """

    def __init__(self, port: int, *, seed: int) -> None:
        self._port, self._seed = port, seed
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=90)
        self.bad: list[str] = []

    def send(self, count: int) -> Counter[int]:
        """How many were answered with which status."""
        document = json.loads(self._answer(Ask("GET", "/openapi.json"))[1])
        self._answer(Ask("PUT", "/v1/images", base64.b64decode(examples.IMAGE_BASE64)))
        found: Counter[int] = Counter()
        for _, ask in zip(range(count), Questions(document, self._seed), strict=False):
            try:
                status, body, kind = self._answer(ask)
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                self.bad.append(f"{error!r} {ask}")
                found[0] += 1
                continue
            found[status] += 1
            if is_bad(status, body, kind, ask):
                self.bad.append(f"{status} {body[:300]!r} {ask}")
        return found

    def _answer(self, ask: Ask) -> tuple[int, bytes, str]:
        self._connection.request(ask.method, ask.path, ask.body, ask.headers)
        answer = self._connection.getresponse()
        body, kind = answer.read(), answer.headers.get("Content-Type", "")
        if answer.headers.get("Connection", "").lower() == "close":
            self._connection.close()
        return answer.status, body, kind


def is_bad(status: int, body: bytes, kind: str, ask: Ask) -> bool:
    """Whether an answer is one that a server must not give."""
    if status >= 500 or b"Traceback" in body:
        return True
    return status >= 400 and ask.method != "HEAD" and kind != "application/problem+json"
