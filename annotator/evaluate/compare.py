"""Two evaluations side by side, object by object, or one alone: tables in Markdown with 95 % intervals.

Means are over objects. Intervals are over images, because objects of one image resemble each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.errors import ImportFormatError
from annotator.domain.metrics import noc
from annotator.domain.statistics import Interval, bootstrap_clustered, spearman

SHOWN_CLICKS = (1, 3, 5, 10, 20)
LEAST_SHARED = 0.5
"""Share of the smaller evaluation's objects that the other one must have, too."""

Measure = Callable[[Mapping[str, Any]], float]
Pair = tuple[Mapping[str, Any], Mapping[str, Any]]
Images = Sequence[Sequence[Pair]]
"""The pairs of a set by image."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What ``annotator evaluate --json`` wrote: objects by set name and annotation id."""

    model: str
    sets: Mapping[str, Mapping[int, Mapping[str, Any]]]

    @property
    def clicks(self) -> int:
        """The least number of clicks that every object has."""
        return min(len(item["iou"]) for items in self.sets.values() for item in items.values())


@dataclass(frozen=True, slots=True)
class Row:
    """One measure of one set (or of all, each counting the same).

    ``difference`` is ours minus the other's over the objects that both have; None when there is no other. ``images``
    counts them by set.
    """

    set_name: str
    measure: str
    objects: int
    images: tuple[int, ...]
    ours: Interval
    other: float | None
    difference: Interval | None

    @property
    def has_intervals(self) -> bool:
        """Whether a set has several images: one image says nothing about others."""
        return max(self.images) > 1

    @property
    def is_beaten(self) -> bool:
        """Whether the other is better on the average."""
        return self.difference is not None and self.difference.mean < 0


