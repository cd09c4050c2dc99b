"""Objects of videos as a COCO file, whose import does the rest."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from annotator.domain.ports.jobs import Progress
from annotator.domain.project import ImageRecord
from annotator.domain.tally import Tally
from annotator.io.formats.coco.import_ import ImportReport, import_coco
from annotator.io.project.store import ProjectStore

_SCAN_BYTES = 1 << 20
_OVERLAP = 256


def take_in(
    store: ProjectStore,
    path: Path,
    lists: Mapping[str, Iterable[Any]],
    *,
    tally: Tally,
    notes: list[str],
    progress: Progress | None,
) -> ImportReport:
    """Import lists of COCO as one step with the file's name, and say what was lost on the way to them.

    Args:
        lists: read one entry at a time; ``tally`` and ``notes`` may grow meanwhile.

    Raises:
        as :func:`annotator.io.formats.coco.import_.import_coco`.
    """
    with tempfile.TemporaryDirectory(prefix="annotator-clips-") as folder:
        document = Path(folder) / path.name  # the name of the step to undo
        with document.open("w", encoding="utf-8") as out:
            for number, (key, rows) in enumerate(lists.items()):
                out.write(f'{"," if number else "{"}\n"{key}": [')
                for at, row in enumerate(rows):
                    out.write(("," if at else "") + json.dumps(row))
                out.write("]")
            out.write("}")
        report = import_coco(store, document, progress=progress)
    return replace(
        report,
        path=path,
        skipped=report.skipped + tally.objects,
        problems=(*tally.lines(), *report.problems),
        notes=(*notes, *report.notes),
    )


def image_row(image: ImageRecord, number: int, size_wh: tuple[Any, Any]) -> dict[str, Any]:
    """COCO's row of a frame; the size is what the file says."""
    return {"id": number, "file_name": image.name, "width": size_wh[0], "height": size_wh[1]}


def holds_text(path: Path, *texts: bytes) -> bool:
    """Whether all of these stand somewhere in a file; no for what cannot be read, which its reader says."""
    missing, tail = set(texts), b""
    try:
        with path.open("rb") as stream:
            while missing and (block := stream.read(_SCAN_BYTES)):
                missing = {text for text in missing if text not in tail + block}
                tail = block[-_OVERLAP:]
    except (OSError, ValueError):
        return False
    return not missing
