"""What other installed packages add to the program, by entry points. Only the standard library is used.

A plug-in is imported when it is wanted; one that cannot be imported is reported with ``logging.warning`` and left out,
so that a broken third-party package never stops the program. Packages that lie in the current folder, among the
images, are no plug-ins: see :mod:`annotator.files.children`.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata

from annotator.files.children import installed_path

_log = logging.getLogger(__name__)

GROUPS: Mapping[str, str] = {
    "annotator.readers": "image reader",
    "annotator.formats": "format",
    "annotator.engines": "engine",
    "annotator.actions": "action",
}
"""The groups of entry points that there are, and what a plug-in of each is called."""
_OWN_NAME = "annotator"


@dataclass(frozen=True, slots=True)
class Plugin:
    """A named object that was not imported yet.

    Attributes:
        target: ``module:attribute``.
        distribution, version: the package that it comes with; empty for our own.
    """

    group: str
    name: str
    target: str
    distribution: str = ""
    version: str = ""

    def load(self) -> object:
        """Import it.

        Raises:
            whatever the plug-in's import raises; AttributeError when it lacks the name.
        """
        return load_target(self.target)


@dataclass(frozen=True, slots=True)
class Package:
    """An installed package with plug-ins; ``adds`` are words such as "format yolo"."""

    name: str
    version: str
    adds: tuple[str, ...]


def load_target(target: str) -> object:
    """The object that ``module:attribute`` names.

    Raises:
        whatever importing the module raises; AttributeError when it lacks the name.
    """
    module_name, _, attribute = target.partition(":")
    found: object = importlib.import_module(module_name)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def find(group: str, own: Mapping[str, str] | None = None) -> tuple[Plugin, ...]:
    """What is there in a group, by name, without importing anything.

    Args:
        own: targets of our own by name, which come along and whose names cannot be taken over.
    """
    found = {name: Plugin(group, name, target) for name, target in (own or {}).items()}
    for plugin in _installed(tuple(installed_path())):
        if plugin.group != group:
            continue
        if plugin.name in found:
            owner = found[plugin.name].target
            _log.warning("plug-in %s of %s is ignored: the name belongs to %s", plugin.target, group, owner)
        else:
            found[plugin.name] = plugin
    return tuple(found[name] for name in sorted(found))


def load_all(group: str, own: Mapping[str, str] | None = None) -> dict[str, object]:
    """Every plug-in of a group that can be imported; the others are reported and left out."""
    loaded: dict[str, object] = {}
    for plugin in find(group, own):
        try:
            loaded[plugin.name] = plugin.load()
        except Exception as error:  # a foreign package may raise anything while it is imported
            _log.warning("plug-in %s of %s cannot be loaded: %s", plugin.target, group, error)
    return loaded


def packages() -> tuple[Package, ...]:
    """The installed packages that add something, by name. Reads files the first time."""
    adds: dict[tuple[str, str], list[str]] = {}
    for plugin in _installed(tuple(installed_path())):
        adds.setdefault((plugin.distribution, plugin.version), []).append(f"{GROUPS[plugin.group]} {plugin.name}")
    return tuple(Package(name, version, tuple(words)) for (name, version), words in sorted(adds.items()))


def _named(distribution: metadata.Distribution) -> tuple[str, str]:
    """Name and version: from the head of the file, as reading all of it takes milliseconds for each of a hundred."""
    text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
    lines = text[: text.find("\n\n") + 1 or None].splitlines()
    fields = {key.lower(): value.strip() for key, sign, value in (line.partition(":") for line in lines) if sign}
    return fields.get("name", ""), fields.get("version", "")


@lru_cache(maxsize=4)
def _installed(path: tuple[str, ...]) -> tuple[Plugin, ...]:
    """The plug-ins of the distributions on a path, the first of each name, in the order of names."""
    found: dict[str, list[Plugin]] = {}
    for distribution in metadata.distributions(path=list(path)):
        try:
            name, version = _named(distribution)
            plugins = [
                Plugin(entry.group, entry.name, entry.value, name, version)
                for entry in distribution.entry_points
                if entry.group in GROUPS
            ]
        except Exception as error:  # the files of a foreign package may be damaged in any way
            _log.warning("the entry points of an installed package cannot be read: %r", error)
            continue
        if name != _OWN_NAME:
            found.setdefault(name.lower().replace("_", "-"), plugins)
    every = (plugin for plugins in found.values() for plugin in plugins)
    return tuple(sorted(every, key=lambda plugin: (plugin.group, plugin.name, plugin.target)))
