"""Whether the UIDs of DICOM images are kept in a project. The project remembers it, for everybody who works on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotator.io.images.reader import UID_FACTS
from annotator.io.project.queries import ProjectQueries

UIDS_KEY, LEFT_OUT = "dicom_uids", "left out"
"""The project's own note, and what it says when they are not wanted; anything else means that they are."""


def keeps_uids(store: ProjectQueries) -> bool:
    """Whether the project wants them."""
    return store.meta_get(UIDS_KEY) != LEFT_OUT


def without_uids(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of an image, without its UIDs; also those that an imported file had among its attributes."""
    kept = {key: value for key, value in facts.items() if key not in UID_FACTS}
    attributes = kept.get("attributes")
    if isinstance(attributes, dict):
        kept["attributes"] = {key: value for key, value in attributes.items() if key not in UID_FACTS}
    return kept
