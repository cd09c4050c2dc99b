"""Bodies of jobs and adapters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from annotator.server import examples
from annotator.server.schemas import AdapterName, EmbeddingId, Share

MOST_IMAGES = 10_000


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class AutoSettingsIn(_In):
    """What is left out is as it suits the model."""

    points_per_side: Annotated[int, Field(ge=1, le=64)] | None = None
    pred_iou_thresh: Share | None = None
    stability_score_thresh: Share | None = None
    min_mask_region_area: Annotated[int, Field(ge=0, le=10**9)] | None = None


class JobIn(_In):
    """Everything (``auto``), or all that words name (``words``), in open images."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.JOB]})
    kind: Literal["auto", "words"]
    images: list[EmbeddingId] = Field(min_length=1, max_length=MOST_IMAGES, description="embeddings of opened images")
    adapter: AdapterName = ""
    settings: AutoSettingsIn | None = Field(None, description="of auto")
    text: Annotated[str, Field(max_length=4000)] = Field("", description="of words")
    min_score: Share = 0.3

    @model_validator(mode="after")
    def _fits(self) -> JobIn:
        if (self.kind == "words") != bool(self.text):
            raise ValueError("text is what kind words asks for, and nothing else does")
        if self.kind == "words" and (self.adapter or self.settings):
            raise ValueError("adapter and settings are of kind auto")
        return self


class JobOut(BaseModel):
    id: str
    kind: str
    state: str = Field(description="running, done, failed or cancelled")
    done: int = Field(description="images")
    total: int
    left_s: float | None = Field(description="seconds that it will still take, when that is known")
    error: str = Field(description="why it failed; images that failed alone say so in the result")


class JobsOut(BaseModel):
    jobs: list[JobOut]


class AdapterOut(BaseModel):
    name: str
    sha256: str = Field(description="of its file")
    domain: str = Field(description="what it was trained for")
    licence: str


class AdaptersOut(BaseModel):
    adapters: list[AdapterOut]
