"""What the program knows of a model and of a family of models: rows of data. Neither torch nor Qt is imported."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from annotator import plugins
from annotator.domain.errors import ModelError
from annotator.domain.ports.engine import Segmenter


class Ability(StrEnum):
    """What a family can be asked. The value is a column's head in ``docs/engines.md``."""

    CLICKS = "clicks"
    BOX = "box"
    MASK = "mask refined"
    CANDIDATES = "three candidates"
    CONTINUES = "continues"
    EVERYTHING = "everything"
    ADAPTERS = "adapters"
    WORDS = "words"
    EXAMPLES = "example boxes"
    WITH_CLICKS = "words with clicks"
    NAMES = "names objects"
    DESCRIBES = "describes objects"


@dataclass(frozen=True, slots=True)
class ModelPart:
    """A file of a model that is a folder; ``sha256`` is empty where it is not known."""

    name: str
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model that the program knows.

    Attributes:
        kind: of its family (:class:`FamilySpec`).
        file: the name of the weights file, or of the folder where there are ``parts``; empty for a family that needs
            none.
        rank: the best verified model present is the default; higher is better, below 0 is never taken by itself.
        url: of the file; with parts the address that their names are put behind.
        sha256: empty for weights that ship with the program, and where it is not known.
        bytes: about what is downloaded; 0 where it is not known.
        parts: the files of a folder as model hubs have them.
        page: where its authors present it and its licence.
        has_terms: its licence is none of the usual ones: it has to be accepted before the model is used.
        is_gated: the place it comes from gives it only to people who have an account there.
        good_at: kinds of images, a few words; empty where nothing was measured.
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
    parts: tuple[ModelPart, ...] = ()
    page: str = ""
    has_terms: bool = False
    is_gated: bool = False
    good_at: str = ""

    @property
    def is_shipped(self) -> bool:
        """Whether its weights come with the program."""
        return bool(self.file) and not (self.url or self.sha256 or self.is_gated)


@dataclass(frozen=True, slots=True)
class ModelSource:
    """What a family makes a segmenter from.

    Attributes:
        path: the weights file, or the folder; None for a family that needs none.
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
        loader: ``module:function`` from a :class:`ModelSource` to a segmenter; raises ModelError. Empty for a family
            that answers no clicks.
        suffixes: of weights files, in lower case; a file that the registry does not know goes by them.
        models: rows of its own, beside those of ``checkpoints/registry.toml``.
        can: what it can be asked, for people.
        mark: a tensor's name that only checkpoints of this family hold; of two families that take a suffix, the one
            whose mark is in the file gets it.
        model_types: what ``config.json`` calls it in a folder as model hubs have them.
        needs: modules that have to be installed, and ``extra``: what installs them.
        finder: as ``loader``, to a :class:`~annotator.domain.ports.concept.Finder`; namer: to a
            :class:`~annotator.domain.ports.naming.Namer`, describer: to a
            :class:`~annotator.domain.ports.naming.Describer`. Empty for a family that is none.
    """

    kind: str
    title: str
    loader: str
    suffixes: tuple[str, ...] = ()
    models: tuple[ModelEntry, ...] = ()
    can: frozenset[Ability] = frozenset()
    mark: str = ""
    model_types: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    extra: str = ""
    finder: str = ""
    namer: str = ""
    describer: str = ""

    def target(self, role: str) -> Callable[[ModelSource], Any]:
        """What makes a model of a role, "finder", "namer" or "describer"."""
        return cast(Callable[[ModelSource], Any], plugins.load_target(getattr(self, role)))

    def load(self, source: ModelSource) -> Segmenter:
        """Raises: ModelError, as the loader; or what it needs is not installed."""
        self.check_installed()
        make = cast(Callable[[ModelSource], Segmenter], plugins.load_target(self.loader))
        return make(source)

    @property
    def missing(self) -> tuple[str, ...]:
        """What of the modules that it needs is not installed."""
        return tuple(name for name in self.needs if importlib.util.find_spec(name) is None)

    def check_installed(self) -> None:
        """Raises:
        ModelError: something that it needs is not installed; says how to get it.
        """
        missing = self.missing
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            raise ModelError(
                f"{self.title} needs {' and '.join(missing)}, which {verb} not installed.", install_line(self.extra)
            )


def install_line(extra: str) -> str:
    """What to type to get an extra."""
    return f'Install it: pip install "annotator[{extra}]"'
