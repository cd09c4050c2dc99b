"""Readers, importers and exporters by name: installed entry points, and our own from a checkout that is not installed.

Only the standard library is used. A plug-in is imported when it is wanted; one that cannot be imported is reported
with ``logging.warning`` and left out, so that a broken third-party package never stops the program.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata

_log = logging.getLogger(__name__)

BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "annotator.readers": {
        "dicom": "annotator.io.images.dicom:DicomReader",
        "raster": "annotator.io.images.raster:RasterReader",
    },
    "annotator.exporters": {
        "coco": "annotator.io.formats.coco.export:export_coco",
        "polygons": "annotator.io.formats.polygons:export_polygons",
    },
    "annotator.importers": {
        "coco": "annotator.io.formats.coco.import_:import_coco",
    },
}
"""The same table as in pyproject.toml (a test compares them)."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A named callable or class that was not imported yet. ``target`` is ``module:attribute``."""

    group: str
    name: str
    target: str

    def load(self) -> object:
        """Import it.

        Raises:
            whatever the plug-in's import raises; AttributeError when it lacks the name.
        """
        module_name, _, attribute = self.target.partition(":")
        found: object = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
        return found


def find(group: str) -> tuple[Plugin, ...]:
    """What is there in a group, by name, without importing anything. Our own names cannot be taken over."""
    own = BUILT_IN.get(group, {})
    found = {name: Plugin(group, name, target) for name, target in own.items()}
    for entry in sorted(metadata.entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        known = found.get(entry.name)
        if known is None:
            found[entry.name] = Plugin(group, entry.name, entry.value)
        elif known.target != entry.value:
            _log.warning("plug-in %s of %s is ignored: the name belongs to %s", entry.value, group, known.target)
    return tuple(found[name] for name in sorted(found))


def load(group: str, name: str) -> object:
    """One plug-in by name.

    Raises:
        KeyError: there is none of that name; or what its import raises.
    """
    for plugin in find(group):
        if plugin.name == name:
            return plugin.load()
    raise KeyError(f"no plug-in {name!r} in {group}")


def load_all(group: str) -> dict[str, object]:
    """Every plug-in of a group that can be imported; the others are reported and left out."""
    loaded: dict[str, object] = {}
    for plugin in find(group):
        try:
            loaded[plugin.name] = plugin.load()
        except Exception as error:  # a foreign package may raise anything while it is imported
            _log.warning("plug-in %s of %s cannot be loaded: %s", plugin.target, group, error)
    return loaded
