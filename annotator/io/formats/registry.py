"""The formats that there are: our own rows, and those of installed packages. Nothing of a format is imported for it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import cast

from annotator import plugins
from annotator.domain.errors import ExportError
from annotator.domain.ports.formats import Choice, Export, FormatOption, FormatSpec, Holds, Import
from annotator.files.children import installed_path
from annotator.io.formats.clip_rows import CLIPS
from annotator.io.formats.medical.rows import MEDICAL
from annotator.io.formats.options import TOLERANCE_PX

_log = logging.getLogger(__name__)

GROUP = "annotator.formats"

_SEGMENTATION = FormatOption(
    name="segmentation",
    title="Objects as",
    default="auto",
    help="how objects are written",
    choices=(
        Choice(
            "auto",
            "Polygons, run lengths where an object has holes",
            help="polygons, and run lengths for objects with holes and for crowds; for pycocotools, torchvision, "
            'FiftyOne, and detectron2 with INPUT.MASK_FORMAT "bitmask"',
        ),
        Choice("rle", "Run lengths (exact)", help="run lengths, exact to the pixel; the same readers"),
        Choice(
            "polygon",
            "Polygons",
            help="polygons only: holes are filled, and such objects named; for detectron2's default and mmdetection "
            "with poly2mask=False",
        ),
    ),
)

OWN: tuple[FormatSpec, ...] = (
    FormatSpec(
        id="coco",
        title="COCO",
        summary="one JSON file",
        is_folder=False,
        suffix=".json",
        holds=frozenset((Holds.MASKS, Holds.HOLES, Holds.POLYGONS, Holds.BOXES)),
        options=(_SEGMENTATION,),
        export="annotator.io.formats.coco.export:export_coco",
        import_="annotator.io.formats.coco.import_:import_coco",
        import_name=".json",
        readers="pycocotools, torchvision, FiftyOne, detectron2, mmdetection",
    ),
    FormatSpec(
        id="polygons",
        title="Polygons",
        summary="one JSON file per image",
        is_folder=True,
        suffix="",
        holds=frozenset((Holds.MASKS, Holds.HOLES, Holds.POLYGONS)),
        export="annotator.io.formats.polygons:export_polygons",
        readers="what reads GeoJSON (positions are image pixels)",
    ),
    FormatSpec(
        id="yolo",
        title="YOLO segmentation",
        summary="data.yaml and a text file per image",
        is_folder=True,
        suffix="",
        holds=frozenset((Holds.HOLES, Holds.POLYGONS)),
        options=(
            FormatOption(
                name="images",
                title="Image files",
                default="none",
                help="whether image files go along, into images/",
                choices=(
                    Choice("none", "Stay where they are", help="labels only: put the images into images/ yourself"),
                    Choice("copy", "Copied into images/", help="copies, so that ultralytics can train at once"),
                ),
            ),
            TOLERANCE_PX,
        ),
        export="annotator.io.formats.yolo:export_yolo",
        import_="annotator.io.formats.yolo:import_yolo",
        import_name="data.yaml",
        readers="ultralytics (segmentation models)",
    ),
    *CLIPS,
    FormatSpec(
        id="measurements",
        title="Measurements",
        summary="one CSV file",
        is_folder=False,
        suffix=".csv",
        holds=frozenset((Holds.BOXES,)),
        options=(
            FormatOption(
                name="lines",
                title="A line is",
                default="object",
                help="what one line is about",
                choices=(
                    Choice("object", "An object of an image", help="areas, longest diameter, centre and box"),
                    Choice("track", "An object through its slices", help="volume, largest area, longest diameter"),
                ),
            ),
        ),
        export="annotator.io.formats.measurements:export_measurements",
        readers="spreadsheets, pandas, R",
    ),
    *MEDICAL,
)
"""In the order in which they are offered."""


def formats() -> tuple[FormatSpec, ...]:
    """All formats, our own first. Plug-ins that cannot be used are reported with ``logging.warning`` and left out.

    The first call reads the files of installed packages and imports the modules of their rows.
    """
    return _formats(tuple(installed_path()))


def export_formats() -> tuple[FormatSpec, ...]:
    return tuple(spec for spec in formats() if spec.export)


def import_formats() -> tuple[FormatSpec, ...]:
    return tuple(spec for spec in formats() if spec.import_)


def import_format_of(path: Path) -> FormatSpec:
    """The format that knows the file by its content, or has files of this name, else COCO, whose reader says what is
    wrong (of a folder, DAVIS'). Files are looked into, so this is nothing for the GUI thread."""
    rows = import_formats()
    for spec in rows:
        if spec.claims and (spec.fits_import(path) or path.is_dir()) and _claim(spec)(path):
            return spec
    if path.is_dir():
        return next((spec for spec in rows if spec.is_folder and spec.claims), rows[0])
    return next((spec for spec in rows if spec.fits_import(path)), rows[0])


def exporter(spec: FormatSpec) -> Export:
    """Raises: ExportError: the plug-in cannot be loaded."""
    return cast(Export, _loaded(spec, spec.export))


def importer(spec: FormatSpec) -> Import:
    """Raises: ExportError: the plug-in cannot be loaded."""
    return cast(Import, _loaded(spec, spec.import_))


def _claim(spec: FormatSpec) -> Callable[[Path], bool]:
    return cast(Callable[[Path], bool], _loaded(spec, spec.claims))


def _loaded(spec: FormatSpec, target: str) -> object:
    try:
        return plugins.load_target(target)
    except Exception as error:
        if spec in OWN:
            raise
        _log.warning("%s of the format %s cannot be loaded", target, spec.id, exc_info=True)
        message = f"The format {spec.title} cannot be loaded ({error})."
        raise ExportError(message, "Install its package again.") from error


@lru_cache(maxsize=4)
def _formats(_path: tuple[str, ...]) -> tuple[FormatSpec, ...]:
    own = {spec.id for spec in OWN}
    added = []
    for plugin in plugins.find(GROUP):
        if plugin.name in own:
            _log.warning("the format %s of %s is ignored: the name is ours", plugin.target, plugin.distribution)
            continue
        try:
            spec = plugin.load()
        except Exception as error:  # a foreign package may raise anything while it is imported
            _log.warning("the format %s of %s cannot be loaded: %r", plugin.name, plugin.distribution, error)
            continue
        if isinstance(spec, FormatSpec) and spec.id == plugin.name and (spec.export or spec.import_):
            added.append(spec)
        else:
            _log.warning("%s of %s is not a row of the format %s", plugin.target, plugin.distribution, plugin.name)
    return (*OWN, *sorted(added, key=lambda spec: spec.title.lower()))
