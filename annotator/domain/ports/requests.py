"""What crosses the border of the engine thread: requests that wait in mailboxes, and what is answered.

Every answer carries the epoch (the visit of an image) and the generation (its place within it) of its request.
"""

from __future__ import annotations

from dataclasses import dataclass

from annotator.domain.answering.everything import Begun, EverythingSettings
from annotator.domain.ports.engine import Candidate, Candidates, EverythingStep, ModelInfo, RgbArray
from annotator.domain.prompt import Prompts
from annotator.domain.sight import Sight


@dataclass(frozen=True, slots=True)
class EncodeRequest:
    """Ask for an image's embedding. ``epoch`` is the image switch that it belongs to."""

    epoch: int
    image_key: str
    image: RgbArray
    is_prefetch: bool = False


@dataclass(frozen=True, slots=True)
class EncodeResult:
    epoch: int
    image_key: str
    encode_ms: float
    was_cached: bool
    is_prefetch: bool = False


@dataclass(frozen=True, slots=True)
class WarmRequest:
    """The pointer rests at (x, y), in image pixels: a click may follow. Nothing is answered."""

    epoch: int
    image_key: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """Ask for masks. An answer is valid for this ``epoch`` only; ``generation`` orders answers within it."""

    epoch: int
    generation: int
    image_key: str
    image: RgbArray
    prompts: Prompts
    continue_from: Candidate | None = None
    sight: Sight | None = None
    """Which part of a very large image ``image`` is: prompts and masks are of the whole one."""


@dataclass(frozen=True, slots=True)
class EverythingRequest:
    """Ask for everything in an image. Answered in steps, between which anything else goes first."""

    epoch: int
    generation: int
    image_key: str
    image: RgbArray
    settings: EverythingSettings | None = None
    """None: what suits the model."""
    begun: Begun | None = None
    """To go on from there."""
    sight: Sight | None = None
    """Which part of a very large image ``image`` is: the answers are of the whole one."""


@dataclass(frozen=True, slots=True)
class EverythingResult:
    """A step of the answer; the last one has ``step.is_last``.

    ``finder`` is the model that was asked beside the one in use, where there is one.
    """

    epoch: int
    generation: int
    image_key: str
    step: EverythingStep
    adapter: str = ""
    finder: ModelInfo | None = None


@dataclass(frozen=True, slots=True)
class DecodeResult:
    """``adapter`` is the record of the adapter that answered, empty for the base alone."""

    epoch: int
    generation: int
    image_key: str
    prompts: Prompts
    candidates: Candidates
    encode_ms: float
    was_cached: bool
    adapter: str = ""


LOAD_EPOCH = -1
"""The epoch of an :class:`EngineFailure` that is about loading the model, not about an image."""
ADAPTER_EPOCH = -2
"""The epoch of an :class:`EngineFailure` that is about an adapter; what was in use stays."""
SEARCH_EPOCH = -3
"""The epoch of a search for proposals: it is no part of the visit of an image, and answers no click."""
AHEAD_EPOCH = -4
"""The epoch of searches of images that the person may come to later."""


@dataclass(frozen=True, slots=True)
class EngineFailure:
    """A job of the engine thread failed; ``message`` is for the person, ``details`` a traceback for bugs of ours.

    ``is_away``: the server that has the model does not answer just now.
    """

    epoch: int
    generation: int
    message: str
    details: str = ""
    is_away: bool = False
