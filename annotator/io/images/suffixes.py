"""What a file's name says of its kind."""

from __future__ import annotations

import os

PACKED_VOLUME = ".nii.gz"
"""The one kind that is known by two suffixes."""
SLIDE_SUFFIXES = frozenset((".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide"))
"""Whole-slide files: most are TIFF by their first bytes, with pages that are no pictures of their own."""


def suffix_of(name: str) -> str:
    """The last suffix, lower case, with its dot; empty for a name without one."""
    lower = name.lower()
    return PACKED_VOLUME if lower.endswith(PACKED_VOLUME) else os.path.splitext(lower)[1]
