"""Every model that the program knows, as a person chooses among them: what it can, what it needs, where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from annotator.domain.budget import in_words
from annotator.engine import bundles, terms, weights
from annotator.engine.registry import FamilySpec, families
from annotator.engine.sam2.adapter_shelf import AdapterShelf
from annotator.engine.specs import install_line
from annotator.engine.weights import ModelStatus


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model, or adapter.

    Attributes:
        role: "clicks", "words", "names" or "adapter", several of them joined by a comma.
        can: what it can be asked.
        size_bytes: on the disk; of what is not here about what is downloaded; 0: not known.
        memory_bytes: what its weights take in single precision; 0: not known before it is here.
        place: the file or folder; None: not here, or none is needed.
        state: how it stands, a few words.
        needs: what has to be typed to install what it needs; empty when all is there.
        good_at: kinds of images, a few words; empty where nothing was measured.
    """

    name: str
    family: str
    role: str
    can: tuple[str, ...]
    licence: str
    page: str = ""
    size_bytes: int = 0
    memory_bytes: int = 0
    place: Path | None = None
    state: str = ""
    needs: str = ""
    is_ready: bool = False
    can_download: bool = False
    can_accept: bool = False
    can_remove: bool = False
    can_use: bool = False
    good_at: str = ""

    @property
    def size(self) -> str:
        return in_words(self.size_bytes) if self.size_bytes else ""

    @property
    def details(self) -> str:
        """All of it for a person, in lines."""
        memory = f"{in_words(self.memory_bytes)} for its weights" if self.memory_bytes else "known once it is here"
        lines = [f"{self.family}: {', '.join(self.can) or self.role}."]
        lines += [f"Good at: {self.good_at}."] if self.good_at else []
        lines += [f"Memory: {memory}. Licence: {self.licence}."]
        lines += [f"{self.needs}."] if self.needs else []
        lines += [f"From {self.page}"] if self.page else []
        lines += [f"Lies in {self.place}"] if self.place is not None else []
        return "\n".join(lines)


def rows(*, is_thorough: bool = False) -> tuple[ModelRow, ...]:
    """All models, those for clicks first and the best of each role first, then the adapters. Reads files."""
    known = families()
    found = [_row(status, known.get(status.entry.kind)) for status in weights.list_models(is_thorough=is_thorough)]
    order = {"clicks": 0, "words": 1, "words, names": 1, "names": 2}
    return (*sorted(found, key=lambda row: order.get(row.role, 3)), *_adapters())


def disk_bytes(found: tuple[ModelRow, ...]) -> int:
    """What all that is here takes; what two models share counts once."""
    return sum({row.place: row.size_bytes for row in found if row.place is not None}.values())


def _row(status: ModelStatus, family: FamilySpec | None) -> ModelRow:
    entry, place = status.entry, status.path
    missing = family.missing if family is not None else ()
    named = {"clicks": "loader", "words": "finder", "names": "namer", "notes": "describer"}
    roles = () if family is None else tuple((role, getattr(family, name)) for role, name in named.items())
    is_accepted = terms.is_accepted(entry)
    is_own = place is not None and not entry.is_shipped
    state = status.note if is_accepted or place is None else f"{status.note}; licence not accepted yet"
    is_ready = status.is_usable and not missing and is_accepted
    return ModelRow(
        name=entry.name,
        family=entry.kind if family is None else family.title,
        role=", ".join(role for role, target in roles if target),
        can=() if family is None else tuple(sorted(ability.value for ability in family.can)),
        licence=entry.licence,
        page=entry.page or entry.url,
        size_bytes=bundles.size_of(place) if place is not None else entry.bytes,
        memory_bytes=bundles.weights_bytes(place) if place is not None else 0,
        place=place,
        state=f"{state}; needs {' and '.join(missing)}" if missing else state,
        needs=install_line(family.extra) if family is not None and missing else "",
        is_ready=is_ready,
        can_download=place is None and bool(entry.url) and not entry.is_gated,
        can_accept=not is_accepted,
        can_remove=is_own,
        can_use=is_ready and family is not None and bool(family.loader),
        good_at=entry.good_at,
    )


def _adapters() -> list[ModelRow]:
    return [
        ModelRow(
            name=one.name,
            family="Prompt adapter",
            role="adapter",
            can=(f"for {one.info.base_name}",),
            licence=one.info.licence or "not stated",
            size_bytes=one.n_bytes,
            memory_bytes=one.n_bytes,
            place=one.path,
            state="installed" if one.is_own else "ships with the program",
            is_ready=True,
        )
        for one in AdapterShelf().entries()
    ]
