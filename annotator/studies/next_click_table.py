"""The figures of a study of proposed clicks: means over images with 95 % intervals, differences image by image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from annotator.domain.metrics import noc
from annotator.domain.statistics import Interval, bootstrap_mean
from annotator.studies.click_policies import FALLING_BACK
from annotator.studies.next_click_study import SHOWN_CLICKS, TARGETS, ObjectStudy, PolicyRun

COMPARISONS = (
    ("proposals", "centre"),
    ("proposals, blind", "centre"),
    ("random", "centre"),
    ("random, looked at", "centre"),
    ("random, wrong there", "centre"),
    ("proposals", "random"),
    ("proposals", "random, looked at"),
    ("proposals", "random, wrong there"),
    ("proposals, alone", "random, looked at, alone"),
    ("proposals, blind", "random"),
)
ALONE = ", alone"
"""Of a policy that falls back: what it reaches when the annotator accepts the mask instead of helping herself. The
standard protocol's clicks are the best there are, so who finds nothing often looks good on them."""

Measure = Callable[[PolicyRun], float]


@dataclass(frozen=True, slots=True)
class PolicyFigures:
    """One annotator.

    Attributes:
        measures: by name, means over images.
        looks: mean number of places looked at per object until the highest target (or the last click).
        hits: share of those looks that found the mask wrong; None where nobody looks.
        fallbacks: share of the clicks until then, the first left out, that were the standard protocol's.
    """

    measures: Mapping[str, Interval]
    looks: float
    hits: float | None
    fallbacks: float


@dataclass(frozen=True, slots=True)
class StudyFigures:
    """A set's, or several sets' (each counting the same).

    ``differences``: by (policy, other policy) and measure, the first minus the second.
    """

    objects: int
    images: int
    clicks: int
    policies: Mapping[str, PolicyFigures]
    differences: Mapping[tuple[str, str], Mapping[str, Interval]]

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        data["differences"] = [
            {"policy": first, "minus": second, "measures": {name: asdict(value) for name, value in found.items()}}
            for (first, second), found in self.differences.items()
        ]
        return data

    def markdown(self, title: str) -> str:
        """A table of the annotators, and one of their differences."""
        names = list(next(iter(self.policies.values())).measures)
        head = [title, *names, "looks", "hits", "fall-backs"]
        lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for policy, found in self.policies.items():
            hits = "" if found.hits is None else f"{found.hits:.0%}"
            cells = [*(_number(name, found.measures[name].mean) for name in names), f"{found.looks:.1f}", hits]
            lines.append("| " + " | ".join([policy, *cells, f"{found.fallbacks:.0%}"]) + " |")
        lines += ["", "| difference | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        for (first, second), differences in self.differences.items():
            cells = [_signed(name, differences[name]) for name in names]
            lines.append(f"| {first} - {second} | " + " | ".join(cells) + " |")
        return "\n".join([*lines, "", f"{self.objects} objects in {self.images} images, at most {self.clicks} clicks."])


def measures(clicks: int) -> dict[str, Measure]:
    """Clicks to the targets (failures count as ``clicks``), IoU after some clicks, shares that reach the targets."""
    found: dict[str, Measure] = {}
    for target in TARGETS:
        found[f"NoC@{target}"] = lambda run, t=target: float(noc(run.iou, t / 100, cap=clicks))  # type: ignore[misc]
    for count in (k for k in SHOWN_CLICKS if k <= clicks):
        found[f"IoU, {count}"] = lambda run, k=count: run.iou[min(k, len(run.iou)) - 1]  # type: ignore[misc]
    for target in TARGETS:
        found[f"reach {target}"] = lambda run, t=target: float(max(run.iou) >= t / 100)  # type: ignore[misc]
    return found


def figures(sets: Sequence[Sequence[ObjectStudy]], *, clicks: int) -> StudyFigures:
    """Of one set or several; images of one set are distinguished by their names.

    Args:
        sets: none empty.
        clicks: the cap.
    """
    sets = [[_with_alone(item) for item in results] for results in sets]
    by_image = [_by_image(results) for results in sets]
    names = list(next(iter(sets))[0].runs)

    def mean_of(value: Callable[[ObjectStudy], float]) -> Interval:
        return bootstrap_mean([[_mean([value(item) for item in items]) for items in found] for found in by_image])

    def interval(measure: Measure, policy: str, other: str | None = None) -> Interval:
        if other is None:
            return mean_of(lambda item: measure(item.runs[policy]))
        return mean_of(lambda item: measure(item.runs[policy]) - measure(item.runs[other]))

    found = measures(clicks)
    everything = [item for results in sets for item in results]
    return StudyFigures(
        objects=len(everything),
        images=sum(map(len, by_image)),
        clicks=clicks,
        policies={
            name: PolicyFigures(
                {measure: interval(value, name) for measure, value in found.items()},
                *_efforts([item.runs[name] for item in everything], clicks),
            )
            for name in names
        },
        differences={
            (first, second): {measure: interval(value, first, second) for measure, value in found.items()}
            for first, second in COMPARISONS
            if first in names and second in names
        },
    )


# --- inside -----------------------------------------------------------------------------------------------------------


def _by_image(results: Sequence[ObjectStudy]) -> list[list[ObjectStudy]]:
    found: dict[str, list[ObjectStudy]] = {}
    for item in results:
        found.setdefault(item.image, []).append(item)
    return list(found.values())


def _with_alone(item: ObjectStudy) -> ObjectStudy:
    runs: dict[str, PolicyRun] = {}
    for name, run in item.runs.items():
        runs[name] = run
        if name in FALLING_BACK:
            runs[name + ALONE] = _alone(run)
    return replace(item, runs=runs)


def _alone(run: PolicyRun) -> PolicyRun:
    """The run until its first fall-back; the looks that found nothing count."""
    if True not in run.fallbacks:
        return run
    end = run.fallbacks.index(True)
    looks = [*run.looks[: end - 1], run.looks[end - 1] + run.looks[end]]
    return PolicyRun(run.points[:end], run.iou[:end], looks, run.fallbacks[:end])


def _efforts(runs: Sequence[PolicyRun], clicks: int) -> tuple[float, float | None, float]:
    """Looks per object, share of looks that hit, share of fall-backs; up to the click that reaches the last target."""
    looks = hits = fallbacks = moves = 0
    for run in runs:
        end = noc(run.iou, max(TARGETS) / 100, cap=clicks)
        seen = list(zip(run.looks[:end], run.fallbacks[:end], strict=True))
        moves += len(seen) - 1
        looks += sum(count for count, _ in seen)
        hits += sum(count > 0 and not is_fallback for count, is_fallback in seen[1:])
        fallbacks += sum(is_fallback for _, is_fallback in seen)
    return looks / len(runs), hits / looks if looks else None, fallbacks / moves if moves else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _number(measure: str, value: float) -> str:
    if measure.startswith("reach"):
        return f"{value:.0%}"
    return f"{value:.2f}" if measure.startswith("NoC") else f"{value:.3f}"


def _signed(measure: str, interval: Interval) -> str:
    values = (interval.mean, interval.low, interval.high)
    if measure.startswith("reach"):
        mean, low, high = (f"{100 * value:+.0f}" for value in values)
    else:
        mean, low, high = (f"{value:+.2f}" if measure.startswith("NoC") else f"{value:+.3f}" for value in values)
    return f"{mean} [{low}, {high}]"
