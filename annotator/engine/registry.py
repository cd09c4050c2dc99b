"""The families of models: how the files of each are told apart, and what loads them. Neither torch nor Qt is imported.

A new family is a row here (or a package's entry point of the group ``annotator.engines`` that names a
:class:`FamilySpec`) and a module whose function makes a :class:`~annotator.domain.ports.engine.Segmenter`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from annotator import plugins
from annotator.domain.errors import ModelError
from annotator.domain.ports.engine import Segmenter

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model that the program knows.

    Attributes:
        kind: of its family (:class:`FamilySpec`).
        file: the weights file's name; empty for a family that needs none.
        rank: the best verified model present is the default; higher is better, below 0 is never taken by itself.
        sha256: empty for weights that ship with the program.
    """

    name: str
    kind: str
    file: str
    licence: str
    rank: int
    config: str = ""
    url: str = ""
    sha256: str = ""
    bytes: int = 0
    dense_prompt: str = ""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """What a family makes a segmenter from.

    Attributes:
        path: the weights file; None for a family that needs none.
        entry: the model's row, None for a file that the registry does not know.
        is_verified: whether the file is the row's.
        config: a sam2 configuration's name, empty where none was named.
        device: "cpu", "cuda", "mps", or empty for the best there is.
        dtype: of torch, or None for the best.
        zoom: whether small objects are looked at more closely; None for models that were trained for it.
        say: shows in a line what is going on.
    """

    path: Path | None
    entry: ModelEntry | None
    is_verified: bool
    config: str
    device: str
    dtype: Any
    zoom: bool | None
    say: Callable[[str], None]

    @property
    def name(self) -> str:
        """For the status bar and for records."""
        if self.entry is not None:
            return self.entry.name
        return "" if self.path is None else self.path.stem


@dataclass(frozen=True, slots=True)
class FamilySpec:
    """One family.

    Attributes:
        kind: its name in the registry.
        title: for people.
        loader: ``module:function`` from a :class:`ModelSource` to a segmenter; raises ModelError.
        suffixes: of weights files, in lower case; a file that the registry does not know goes by them.
        models: rows of its own, beside those of ``checkpoints/registry.toml``.
    """

    kind: str
    title: str
    loader: str
    suffixes: tuple[str, ...] = ()
    models: tuple[ModelEntry, ...] = ()

    def load(self, source: ModelSource) -> Segmenter:
        """Raises: ModelError, as the loader."""
        make = cast(Callable[[ModelSource], Segmenter], plugins.load_target(self.loader))
        return make(source)


FAMILIES: tuple[FamilySpec, ...] = (
    FamilySpec("nano", "Embedded model", "annotator.engine.sam2.files:load_embedded", (".safetensors",)),
    FamilySpec("sam2", "Segment Anything 2", "annotator.engine.sam2.files:load_official", (".pt", ".pth")),
    FamilySpec(
        "grabcut",
        "GrabCut, without weights",
        "annotator.engine.grabcut:load",
        models=(ModelEntry("grabcut", "grabcut", "", "Apache-2.0 (OpenCV)", rank=-10),),
    ),
)


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
    """The family of a model's row, or of a file's suffix.

    Raises:
        ModelError: there is none.
    """
    known = families()
    if source.entry is not None:
        family = known.get(source.entry.kind)
        if family is None:
            raise ModelError(
                f"{source.entry.name} needs an engine of kind {source.entry.kind}, which is not installed."
            )
        return family
    suffix = source.path.suffix.lower() if source.path is not None else ""
    for family in known.values():
        if suffix in family.suffixes:
            return family
    name = source.path.name if source.path is not None else source.name
    kinds = ", ".join(suffix for family in known.values() for suffix in family.suffixes)
    raise ModelError(f"{name} is not a weights file of a known kind.", f"Known: {kinds}.")
