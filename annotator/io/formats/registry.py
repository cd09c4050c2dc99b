"""The formats that there are, by name; nothing is imported before it is used."""

from __future__ import annotations

EXPORTERS = {
    "coco": "annotator.io.formats.coco.export:export_coco",
    "polygons": "annotator.io.formats.polygons:export_polygons",
}
IMPORTERS = {"coco": "annotator.io.formats.coco.import_:import_coco"}
