"""Embeddings by key: an LRU in memory counted in bytes, and files on disk that are always safe to delete."""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from annotator.domain.ports.engine import Embedding
from annotator.engine.sam2.embedding import Sam2Embedding

PART_AGE_S = 3600.0

log = logging.getLogger(__name__)


class TieredCache:
    """Memory first, then disk. Used by one thread.

    Args:
        ram_bytes: budget of the memory tier; the newest embedding stays even when it is larger.
        disk_dir: folder of the disk tier, or None for none; disk_bytes: its budget, oldest access goes first.

    What is read from the disk is on the processor; the segmenter takes it where it computes, and knows what to do when
    there is no room.
    """

    def __init__(self, *, ram_bytes: int, disk_dir: Path | None, disk_bytes: int) -> None:
        self._ram_bytes, self._disk_bytes, self._disk_dir = ram_bytes, disk_bytes, disk_dir
        self._kept: OrderedDict[str, Embedding] = OrderedDict()

    def get(self, key: str) -> Embedding | None:
        found = self._kept.get(key)
        if found is None:
            found = self._read(key)
            if found is None:
                return None
            self._keep(found)
        self._kept.move_to_end(key)
        return found

    def put(self, embedding: Embedding) -> None:
        """Keep an embedding. One that holds its image's pixels (zoom-in) stays in memory alone: it is cheap to make."""
        self._keep(embedding)
        if isinstance(embedding, Sam2Embedding):
            self._write(embedding)

    def _keep(self, embedding: Embedding) -> None:
        self._kept[embedding.key] = embedding
        self._kept.move_to_end(embedding.key)
        total = sum(item.nbytes for item in self._kept.values())
        while total > self._ram_bytes and len(self._kept) > 1:
            total -= self._kept.popitem(last=False)[1].nbytes

    def _path(self, key: str) -> Path | None:
        return None if self._disk_dir is None else self._disk_dir / f"{key}.safetensors"

    def _read(self, key: str) -> Sam2Embedding | None:
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                about = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
            found = Sam2Embedding(
                key=key,
                width=int(about["width"]),
                height=int(about["height"]),
                encode_ms=float(about["encode_ms"]),
                fine=tensors["fine"],
                coarse=tensors["coarse"],
                low=tensors["low"],
                thumbnail=tensors["thumbnail"],
            )
        except OSError as error:
            log.info("cached embedding %s cannot be read: %s", path.name, error)
            return None
        except (SafetensorError, KeyError, ValueError) as error:
            # A cache may be damaged at any time; the image is encoded again.
            log.info("cached embedding %s is not usable: %s", path.name, error)
            self._forget(path)
            return None
        with suppress(OSError):  # its age counts when there is too much; another person's file keeps its own
            os.utime(path)
        return found

    @staticmethod
    def _forget(path: Path) -> None:
        """A damaged file would keep its place for ever: what is there is not written again."""
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.info("%s stays: %s", path.name, error)

    def _write(self, embedding: Sam2Embedding) -> None:
        path = self._path(embedding.key)
        if path is None or path.exists():
            return
        tensors = {name: getattr(embedding, name).cpu().contiguous() for name in ("fine", "coarse", "low", "thumbnail")}
        about = {
            "width": str(embedding.width),
            "height": str(embedding.height),
            "encode_ms": f"{embedding.encode_ms:.3f}",
        }
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(tensors, part, metadata=about)
            os.replace(part, path)
            self._trim()
        except (OSError, SafetensorError) as error:
            # A full or read-only disk costs speed, not work.
            log.info("embedding not kept on disk: %s", error)
            part.unlink(missing_ok=True)

    def _trim(self) -> None:
        if self._disk_dir is None:
            return
        files = []
        for path in self._disk_dir.glob("*.safetensors"):
            facts = path.stat()
            files.append((facts.st_mtime, facts.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._disk_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size
        for part in self._disk_dir.glob("*.part"):  # of a program that was killed while it wrote
            if time.time() - part.stat().st_mtime > PART_AGE_S:
                part.unlink(missing_ok=True)
