"""The families of models: how the files of each are recognised, and what loads them. Neither torch nor Qt is imported.

A new family is a row in :data:`FAMILIES` (or a package's entry point of the group ``annotator.engines`` that names a
:class:`FamilySpec`) and a module whose function makes a :class:`~annotator.domain.ports.engine.Segmenter`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from annotator import plugins
from annotator.domain.brevity import brief
from annotator.domain.errors import ModelError
from annotator.engine.family_rows import FAMILIES
from annotator.engine.specs import Ability, FamilySpec, ModelEntry, ModelPart, ModelSource

__all__ = ["FAMILIES", "Ability", "FamilySpec", "ModelEntry", "ModelPart", "ModelSource", "families", "family_of"]

_log = logging.getLogger(__name__)
_LOOKED_AT_BYTES = 8 << 20
"""Of a checkpoint, where the names of its tensors are looked for: they stand before the numbers."""
_CONFIG_BYTES = 1 << 20


def families() -> dict[str, FamilySpec]:
    """All families by kind: our own, and those of installed packages; our own kinds cannot be taken over."""
    found = {family.kind: family for family in FAMILIES}
    for name, family in plugins.load_all("annotator.engines").items():
        if not isinstance(family, FamilySpec):
            _log.warning("the engine %s is left out: it is not a FamilySpec", name)
        elif family.kind in found:
            _log.warning("the engine %s is left out: the kind %s is taken", name, family.kind)
        else:
            found[family.kind] = family
    return found


def family_of(source: ModelSource) -> FamilySpec:
    """The family of a model's row, or of what a file or folder holds.

    Raises:
        ModelError: there is none.
    """
    known = families()
    if source.entry is not None:
        family = known.get(source.entry.kind)
        if family is None:
            raise ModelError(
                f"{brief(source.entry.name)} needs an engine of kind {source.entry.kind}, which is not installed."
            )
        return family
    if source.path is not None and source.path.is_dir():
        return _family_of_folder(source.path, known.values())
    suffix = source.path.suffix.lower() if source.path is not None else ""
    takers = [family for family in known.values() if suffix in family.suffixes]
    if len(takers) > 1 and source.path is not None:
        names = _head_of(source.path)
        takers.sort(key=lambda family: not (family.mark and family.mark.encode() in names))
    if takers:
        return takers[0]
    name = source.path.name if source.path is not None else source.name
    kinds = ", ".join(dict.fromkeys(suffix for family in known.values() for suffix in family.suffixes))
    raise ModelError(f"{brief(name)} is not a weights file of a known kind.", f"Known: {kinds}.")


def model_type_of(folder: Path) -> str:
    """What a model hub's folder says that it holds; empty when it does not say.

    Raises:
        ModelError: it cannot be read.
    """
    path = folder / "config.json"
    try:
        with path.open("rb") as file:
            text = file.read(_CONFIG_BYTES + 1)
        config = json.loads(text) if len(text) <= _CONFIG_BYTES else None
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ModelError(f"{brief(path)} cannot be read: {error.strerror}.", "Check its permissions.") from error
    except (ValueError, RecursionError):
        config = None
    found = config.get("model_type") if isinstance(config, dict) else None
    return found if isinstance(found, str) else ""


def _family_of_folder(folder: Path, known: Iterable[FamilySpec]) -> FamilySpec:
    model_type = model_type_of(folder)
    for family in known:
        if model_type in family.model_types and family.loader:
            return family
    types = sorted({name for family in known if family.loader for name in family.model_types})
    advice = f"A folder needs a config.json; known model types: {', '.join(types) or 'none'}."
    if not model_type:
        raise ModelError(f"{brief(folder)} holds no model that is known here.", advice)
    raise ModelError(
        f"{brief(folder.name)} holds a model of the type {model_type[:60]}, which is not known here.", advice
    )


def _head_of(path: Path) -> bytes:
    """The bytes that the names of tensors are in.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(_LOOKED_AT_BYTES)
    except OSError as error:
        raise ModelError(f"{brief(path)} cannot be read: {error.strerror}.", "Check its permissions.") from error
