"""Bodies in and out, with their limits. What is not named here is refused."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from annotator.domain.answering.everything import EverythingSettings
from annotator.domain.brevity import brief
from annotator.domain.cues.rows import cue_from_json
from annotator.domain.errors import PromptError
from annotator.domain.geometry import Box
from annotator.domain.ports.concept import ExampleBox
from annotator.domain.ports.engine import Candidate
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.remote import wire
from annotator.server import examples
from annotator.server.shelf import ID_LETTERS

MOST_POINTS = 256
MOST_EXAMPLES = 64
MOST_CUES = 16
MOST_FRAMES = 1_000_000
MOST_LOGITS_LETTERS = 1 << 20
EmbeddingId = Annotated[str, Field(pattern=rf"^[0-9a-f]{{{ID_LETTERS}}}$", description="of an opened image")]
Coordinate = Annotated[float, Field(allow_inf_nan=False, description="pixels; pixel centres are at .5")]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
AdapterName = Annotated[str, Field(max_length=200, description="of GET /v1/adapters, or its SHA-256; empty: none")]
Frame = Annotated[int, Field(ge=0, lt=MOST_FRAMES)]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class ImageIn(_In):
    """An image file's bytes in base64."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.OPEN]})
    image: str = Field(min_length=1, description="base64 of the file, also as a data URI")
    frame: Frame = 0


class PointIn(_In):
    x: Coordinate
    y: Coordinate
    label: Literal[0, 1] = Field(1, description="1 on the object, 0 on what is not part of it")


class PredictIn(_In):
    """What is known of one object: clicks in their order, a box, prompts of other kinds, or several of these."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.CLICKS, examples.BOX]})
    embedding: EmbeddingId
    points: list[PointIn] = Field([], max_length=MOST_POINTS)
    box: list[Coordinate] | None = Field(None, min_length=4, max_length=4, description="left, top, right, bottom")
    cues: list[dict[str, Any]] = Field([], max_length=MOST_CUES, description="prompts of other kinds, after the points")
    stepwise: bool = Field(True, description="as in the window: the box, then click after click; false: all at once")
    adapter: AdapterName = ""
    format: Literal["rle", "png", "base64_png"] = Field("rle", description="png: the best mask alone, as image/png")

    def prompts(self) -> tuple[list[PointPrompt], Box | None]:
        """Raises:
        PromptError: there is none, or one is damaged.
        """
        if not self.points and not self.cues and self.box is None:
            raise PromptError("There is no prompt.", "Give points or a box.")
        points = [PointPrompt(point.x, point.y, point.label == 1) for point in self.points]
        try:
            points += [click for cue in self.cues for click in cue_from_json(cue).clicks()]
        except ValueError as error:
            raise PromptError(f"A prompt cannot be read: {error}.") from None
        if len(points) > MOST_POINTS:
            raise PromptError(f"These are {len(points)} points; at most {MOST_POINTS} are taken.")
        return points, None if self.box is None else Box(*self.box)


class MaskIn(_In):
    """COCO's compressed run lengths of the whole image."""

    size: list[int] = Field(min_length=2, max_length=2, description="height, width")
    counts: str = Field(max_length=1 << 20)


class ContinueIn(_In):
    """A candidate of an earlier answer to fewer clicks of the same object, as it came."""

    token: str = Field("", max_length=200)
    shape: list[int] = Field(min_length=2, max_length=2, description="rows and columns of the logits")
    logits: str = Field(max_length=MOST_LOGITS_LETTERS, description="base64 of float32, little-endian, row by row")
    logits_box: list[Coordinate] | None = Field(None, min_length=4, max_length=4)
    predicted_iou: Coordinate
    stability: Coordinate
    label: str = Field("", max_length=20)
    mask: MaskIn


class DecodeIn(_In):
    """One question of the window's engine port: all prompts at once, the earlier answer given back."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.CLICKS | {"continue_from": None}]})
    embedding: EmbeddingId
    points: list[PointIn] = Field([], max_length=MOST_POINTS)
    box: list[Coordinate] | None = Field(None, min_length=4, max_length=4, description="left, top, right, bottom")
    base_mask: MaskIn | None = Field(None, description="an object that is being refined")
    continue_from: ContinueIn | None = None
    adapter: AdapterName = ""

    def prompts(self, *, width: int, height: int) -> Prompts:
        """Raises:
        PromptError: the mask is damaged or of another image.
        """
        points = tuple(PointPrompt(point.x, point.y, point.label == 1) for point in self.points)
        box = None if self.box is None else Box(*self.box)
        mask = None if self.base_mask is None else self.base_mask.model_dump()
        return wire.prompts_of(points, box, mask, width=width, height=height)

    def continued(self, *, width: int, height: int) -> Candidate | None:
        """Raises:
        PromptError: it is damaged or of another image.
        """
        if self.continue_from is None:
            return None
        return wire.continued_of(self.continue_from.model_dump(), width=width, height=height)


class EverythingIn(_In):
    """The window's question for everything; ``settings`` are those of ``GET /v1/models``, changed as wanted."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.EVERYTHING]})
    embedding: EmbeddingId
    adapter: AdapterName = ""
    settings: dict[str, bool | int | float] = Field({}, max_length=40)

    def wanted(self) -> dict[str, Any]:
        """Raises:
        PromptError: a name is unknown, or a value is of another kind.
        """
        kinds = {field.name: type(field.default) for field in fields(EverythingSettings)}
        for name, value in self.settings.items():
            if name not in kinds:
                raise PromptError(f"There is no setting {name[:60]!r}.", f"There are: {', '.join(kinds)}.")
            is_whole = type(value) is kinds[name]
            if not is_whole and not (kinds[name] is float and type(value) is int):
                raise PromptError(f"{brief(name)} is not of the kind {kinds[name].__name__}.")
        return dict(self.settings)


