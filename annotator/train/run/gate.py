"""The gate: base and candidate (an adapter, or another model) side by side on images that nothing was fitted to.

Both answer the same clicks-to-IoU protocol on the same embedding, one after the other. Intervals are over images,
because objects of one image resemble each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import torch

from annotator.domain.adapter import DECIDING
from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ImportFormatError
from annotator.domain.mask import Mask
from annotator.domain.metrics import noc
from annotator.domain.ports.engine import Embedding, Segmenter
from annotator.domain.statistics import Interval, bootstrap_mean
from annotator.engine.sam2.adapted_decoder import Adapter
from annotator.evaluate.objects import EvaluationImage, EvaluationObject, EvaluationSet
from annotator.evaluate.progress import adapter_digest, append, appending, read_state, run_key
from annotator.evaluate.run import ObjectResult, evaluate_object
from annotator.io.images.reading import load_image

SHOWN_CLICKS = (1, 3, 5)
_VERSION = 1
"""Of the protocol; results that another one has kept are not taken up."""

Measure = Callable[[ObjectResult], float]


class AdaptableSegmenter(Segmenter, Protocol):
    """An engine that adapters can be put into."""

    @property
    def adapter(self) -> Adapter | None: ...
    def set_adapter(self, adapter: Adapter | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of the two that are judged: an engine, and the adapter that it answers with (None for plain).

    Two that share their engine share the embeddings, too.

    Attributes:
        weights: names the engine's weights where its file does not (the same weights, written again, make another
            file).
    """

    segmenter: AdaptableSegmenter
    adapter: Adapter | None = None
    weights: str = ""

    @property
    def key_parts(self) -> tuple[object, ...]:
        """Everything that decides its answers."""
        info = self.segmenter.info
        weights = self.weights or info.sha256
        adapter = "" if self.adapter is None else adapter_digest(self.adapter)
        return (type(self.segmenter).__name__, weights, info.device, info.dtype, info.image_size, adapter)


@dataclass(frozen=True, slots=True)
class GateRow:
    """One measure with its 95 % intervals.

    Attributes:
        adapter: of the candidate: the adapter, or what took part in its place.
        difference: candidate minus base, image by image.
    """

    measure: str
    base: Interval
    adapter: Interval
    difference: Interval


@dataclass(frozen=True, slots=True)
class GateResult:
    """What the gate saw; ``candidate`` is what was compared with the base."""

    objects: int
    images: int
    clicks: int
    rows: tuple[GateRow, ...]
    per_object: tuple[tuple[ObjectResult, ObjectResult], ...]
    candidate: str = "adapter"

    def row(self, measure: str) -> GateRow:
        return next(row for row in self.rows if row.measure == measure)

    @property
    def is_better(self) -> bool:
        """Whether the candidate beats its base on boundary IoU."""
        return self.row(DECIDING).difference.mean > 0

    @property
    def has_intervals(self) -> bool:
        """Whether there are several images: the bootstrap is over images, and one says nothing about others."""
        return self.images > 1

    @property
    def is_certain(self) -> bool:
        """Whether the interval of that difference leaves out zero."""
        difference = self.row(DECIDING).difference
        return self.has_intervals and (difference.low > 0 or difference.high < 0)

    def figures(self) -> dict[str, Any]:
        """For the card: [base, candidate] by measure, and how many objects and images."""
        means = {row.measure: [round(row.base.mean, 4), round(row.adapter.mean, 4)] for row in self.rows}
        return {"objects": self.objects, "images": self.images, **means}

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        data["rows"] = list(data["rows"])
        data["per_object"] = [list(pair) for pair in data["per_object"]]
        return data

    def markdown(self, title: str) -> str:
        """A table with a line per measure and a sentence under it."""
        head = f"| {title} | base | {self.candidate} | difference |\n|---|---|---|---|\n"
        if self.has_intervals:
            lines = [f"| {r.measure} | {r.base} | {r.adapter} | {r.difference.signed} |" for r in self.rows]
            tail = f"{counted(self.objects)} in {self.images} images; means over images with 95 % intervals"
        else:
            lines = [
                f"| {r.measure} | {r.base.mean:.3f} | {r.adapter.mean:.3f} | {r.difference.mean:+.3f} |"
                for r in self.rows
            ]
            tail = f"{counted(self.objects)} in one image, which is too little for intervals"
        return head + "\n".join(lines) + f"\n\n{tail}; NoC: clicks needed, at most {self.clicks}, fewer are better."


