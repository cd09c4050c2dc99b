"""How much an adapter gains with more images to learn from: a table and a picture from the cards of several trainings.

    python -m annotator.studies.mask_curve curve.png adapters/nuclei-5.md adapters/nuclei-20.md ...

The cards are those that ``train-adapter --max-images N --out FILE`` writes beside its files. Cards of one domain make
one curve; where a card has tables of several sets, the last one counts.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from annotator.domain.brevity import brief
from annotator.domain.errors import UserError
from annotator.domain.statistics import Interval
from annotator.files.atomic import atomic_file
from annotator.train.run.curves import COLOURS, GRID, INK, MARGIN_PX, PANEL_PX

SHOWN = ("bIoU, all", "bIoU, box")
NUMBER = r"([+-]?\d+\.\d+)"


@dataclass(frozen=True, slots=True)
class Gain:
    """Base, adapter, and their difference."""

    base: float
    adapter: float
    difference: Interval


@dataclass(frozen=True, slots=True)
class Training:
    """One card: what the adapter had to learn from, and its gains by measure."""

    domain: str
    images: int
    masks: int
    gains: dict[str, Gain]


def read_card(path: Path) -> Training:
    """What a card says.

    Raises:
        UserError: the file cannot be read, or is no adapter's card with a gate's table.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{brief(path)} cannot be read: {error}.", "Give the cards of adapters (.md).") from error
    domain = re.search(r"^- For: (.+)$", text, re.MULTILINE)
    amount = r"(\d+) objects? in (\d+) images?"
    counts = re.search(rf"trained on {amount}(?:, stopped by {amount})?", text)
    gains = {}
    for row in re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.MULTILINE):
        base, adapter = re.match(NUMBER, row[1]), re.match(NUMBER, row[2])
        difference = re.match(rf"{NUMBER} \[{NUMBER}, {NUMBER}\]", row[3])
        if base and adapter and difference:
            interval = Interval(*map(float, difference.groups()))
            gains[row[0]] = Gain(float(base[1]), float(adapter[1]), interval)
    if not domain or not counts or not all(measure in gains for measure in SHOWN):
        raise UserError(
            f"{brief(path)} is not an adapter's card with its gate's table.", "Give the cards of adapters (.md)."
        )
    masks, images, stop_masks, stop_images = (int(value or 0) for value in counts.groups())
    return Training(domain[1].strip(), images + stop_images, masks + stop_masks, gains)


def by_domain(trainings: Sequence[Training]) -> dict[str, list[Training]]:
    """Sorted by domain and number of images."""
    ordered = sorted(trainings, key=lambda t: (t.domain, t.images, t.masks))
    return {domain: list(group) for domain, group in groupby(ordered, key=lambda t: t.domain)}


def table(trainings: Sequence[Training]) -> str:
    """A markdown table, a line for each training."""
    lines = [
        "| domain | images | masks | bIoU from the box | difference | bIoU, box and 1, 3, 5 clicks | difference |",
        "|---|---|---|---|---|---|---|",
    ]
    for domain, group in by_domain(trainings).items():
        first = group[0].gains
        base = [f"{first[measure].base:.3f}" for measure in reversed(SHOWN)]
        lines.append(f"| {domain} | none | | {base[0]} | | {base[1]} | |")
        for training in group:
            whole, box = (training.gains[measure] for measure in SHOWN)
            seen = " | ".join(f"{gain.adapter:.3f} | {gain.difference.signed}" for gain in (box, whole))
            lines.append(f"| | {training.images} | {training.masks} | {seen} |")
    return "\n".join(lines)


def draw(trainings: Sequence[Training], out: Path) -> None:
    """Draw a panel for each domain: the differences over the number of images, with their intervals."""
    groups = by_domain(trainings)
    width, height = PANEL_PX
    picture = Image.new("RGB", (width * len(groups), height), "white")
    pen = ImageDraw.Draw(picture)
    shown = [training.gains[measure].difference for training in trainings for measure in SHOWN]
    low, high = min(0.0, *(interval.low for interval in shown)), max(interval.high for interval in shown)
    high += 0.15 * (high - low)  # the names of the lines stand there
    for number, (domain, group) in enumerate(groups.items()):
        _panel(pen, number * width, domain, group, low, high)
    with atomic_file(out) as (stream, _):
        picture.save(stream, format="PNG")


def _panel(
    pen: ImageDraw.ImageDraw, left_px: int, title: str, group: Sequence[Training], low: float, high: float
) -> None:
    width, height = PANEL_PX
    left, top, right, bottom = MARGIN_PX
    x0, x1, y0, y1 = left_px + left, left_px + width - right, top, height - bottom
    font = ImageFont.load_default(13)
    pen.text((x0, 14), f"{title}: boundary IoU, difference to the base", fill=INK, font=ImageFont.load_default(16))
    span = max(high - low, 1e-6)

    def y_of(value: float) -> float:
        return y1 - (y1 - y0) * (value - low) / span

    step = next(s for s in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0) if span / s <= 8 or s == 1.0)
    for tick in range(math.ceil(low / step), math.floor(high / step) + 1):
        y = y_of(tick * step)
        pen.line([(x0, y), (x1, y)], fill=INK if tick == 0 else GRID)
        pen.text((x0 - 8, y), f"{tick * step:+.3g}" if tick else "0", fill=INK, font=font, anchor="rm")
    least, most = math.log(group[0].images), math.log(max(group[-1].images, group[0].images + 1))

    def x_of(images: int) -> float:
        return x0 + 24 + (x1 - x0 - 48) * (math.log(images) - least) / (most - least)

    for training in group:
        pen.text((x_of(training.images), y1 + 8), str(training.images), fill=INK, font=font, anchor="ma")
    pen.text((x1, y1 + 24), "images", fill=INK, font=font, anchor="ra")
    names = {"bIoU, all": "box and 1, 3, 5 clicks", "bIoU, box": "box"}
    for number, measure in enumerate(SHOWN):
        colour, aside = COLOURS[number], (number - 0.5) * 8
        points = [(x_of(training.images) + aside, training.gains[measure].difference) for training in group]
        line = [(x, y_of(interval.mean)) for x, interval in points]
        if len(line) > 1:
            pen.line(line, fill=colour, width=2)
        for x, interval in points:
            pen.line([(x, y_of(interval.low)), (x, y_of(interval.high))], fill=colour)
            pen.ellipse([x - 3, y_of(interval.mean) - 3, x + 3, y_of(interval.mean) + 3], fill=colour)
        y = y0 + 16 * number
        pen.line([(x1 - 190, y + 8), (x1 - 170, y + 8)], fill=colour, width=3)
        pen.text((x1 - 164, y), names[measure], fill=INK, font=font)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table and write the picture."""
    parser = argparse.ArgumentParser(description="an adapter's gain against the number of images it learnt from")
    parser.add_argument("out", type=Path, help="picture to write (.png)")
    parser.add_argument("cards", nargs="+", type=Path, help="cards that train-adapter wrote")
    args = parser.parse_args(argv)
    try:
        trainings = [read_card(path) for path in args.cards]
        draw(trainings, args.out)
    except (UserError, OSError) as error:
        print(f"mask_curve: {error}", file=sys.stderr)
        return 2
    print(table(trainings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
