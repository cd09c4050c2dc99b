"""Objects out of COCO text that somebody has copied, from this program or from another."""

from __future__ import annotations

import json
from typing import Any

from annotator.domain.copies import MOST_COPIED, Copied
from annotator.domain.errors import UserError
from annotator.domain.outline import OUTLINE_KEY, kept_outline
from annotator.io.formats.coco.parse import decode_segmentation, plain_json

MOST_CHARS = 64_000_000
_ADVICE = "Copy objects in Annotator, or COCO JSON with images, annotations and categories."


def copies_from_text(text: str) -> tuple[Copied, ...]:
    """The objects that can be read; attributes and a drawn outline with them.

    Raises:
        UserError: it is no COCO text, or nothing in it can be read.
    """
    try:
        data = json.loads(text) if len(text) <= MOST_CHARS else None
        rows = data["annotations"][:MOST_COPIED] if isinstance(data, dict) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        rows = None
    if not isinstance(rows, list) or not isinstance(data, dict):
        raise UserError("The clipboard holds no objects.", _ADVICE)
    names = {row.get("id"): str(row.get("name") or "") for row in _dicts(data.get("categories"))}
    sizes = {row.get("id"): row for row in _dicts(data.get("images"))}
    found = [copy for row in _dicts(rows) if (copy := _copied(row, names, sizes)) is not None]
    if not found:
        raise UserError("No object of the clipboard can be read.", _ADVICE)
    return tuple(found)


def _dicts(rows: Any) -> list[dict[str, Any]]:
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _copied(row: dict[str, Any], names: dict[Any, str], sizes: dict[Any, dict[str, Any]]) -> Copied | None:
    runs, image = row.get("segmentation"), sizes.get(row.get("image_id"), {})
    size = runs.get("size") if isinstance(runs, dict) else (image.get("height"), image.get("width"))
    try:
        height, width = (int(side) for side in size or () if isinstance(side, int))
        mask, _ = decode_segmentation(runs, width=width, height=height)
        attributes = plain_json(row.get("attributes") or {})
    except (ValueError, TypeError):
        return None
    if mask.is_empty:
        return None
    outline = kept_outline({OUTLINE_KEY: row.get("outline")}, mask) or ()
    name = names.get(row.get("category_id"), "")
    return Copied(mask, name, attributes if isinstance(attributes, dict) else {}, outline)
