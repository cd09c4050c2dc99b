"""Contracts of other tools, each a file and a row: ``annotator serve --compat NAME`` adds its paths under a prefix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastapi import APIRouter

from annotator.server.compat import cvat, label_studio, nninteractive, x_anylabeling
from annotator.server.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class Contract:
    """``make``: the paths, below the prefix."""

    prefix: str
    make: Callable[[ServerSettings], APIRouter]


CONTRACTS: Mapping[str, Contract] = {
    "label-studio": Contract("/label-studio", label_studio.make_router),
    "cvat": Contract("/cvat", cvat.make_router),
    "nninteractive": Contract("/nninteractive", nninteractive.make_router),
    "x-anylabeling": Contract("/x-anylabeling", x_anylabeling.make_router),
}
