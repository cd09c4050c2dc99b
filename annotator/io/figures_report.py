"""The figures of a project as a table, as JSON and as a picture: the same for the command and the window."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ExportError
from annotator.domain.figures import BANDS, FINDERS, ProjectFigures, ProposalFigures, size_edges
from annotator.files.atomic import export_errors, write_atomic

SUFFIXES = (".csv", ".json", ".png")
_COLUMNS = (
    *("kind", "name", "objects", "images", "area_min", "area_q1", "area_median", "area_q3", "area_max"),
    *("accepted", "corrected", "rejected", "waiting", "covered", "precision"),
)
_MOST_CLASSES = 30
"""In the picture; the others are one bar."""
_PAPER, _INK, _DIM, _GRID = "#ffffff", "#1a1e23", "#4d565f", "#e3e6ea"
_BAR = "#0a5cb8"
_TAKEN, _REFUSED = "#0d6236", "#a81f1f"
_WIDTH_PX, _MARGIN_PX, _LINE_PX, _LABEL_PX = 1000, 32, 26, 210
_FONT_PX, _TITLE_PX = 16, 20


def check_suffix(out: Path) -> None:
    """Raises:
    ExportError: figures of that kind are not written.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise ExportError(f"{brief(out)} has an unknown kind.", "Name a .csv, a .json or a .png file.")


def write_figures(out: Path, figures: ProjectFigures, title: str, *, fonts: Path | None = None) -> None:
    """Write them; the file is replaced as a whole.

    Args:
        title: of the picture: the project's name.
        fonts: a folder with ``Inter-Regular.otf`` and ``Inter-SemiBold.otf``; None: what Pillow has.

    Raises:
        ExportError: the kind is unknown, or the file cannot be written.
    """
    check_suffix(out)
    suffix = out.suffix.lower()
    if suffix == ".png":
        data = _png(picture(figures, title, fonts=fonts))
    else:
        data = (_csv(figures) if suffix == ".csv" else _json(figures, title)).encode()
    with export_errors(out):
        write_atomic(out, data)


def lines_of(figures: ProjectFigures) -> list[str]:
    """For a terminal."""
    statuses = ", ".join(f"{count:,} {status.value}" for status, count in figures.images.items() if count)
    found = [f"{counted(sum(figures.images.values()), 'image')}: {statuses or 'none'}"]
    found.append(f"{counted(figures.objects)} in {counted(figures.images_with_objects, 'image')}")
    for one in sorted(figures.classes, key=lambda own: -own.objects):
        area = f", median {one.area_px[2]:,.0f} px²" if one.objects else ""
        found.append(f"  {one.name}: {one.objects:,} in {counted(one.images, 'image')}{area}")
    for proposals in figures.proposals:
        found.append(f"{title_of(proposals)}: {judged_text(proposals)}")
    return found


def title_of(proposals: ProposalFigures) -> str:
    """Who made these proposals, for people."""
    return FINDERS.get(proposals.source, proposals.source)


def judged_text(proposals: ProposalFigures) -> str:
    """What became of proposals, in a line."""
    text = f"{proposals.accepted:,} accepted ({proposals.corrected:,} corrected), {proposals.rejected:,} rejected"
    if proposals.precision is not None:
        low, high = proposals.interval
        text += f", precision {proposals.precision:.0%} ({low:.0%} to {high:.0%})"
    return f"{text}, {proposals.waiting:,} waiting"


def picture(figures: ProjectFigures, title: str, *, fonts: Path | None = None) -> Image.Image:
    """Bars for classes and sizes, and what a person thought of proposals: RGB, 1000 px wide."""
    ranked = sorted((one for one in figures.classes if one.objects), key=lambda own: -own.objects)
    bars = [(one.name, one.objects, one.colour) for one in ranked[:_MOST_CLASSES]]
    if len(ranked) > _MOST_CLASSES:
        rest = sum(one.objects for one in ranked[_MOST_CLASSES:])
        bars.append((f"{len(ranked) - _MOST_CLASSES} more classes", rest, _DIM))
    page = _Page(fonts)
    page.title(title)
    images = counted(sum(figures.images.values()), "image")
    page.text(f"{counted(figures.objects)} in {figures.images_with_objects:,} of {images}")
    page.heading("Images")
    page.bars([(status.value, count, _BAR) for status, count in figures.images.items() if count])
    page.heading("Objects per class")
    page.bars(bars)
    page.heading("Median area per class, px²")
    page.bars([(one.name, round(one.area_px[2]), one.colour) for one in ranked[:_MOST_CLASSES]])
    page.heading("Sizes")
    edges = size_edges()
    sums = [sum(one.sizes[at] for one in figures.classes) for at in range(len(edges) - 1)]
    used = [at for at, count in enumerate(sums) if count]
    shown = range(used[0], used[-1] + 1) if used else ()
    page.bars([(f"{edges[at]:,.0f} to {edges[at + 1]:,.0f} px²", sums[at], _BAR) for at in shown])
    page.heading("How they were made")
    page.bars([(origin, count, _BAR) for origin, count in figures.origins.items()])
    for proposals in figures.proposals:
        page.heading(f"Proposals of “{title_of(proposals)}”")
        page.text(judged_text(proposals))
        page.pairs(
            [
                (f"score {at / BANDS:.1f} to {(at + 1) / BANDS:.1f}", *pair)
                for at, pair in enumerate(proposals.bands)
                if sum(pair)
            ]
        )
    return page.finished()


