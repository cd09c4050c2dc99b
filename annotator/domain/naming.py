"""Which class an object probably has, by the objects that have names already. A suggestion, never applied by itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotator.domain.likeness.describe import SPACE, Vectors, spread
from annotator.domain.ports.naming import NameGuess

NEIGHBOURS = 10
LEAST_NAMED = 4
"""With fewer named objects a vote says nothing."""
LEAST_SHARE = 0.5
"""Of the neighbours' weight: below it nothing is suggested."""
SOURCE = "like"


@dataclass(frozen=True, slots=True, eq=False)
class NamedLook:
    """How an object with a class looks: ``vector`` as :func:`annotator.domain.likeness.describe.describe` has it."""

    vector: Vectors
    category_id: int


def votes(look: Vectors, named: Sequence[NamedLook]) -> tuple[tuple[int, float], ...]:
    """Classes with their share of the vote of the most alike objects, the likeliest first.

    Nothing where too few objects have names, or all of them the same one.
    """
    classes = {one.category_id for one in named}
    if len(named) < LEAST_NAMED or len(classes) < 2:
        return ()
    known = np.stack([one.vector for one in named])
    everything = np.concatenate([known, look[None]])
    alike = spread(known, everything) @ spread(look[None], everything)[0]
    nearest = np.argsort(-alike, kind="stable")[:NEIGHBOURS]
    weights: dict[int, float] = defaultdict(float)
    for at in nearest.tolist():
        weights[named[at].category_id] += max(float(alike[at]), 0.0) + 1e-3
    total = sum(weights.values())
    found = [(category_id, weight / total) for category_id, weight in weights.items()]
    return tuple(sorted(found, key=lambda one: (-one[1], one[0])))


def same_word(one: str, other: str) -> bool:
    """Whether two nouns are one, in any case, singular or plural."""
    return _singular(one) == _singular(other)


def _singular(word: str) -> str:
    plain = word.strip().casefold()
    for ending, instead in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("xes", "x"), ("sses", "ss")):
        if plain.endswith(ending) and len(plain) > len(ending) + 1:
            return plain[: -len(ending)] + instead
    return plain[:-1] if plain.endswith("s") and not plain.endswith("ss") and len(plain) > 3 else plain


def guesses(look: Vectors, named: Sequence[NamedLook], names: dict[int, str]) -> tuple[NameGuess, ...]:
    """:func:`votes` by the names of classes; only what is likely enough to be shown."""
    found = votes(look, named)
    return tuple(
        NameGuess(names[category_id], share, SOURCE, SPACE)
        for category_id, share in found
        if share >= LEAST_SHARE and category_id in names
    )
