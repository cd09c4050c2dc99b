"""Clicks-to-IoU by the standard protocol, with any engine, on any COCO set.

Every object is segmented twice: from simulated clicks (the first at its deepest point, each next one at the deepest
point of the largest error region, previous logits fed back as the window does), and from its tight box.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.domain.answering.clicks import SimulatedClick, next_click
from annotator.domain.brevity import brief
from annotator.domain.errors import ImageError, ImportFormatError, UserError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.metrics import boundary_iou, iou, noc
from annotator.domain.ports.engine import Candidate, Candidates, Embedding, Segmenter
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.domain.tally import Tally
from annotator.evaluate.degrade import Degradation, jittered_box, jittered_point
from annotator.evaluate.objects import EvaluationImage, EvaluationObject, EvaluationSet, read_evaluation_set
from annotator.evaluate.progress import append, appending, engine_parts, model_name, read_state, run_key
from annotator.io.project.windows import AsShown

BoolArray = npt.NDArray[np.bool_]

_PROTOCOL_VERSION = 3
_THRESHOLDS = (80, 85, 90)


@dataclass(frozen=True, slots=True)
class ObjectResult:
    """One object's run.

    Attributes:
        annotation_id, image: which object (``image`` is the set's file name).
        area: of the true mask in pixels.
        points: the clicks made, [x, y, 1 | 0]; fewer than asked for when the mask was perfect.
        iou, biou: IoU and boundary IoU after each click, 0..1; a perfect mask's values are carried on.
        box_iou, box_biou: from the tight box alone.
        encode_ms: what encoding the image cost; decode_ms: median of this object's decodes.
        predicted_iou, box_predicted_iou: what the engine itself expected, after each click and from the box.
    """

    annotation_id: int
    image: str
    area: int
    points: list[list[float]]
    iou: list[float]
    biou: list[float]
    box_iou: float
    box_biou: float
    encode_ms: float
    decode_ms: float
    predicted_iou: list[float]
    box_predicted_iou: float


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """A set's figures: means over objects, medians of milliseconds (encode: per image)."""

    model: str
    objects: int
    miou: dict[str, float]
    mbiou: dict[str, float]
    box_miou: float
    box_mbiou: float
    noc: dict[str, float]
    encode_ms: float
    decode_ms: float
    per_object: tuple[ObjectResult, ...]
    remarks: tuple[str, ...] = ()
    """A line for each reason why something of the set was not evaluated, and for what was decided."""

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        data["per_object"] = list(data["per_object"])
        data["remarks"] = list(data["remarks"])
        return data


@dataclass(frozen=True, slots=True)
class Conditions:
    """What makes the job harder than the standard protocol.

    Attributes:
        degradation: a change of the images, or None.
        jitter: boxes and clicks are off by up to this share of the object's box, 0..0.5.
    """

    degradation: Degradation | None = None
    jitter: float = 0.0

    @property
    def is_standard(self) -> bool:
        return self.degradation is None and self.jitter == 0.0

    def __str__(self) -> str:
        return f"{self.degradation.name if self.degradation else ''}/{self.jitter:g}"


STANDARD = Conditions()

Progress = Callable[[int, int, ObjectResult], None]
"""Called after each object: how many are done, of how many, and the newest."""


def evaluate_coco(
    segmenter: Segmenter,
    coco_json: Path,
    images_dir: Path,
    *,
    clicks: int = 20,
    max_objects: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    state_path: Path | None = None,
    conditions: Conditions = STANDARD,
) -> EvaluationResult:
    """Run the protocol on a COCO set, with the prompt adapter that is in the engine, if any.

    Args:
        clicks: most clicks per object, and the cap of the number-of-clicks figures.
        max_objects: a subset of this size, spread over the images; the same for every model.
        seed: of the subset.
        state_path: finished objects are kept here, one JSON line each; a run with the same engine, adapter, set and
            protocol continues where one was cut off. Several sets may share the file.
        conditions: what is made harder, for robustness tables.

    Raises:
        ImportFormatError: the set cannot be used. ImageError: an image cannot be read.
        ExportError: the state cannot be written. ValueError: no clicks or objects asked for.
    """
    _check(clicks, max_objects)
    whole = read_evaluation_set(coco_json, images_dir)
    return evaluate_set(
        segmenter,
        whole,
        clicks=clicks,
        max_objects=max_objects,
        seed=seed,
        progress=progress,
        state_path=state_path,
        conditions=conditions,
    )


def evaluate_set(
    segmenter: Segmenter,
    whole: EvaluationSet,
    *,
    clicks: int = 20,
    max_objects: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    state_path: Path | None = None,
    conditions: Conditions = STANDARD,
) -> EvaluationResult:
    """As :func:`evaluate_coco`, with a set that was read before. An image that cannot be read, or is not of the size
    that its header says, is left out with its objects and named."""
    _check(clicks, max_objects)
    chosen = whole.subset(max_objects, seed=seed)
    key = run_key(_PROTOCOL_VERSION, *engine_parts(segmenter), whole.sha256, clicks, str(conditions))
    done = {found.annotation_id: found for found in read_state(state_path, key, lambda item: ObjectResult(**item))}
    results: list[ObjectResult] = []
    tally = Tally()
    with appending(state_path) as state:
        for result, is_new in _results(segmenter, chosen, done, tally, clicks=clicks, conditions=conditions):
            if state is not None and is_new:
                append(state, key, asdict(result))
            results.append(result)
            if progress is not None:
                progress(len(results), len(chosen), result)
    lines = tally.lines()
    if not results and lines:
        raise ImportFormatError(f"No object could be evaluated: {lines[0]}.", "Check the set's images.")
    return replace(
        summarize(model_name(segmenter), results, clicks=clicks),
        remarks=(*whole.remarks, *(f"left out: {line}" for line in lines)),
    )


def _check(clicks: int, max_objects: int | None) -> None:
    if clicks < 1 or (max_objects is not None and max_objects < 1):
        raise ValueError("at least one click and one object are needed")


def evaluate_object(
    segmenter: Segmenter,
    embedding: Embedding,
    item: EvaluationObject,
    target: Mask,
    *,
    clicks: int,
    conditions: Conditions = STANDARD,
) -> ObjectResult:
    """One object: up to ``clicks`` simulated clicks, then the box.

    Args:
        target: the true mask, not empty, of the embedding's image.
    """
    truth = target.full()
    hand = _Hand(target, conditions.jitter, np.random.default_rng(item.id % 2**32))
    run = _click_through(segmenter, embedding, truth, hand, clicks=clicks)
    boxed = segmenter.decode(embedding, Prompts(box=hand.box()))
    box_mask = boxed.chosen.mask.full()
    return ObjectResult(
        annotation_id=item.id,
        image=item.image.file_name,
        area=target.area,
        points=[[p.x, p.y, int(p.is_positive)] for p in run.points],
        iou=run.iou,
        biou=run.biou,
        box_iou=iou(box_mask, truth),
        box_biou=boundary_iou(box_mask, truth),
        encode_ms=embedding.encode_ms,
        decode_ms=statistics.median([*run.decode_ms, boxed.decode_ms]),
        predicted_iou=run.predicted_iou,
        box_predicted_iou=boxed.chosen.predicted_iou,
    )


def summarize(model: str, results: Iterable[ObjectResult], *, clicks: int) -> EvaluationResult:
    """Means and medians over objects.

    Raises:
        ImportFormatError: there are none.
    """
    kept = tuple(results)
    if not kept:
        raise ImportFormatError("The set holds no object with pixels.", "Give a set with masks.")
    encode_ms = {result.image: result.encode_ms for result in kept}
    return EvaluationResult(
        model=model,
        objects=len(kept),
        miou={str(k + 1): _mean(r.iou[k] for r in kept) for k in range(clicks)},
        mbiou={str(k + 1): _mean(r.biou[k] for r in kept) for k in range(clicks)},
        box_miou=_mean(r.box_iou for r in kept),
        box_mbiou=_mean(r.box_biou for r in kept),
        noc={str(t): _mean(noc(r.iou, t / 100, cap=clicks) for r in kept) for t in _THRESHOLDS},
        encode_ms=statistics.median(encode_ms.values()),
        decode_ms=statistics.median(r.decode_ms for r in kept),
        per_object=kept,
    )


@dataclass(frozen=True, slots=True)
class _Hand:
    """Where the simulated person really clicks and drags."""

    target: Mask
    jitter: float
    rng: np.random.Generator

    def box(self) -> Box:
        x, y, w, h = self.target.bbox_xywh
        box = Box(x, y, x + w, y + h)
        if self.jitter == 0.0:
            return box
        width, height = self.target.width, self.target.height
        return jittered_box(box, share=self.jitter, rng=self.rng, width=width, height=height)

    def point(self, click: SimulatedClick, prediction: BoolArray, truth: BoolArray) -> PointPrompt:
        point = PointPrompt(click.x, click.y, click.is_positive)
        if self.jitter == 0.0:
            return point
        error = truth & ~prediction if click.is_positive else prediction & ~truth
        _, _, w, h = self.target.bbox_xywh
        return jittered_point(point, error, reach_px=self.jitter * max(w, h), rng=self.rng)


def _results(
    segmenter: Segmenter,
    chosen: Iterable[EvaluationObject],
    done: dict[int, ObjectResult],
    tally: Tally,
    *,
    clicks: int,
    conditions: Conditions,
) -> Iterator[tuple[ObjectResult, bool]]:
    """Each object's result and whether it is new; an image is read and encoded once, and only when it is needed."""
    as_shown = AsShown()
    for image, items in groupby(chosen, key=lambda item: item.image):
        embedding: Embedding | None = None
        unusable = ""
        for item in items:
            if item.id in done:
                yield done[item.id], False
                continue
            target = item.mask()
            if target.is_empty:
                continue
            if embedding is None and not unusable:
                try:
                    embedding = _encoded(segmenter, image, as_shown, conditions.degradation)
                except (ImageError, ImportFormatError) as error:
                    many = "cannot be read, or has another size than its header says"
                    unusable = tally.add(*_told(image, error), noun="image", kind="unreadable", many=many)
            if embedding is None:
                tally.add_lost(unusable)
                continue
            if conditions.degradation is not None:
                target = conditions.degradation.mask(target)
            yield evaluate_object(segmenter, embedding, item, target, clicks=clicks, conditions=conditions), True


def _told(image: EvaluationImage, error: UserError) -> tuple[str, str]:
    """A message on an image as a subject and what there is to say about it."""
    text = error.message.removesuffix(".")
    for name in (image.file_name, image.path.name):
        if text.startswith(f"{name} "):
            return image.file_name, text.removeprefix(f"{name} ")
    return f"{image.file_name}:", text


def _encoded(
    segmenter: Segmenter, image: EvaluationImage, as_shown: AsShown, degradation: Degradation | None = None
) -> Embedding:
    loaded = as_shown.load(image.path, frame=image.frame)
    if (loaded.width, loaded.height) != (image.width, image.height):
        raise ImportFormatError(
            f"{brief(image.file_name)} is {loaded.width} x {loaded.height} pixels, and {image.width} x "
            f"{image.height} by its header.",
        )
    if degradation is not None:
        return segmenter.encode(degradation.pixels(loaded.rgb), f"{loaded.image_key}|{degradation.name}")
    return segmenter.encode(loaded.rgb, loaded.image_key)


@dataclass(frozen=True, slots=True)
class _Clicks:
    """The clicks made, figures after each of the clicks asked for, and the decodes' milliseconds."""

    points: tuple[PointPrompt, ...]
    iou: list[float]
    biou: list[float]
    predicted_iou: list[float]
    decode_ms: list[float]


def _click_through(
    segmenter: Segmenter, embedding: Embedding, truth: BoolArray, hand: _Hand, *, clicks: int
) -> _Clicks:
    prompts, chosen = Prompts(), None
    prediction = np.zeros_like(truth)
    ious: list[float] = []
    bious: list[float] = []
    predicted: list[float] = []
    decode_ms: list[float] = []
    for _ in range(clicks):
        click = next_click(prediction, truth)
        if click is None:
            break
        extended = prompts.with_point(hand.point(click, prediction, truth))
        answer = _decode_next(segmenter, embedding, prompts, extended, chosen)
        prompts, chosen = extended, answer.chosen
        prediction = chosen.mask.full()
        ious.append(iou(prediction, truth))
        bious.append(boundary_iou(prediction, truth))
        predicted.append(chosen.predicted_iou)
        decode_ms.append(answer.decode_ms)
    carried = clicks - len(ious)
    ious, bious, predicted = (values + values[-1:] * carried for values in (ious, bious, predicted))
    return _Clicks(prompts.points, ious, bious, predicted, decode_ms)


def _decode_next(
    segmenter: Segmenter, embedding: Embedding, before: Prompts, now: Prompts, chosen: Candidate | None
) -> Candidates:
    return segmenter.decode(embedding, now, continue_from=chosen if now.extends(before) else None)


def _mean(values: Iterable[float]) -> float:
    return float(statistics.fmean(values))