class _Page:
    """Grows downwards; what is drawn is kept until its height is known."""

    def __init__(self, fonts: Path | None) -> None:
        self._plain = _font(fonts, "Inter-Regular.otf", _FONT_PX)
        self._bold = _font(fonts, "Inter-SemiBold.otf", _FONT_PX)
        self._large = _font(fonts, "Inter-SemiBold.otf", _TITLE_PX)
        self._y = _MARGIN_PX
        self._texts: list[tuple[float, float, str, Any, str, str]] = []
        self._boxes: list[tuple[tuple[float, float, float, float], str]] = []

    def title(self, text: str) -> None:
        self._texts.append((_MARGIN_PX, self._y + _LINE_PX / 2, text, self._large, _INK, "lm"))
        self._y += _LINE_PX + 6

    def heading(self, text: str) -> None:
        self._y += 18
        self._texts.append((_MARGIN_PX, self._y + _LINE_PX / 2, text, self._bold, _INK, "lm"))
        self._y += _LINE_PX + 4

    def text(self, text: str) -> None:
        self._texts.append((_MARGIN_PX, self._y + _LINE_PX / 2, text, self._plain, _DIM, "lm"))
        self._y += _LINE_PX

    def bars(self, rows: Sequence[tuple[str, int, str]]) -> None:
        """A bar with its name and its count a line."""
        if not rows:
            self.text("none")
        most = max((count for _, count, _ in rows), default=1) or 1
        for name, count, colour in rows:
            self._row(name, f"{count:,}", [(count / most, colour)])

    def pairs(self, rows: Sequence[tuple[str, int, int]]) -> None:
        """Taken and refused beside each other."""
        most = max((taken + refused for _, taken, refused in rows), default=1) or 1
        for name, taken, refused in rows:
            shares = [(taken / most, _TAKEN), (refused / most, _REFUSED)]
            self._row(name, f"{taken:,} of {taken + refused:,}", shares)

    def _row(self, name: str, count: str, shares: Sequence[tuple[float, str]]) -> None:
        middle, x = self._y + _LINE_PX / 2, float(_MARGIN_PX + _LABEL_PX)
        room = _WIDTH_PX - 2 * _MARGIN_PX - _LABEL_PX - 120
        self._texts.append((x - 10, middle, _cut(name, self._plain, _LABEL_PX - 10), self._plain, _INK, "rm"))
        self._boxes.append(((x, middle - 8, x + room, middle + 8), _GRID))
        for share, colour in shares:
            if share > 0:
                end = x + max(1.0, room * share)
                self._boxes.append(((x, middle - 8, end, middle + 8), colour))
                x = end
        self._texts.append((_WIDTH_PX - _MARGIN_PX, middle, count, self._plain, _INK, "rm"))
        self._y += _LINE_PX

    def finished(self) -> Image.Image:
        image = Image.new("RGB", (_WIDTH_PX, int(self._y) + _MARGIN_PX), _PAPER)
        draw = ImageDraw.Draw(image)
        for box, colour in self._boxes:
            draw.rectangle(box, fill=colour)
        for x, y, text, font, colour, anchor in self._texts:
            draw.text((x, y), text, font=font, fill=colour, anchor=anchor)
        return image


def _font(folder: Path | None, name: str, size_px: int) -> Any:
    if folder is not None and (folder / name).is_file():
        return ImageFont.truetype(str(folder / name), size_px)
    return ImageFont.load_default(size_px)


def _cut(text: str, font: Any, room_px: float) -> str:
    if font.getlength(text) <= room_px:
        return text
    while text and font.getlength(f"{text}…") > room_px:
        text = text[:-1]
    return f"{text}…"


def _png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def _json(figures: ProjectFigures, title: str) -> str:
    data = asdict(figures)
    for own, proposals in zip(data["proposals"], figures.proposals, strict=True):
        own |= {"precision": proposals.precision, "precision_95": list(proposals.interval)}
    return json.dumps({"project": title, "size_edges_px": size_edges(), **data}, indent=1)


def _csv(figures: ProjectFigures) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, _COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for status, count in figures.images.items():
        writer.writerow({"kind": "images", "name": status.value, "images": count})
    for one in figures.classes:
        names = ("area_min", "area_q1", "area_median", "area_q3", "area_max")
        areas = dict(zip(names, (f"{value:g}" for value in one.area_px), strict=True)) if one.objects else {}
        writer.writerow({"kind": "class", "name": one.name, "objects": one.objects, "images": one.images, **areas})
    for origin, count in figures.origins.items():
        writer.writerow({"kind": "origin", "name": origin, "objects": count})
    for own in figures.proposals:
        counts = {name: getattr(own, name) for name in ("accepted", "corrected", "rejected", "waiting", "covered")}
        precision = "" if own.precision is None else f"{own.precision:.4f}"
        writer.writerow({"kind": "proposals", "name": own.source, **counts, "precision": precision})
    return stream.getvalue()
