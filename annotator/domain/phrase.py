"""Words that a person types to say what is looked for: cleaned, split, and kept apart from what is not wanted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from annotator.domain.errors import PromptError

MOST_LETTERS = 200
MOST_PHRASES = 16
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_NOT = re.compile(r"(?:not|no|without|except)\s+(?:an?\s+|the\s+)?(.+)", re.IGNORECASE)
_INSIDE = re.compile(r"\b(?:not|no|without|except)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Phrases:
    """What is looked for.

    Attributes:
        wanted: what is found carries one of them; none only where something else than words says what is meant.
        unwanted: what looks like it and is none of it.
        notes: for the person, a sentence each: what of the words could not be used.
    """

    wanted: tuple[str, ...]
    unwanted: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.wanted, *self.unwanted)

    @property
    def text(self) -> str:
        """As it may be typed again."""
        return ", ".join((*self.wanted, *(f"not {phrase}" for phrase in self.unwanted)))


def clean_phrase(text: str) -> str:
    """One line of visible characters: other spaces become blanks, control and direction characters go.

    Never longer than :data:`MOST_LETTERS`; empty when nothing is left.
    """
    spaced = "".join(" " if letter.isspace() else letter for letter in unicodedata.normalize("NFC", text[: 1 << 16]))
    visible = "".join(letter for letter in spaced if unicodedata.category(letter) not in _DROPPED)
    return " ".join(visible.split())[:MOST_LETTERS].strip()


def split_phrases(text: str, *, are_needed: bool = True) -> Phrases:
    """Phrases between commas, semicolons and line ends, each once; "not debris" says what is not wanted.

    Args:
        are_needed: whether there has to be one that is wanted.

    Raises:
        PromptError: there is nothing to look for.
    """
    parts = [clean_phrase(part.replace(".", " ")) for part in re.split(r"[,;\n\r\u2028\u2029]", text[: 1 << 16])]
    wanted: dict[str, str] = {}
    unwanted: dict[str, str] = {}
    for part in filter(None, parts):
        negated = _NOT.fullmatch(part)
        phrase = negated[1].strip() if negated else part
        (unwanted if negated else wanted).setdefault(phrase.casefold(), phrase)
    if not wanted and are_needed:
        raise PromptError("There are no words to search for.", "Type what the objects are, e.g. mushroom.")
    chosen = tuple(wanted.values())[:MOST_PHRASES]
    left_out = tuple(unwanted.values())[: MOST_PHRASES - len(chosen)]
    return Phrases(chosen, left_out, tuple(_notes(parts, len(wanted) + len(unwanted), chosen)))


def _notes(parts: Iterable[str], count: int, wanted: tuple[str, ...]) -> Iterable[str]:
    if any(len(part) >= MOST_LETTERS for part in parts):
        yield f"The words are longer than {MOST_LETTERS} letters; the rest was left out."
    if count > MOST_PHRASES:
        yield f"{count} phrases are more than {MOST_PHRASES}; the rest was left out."
    for phrase in wanted:
        word = _INSIDE.search(phrase)
        if word is not None:
            yield f"“{phrase}”: models do not understand “{word[0]}”. Put it behind a comma: “…, not …”."
