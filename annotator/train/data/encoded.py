"""Embeddings of training windows, made once by the frozen encoder and kept on disk: one file per window."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from annotator.engine.sam2.segmenter import Sam2Segmenter
from annotator.files.atomic import atomic_path, export_errors
from annotator.train.data.windows import TrainingImage, WindowSampler
from annotator.train.steps.ranks import ALONE, Ranks

OBJECTS_PER_WINDOW = 2
RAM_BYTES = 1 << 30
_FEATURES = ("fine", "coarse", "low", "thumbnail")


@dataclass(frozen=True, slots=True)
class CachedWindow:
    """An encoded window.

    Attributes:
        fine, coarse, low: C/8 x 4h x 4w, C/4 x 2h x 2w, C x h x w half precision, as the encoder gave them.
        thumbnail: 3 x 4h x 4w RGB in 0..1; targets: K x S x S uint8, K >= 1.
    """

    fine: Tensor
    coarse: Tensor
    low: Tensor
    thumbnail: Tensor
    targets: npt.NDArray[np.uint8]

    @property
    def nbytes(self) -> int:
        tensors = (self.fine, self.coarse, self.low, self.thumbnail)
        return sum(t.numel() * t.element_size() for t in tensors) + self.targets.nbytes // 8


class WindowCache:
    """``count`` windows of some images, each a function of the seed and its number.

    Args:
        folder: of this cache alone; what is there already is taken as it is.
    """

    def __init__(
        self, folder: Path, segmenter: Sam2Segmenter, images: list[TrainingImage], *, count: int, seed: int
    ) -> None:
        self._folder, self._segmenter, self._count, self._seed = folder, segmenter, count, seed
        self._side = segmenter.info.image_size
        self._sampler = WindowSampler(images, window_px=self._side, objects=OBJECTS_PER_WINDOW)
        self._weights = self._sampler.set_weights({})
        self._kept: OrderedDict[int, dict[str, Tensor]] = OrderedDict()
        self._kept_bytes = 0

    def __len__(self) -> int:
        return self._count

    def fill(self, progress: Callable[[int, int], None], *, ranks: Ranks = ALONE) -> int:
        """Encode the windows that are missing; reported (done, all). Returns how many were encoded.

        Several processes share the work; each comes back when all windows are there.

        Raises:
            UserError: an image cannot be read any more, or the windows cannot be written.
        """
        with export_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
        made = 0
        for number in ranks.own(range(self._count)):
            if not self._path(number).is_file():
                self._encode(number)
                made += 1
            progress(number + 1, self._count)
        ranks.wait()
        return made

    def __getitem__(self, number: int) -> CachedWindow:
        """A window; one that was damaged on disk is made again."""
        tensors = self._kept.get(number)
        if tensors is None:
            tensors = self._read(number)
            self._keep(number, tensors)
        self._kept.move_to_end(number)
        bits = np.unpackbits(tensors["targets"].numpy(), axis=-1, count=self._side)
        return CachedWindow(**{name: tensors[name] for name in _FEATURES}, targets=bits)

    def _read(self, number: int) -> dict[str, Tensor]:
        """The file's tensors in memory of their own: a mapped file may be cut off under us."""
        try:
            return dict(load(self._path(number).read_bytes()))
        except (SafetensorError, OSError):
            # A cache may be damaged or deleted at any time: the window is a function of its number.
            self._encode(number)
            return dict(load(self._path(number).read_bytes()))

    def _keep(self, number: int, tensors: dict[str, Tensor]) -> None:
        def size(item: dict[str, Tensor]) -> int:
            return sum(t.numel() * t.element_size() for t in item.values())

        self._kept[number] = tensors
        self._kept_bytes += size(tensors)
        while self._kept_bytes > RAM_BYTES and len(self._kept) > 1:
            self._kept_bytes -= size(self._kept.popitem(last=False)[1])

    def _encode(self, number: int) -> None:
        rng = np.random.default_rng((self._seed, number))
        window = self._sampler.draw(rng, self._weights)
        pixels = np.ascontiguousarray((window.image * 255).round().astype(np.uint8))
        found = self._segmenter.encode(pixels, f"window {number}")
        kind = torch.bfloat16 if found.low.dtype == torch.bfloat16 else torch.float16
        tensors = {name: getattr(found, name)[0].to("cpu", kind).contiguous() for name in _FEATURES}
        tensors["targets"] = torch.from_numpy(np.packbits(window.targets, axis=-1))
        self._write(self._path(number), save(tensors))

    def _write(self, path: Path, data: bytes) -> None:
        """Whole or not at all. There is no fsync: what a power cut damages is made again."""
        with export_errors(path), atomic_path(path, is_durable=False) as partial:
            partial.write_bytes(data)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.safetensors"
