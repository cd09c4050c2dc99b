"""Actions of other packages as rows. What cannot be used is reported and left out; our own ids are not taken over."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache

from annotator import plugins
from annotator.domain.ports.actions import ActionSpec, Needs
from annotator.files.children import installed_path
from annotator.ui.shell import window_state as when
from annotator.ui.shell.action_rows import ACTIONS, ActionRow
from annotator.ui.shell.window_state import WindowState

GROUP = "annotator.actions"
RUN = "added.run"
"""What serves them all, as a path from the program's root."""
_ENABLED: Mapping[Needs, Callable[[WindowState], bool]] = {
    Needs.NOTHING: when.always,
    Needs.PROJECT: when.in_project,
    Needs.IMAGE: when.on_image,
    Needs.SELECTION: when.has_selected,
}
_log = logging.getLogger(__name__)


def added_rows() -> tuple[ActionRow, ...]:
    """By title. The first call reads the files of installed packages and imports the modules of their rows."""
    return _rows(tuple(installed_path()))


@lru_cache(maxsize=4)
def _rows(_path: tuple[str, ...]) -> tuple[ActionRow, ...]:
    own = {row.id for row in ACTIONS}
    specs = []
    for plugin in plugins.find(GROUP):
        if plugin.name in own:
            _log.warning("the action %s of %s is ignored: the name is ours", plugin.target, plugin.distribution)
            continue
        try:
            spec = plugin.load()
        except Exception as error:  # a foreign package may raise anything while it is imported
            _log.warning("the action %s of %s cannot be loaded: %r", plugin.name, plugin.distribution, error)
            continue
        if not isinstance(spec, ActionSpec) or spec.id != plugin.name:
            _log.warning("%s of %s is no row of the action %s", plugin.target, plugin.distribution, plugin.name)
        elif problem := spec.problem():
            _log.warning("the action %s of %s is left out: %s", plugin.name, plugin.distribution, problem)
        else:
            specs.append(spec)
    return tuple(_row_of(spec) for spec in sorted(specs, key=lambda spec: spec.title.lower()))


def _row_of(spec: ActionSpec) -> ActionRow:
    return ActionRow(
        spec.id,
        spec.title,
        spec.menu,
        spec.tip,
        run=RUN,
        args=(spec,),
        keys=spec.keys,
        enabled=_ENABLED[Needs(spec.needs)],
    )
