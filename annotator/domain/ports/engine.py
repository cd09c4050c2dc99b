"""The borders of the program: what an engine offers, and the requests and answers that cross threads.

Nothing here imports torch or Qt, so the window can open before torch is loaded, and tests can drive the window with a
fake engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from annotator.domain.answering.everything import Begun, EverythingSettings, Proposal
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.prompt import PointPrompt, Prompts

RgbArray = npt.NDArray[np.uint8]
LogitsArray = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is running, for the status bar and for every annotation's record.

    Attributes:
        name: registry name ("nano", "sam2.1-tiny", ...) or the file's stem.
        sha256: of the weights file, hexadecimal.
        device: "cpu", "cuda", "mps".
        dtype: "float32", "bfloat16".
        image_size: side S of the square the encoder sees, in pixels.
        is_verified: whether the weights' SHA-256 is the registry's.
        note: one sentence for the person, e.g. why the CPU is used; may be empty.
        path, config: of a weights file that is not of the registry, and its sam2 configuration; else empty. Of a model
            on a server ``path`` is the address.
    """

    name: str
    sha256: str
    device: str
    dtype: str
    image_size: int
    is_verified: bool = True
    note: str = ""
    path: str = ""
    config: str = ""

    @property
    def source(self) -> str:
        """What loads the same model again: a name of the registry, the weights file, or a server's address."""
        return self.path or self.name

    @property
    def server(self) -> str:
        """Host and port of the server that has the model; empty for one of this computer."""
        return urlsplit(self.path).netloc if self.path.startswith(("http://", "https://")) else ""


class Embedding(Protocol):
    """An encoded image, opaque outside its engine.

    ``key`` names everything that changes pixels or features; ``width`` and ``height`` are the image's size in pixels;
    ``nbytes`` is what a cache has to count; ``encode_ms`` what it cost (the original encode, also when cached).
    """

    @property
    def key(self) -> str: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def encode_ms(self) -> float: ...


@dataclass(frozen=True, slots=True)
class UncertaintyMap:
    """Where a prompt adapter does not trust the mask, and the clicks that it proposes.

    Attributes:
        values: h x w float32 in 0..1, the decoder's own grid, stretched over ``box``.
        box: the part of the image that the map is of, in image pixels.
        hard_points: positions in image pixels with their proposed sign, the strongest first; may be empty.
    """

    values: LogitsArray
    box: Box
    hard_points: tuple[PointPrompt, ...] = ()

    def moved(self, x: float, y: float) -> UncertaintyMap:
        """The same map in an image whose origin lies ``x``, ``y`` pixels left of and above this one's."""
        box = Box(self.box.x0 + x, self.box.y0 + y, self.box.x1 + x, self.box.y1 + y)
        points = tuple(PointPrompt(p.x + x, p.y + y, p.is_positive) for p in self.hard_points)
        return UncertaintyMap(self.values, box, points)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One possible mask.

    Attributes:
        logits: float32, L x L low-resolution logits (L = S / 4) of the whole (squashed) image, inside where > 0.
        predicted_iou: the model's own guess, about 0..1.
        stability: IoU of the mask at logits > +1 and > -1, 0..1.
        mask: at image resolution, tight.
        label: of three candidates, what it is to the best one: "part", "whole", "group", or "other"
            (:mod:`annotator.domain.answering.nesting`); "" for a single one.
        uncertainty: of the decode that the mask is from, when a prompt adapter is in use; else None.
        logits_box: the part of the image that ``logits`` are of, in image pixels; None for the whole image.
        token: names this candidate to the engine that gave it, when that remembers more of it than stands here
            (what it was chosen from); empty when there is nothing more to know. Forgotten tokens do no harm.
    """

    logits: LogitsArray
    predicted_iou: float
    stability: float
    mask: Mask
    label: str = ""
    uncertainty: UncertaintyMap | None = None
    logits_box: Box | None = None
    token: str = ""


@dataclass(frozen=True, slots=True)
class Travel:
    """What an answer of a server cost beside the model's own time: under way, and in the queue there."""

    network_ms: float
    queue_ms: float


@dataclass(frozen=True, slots=True)
class Candidates:
    """The answer to one decode: one to three candidates ordered by area, and the one to show first.

    ``object_score`` is the model's logit that there is an object at all; ``decode_ms`` the time spent;
    ``looked_closer`` whether the one to show first was found in an enlarged piece of the image; ``travel`` of an answer
    that came over a network.
    """

    items: tuple[Candidate, ...]
    best: int
    object_score: float
    decode_ms: float
    looked_closer: bool = False
    travel: Travel | None = None

    @property
    def chosen(self) -> Candidate:
        return self.items[self.best]


