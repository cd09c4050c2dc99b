"""Embeddings by key: an LRU in memory counted in bytes, and files on disk that are always safe to delete."""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from annotator.domain.ports.engine import Embedding, RgbArray
from annotator.files.atomic import atomic_path
from annotator.files.private import keep_private, make_private_folder

PART_AGE_S = 3600.0
TRIM_SHARE = 0.9
"""A disk tier that is full is trimmed to this share of its budget, so that not every new file has to make room."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class StoredEmbedding:
    """An embedding as it lies on the disk: tensors by name, on the processor, and facts as text."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, str]


@runtime_checkable
class EmbeddingCodec(Protocol):
    """A segmenter whose embeddings can be kept on the disk. What it restores may lie on the processor."""

    def stored(self, embedding: Embedding) -> StoredEmbedding:
        """What has to be kept of one of its embeddings."""
        ...

    def restored(self, key: str, stored: StoredEmbedding, image: RgbArray) -> Embedding:
        """The embedding again.

        Args:
            image: H x W x 3, the pixels that were encoded.

        Raises:
            KeyError, ValueError: it is none of this segmenter's, or of another image.
        """
        ...


class TieredCache:
    """Memory first, then disk. Used by one thread.

    Args:
        ram_bytes: budget of the memory tier; the newest embedding stays even when it is larger.
        disk_dir: folder of the disk tier, or None for none; disk_bytes: its budget, oldest access goes first.
        codec: the segmenter that the embeddings are of, for the disk tier; None for one that keeps nothing there.
    """

    def __init__(
        self, *, ram_bytes: int, disk_dir: Path | None = None, disk_bytes: int = 0, codec: EmbeddingCodec | None = None
    ) -> None:
        self._ram_bytes, self._disk_bytes = ram_bytes, disk_bytes
        self._disk_dir = disk_dir if codec is not None else None
        self._codec = codec
        self._kept: OrderedDict[str, Embedding] = OrderedDict()
        self._written_bytes: int | None = None

    def get(self, key: str, image: RgbArray | None = None) -> Embedding | None:
        """The embedding of a key, from memory; also from the disk when the image's pixels are given."""
        found = self._kept.get(key)
        if found is None:
            found = None if image is None else self._read(key, image)
            if found is None:
                return None
            self._keep(found)
        self._kept.move_to_end(key)
        return found

    def put(self, embedding: Embedding) -> None:
        self._keep(embedding)
        if self._codec is not None and self._disk_dir is not None:
            self._write(embedding.key, self._codec.stored(embedding))

    def _keep(self, embedding: Embedding) -> None:
        self._kept[embedding.key] = embedding
        self._kept.move_to_end(embedding.key)
        total = sum(item.nbytes for item in self._kept.values())
        while total > self._ram_bytes and len(self._kept) > 1:
            total -= self._kept.popitem(last=False)[1].nbytes

    def _path(self, key: str) -> Path | None:
        return None if self._disk_dir is None else self._disk_dir / f"{key}.safetensors"

    def _read(self, key: str, image: RgbArray) -> Embedding | None:
        path = self._path(key)
        if path is None or self._codec is None or not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt", device="cpu") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
                stored = StoredEmbedding(tensors, file.metadata() or {})
            found = self._codec.restored(key, stored, image)
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

    def _write(self, key: str, stored: StoredEmbedding) -> None:
        path = self._path(key)
        if path is None or path.exists():
            return
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            make_private_folder(path.parent)
            tensors = {name: tensor.contiguous() for name, tensor in stored.tensors.items()}
            with atomic_path(path, partial=part, is_durable=False):
                save_file(tensors, part, metadata=dict(stored.facts))
                keep_private(part)
                size = part.stat().st_size
            self._count(size)
        except (OSError, SafetensorError) as error:
            # A full or read-only disk costs speed, not work.
            log.info("embedding not kept on disk: %s", error)

    def _count(self, size: int) -> None:
        """Look through the folder once, and again whenever there is too much: not at every file."""
        if self._written_bytes is not None:
            self._written_bytes += size
        if self._written_bytes is None or self._written_bytes > self._disk_bytes:
            self._written_bytes = self._trim()

    def _trim(self) -> int:
        """Make room; the bytes that stay."""
        if self._disk_dir is None:
            return 0
        files = []
        for path in self._disk_dir.glob("*.safetensors"):
            with suppress(FileNotFoundError):  # another program trims, too
                facts = path.stat()
                files.append((facts.st_mtime, facts.st_size, path))
        total = sum(size for _, size, _ in files)
        enough = total if total <= self._disk_bytes else TRIM_SHARE * self._disk_bytes
        for _, size, path in sorted(files):
            if total <= enough:
                break
            path.unlink(missing_ok=True)
            total -= size
        for part in self._disk_dir.glob("*.part"):  # of a program that was killed while it wrote
            with suppress(FileNotFoundError):
                if time.time() - part.stat().st_mtime > PART_AGE_S:
                    part.unlink(missing_ok=True)
        return total