def read_evaluation(path: Path) -> Evaluation:
    """Read the JSON of one set or of several.

    Raises:
        ImportFormatError: it cannot be read, or is not such a file.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        sets = data.get("sets", {"all": data})
        items = {
            str(name): {int(item["annotation_id"]): _checked(item) for item in figures["per_object"]}
            for name, figures in sets.items()
        }
        if not items or not all(items.values()):
            raise ValueError("it holds no objects")
        return Evaluation(str(data["model"]), items)
    except OSError as error:
        raise ImportFormatError(f"{brief(path)} cannot be read ({error.strerror}).", "Check the name.") from error
    except KeyError as error:
        raise _no_result(path, f"it has no {error.args[0]}") from error
    except (UnicodeDecodeError, TypeError, AttributeError, RecursionError) as error:
        raise _no_result(path, "it is of another form") from error
    except ValueError as error:
        raise _no_result(path, str(error)) from error


def _no_result(path: Path, why: str) -> ImportFormatError:
    return ImportFormatError(
        f"{brief(path)} is not the result of an evaluation: {why}.", "Make one: annotator evaluate --json."
    )


def _checked(item: Mapping[str, Any]) -> Mapping[str, Any]:
    numbers = [float(item[key]) for key in ("box_iou", "box_biou")] + [float(v) for v in (*item["iou"], *item["biou"])]
    if not item["iou"] or len(item["iou"]) != len(item["biou"]) or not all(0 <= v <= 1 for v in numbers):
        raise ValueError("an object's figures are not in 0..1")
    return item


def measures(clicks: int) -> dict[str, Measure]:
    """The measures that ``clicks`` clicks allow, by name; all but the number of clicks are better when higher."""
    found: dict[str, Measure] = {"box": lambda o: float(o["box_iou"]), "box bIoU": lambda o: float(o["box_biou"])}
    for count in (k for k in SHOWN_CLICKS if k <= clicks):
        found[f"{count} click{'s' if count > 1 else ''}"] = lambda o, k=count: float(o["iou"][k - 1])  # type: ignore[misc]
    return found


def compare(ours: Evaluation, other: Evaluation | None = None) -> list[Row]:
    """Every measure of every set, and of all sets together (named "mean").

    Raises:
        ImportFormatError: the two share no objects, or few, in some set.
    """
    clicks = min(ours.clicks, other.clicks) if other else ours.clicks
    by_set = {name: _by_image(_pairs(name, items, other)) for name, items in ours.sets.items()}
    rows = []
    for name, measure in measures(clicks).items():
        rows += [_row(set_name, name, [images], measure, other) for set_name, images in by_set.items()]
        rows.append(_row("mean", name, list(by_set.values()), measure, other))
    return rows


def _row(set_name: str, name: str, sets: Sequence[Images], measure: Measure, other: Evaluation | None) -> Row:
    def of(value: Callable[[Pair], float]) -> Interval:
        return bootstrap_clustered([[[value(pair) for pair in pairs] for pairs in images] for images in sets])

    return Row(
        set_name,
        name,
        sum(len(pairs) for images in sets for pairs in images),
        tuple(map(len, sets)),
        of(lambda pair: measure(pair[0])),
        of(lambda pair: measure(pair[1])).mean if other else None,
        of(lambda pair: measure(pair[0]) - measure(pair[1])) if other else None,
    )


def mean_noc(evaluation: Evaluation, iou: float) -> Interval:
    """Clicks needed to reach an IoU, failures counted at the cap, mean over sets."""
    cap = evaluation.clicks
    by_set = [_by_image(_pairs(name, items, None)) for name, items in evaluation.sets.items()]
    return bootstrap_clustered(
        [[[float(noc(list(o["iou"])[:cap], iou, cap=cap)) for o, _ in pairs] for pairs in images] for images in by_set]
    )


def calibration(evaluation: Evaluation) -> dict[str, float]:
    """Spearman's correlation of predicted with true IoU over all objects, by prompt; none for engines that predict
    nothing or the same for all."""
    items = [item for objects in evaluation.sets.values() for item in objects.values() if "predicted_iou" in item]
    if len(items) < 2:
        return {}
    series = {"box": ([o["box_predicted_iou"] for o in items], [o["box_iou"] for o in items])}
    for count in (k for k in SHOWN_CLICKS if k <= evaluation.clicks):
        name = f"{count} click{'s' if count > 1 else ''}"
        series[name] = ([o["predicted_iou"][count - 1] for o in items], [o["iou"][count - 1] for o in items])
    return {name: spearman(predicted, true) for name, (predicted, true) in series.items() if len(set(predicted)) > 1}


def markdown(rows: Sequence[Row], *, ours: str, other: str | None) -> str:
    """A table of sets by measures: "ours", or "ours / other" with the better one bold; the means with intervals, and a
    sentence that says what they are over."""
    names = list(dict.fromkeys(row.measure for row in rows))
    sets = list(dict.fromkeys(row.set_name for row in rows))
    by_key = {(row.set_name, row.measure): row for row in rows}
    title = f"{ours} / {other}" if other else ours
    lines = [f"| {title} | objects | " + " | ".join(names) + " |", "|---|---" + "|---" * len(names) + "|"]
    for set_name in sets:
        found = [by_key[set_name, name] for name in names]
        lines.append(f"| {set_name} | {found[0].objects} | " + " | ".join(map(_cell, found)) + " |")
    means = [by_key["mean", name] for name in names]
    has_intervals = means[0].has_intervals
    if has_intervals:
        ranges = [f"{row.ours.low:.3f} to {row.ours.high:.3f}" for row in means]
        lines.append("| 95 % interval | | " + " | ".join(ranges) + " |")
    if other:
        differences = [row.difference for row in means if row.difference is not None]
        cells = [f"{d.mean:+.3f}" + (f" ({d.low:+.3f} to {d.high:+.3f})" if has_intervals else "") for d in differences]
        lines.append("| difference | | " + " | ".join(cells) + " |")
    return "\n".join(lines) + f"\n\n{_footer(means[0])}"


def _footer(row: Row) -> str:
    if not row.has_intervals:
        return "Means over objects; no intervals, because one image says nothing about others."
    alone = row.images.count(1)
    narrow = f", of which {alone} with one image add no width" if alone else ""
    return f"Means over objects; 95 % intervals: bootstrap over images within sets{narrow}."


def _cell(row: Row) -> str:
    if row.other is None:
        return f"{row.ours.mean:.3f}"
    first, second = f"{row.ours.mean:.3f}", f"{row.other:.3f}"
    return f"{first} / **{second}**" if row.is_beaten else f"**{first}** / {second}"


def _pairs(set_name: str, items: Mapping[int, Mapping[str, Any]], other: Evaluation | None) -> list[Pair]:
    """The same objects: of one annotation id, image and area."""
    if other is None:
        return [(item, item) for item in items.values()]
    theirs = other.sets.get(set_name, {})
    pairs = [(item, theirs[key]) for key, item in items.items() if key in theirs and _is_same(item, theirs[key])]
    least = min(len(items), len(theirs))
    if not pairs or len(pairs) < LEAST_SHARED * least:
        what = f"share {len(pairs)} of {least} objects of" if pairs else "share no objects of"
        raise ImportFormatError(
            f"The two evaluations {what} {brief(set_name)} (by id, image and area).",
            "Evaluate both on one set, with the same --max-objects and --seed.",
        )
    return pairs


def _is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(name) == other.get(name) for name in ("image", "area"))


def _by_image(pairs: Sequence[Pair]) -> Images:
    """Objects that do not name their image count as an image each."""
    found: dict[object, list[Pair]] = {}
    for pair in pairs:
        found.setdefault(pair[0].get("image", pair[0]["annotation_id"]), []).append(pair)
    return list(found.values())
