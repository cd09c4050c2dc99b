"""A search that ended early goes on: what it had found lies in the project file, and is what it begins with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from annotator.domain.answering.everything import Begun, Proposal
from annotator.domain.answering.zoom import Region
from annotator.domain.proposals.table import KeptProposal, ProposalTable


@dataclass(frozen=True, slots=True)
class SearchMark:
    """How far a search for everything in an image has come that was not finished.

    Attributes:
        done: clicks, all of whose answers are among the proposals.
        model_sha256, adapter: who was asked: nobody else can go on.
        is_paused: whether the person has stopped it; else it goes on by itself when the image is shown again.
    """

    done: int
    model_sha256: str
    adapter: str
    is_paused: bool = False


def facts_of(one: object) -> dict[str, Any]:
    """Where a proposal of everything was found: what going on needs to know of it."""
    if not isinstance(one, Proposal):
        return {}
    if one.phrase:
        return {"phrase": one.phrase}
    crop = one.crop
    return {"click": [round(value, 2) for value in one.point_xy], "crop": [crop.x0, crop.y0, crop.x1, crop.y1]}


def begun_from(table: ProposalTable, done: int) -> tuple[Begun, Mapping[int, KeptProposal]] | None:
    """What a search goes on from, and of which kept proposal each of it is, by identity; None: not all is known."""
    made: list[Proposal] = []
    kept: dict[int, KeptProposal] = {}
    for item in table.items:
        if item.source != "everything":
            continue
        proposal = _proposal(item)
        if proposal is None:
            return None
        made.append(proposal)
        kept[id(proposal)] = item
    return Begun(done, tuple(made)), kept


def _proposal(item: KeptProposal) -> Proposal | None:
    try:
        facts = json.loads(item.facts)
        x0, y0, x1, y1 = (int(value) for value in facts["crop"])
        x, y = (float(value) for value in facts["click"])
        stability = float(facts["stability"])
    except (ValueError, TypeError, KeyError):
        return None
    return Proposal(item.mask, item.score, stability, (x, y), Region(x0, y0, x1, y1))
