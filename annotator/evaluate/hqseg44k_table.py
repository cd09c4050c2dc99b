"""The papers' table: what was measured here, and the published rows under it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from annotator.evaluate.hqseg44k import SETS, HqResult

AVERAGE = "average"
NOT_FOUND = "not found"
NOT_MEASURED = "-"


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """A published result, box prompt: (mIoU, mBIoU) in percent by set and for the average.

    Attributes:
        source: where the figures were read. A set that is missing in ``figures`` could not be looked up.
    """

    model: str
    source: str
    figures: Mapping[str, tuple[float, float]]


_PA_SAM_PROJECT = 'table "PA-SAM vs HQ-SAM" of the PA-SAM project (github.com/xzz2/pa-sam), arXiv 2401.13051'

PUBLISHED = (
    PublishedRow(
        "SAM ViT-L",
        "arXiv 2306.01567, as other texts quote it",
        {"DIS": (62.0, 52.8), "ThinObject": (73.6, 61.8), AVERAGE: (79.5, 71.1)},
    ),
    PublishedRow(
        "HQ-SAM ViT-L",
        _PA_SAM_PROJECT,
        {
            "DIS": (78.6, 70.4),
            "COIFT": (94.8, 90.1),
            "HRSOD": (93.6, 86.9),
            "ThinObject": (89.5, 79.9),
            AVERAGE: (89.1, 81.8),
        },
    ),
    PublishedRow(
        "PA-SAM ViT-L",
        _PA_SAM_PROJECT,
        {
            "DIS": (81.5, 73.9),
            "COIFT": (95.8, 92.1),
            "HRSOD": (94.6, 88.0),
            "ThinObject": (92.7, 84.0),
            AVERAGE: (91.2, 84.5),
        },
    ),
)


def table(result: HqResult) -> str:
    """Rows of text, mIoU / mBIoU in percent: this model, with its adapter, the published ones; their sources."""
    names = [one.name for one in SETS]
    there = result.sets
    counts = [str(there[name].images) if name in there else "0" for name in names]
    rows = [
        ["mIoU / mBIoU, %", *names, AVERAGE],
        ["images", *counts, str(result.mean.images)],
        [result.model, *_measured(result, "")],
    ]
    if result.adapter is not None:
        rows.append([f"{result.model} + {result.adapter}", *_measured(result, "adapter_")])
    for row in PUBLISHED:
        cells = [_pair(row.figures[name]) if name in row.figures else NOT_FOUND for name in (*names, AVERAGE)]
        rows.append([f"{row.model} (published)", *cells])
    notes = [f"{row.model}: {row.source}" for row in PUBLISHED]
    if not result.is_complete:
        notes.insert(0, f"No average: {len(there)} of the {len(SETS)} sets are here.")
    return "\n".join([*_aligned(rows), "", "Box prompt, original resolution.", *notes])


def _measured(result: HqResult, prefix: str) -> list[str]:
    cells = []
    for name in (*(one.name for one in SETS), AVERAGE):
        figures = result.sets.get(name)
        if name == AVERAGE and result.is_complete:
            figures = result.mean
        both = (getattr(figures, f"{prefix}miou", None), getattr(figures, f"{prefix}mbiou", None))
        cells.append(NOT_MEASURED if None in both else _pair((100 * both[0], 100 * both[1])))  # type: ignore[operator]
    return cells


def _pair(figures: tuple[float, float]) -> str:
    return f"{figures[0]:.1f} / {figures[1]:.1f}"


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]
