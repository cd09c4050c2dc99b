"""The picture of the package's rooms, drawn from its folders and imports.

After a change of either: ``python -m tests.architecture_picture`` draws ``docs/images/architecture.svg`` anew.
"""

from __future__ import annotations

import ast
import math
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from tests.sources import Source, sources

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "annotator"
PICTURE = ROOT / "docs" / "images" / "architecture.svg"

WIDTH, BOX_WIDTH, GAP, MARGIN, LINE = 1000, 280, 60, 24, 19
LETTERS = 34
"""Of a line of sub-rooms."""
HEAD = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} %d" font-family="Inter, Helvetica, Arial, sans-serif">
<title>The rooms of the package; an arrow leads from a room to one that it imports</title>
<rect width="100%%" height="100%%" fill="#ffffff"/>
<marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">
<path d="M0 0 L8 4 L0 8 z" fill="#6b7280"/></marker>
"""  # noqa: E501


def folders(place: Path) -> list[str]:
    """Packages directly below one, by name."""
    return sorted(path.parent.name for path in place.glob("*/__init__.py"))


def imported(source: Source) -> Iterator[str]:
    """Rooms that a module imports, also inside its functions."""
    for node in source.nodes:
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name.split(".")[1] for name in names if name.startswith("annotator."))


def imports() -> dict[str, set[str]]:
    """By room, the other rooms that it imports."""
    rooms = folders(PACKAGE)
    found: dict[str, set[str]] = {room: set() for room in rooms}
    for source in sources():
        room = source.place.partition("/")[0]
        if room in found:
            found[room].update(imported(source))
    return {room: names & {*rooms} - {room} for room, names in found.items()}


def reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """All rooms below one, directly or not."""
    return set().union(*({room} | reachable(graph, room) for room in graph[start]))


def reduced(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Without what follows from the rest: an import that also leads over another room."""
    return {
        room: {below for below in direct if not any(below in reachable(graph, other) for other in direct - {below})}
        for room, direct in graph.items()
    }


def levels(graph: Mapping[str, set[str]]) -> dict[str, int]:
    """0 for a room that imports none, else one more than the highest that it imports."""
    found: dict[str, int] = {}

    def level(room: str) -> int:
        if room not in found:
            found[room] = 1 + max(map(level, graph[room]), default=-1)
        return found[room]

    for room in graph:
        level(room)
    return found


@dataclass(frozen=True, slots=True)
class Box:
    """A room: its place by the middle of its upper edge, in pixels, and the lines below its name."""

    x: float
    y: float
    lines: tuple[str, ...]

    @property
    def height(self) -> int:
        return 40 + LINE * len(self.lines)

    def svg(self, name: str) -> str:
        left = self.x - BOX_WIDTH / 2
        parts = [
            f'<rect x="{left:.0f}" y="{self.y:.0f}" width="{BOX_WIDTH}" height="{self.height}" rx="6" fill="#eef2ff" '
            'stroke="#4f46e5"/>',
            f'<text x="{left + 14:.0f}" y="{self.y + 26:.0f}" font-size="17" font-weight="600" fill="#111827">'
            f"{escape(name)}</text>",
        ]
        for row, line in enumerate(self.lines):
            parts.append(
                f'<text x="{left + 14:.0f}" y="{self.y + 48 + LINE * row:.0f}" font-size="14" fill="#374151">'
                f"{escape(line)}</text>"
            )
        return f'<g id="{name}">\n' + "\n".join(parts) + "\n</g>\n"


def placed(graph: Mapping[str, set[str]]) -> tuple[dict[str, Box], float]:
    """The boxes, and the picture's height. A room stands over the middle of those that it imports."""
    level_of = levels(graph)
    lines = {room: tuple(textwrap.wrap(", ".join(folders(PACKAGE / room)), LETTERS)) for room in graph}
    middle: dict[str, float] = {}
    rows = [sorted(room for room in graph if level_of[room] == level) for level in range(max(level_of.values()) + 1)]
    for row in rows:
        below = {room: [middle[other] for other in graph[room]] for room in row}
        row.sort(key=lambda room: (math.fsum(below[room]) / max(len(below[room]), 1), room))
        for place, room in enumerate(row):
            evenly = WIDTH * (2 * place + 1) / (2 * len(row))
            middle[room] = math.fsum(below[room]) / len(below[room]) if len(row) == 1 and below[room] else evenly
    boxes: dict[str, Box] = {}
    y = float(MARGIN)
    for row in reversed(rows):
        boxes |= {room: Box(middle[room], y, lines[room]) for room in row}
        y += max(boxes[room].height for room in row) + GAP
    return boxes, y - GAP + MARGIN


def drawn() -> str:
    """The picture as SVG; the same for the same package, byte by byte."""
    graph = reduced(imports())
    boxes, height = placed(graph)
    arrows = []
    for room, others in sorted(graph.items()):
        for other in sorted(others):
            start, end = boxes[room], boxes[other]
            arrows.append(
                f'<line x1="{start.x:.0f}" y1="{start.y + start.height:.0f}" x2="{end.x:.0f}" y2="{end.y:.0f}" '
                f'stroke="#6b7280" marker-end="url(#tip)" class="{room}-{other}"/>\n'
            )
    return HEAD % height + "".join(arrows) + "".join(boxes[room].svg(room) for room in sorted(boxes)) + "</svg>\n"


if __name__ == "__main__":
    PICTURE.write_text(drawn(), "utf-8")
