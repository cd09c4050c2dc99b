"""The gate: base and adapter side by side on images that neither training nor early stopping has seen.

Both answer the same clicks-to-IoU protocol on the same embedding, one after the other. Intervals are over images,
because objects of one image resemble each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Protocol

import torch

from annotator.domain.errors import ImportFormatError
from annotator.domain.metrics import noc
from annotator.domain.ports import Segmenter
from annotator.domain.statistics import Interval, bootstrap_mean
from annotator.engine.adapted_decoder import Adapter
from annotator.io.readers import load_image
from annotator.train.evaluate import ObjectResult, evaluate_object
from annotator.train.evaluation_set import EvaluationObject, EvaluationSet

SHOWN_CLICKS = (1, 3, 5)
DECIDING = "bIoU, all"
"""What the gate asks: boundary IoU, mean of the box and of 1, 3 and 5 clicks."""

Measure = Callable[[ObjectResult], float]


class AdaptableSegmenter(Segmenter, Protocol):
    """An engine that adapters can be put into."""

    @property
    def adapter(self) -> Adapter | None: ...
    def set_adapter(self, adapter: Adapter | None) -> None: ...


@dataclass(frozen=True, slots=True)
class GateRow:
    """One measure with its 95 % intervals; ``difference`` is adapter minus base, image by image."""

    measure: str
    base: Interval
    adapter: Interval
    difference: Interval


@dataclass(frozen=True, slots=True)
class GateResult:
    """What the gate saw."""

    objects: int
    images: int
    clicks: int
    rows: tuple[GateRow, ...]
    per_object: tuple[tuple[ObjectResult, ObjectResult], ...]

    def row(self, measure: str) -> GateRow:
        return next(row for row in self.rows if row.measure == measure)

    @property
    def is_better(self) -> bool:
        """Whether the adapter beats its base on boundary IoU."""
        return self.row(DECIDING).difference.mean > 0

    @property
    def is_certain(self) -> bool:
        """Whether the interval of that difference leaves out zero."""
        difference = self.row(DECIDING).difference
        return difference.low > 0 or difference.high < 0

    def figures(self) -> dict[str, Any]:
        """For the adapter's card: [base, adapter] by measure, and how many objects and images."""
        means = {row.measure: [round(row.base.mean, 4), round(row.adapter.mean, 4)] for row in self.rows}
        return {"objects": self.objects, "images": self.images, **means}

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        data["rows"] = list(data["rows"])
        data["per_object"] = [list(pair) for pair in data["per_object"]]
        return data

    def markdown(self, title: str) -> str:
        """A table with a line per measure and a sentence under it."""
        head = f"| {title} | base | adapter | difference |\n|---|---|---|---|\n"
        lines = [f"| {r.measure} | {r.base} | {r.adapter} | {_signed(r.difference)} |" for r in self.rows]
        tail = f"{self.objects} objects in {self.images} images; means over images with 95 % intervals"
        return head + "\n".join(lines) + f"\n\n{tail}; NoC: clicks needed, at most {self.clicks}, fewer are better."


def judge(
    segmenter: AdaptableSegmenter,
    adapter: Adapter,
    objects: Sequence[EvaluationObject],
    *,
    clicks: int = 10,
    max_objects: int | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> GateResult:
    """Evaluate base and adapter on the same objects; the segmenter's adapter is what it was afterwards.

    Args:
        clicks: most clicks per object, at least 5, and the cap of the number-of-clicks figures.
        max_objects: a fixed subset, spread over the images.
        progress: told (objects done, all).

    Raises:
        UserError: an image or a mask cannot be read, or there are no objects.
    """
    chosen = EvaluationSet(tuple(objects), "").subset(max_objects, seed=seed)
    pairs: list[tuple[str, ObjectResult, ObjectResult]] = []
    before = segmenter.adapter
    done = 0
    try:
        by_path = sorted(chosen, key=lambda item: str(item.image.path))
        for image, items in groupby(by_path, key=lambda item: item.image):
            loaded = load_image(image.path)
            if (loaded.width, loaded.height) != (image.width, image.height):
                raise ImportFormatError(f"{image.file_name} is not of the size that its masks are for.")
            embedding = segmenter.encode(loaded.rgb, loaded.image_key)
            for item in items:
                done += 1
                target = item.mask()
                if not target.is_empty:
                    answers = []
                    for one in (None, adapter):
                        segmenter.set_adapter(one)
                        with torch.inference_mode():
                            answers.append(evaluate_object(segmenter, embedding, item, target, clicks=clicks))
                    pairs.append((str(image.path), answers[0], answers[1]))
                if progress is not None:
                    progress(done, len(chosen))
    finally:
        segmenter.set_adapter(before)
    if not pairs:
        raise ImportFormatError("There are no objects to judge the adapter on.", "Label more images.")
    return summarize(pairs, clicks=clicks)


def summarize(pairs: Sequence[tuple[str, ObjectResult, ObjectResult]], *, clicks: int) -> GateResult:
    """Rows of (image, base's result, adapter's result)."""
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
    return GateResult(len(pairs), len(images), clicks, tuple(rows), results)


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


def _signed(interval: Interval) -> str:
    return f"{interval.mean:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"
