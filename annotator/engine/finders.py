"""Models that are asked in words: which there are, what they lack, and loading one. Nothing heavy is imported here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from annotator.domain.brevity import brief
from annotator.domain.errors import EncodeCancelled, ModelError, UserError
from annotator.domain.ports.concept import ConceptAsk, ConceptImage, Finder
from annotator.domain.ports.engine import EverythingStep, ModelInfo
from annotator.engine import bundles, terms, weights
from annotator.engine.registry import Ability, FamilySpec, ModelEntry, ModelSource, families
from annotator.engine.specs import install_line

KEPT_S = 300.0
"""A model that nobody asked for so long gives its memory back."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A model for words, or for names.

    Attributes:
        lack: what is missing, a sentence; empty for one that can be used now.
        advice: how to get that.
        is_here: its weights are, whatever else is missing.
    """

    entry: ModelEntry
    family: FamilySpec
    lack: str = ""
    advice: str = ""
    is_here: bool = False

    @property
    def is_ready(self) -> bool:
        return not self.lack


def offers(role: str = "finder") -> tuple[Offer, ...]:
    """All models of a role, the best first; reads sizes and times of files, no more.

    Args:
        role: "finder", "namer" or "describer".
    """
    known = families()
    rows = [entry for entry in weights.registry().values() if entry.kind in known]
    rows = [entry for entry in rows if getattr(known[entry.kind], role)]
    return tuple(_offer(entry, known[entry.kind]) for entry in sorted(rows, key=lambda entry: -entry.rank))


def no_model_text(role: str = "finder") -> tuple[str, str]:
    """What to say when no model of a role can be used: the sentence, and what can be done."""
    found = offers(role)
    packages = sorted({offer.family.extra for offer in found if offer.family.missing})
    what = {"finder": "words", "namer": "names", "describer": "descriptions"}[role]
    listed = ", ".join(f"{o.entry.name} ({_size(o.entry)}{o.entry.licence})" for o in found)
    install = f"{install_line(packages[0])}. " if packages else ""
    return f"No model for {what} is on this computer.", f"{install}Then get one (Model, Models…): {listed}."


def load_named(name: str, role: str, *, device: str = "", say: Callable[[str], None] = lambda _line: None) -> object:
    """A model of a role by its name; empty for the best that can be used.

    Raises:
        ModelError: there is none, something is missing, or it does not fit into memory.
    """
    found = [offer for offer in offers(role) if offer.is_ready if name in ("", offer.entry.name)]
    if not found:
        if not name:
            here = next((one for one in offers(role) if one.is_here), None)
            raise ModelError(*(no_model_text(role) if here is None else (here.lack, f"{here.advice}.")))
        named = next((offer for offer in offers(role) if offer.entry.name == name), None)
        if named is None:
            known = ", ".join(offer.entry.name for offer in offers(role))
            raise ModelError(f"There is no such model: {brief(name)}.", f"Known: {known}.")
        raise ModelError(named.lack, named.advice)
    entry, family = found[0].entry, found[0].family
    status = weights.status_of(entry)
    if status.path is not None:
        bundles.check_room(entry.name, status.path)
    say(f"Loading {entry.name} …")
    source = ModelSource(status.path, entry, status.is_verified, "", device, None, None, say)
    make: Callable[[ModelSource], object] = family.target(role)
    return make(source)


def check_takes_examples(name: str) -> None:
    """Raises:
    ModelError: the model for words of that name (empty: the best that can be used) knows words alone.
    """
    _check_takes(name, Ability.EXAMPLES, "no example boxes")


def check_takes_clicks(name: str) -> None:
    """Raises:
    ModelError: the model for words of that name (empty: the best that can be used) takes no clicks beside them.
    """
    _check_takes(name, Ability.WITH_CLICKS, "no clicks beside them")


def _check_takes(name: str, what: Ability, told: str) -> None:
    found = next((one for one in offers() if (one.is_ready if not name else one.entry.name == name)), None)
    if found is not None and what not in found.family.can:
        able = ", ".join(one.entry.name for one in offers() if what in one.family.can)
        raise ModelError(f"{brief(found.entry.name)} takes words, and {told}.", f"Those that do: {able}.")


class FinderShelf:
    """Holds the model for words that was asked last, beside the one that answers clicks. For one thread."""

    def __init__(self, load: Callable[..., object] | None = None, *, device: str = "") -> None:
        self._load, self._device = load or load_named, device
        self._finder: Finder | None = None
        self._name = ""
        self._used_s = 0.0

    @property
    def info(self) -> ModelInfo | None:
        """Of the model that is held; None while there is none."""
        return None if self._finder is None else self._finder.info

    def steps(
        self,
        name: str,
        image: ConceptImage,
        ask: ConceptAsk,
        *,
        has_to_yield: Callable[[], bool],
        say: Callable[[str], None],
    ) -> Iterator[EverythingStep]:
        """See :meth:`annotator.domain.ports.concept.Finder.steps`.

        Raises:
            UserError: as there; or the model cannot be loaded.
        """
        yield EverythingStep(0, 0, None)  # loading takes seconds: what is more urgent goes first
        finder = self._loaded(name, say)
        steps = finder.steps(image, ask, has_to_yield=has_to_yield)
        while True:
            try:
                step = next(steps)
            except EncodeCancelled:
                yield EverythingStep(0, 0, None)
                steps = finder.steps(image, ask, has_to_yield=has_to_yield)
                continue
            except UserError:
                self.release()
                raise
            self._used_s = time.monotonic()
            yield step
            if step.is_last:
                return

    def release(self) -> None:
        """Let the model go."""
        self._finder = None

    def release_unused(self) -> None:
        """Let it go when nobody has asked for a while."""
        if self._finder is not None and time.monotonic() - self._used_s > KEPT_S:
            self.release()

    def _loaded(self, name: str, say: Callable[[str], None]) -> Finder:
        if self._finder is None or name != self._name:
            self._finder = None  # two large models at once are more than most computers hold
            found: Finder = self._load(name, "finder", device=self._device, say=say)  # type: ignore[assignment]
            self._finder, self._name = found, name
        self._used_s = time.monotonic()
        return self._finder


def _offer(entry: ModelEntry, family: FamilySpec) -> Offer:
    is_here = bool(entry.file) and weights.find_file(entry) is not None
    if family.missing:
        lack = f"{entry.name} needs {' and '.join(family.missing)}, not installed here."
        return Offer(entry, family, lack, install_line(family.extra), is_here)
    if entry.file and not is_here:
        how = f"annotator models download {entry.name}"
        if entry.is_gated:
            how = f"accept its licence at {entry.page}, then: annotator models import FOLDER --as {entry.name}"
        return Offer(entry, family, f"{entry.name} is not on this computer.", f"Get it: {how}")
    if not terms.is_accepted(entry):
        lack = f"The licence of {entry.name}, the {entry.licence}, was not accepted yet."
        how = f"Read it at {entry.page}, then: annotator models accept {entry.name}"
        return Offer(entry, family, lack, how, is_here)
    return Offer(entry, family, is_here=is_here)


def _size(entry: ModelEntry) -> str:
    return f"{entry.bytes / 1e9:.2g} GB, " if entry.bytes else ""
