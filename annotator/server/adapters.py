"""The prompt adapters that requests may name: those of this computer that belong to the model, and no other file."""

from __future__ import annotations

import threading

from annotator.domain.ports.engine import Adaptable, ModelInfo, Segmenter
from annotator.engine import weights
from annotator.engine.sam2.adapter_shelf import AdapterEntry, AdapterShelf
from annotator.server.problems import Problem


class ServedAdapters:
    """Listing may be asked by any thread, :meth:`put` only by the one that has the model."""

    def __init__(self, shelf: AdapterShelf | None = None) -> None:
        self._shelf = shelf or AdapterShelf()
        self._lock = threading.Lock()
        self._fitting: dict[str, AdapterEntry] = {}
        """By name, and by SHA-256; as of the last look."""

    def entries(self, info: ModelInfo) -> list[tuple[AdapterEntry, str]]:
        """Those of the model, by name, each with the SHA-256 of its file; looks into the folders."""
        found = [(entry, weights.sha256_of(entry.path)) for entry in self._shelf.entries()]
        fitting = [(entry, sha256) for entry, sha256 in found if entry.info.base_sha256 == info.sha256]
        with self._lock:
            self._fitting = {name: entry for entry, sha256 in fitting for name in (sha256, entry.name)}
        return fitting

    def put(self, segmenter: Segmenter, wanted: str) -> None:
        """Let an adapter answer from now on.

        Args:
            wanted: its name or SHA-256; empty: the model alone.

        Raises:
            Problem: there is none of that name for this model (422).
            ModelError: its file is gone or damaged.
        """
        if not wanted:
            if isinstance(segmenter, Adaptable) and segmenter.adapter is not None:
                segmenter.set_adapter(None)
            return
        entry = self._known(wanted)
        if entry is None:
            self.entries(segmenter.info)
            entry = self._known(wanted)
        if entry is None:
            detail = f"{segmenter.info.name} has no adapter {wanted[:80]!r} here. GET /v1/adapters lists them."
            raise Problem(422, "unknown-adapter", detail)
        self._shelf.setter(entry)(segmenter)

    def _known(self, wanted: str) -> AdapterEntry | None:
        with self._lock:
            return self._fitting.get(wanted)