def judge(
    base: Contestant,
    candidate: Contestant,
    objects: Sequence[EvaluationObject],
    *,
    name: str = "adapter",
    clicks: int = 10,
    max_objects: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    state_path: Path | None = None,
) -> GateResult:
    """Evaluate base and candidate on the same objects; the engines' adapters are what they were afterwards.

    Args:
        name: of the candidate, for the table.
        clicks: most clicks per object, at least 5, and the cap of the number-of-clicks figures.
        max_objects: a fixed subset, spread over the images.
        progress: called with (objects done, all).
        state_path: finished objects are kept here, so that the same two, on the same objects, go on after a kill.
            Several sets may share the file.

    Raises:
        UserError: an image or a mask cannot be read, the state cannot be written, or there are no objects.
    """
    chosen = EvaluationSet(tuple(objects), "").subset(max_objects, seed=seed)
    key = run_key(_VERSION, base.key_parts, candidate.key_parts, clicks)
    known = dict(read_state(state_path, key, _kept_pair))
    pairs: list[tuple[str, ObjectResult, ObjectResult]] = []
    done = 0
    with _adapters_kept(base, candidate), appending(state_path) as state:
        # By id, too: several sets may have one image, and each states its size.
        by_path = sorted(chosen, key=lambda item: (str(item.image.path), item.image.id))
        for image, items in groupby(by_path, key=lambda item: item.image):
            embeddings: list[Embedding] | None = None
            for item in items:
                done += 1
                target = item.mask()
                if not target.is_empty:
                    found = known.get(_object_key(item))
                    if found is None:
                        embeddings = embeddings or _embeddings(image, (base, candidate))
                        found = _both_answer((base, candidate), embeddings, item, target, clicks)
                        if state is not None:
                            kept = {"object": _object_key(item), "pair": [asdict(result) for result in found]}
                            append(state, key, kept)
                    pairs.append((str(image.path), *found))
                if progress is not None:
                    progress(done, len(chosen))
    if not pairs:
        raise ImportFormatError("There are no objects to judge on.", "Label more images.")
    return summarize(pairs, clicks=clicks, candidate=name)


def _both_answer(
    contestants: tuple[Contestant, Contestant],
    embeddings: Sequence[Embedding],
    item: EvaluationObject,
    target: Mask,
    clicks: int,
) -> tuple[ObjectResult, ObjectResult]:
    found = []
    for one, embedding in zip(contestants, embeddings, strict=True):
        one.segmenter.set_adapter(one.adapter)
        with torch.inference_mode():
            found.append(evaluate_object(one.segmenter, embedding, item, target, clicks=clicks))
    return found[0], found[1]


def _object_key(item: EvaluationObject) -> str:
    """Names an object of whatever set, and what its image's file and its mask are."""
    try:
        file = item.image.path.stat()
    except OSError as error:
        raise ImportFormatError(
            f"{brief(item.image.path)} cannot be read ({error.strerror}).", "Check the set."
        ) from error
    return run_key(str(item.image.path), file.st_size, file.st_mtime_ns, item.id, item.segmentation)


def _kept_pair(entry: Mapping[str, Any]) -> tuple[str, tuple[ObjectResult, ObjectResult]]:
    base, candidate = (ObjectResult(**result) for result in entry["pair"])
    return str(entry["object"]), (base, candidate)


@contextmanager
def _adapters_kept(*contestants: Contestant) -> Iterator[None]:
    before = [(one.segmenter, one.segmenter.adapter) for one in contestants]
    try:
        yield
    finally:
        for segmenter, adapter in before:
            segmenter.set_adapter(adapter)


def _embeddings(image: EvaluationImage, contestants: Sequence[Contestant]) -> list[Embedding]:
    """The image's embedding for each; an engine that two share encodes once."""
    loaded = load_image(image.path, frame=image.frame)
    if (loaded.width, loaded.height) != (image.width, image.height):
        raise ImportFormatError(f"{brief(image.file_name)} is not of the size that its masks are for.")
    engines = {id(one.segmenter): one.segmenter for one in contestants}
    found = {name: engine.encode(loaded.rgb, loaded.image_key) for name, engine in engines.items()}
    return [found[id(one.segmenter)] for one in contestants]


def summarize(
    pairs: Sequence[tuple[str, ObjectResult, ObjectResult]], *, clicks: int, candidate: str = "adapter"
) -> GateResult:
    """Rows of (image, base's result, candidate's result)."""
    images = sorted({name for name, _, _ in pairs})
    rows = []
    for measure, value in measures(clicks).items():
        by_image: dict[str, list[tuple[float, float]]] = {name: [] for name in images}
        for name, base, adapted in pairs:
            by_image[name].append((value(base), value(adapted)))
        base_means = [_mean([b for b, _ in found]) for found in by_image.values()]
        adapted_means = [_mean([a for _, a in found]) for found in by_image.values()]
        differences = [a - b for a, b in zip(adapted_means, base_means, strict=True)]
        intervals = (bootstrap_mean([values]) for values in (base_means, adapted_means, differences))
        rows.append(GateRow(measure, *intervals))
    results = tuple((base, adapted) for _, base, adapted in pairs)
    return GateResult(len(pairs), len(images), clicks, tuple(rows), results, candidate)


def measures(clicks: int) -> Mapping[str, Measure]:
    """IoU and boundary IoU from the box and after clicks, their mean, and the numbers of clicks."""
    shown = [k for k in SHOWN_CLICKS if k <= clicks]

    def after(count: int, name: str) -> Measure:
        return lambda o: float(getattr(o, name)[count - 1])

    def all_borders(item: ObjectResult) -> float:
        return _mean([item.box_biou, *(item.biou[k - 1] for k in shown)])

    found: dict[str, Measure] = {"IoU, box": lambda o: o.box_iou, "bIoU, box": lambda o: o.box_biou}
    for count in shown:
        plural = "s" if count > 1 else ""
        found[f"IoU, {count} click{plural}"] = after(count, "iou")
        found[f"bIoU, {count} click{plural}"] = after(count, "biou")
    found[DECIDING] = all_borders
    for percent in (85, 90):
        found[f"NoC@{percent}"] = lambda o, t=percent: float(noc(o.iou, t / 100, cap=clicks))  # type: ignore[misc]
    return found


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