class AutoIn(_In):
    """All objects of an image; what is left out is as it suits the model."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.AUTO]})
    embedding: EmbeddingId
    adapter: AdapterName = ""
    points_per_side: Annotated[int, Field(ge=1, le=64)] | None = None
    pred_iou_thresh: Share | None = None
    stability_score_thresh: Share | None = None
    min_mask_region_area: Annotated[int, Field(ge=0, le=10**9)] | None = None

    def wanted(self) -> dict[str, Any]:
        return self.model_dump(exclude={"embedding", "adapter"}, exclude_none=True)


class ExampleIn(_In):
    """A box round something that is meant, or that is not."""

    box: list[Coordinate] = Field(min_length=4, max_length=4, description="left, top, right, bottom")
    label: Literal[0, 1] = Field(1, description="1 meant, 0 not")


class WordsIn(_In):
    """All that words name in an image ("nucleus, not debris"), or that is like examples, for models that take them."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.WORDS]})
    embedding: EmbeddingId
    text: Annotated[str, Field(max_length=4000)] = ""
    examples: list[ExampleIn] = Field([], max_length=MOST_EXAMPLES)
    points: list[PointIn] = Field([], max_length=MOST_POINTS, description="which one is meant, for EVF-SAM 2")
    min_score: Share = 0.3

    @model_validator(mode="after")
    def _says_something(self) -> WordsIn:
        if not self.text and not any(example.label for example in self.examples):
            raise ValueError("there are neither words nor an example of what is meant")
        return self

    def clicks(self) -> tuple[PointPrompt, ...]:
        return tuple(PointPrompt(point.x, point.y, point.label == 1) for point in self.points)

    def boxes(self) -> tuple[ExampleBox, ...]:
        """Raises:
        PromptError: a box is none.
        """
        for example in self.examples:
            if example.box[2] <= example.box[0] or example.box[3] <= example.box[1]:
                raise PromptError("An example is no box.", "Give left, top, right, bottom.")
        return tuple(ExampleBox(Box(*example.box), bool(example.label)) for example in self.examples)


class ImageOut(BaseModel):
    embedding: str
    sha256: str = Field(description="of the file")
    frame: int
    width: int
    height: int
    encode_ms: float
    was_cached: bool
    note: str = Field(description="of the reader, such as the window that a DICOM image is shown through")


class RleOut(BaseModel):
    """COCO's compressed run lengths."""

    size: list[int] = Field(description="height, width")
    counts: str


class MaskOut(BaseModel):
    segmentation: RleOut | None = None
    png: str | None = Field(None, description="base64 of a PNG of the whole image: 0 outside, 255 inside")
    bbox: list[int] = Field(description="x, y, width, height")
    area: int
    predicted_iou: float
    stability: float
    label: str = Field("", description="part, whole, group or other, for one positive click")


class PredictOut(BaseModel):
    embedding: str
    candidates: list[MaskOut]
    best: int = Field(description="index of the candidate to show first")
    object_score: float
    decode_ms: float


class NamedOut(MaskOut):
    phrase: str = Field(description="the words that it was found by")


class WordsOut(BaseModel):
    embedding: str
    finder: str = Field(description="the model that was asked")
    notes: list[str] = Field(description="what of the words could not be used")
    objects: list[NamedOut]


class AutoOut(BaseModel):
    embedding: str
    objects: list[MaskOut]


class ModelOut(BaseModel):
    name: str
    sha256: str
    device: str
    dtype: str
    image_size: int
    is_verified: bool
    can: list[str]
    everything: dict[str, bool | int | float] | None = Field(None, description="settings that suit the model")


class ModelsOut(BaseModel):
    models: list[ModelOut]


class StateOut(BaseModel):
    status: str
    version: str


class ProblemOut(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[dict[str, str]] = []
