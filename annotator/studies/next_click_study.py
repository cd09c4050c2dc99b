"""Are proposed clicks worth following? Simulated annotators on the same objects, the same embedding, the same first
click; from the second click on each goes its own way (:mod:`annotator.studies.click_policies`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.domain.answering.clicks import next_click
from annotator.domain.brevity import brief
from annotator.domain.errors import ImportFormatError
from annotator.domain.metrics import iou
from annotator.domain.ports.engine import Embedding, Segmenter
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.evaluate.objects import EvaluationImage, EvaluationObject, EvaluationSet
from annotator.evaluate.progress import append, appending, read_state
from annotator.io.images.reading import load_image
from annotator.studies.click_policies import POLICIES, Policy, View

BoolArray = npt.NDArray[np.bool_]

STUDY_VERSION = 4
TARGETS = (85, 90)
"""IoU in percent."""
SHOWN_CLICKS = (3, 5, 10)


@dataclass(frozen=True, slots=True)
class PolicyRun:
    """One object, one annotator. All lists have an entry per click, the first click included.

    Shorter than the clicks allowed when the mask was perfect, when a blind annotator had no proposal left, or when
    all reported figures were known (the highest target reached, ten clicks made).

    Attributes:
        points: [x, y, 1 | 0]; iou: after the click; looks: places looked at for it.
        fallbacks: whether the click was the standard protocol's for want of a place to click.
    """

    points: list[list[float]]
    iou: list[float]
    looks: list[int]
    fallbacks: list[bool]


@dataclass(frozen=True, slots=True)
class ObjectStudy:
    """One object's runs by policy. ``image`` is the set's file name, ``area`` the true mask's in pixels."""

    annotation_id: int
    image: str
    area: int
    runs: Mapping[str, PolicyRun]

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ObjectStudy:
        """From what :func:`dataclasses.asdict` gave.

        Raises:
            KeyError, TypeError: it is something else.
        """
        runs = {name: PolicyRun(**run) for name, run in data["runs"].items()}
        return cls(data["annotation_id"], data["image"], data["area"], runs)


Progress = Callable[[int, int, ObjectStudy | None], None]
"""Called after each object: how many are done, of how many, and the newest (None for an empty one)."""


def study_set(
    segmenter: Segmenter,
    objects: EvaluationSet,
    *,
    clicks: int = 20,
    max_objects: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    state_path: Path | None = None,
    adapter_sha256: str = "",
) -> list[ObjectStudy]:
    """Let every annotator segment every object.

    Args:
        clicks: most clicks per object, and the cap of the number-of-clicks figures.
        max_objects: a subset of this size, spread over the images; the same for every model.
        seed: of the subset and of the random annotators.
        state_path: finished objects are kept here; a run of the same study goes on from them.
        adapter_sha256: of the adapter in the segmenter, so that its state is not taken for another's.

    Raises:
        UserError: an image or mask cannot be read, the state cannot be used, or there are no objects.
        ValueError: no clicks or objects asked for.
    """
    if clicks < 1 or (max_objects is not None and max_objects < 1):
        raise ValueError("at least one click and one object are needed")
    chosen = objects.subset(max_objects, seed=seed)
    run_key = _run_key(segmenter, adapter_sha256, objects.sha256, clicks, seed)
    done = {kept.annotation_id: kept for kept in read_state(state_path, run_key, ObjectStudy.from_json)}
    results: list[ObjectStudy] = []
    count = 0
    with appending(state_path) as state:
        for image, items in groupby(chosen, key=lambda item: item.image):
            embedding: Embedding | None = None
            for item in items:
                result = done.get(item.id)
                truth = None if result is not None else item.mask().full()
                if truth is not None and truth.any():
                    embedding = _encoded(segmenter, image) if embedding is None else embedding
                    result = study_object(segmenter, embedding, item, truth, clicks=clicks, seed=seed)
                    if state is not None:
                        append(state, run_key, asdict(result))
                if result is not None:
                    results.append(result)
                count += 1
                if progress is not None:
                    progress(count, len(chosen), result)
    if not results:
        raise ImportFormatError("The set holds no object with pixels.", "Give a set with masks.")
    return results


def study_object(
    segmenter: Segmenter,
    embedding: Embedding,
    item: EvaluationObject,
    truth: BoolArray,
    *,
    clicks: int,
    seed: int = 0,
    policies: Mapping[str, Policy] = POLICIES,
) -> ObjectStudy:
    """One object with every annotator.

    Args:
        truth: H x W, not empty, of the embedding's image.
    """
    runs = {}
    for number, (name, policy) in enumerate(policies.items()):
        rng = np.random.default_rng([seed % 2**32, item.id % 2**32, number])
        runs[name] = _click_through(segmenter, embedding, truth, policy, clicks=clicks, rng=rng)
    return ObjectStudy(item.id, item.image.file_name, int(np.count_nonzero(truth)), runs)


# --- inside -----------------------------------------------------------------------------------------------------------


def _click_through(
    segmenter: Segmenter,
    embedding: Embedding,
    truth: BoolArray,
    policy: Policy,
    *,
    clicks: int,
    rng: np.random.Generator,
) -> PolicyRun:
    first = next_click(np.zeros_like(truth), truth)
    assert first is not None, "an object has pixels"
    prompts = Prompts().with_point(PointPrompt(first.x, first.y, first.is_positive))
    answer = segmenter.decode(embedding, prompts)
    confirmed: tuple[PointPrompt, ...] = ()
    ious, looks, fallbacks = [iou(answer.chosen.mask.full(), truth)], [0], [False]
    while len(ious) < clicks and not _is_settled(ious) and ious[-1] < 1:
        move = policy(View(answer, prompts.points, truth, rng, confirmed))
        if move is None:
            break
        prompts, confirmed = prompts.with_point(move.point), (*confirmed, *move.confirmed)
        answer = segmenter.decode(embedding, prompts, continue_from=answer.chosen)
        ious.append(iou(answer.chosen.mask.full(), truth))
        looks.append(move.looks)
        fallbacks.append(move.is_fallback)
    return PolicyRun([[p.x, p.y, int(p.is_positive)] for p in prompts.points], ious, looks, fallbacks)


def _is_settled(ious: Sequence[float]) -> bool:
    """Whether more clicks would change no figure that is reported."""
    return len(ious) >= max(SHOWN_CLICKS) and max(ious) >= max(TARGETS) / 100


def _encoded(segmenter: Segmenter, image: EvaluationImage) -> Embedding:
    loaded = load_image(image.path, frame=image.frame)
    if (loaded.width, loaded.height) != (image.width, image.height):
        raise ImportFormatError(
            f"{brief(image.file_name)} is not of the size that its masks are for.",
            "They belong to another version of the image.",
        )
    return segmenter.encode(loaded.rgb, loaded.image_key)


def _run_key(segmenter: Segmenter, adapter_sha256: str, set_sha256: str, clicks: int, seed: int) -> str:
    """Names everything that decides an object's result."""
    info = segmenter.info
    engine = (type(segmenter).__name__, info.name, info.sha256, info.device, info.dtype, info.image_size)
    parts = (STUDY_VERSION, tuple(POLICIES), *engine, adapter_sha256, set_sha256, clicks, seed)
    return hashlib.sha256(repr(parts).encode()).hexdigest()
