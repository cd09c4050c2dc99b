"""A run's curves as a picture: loss on the left, IoU in training and validation on the right."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from annotator.files.atomic import export_errors, write_atomic

PANEL_PX = (620, 420)
MARGIN_PX = (60, 44, 16, 44)  # left, top, right, bottom
INK, GRID = "#1c2733", "#e3e8ee"
COLOURS = ("#2f6fde", "#d9822b", "#218358", "#a4343a", "#6a4bbc", "#3d7a8c")


@dataclass(frozen=True, slots=True)
class Curve:
    """A named line through (minutes, value) points."""

    name: str
    points: tuple[tuple[float, float], ...]


def draw_curves(log: Path, validation_log: Path, out: Path) -> None:
    """Draw what the logs hold into a PNG; nothing is written while they hold less than two lines.

    Raises:
        ExportError: it cannot be written.
    """
    rows, validated = read_log(log), read_log(validation_log)
    if len(rows) < 2:
        return
    loss = [curve_of(rows, "loss", "training loss")]
    quality = [curve_of(rows, "iou_first", "training, first prompt"), curve_of(rows, "iou_last", "training, last")]
    quality += [curve_of(validated, name, f"validation, {name}") for name in ("mean", "box", "click_1", "click_3")]
    width, height = PANEL_PX
    picture = Image.new("RGB", (2 * width, height), "white")
    draw = ImageDraw.Draw(picture)
    _panel(draw, 0, "Loss", [c for c in loss if c.points])
    _panel(draw, width, "IoU", [c for c in quality if c.points])
    data = io.BytesIO()
    picture.save(data, format="PNG")
    with export_errors(out):
        write_atomic(out, data.getvalue())


def read_log(path: Path) -> list[dict[str, float]]:
    """The lines of a CSV log as numbers, without the cells that are empty; none when there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def curve_of(rows: Sequence[Mapping[str, float]], column: str, name: str) -> Curve:
    """A column over the minutes; empty when there is no such column."""
    return Curve(name, tuple((row["minutes"], row[column]) for row in rows if column in row))


def _panel(draw: ImageDraw.ImageDraw, left_px: int, title: str, curves: Sequence[Curve]) -> None:
    width, height = PANEL_PX
    left, top, right, bottom = MARGIN_PX
    x0, x1, y0, y1 = left_px + left, left_px + width - right, top, height - bottom
    font = ImageFont.load_default(13)
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for curve in curves for _, y in curve.points]
    most_x = max([*xs, 1e-6])
    low, high = min([*ys, 0.0]), max([*ys, 1e-6])
    draw.text((x0, 14), title, fill=INK, font=ImageFont.load_default(16))
    for tick in range(5):
        y = y1 - (y1 - y0) * tick / 4
        draw.line([(x0, y), (x1, y)], fill=GRID)
        draw.text((x0 - 8, y), f"{low + (high - low) * tick / 4:.2f}", fill=INK, font=font, anchor="rm")
        x = x0 + (x1 - x0) * tick / 4
        draw.text((x, y1 + 8), f"{most_x * tick / 4:.0f}", fill=INK, font=font, anchor="ma")
    draw.text((x1, y1 + 24), "minutes", fill=INK, font=font, anchor="ra")
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        line = [(x0 + (x1 - x0) * x / most_x, y1 - (y1 - y0) * (y - low) / (high - low)) for x, y in curve.points]
        if len(line) > 1:
            draw.line(line, fill=colour, width=2)
        else:
            draw.ellipse([line[0][0] - 2, line[0][1] - 2, line[0][0] + 2, line[0][1] + 2], fill=colour)
        y = (y1 - 16 * (len(curves) - number)) if title == "IoU" else y0 + 16 * number
        draw.line([(x1 - 190, y + 8), (x1 - 170, y + 8)], fill=colour, width=3)
        draw.text((x1 - 164, y), curve.name, fill=INK, font=font)
