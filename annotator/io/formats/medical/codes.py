"""Coded terms of classes: their own, those of a table that the person names, those of ``resources/codes.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotator.domain.brevity import brief
from annotator.domain.errors import ExportError
from annotator.domain.project import Category
from annotator.files.resources import resource_path

CODES_KEY = "codes"
"""Among what is kept with a class: {"category": [value, scheme, meaning], "type": [...]}."""


@dataclass(frozen=True, slots=True)
class Code:
    """A term of a coding scheme."""

    value: str
    scheme: str
    meaning: str

    def slicer(self) -> str:
        """As 3D Slicer writes it."""
        return f"{self.scheme}^{self.value}^{self.meaning}"


TISSUE = Code("85756007", "SCT", "Tissue")
_LONGEST = {"value": 16, "scheme": 16, "meaning": 64}


class Codes:
    """The terms of classes.

    Args:
        tables: by name in lower case the category and type; earlier ones go first.
    """

    def __init__(self, *tables: Mapping[str, tuple[Code, Code]]) -> None:
        self._tables = tables
        self.unknown: set[str] = set()
        """Names of the classes that are only called tissue."""

    @classmethod
    def load(cls, own: str = "") -> Codes:
        """The program's table, and before it the one of the person.

        Args:
            own: path of a TOML file of the same form; empty for none.

        Raises:
            ExportError: it cannot be read, or is of another form.
        """
        built_in = _table(resource_path("codes.toml"))
        return cls(_table(Path(own).expanduser()), built_in) if own else cls(built_in)

    def of(self, category: Category) -> tuple[Code, Code]:
        """Property category and type of a class; tissue where nothing is known."""
        kept = category.extra.get(CODES_KEY)
        if isinstance(kept, dict):
            pair = (code_from(kept.get("category")), code_from(kept.get("type")))
            if pair[0] is not None and pair[1] is not None:
                return pair[0], pair[1]
        name = " ".join(category.name.lower().replace("_", " ").replace("-", " ").split())
        for table in self._tables:
            if name in table:
                return table[name]
        self.unknown.add(category.name)
        return TISSUE, TISSUE


def code_from(words: Any) -> Code | None:
    """A code of [value, scheme, meaning], as far as they fit DICOM's fields."""
    if not isinstance(words, list) or len(words) != 3 or not all(isinstance(word, str) and word for word in words):
        return None
    found = Code(*words)
    fits = all(len(getattr(found, name)) <= most for name, most in _LONGEST.items())
    return found if fits and not any(ord(sign) < 32 or sign == "\\" for word in words for sign in word) else None


def _table(path: Path) -> dict[str, tuple[Code, Code]]:
    try:
        data = tomllib.loads(path.read_text("utf-8"))
        categories = {name: code_from(words) for name, words in data.get("category", {}).items()}
        found: dict[str, tuple[Code, Code]] = {}
        for term in data["term"]:
            category, kind = categories[term["category"]], code_from(term["code"])
            if category is None or kind is None:
                raise ValueError(f"{term['names']} has no usable code")
            found.update({str(name).lower(): (category, kind) for name in term["names"]})
        return found
    except OSError as error:
        message = f"The table of codes {brief(path)} cannot be read ({error.strerror})."
        raise ExportError(message, "Name another file.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{brief(path.name)} is no table of codes ({error})."
        raise ExportError(message, "Its form is that of resources/codes.toml.") from error
