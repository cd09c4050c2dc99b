"""Whether the UIDs of DICOM images are kept in a project. The project remembers it, for everybody who works on it.

They lead to the study, and so to the patient, in the archive that the file came from. A project has pseudonyms in their
place unless it says otherwise: what belongs to one series still does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from annotator.domain.pseudonym import new_salt, pseudonym
from annotator.io.images.reader import UID_FACTS
from annotator.io.project.queries import ProjectQueries

UIDS_KEY, KEPT, LEFT_OUT = "dicom_uids", "kept", "left out"
"""The project's own note, and what it says."""
SALT_KEY = "salt"
SERIES_FACT = "series"
"""The pseudonym of an image's series, among what is known of it."""


def keeps_uids(store: ProjectQueries) -> bool:
    """Whether the project wants them, and has said so."""
    return store.meta_get(UIDS_KEY) == KEPT


def settle_identifiers(store: ProjectQueries, write: Callable[[str, str], object], *, keeps: bool) -> None:
    """Note in a project, where it does not say it yet, whether UIDs stay, and the secret that stands for them."""
    if store.meta_get(UIDS_KEY) is None:
        write(UIDS_KEY, KEPT if keeps else LEFT_OUT)
    salt_of(store, write)


def without_uids(facts: Mapping[str, Any], salt: str = "") -> dict[str, Any]:
    """What is known of an image, without its UIDs; also those that an imported file had among its attributes.

    Args:
        salt: the project's, for the pseudonym of the series; empty: none is added.
    """
    kept = {key: value for key, value in facts.items() if key not in UID_FACTS}
    attributes = kept.get("attributes")
    if isinstance(attributes, dict):
        kept["attributes"] = {key: value for key, value in attributes.items() if key not in UID_FACTS}
    uid = facts.get("SeriesInstanceUID")
    if salt and uid:
        kept.setdefault(SERIES_FACT, pseudonym(salt, "series", str(uid)))
    return kept


def facts_to_keep(store: ProjectQueries, facts: dict[str, Any], write: Callable[[str, str], object]) -> dict[str, Any]:
    """What a project keeps of an image: UIDs, or the pseudonym of its series."""
    if keeps_uids(store):
        return facts
    return without_uids(facts, salt_of(store, write) if facts.get("SeriesInstanceUID") else "")


def salt_of(store: ProjectQueries, write: Callable[[str, str], object] | None = None) -> str:
    """The project's secret, made when it is needed first; empty where there is none and nothing can be written."""
    salt = store.meta_get(SALT_KEY) or ""
    if not salt and write is not None:
        salt = new_salt()
        write(SALT_KEY, salt)
    return salt