class Segmenter(Protocol):
    """An engine: a slow encode per image, a fast decode per click. Calls come from one thread at a time."""

    @property
    def info(self) -> ModelInfo:
        """What answers now: another device than before, once a graphics card had no room for the work."""
        ...

    def embedding_key(self, image_key: str) -> str:
        """The cache key for an image: image key + model + preprocessing."""
        ...

    def encode(self, image: RgbArray, image_key: str, *, is_cancelled: Callable[[], bool] | None = None) -> Embedding:
        """Encode an H x W x 3 uint8 RGB image.

        Args:
            image_key: names the pixels (content hash + frame + window + crop).
            is_cancelled: asked between blocks of the encoder; true raises ``EncodeCancelled``.

        Raises:
            EncodeCancelled, DeviceMemoryError, ImageError.
        """
        ...

    def decode(self, embedding: Embedding, prompts: Prompts, *, continue_from: Candidate | None = None) -> Candidates:
        """Masks for prompts in image pixels; prompts outside the image are pulled to its edge.

        Three candidates when ``prompts.is_ambiguous``, else one. ``continue_from`` is the candidate that the person
        went on from, as an engine gave it: only when the prompts extend the ones that gave it.

        Raises:
            PromptError: no prompts, or not finite.
            DeviceMemoryError: there is no room for it.
        """
        ...


@runtime_checkable
class Warmable(Protocol):
    """A segmenter that can do part of a click's work before the click."""

    def warm(self, embedding: Embedding, x: float, y: float, *, is_cancelled: Callable[[], bool]) -> bool:
        """Do a piece of what a click at (x, y), in image pixels, would need; false when nothing is left to do.

        Raises:
            EncodeCancelled, DeviceMemoryError.
        """
        ...


@runtime_checkable
class Adaptable(Protocol):
    """A segmenter that can take a prompt adapter, or go on without one, on the embeddings that there are."""

    @property
    def adapter(self) -> Any: ...
    def set_adapter(self, adapter: Any) -> None:
        """The engine's own adapter, or None.

        Raises:
            ModelError: it belongs to another base.
        """
        ...


@runtime_checkable
class NamesAdapters(Protocol):
    """Beside :class:`Adaptable`: a segmenter whose adapters lie elsewhere; it is given an :class:`AdapterInUse`."""

    def adapters(self) -> Mapping[str, str]:
        """Names by the SHA-256 of their files.

        Raises:
            ModelError: they cannot be asked for.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class EverythingStep:
    """How far the question for everything has come.

    Attributes:
        done, total: clicks of the grid.
        proposals: all that was found so far, the best first, in place of what was shown before; None: no news.
    """

    done: int
    total: int
    proposals: tuple[Proposal, ...] | None
    is_last: bool = False


@runtime_checkable
class AnswersEverything(Protocol):
    """A segmenter that can be asked for everything that there is in an image."""

    @property
    def everything_settings(self) -> EverythingSettings:
        """What suits the model."""
        ...

    def everything(
        self,
        embedding: Embedding,
        image: RgbArray,
        settings: EverythingSettings,
        *,
        has_to_yield: Callable[[], bool] | None = None,
        begun: Begun | None = None,
    ) -> Iterator[EverythingStep]:
        """Ask piece by piece; each step is about as long as a few clicks. To give it up, ask for no more steps.

        Args:
            image: the pixels that were encoded, H x W x 3.
            begun: what an earlier run with the same settings and model had when it ended: its work is not done again.
            has_to_yield: asked while a crop is encoded: then the step ends early, with no news, and the crop is begun
                anew with the next one.

        Raises:
            DeviceMemoryError, UserError: settings that make no sense.
        """
        ...


@dataclass(frozen=True, slots=True)
class AdapterInUse:
    """The adapter that answers now: its name, and the SHA-256 of its file, hexadecimal."""

    name: str
    sha256: str

    @property
    def record(self) -> str:
        """For an annotation: "name@sha256"."""
        return f"{self.name}@{self.sha256}"


AdapterSetter = Callable[[Segmenter], AdapterInUse | None]
"""Puts an adapter (or none) into a segmenter, on the engine thread."""


class EmbeddingCache(Protocol):
    """Embeddings by key: memory first, then disk. Used by the engine thread only."""

    def get(self, key: str, image: RgbArray | None = None) -> Embedding | None:
        """What is in memory; with the image's pixels (H x W x 3), also what is on the disk."""
        ...

    def put(self, embedding: Embedding) -> None: ...


@dataclass(frozen=True, slots=True)
class Engine:
    """What the engine thread owns once it is loaded."""

    segmenter: Segmenter
    cache: EmbeddingCache


EngineFactory = Callable[[Callable[[str], None]], Engine]
"""Makes the engine, on the engine thread (imports torch there); the argument takes progress lines for the person."""
