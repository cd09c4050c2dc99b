"""The engine port over HTTP. The server keeps open images and nothing else: whatever it forgets is sent again."""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import cv2

from annotator.domain.answering.everything import Begun, EverythingSettings
from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError, ModelError
from annotator.domain.ports.engine import (
    AdapterInUse,
    Candidate,
    Candidates,
    Embedding,
    Engine,
    EverythingStep,
    ModelInfo,
    RgbArray,
    Travel,
)
from annotator.domain.prompt import Prompts
from annotator.engine.remote import wire
from annotator.engine.remote.address import ServerAddress, parse_address, token_for
from annotator.engine.remote.connection import Connection, Exchange, Reply, refusal

_LOOK_S = 0.05
_GONE = (404, 410)
_PROBE_S = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class RemoteEmbedding:
    """An image that is open on a server.

    Attributes:
        id: its name there; png: its pixels, to open it again when the server has lost it.
    """

    key: str
    width: int
    height: int
    encode_ms: float
    id: str
    png: bytes

    @property
    def nbytes(self) -> int:
        return len(self.png)


class RemoteSegmenter:
    """Asks the model of a server. Calls come from one thread at a time, as of every engine.

    Raises:
        ModelError: no server of ours is there, it wants another token, or its model is not ready.
    """

    def __init__(self, address: ServerAddress, token: str = "") -> None:
        self._connection = Connection(address, token)
        self._info, self._everything = self._look()
        self._adapter: AdapterInUse | None = None

    @property
    def adapter(self) -> AdapterInUse | None:
        return self._adapter

    def adapters(self) -> Mapping[str, str]:
        """Names by SHA-256, of those that the server has for its model.

        Raises:
            ModelError: it is away, or too old.
        """
        reply = self._connection.ask("GET", "/v1/adapters", read_s=_PROBE_S)
        if reply.status in _GONE:
            raise ModelError(f"The server at {brief(self.address.place)} is too old for adapters.", "Update it.")
        if reply.status >= 400:
            raise refusal(reply, self.address)
        try:
            return {str(row["sha256"]): str(row["name"]) for row in reply.json()["adapters"]}
        except (KeyError, TypeError) as error:
            raise ModelError("The server's answer is not as expected.", "Update it.") from error

    def set_adapter(self, adapter: AdapterInUse | None) -> None:
        """Name it in every question from now on; the server has to have the same file.

        Raises:
            ModelError: it has not.
        """
        if adapter is not None and adapter.sha256 not in self.adapters():
            raise ModelError(
                f"The server at {brief(self.address.place)} has no adapter {brief(adapter.name)}, or another "
                "version of it.",
                "Import it there with annotator adapters import.",
            )
        self._adapter = adapter

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def address(self) -> ServerAddress:
        return self._connection.address

    def check(self) -> None:
        """Ask for nothing but an answer.

        Raises:
            ModelError: there is none.
        """
        reply = self._connection.ask("GET", "/v1/ready", read_s=_PROBE_S)
        if reply.status >= 400:
            raise refusal(reply, self.address)

    def close(self) -> None:
        self._connection.close()

    def embedding_key(self, image_key: str) -> str:
        return f"{image_key}-{self._info.sha256[:16]}-{self.address.text}"

    def encode(
        self, image: RgbArray, image_key: str, *, is_cancelled: Callable[[], bool] | None = None
    ) -> RemoteEmbedding:
        """Open the image there; its pixels are sent only where they are not known.

        Raises:
            EncodeCancelled, ImageError, ModelError.
        """
        started_s = time.perf_counter()
        is_encoded, data = cv2.imencode(".png", image[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
        if not is_encoded:
            raise ImageError("The image cannot be sent to the server.", "Choose a model of this computer.")
        png = data.tobytes()
        opened = self._open(png, is_cancelled)
        height, width = image.shape[:2]
        if (opened.get("width"), opened.get("height")) != (width, height):
            raise ModelError("The server read another image than was sent.", "Bring both programs to the same version.")
        took_ms = (time.perf_counter() - started_s) * 1e3
        return RemoteEmbedding(self.embedding_key(image_key), width, height, took_ms, str(opened["embedding"]), png)

    def decode(self, embedding: Embedding, prompts: Prompts, *, continue_from: Candidate | None = None) -> Candidates:
        """As every engine, to the bit what the server's own model answers.

        Raises:
            PromptError, ModelError: the server is away, refuses, or has another model now.
        """
        assert isinstance(embedding, RemoteEmbedding)
        question = wire.prompts_to_json(prompts) | {"embedding": embedding.id} | self._named()
        question["continue_from"] = None if continue_from is None else wire.continued_to_json(continue_from)
        reply = self._asked("/v1/decode", question, embedding)
        found, header = _read(wire.unpack_candidates, reply)
        self._check_model(header)
        model_ms, queue_ms = float(header["model_ms"]), float(header["queue_ms"])
        network_ms = max(0.0, reply.took_ms - model_ms - queue_ms)
        return replace(found, travel=Travel(network_ms, queue_ms))

    @property
    def everything_settings(self) -> EverythingSettings:
        return self._everything

    def everything(
        self,
        embedding: Embedding,
        image: RgbArray,
        settings: EverythingSettings,
        *,
        has_to_yield: Callable[[], bool] | None = None,
        begun: Begun | None = None,
    ) -> Iterator[EverythingStep]:
        """One question; steps without news while it is worked on, so that clicks go between. A server gives all or
        nothing: there is no part of an answer to go on from.

        Raises:
            ModelError, UserError.
        """
        assert isinstance(embedding, RemoteEmbedding)
        question = {"embedding": embedding.id, "settings": asdict(settings)} | self._named()
        for attempt in range(2):
            exchange = self._connection.begin("POST", "/v1/everything", body=json.dumps(question).encode())
            try:
                while not self._is_ready(exchange):
                    yield EverythingStep(0, 1, None)
                with self._connection.broken_is_away():
                    reply = exchange.reply()
            finally:
                exchange.close()
            if reply.status not in _GONE or attempt:
                break
            question["embedding"] = self._open(embedding.png, None)["embedding"]
        if reply.status >= 400:
            raise refusal(reply, self.address)
        found, header = _read(wire.unpack_proposals, reply)
        self._check_model(header)
        yield EverythingStep(1, 1, found, is_last=True)

    def _named(self) -> dict[str, Any]:
        return {} if self._adapter is None else {"adapter": self._adapter.sha256}

    def _is_ready(self, exchange: Exchange) -> bool:
        with self._connection.broken_is_away():
            return exchange.is_ready(_LOOK_S)

    # --- the server ---------------------------------------------------------------------------------------------------

    def _asked(self, path: str, question: dict[str, Any], embedding: RemoteEmbedding) -> Reply:
        reply = self._connection.ask("POST", path, body=json.dumps(question).encode())
        if reply.status in _GONE:
            question = question | {"embedding": self._open(embedding.png, None)["embedding"]}
            reply = self._connection.ask("POST", path, body=json.dumps(question).encode())
        if reply.status >= 400:
            raise refusal(reply, self.address)
        return reply

    def _open(self, png: bytes, is_cancelled: Callable[[], bool] | None) -> dict[str, Any]:
        sha256 = hashlib.sha256(png).hexdigest()
        reply = self._connection.ask("GET", f"/v1/images/{sha256}", is_stopped=is_cancelled)
        if reply.status in _GONE:
            kind = "application/octet-stream"
            reply = self._connection.ask("PUT", "/v1/images", body=png, kind=kind, is_stopped=is_cancelled)
        if reply.status >= 400:
            raise refusal(reply, self.address)
        opened = reply.json()
        if not isinstance(opened.get("embedding"), str):
            raise ModelError("The server's answer is not as expected.", "Bring both programs to the same version.")
        return opened

    def _look(self) -> tuple[ModelInfo, EverythingSettings]:
        """What answers there."""
        reply = self._connection.ask("GET", "/v1/models", read_s=_PROBE_S)
        if reply.status >= 400:
            raise refusal(reply, self.address)
        try:
            (row, *_) = reply.json()["models"]
            name, sha256, device, dtype = (str(row[key]) for key in ("name", "sha256", "device", "dtype"))
            info = ModelInfo(
                name,
                sha256,
                device,
                dtype,
                int(row["image_size"]),
                is_verified=bool(row["is_verified"]),
                note=f"{name} on {device} of {self.address.place}",
                path=self.address.text,
            )
            if "decode" not in row["can"]:
                raise ModelError(f"The server at {brief(self.address.place)} is too old for the window.", "Update it.")
            return info, EverythingSettings(**(row.get("everything") or {}))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"What answers at {brief(self.address.place)} is no annotator server.", "Check address and port."
            ) from error

    def _check_model(self, header: dict[str, Any]) -> None:
        """Raises:
        ModelError: the server was started anew with another model; from the next question on that is the one in use.
        """
        if header.get("model_sha256") == self._info.sha256:
            return
        before, (self._info, self._everything) = self._info.name, self._look()
        raise ModelError(
            f"The server at {brief(self.address.place)} has {brief(self._info.name)} in place of {before} now.",
            "Click again.",
        )


class EmbeddingMemory:
    """Embeddings by key, the one used longest ago goes first."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Embedding] = OrderedDict()

    def get(self, key: str, image: RgbArray | None = None) -> Embedding | None:
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
        return found

    def put(self, embedding: Embedding) -> None:
        self._kept[embedding.key] = embedding
        self._kept.move_to_end(embedding.key)
        while len(self._kept) > 1 and sum(one.nbytes for one in self._kept.values()) > self._most_bytes:
            self._kept.popitem(last=False)


def load_remote(text: str, *, token: str | None = None) -> RemoteSegmenter:
    """The model of the server at this address; ``token`` None: the one that was kept for it.

    Raises:
        ModelError: it is no address, or nothing of ours answers there.
    """
    address = parse_address(text)
    return RemoteSegmenter(address, token_for(address) if token is None else token)


def make_remote_engine(text: str, *, ram_bytes: int, progress: Callable[[str], None]) -> Engine:
    """As :func:`annotator.engine.load.make_engine`, without torch.

    Raises:
        ModelError: as :func:`load_remote`.
    """
    progress(f"Asking {parse_address(text).place} …")
    return Engine(load_remote(text), EmbeddingMemory(ram_bytes))


_Found = TypeVar("_Found")


def _read(unpack: Callable[[bytes], tuple[_Found, dict[str, Any]]], reply: Reply) -> tuple[_Found, dict[str, Any]]:
    try:
        return unpack(reply.body)
    except wire.DAMAGED as error:
        raise ModelError("The server's answer is damaged.", "Bring both programs to the same version.") from error
