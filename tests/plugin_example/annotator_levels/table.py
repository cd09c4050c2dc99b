"""All objects as a CSV file: image, class, box and area in pixels."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotator.files.atomic import export_errors, write_atomic

COLUMNS = ("image", "class", "x", "y", "width", "height", "area_px")


@dataclass(frozen=True, slots=True)
class TableReport:
    """What is shown afterwards."""

    objects: int
    images: int

    def lines(self) -> list[str]:
        return [f"{self.objects} objects of {self.images} images."]


def write(
    store: Any,
    out_path: Path,
    *,
    include_unfinished: bool,
    all_images: bool,
    progress: Any,
    has_head: bool,
) -> TableReport:
    """The export: the whole file, or the old one untouched.

    Raises:
        ExportError: it cannot be written.
    """
    names = {category.id: category.name for category in store.categories()}
    images = [image for image in store.images() if include_unfinished or image.status.value in ("done", "empty")]
    text = io.StringIO(newline="")
    table = csv.writer(text)
    if has_head:
        table.writerow(COLUMNS)
    count = 0
    for number, image in enumerate(images, 1):
        for a in store.annotations(image.id):
            table.writerow((image.path, names[a.category_id], a.x, a.y, a.w, a.h, a.area))
            count += 1
        if progress is not None:
            progress(number, len(images))  # raises when the person stops it
    with export_errors(out_path):
        write_atomic(out_path, text.getvalue().encode("utf-8"))
    return TableReport(count, len(images))
