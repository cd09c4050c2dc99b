"""The answers to clicks on training images, and how good each is: what ratings are fitted to.

Every object is clicked twice, at its deepest point and somewhere at least half as deep; people do not click like the
protocol. Collected evidence is kept in a file, so that a fit can be repeated in seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from annotator.domain.answering.clicks import depth
from annotator.domain.answering.evidence import SEEN, seen
from annotator.domain.answering.hypotheses import faults, pairwise_iou
from annotator.domain.errors import ModelError
from annotator.domain.mask import Mask
from annotator.domain.prompt import PointPrompt, Prompts
from annotator.engine.load import load_segmenter
from annotator.engine.zoom.segmenter import ZoomSegmenter
from annotator.evaluate.objects import read_evaluation_set
from annotator.files.children import safe_spawning
from annotator.io.images.reading import load_image

FloatArray = npt.NDArray[np.float64]
HALF_AS_DEEP = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class AnsweredClick:
    """One click on an object and its n answers, n >= 1.

    Attributes:
        of_set: the set's name; image: a name of its image that no other set has.
        is_deepest: whether it is the protocol's click.
        seen: n x len(``SEEN``), :func:`annotator.domain.answering.evidence.seen`.
        faults: n x 2, :func:`annotator.domain.answering.hypotheses.faults`.
        overlaps: n x n. truth: n, IoU with the object.
    """

    of_set: str
    image: str
    is_deepest: bool
    seen: FloatArray
    faults: FloatArray
    overlaps: FloatArray
    truth: FloatArray

    @property
    def features(self) -> FloatArray:
        """n x 7, the columns of ``FITTED``."""
        return np.column_stack([np.ones(len(self.truth)), self.seen[:, :6]])


def collect(segmenter: ZoomSegmenter, root: Path, *, per_set: int) -> Iterator[AnsweredClick]:
    """Click on at most ``per_set`` objects of a set, spread over its images."""
    images_dir = root / "images" if (root / "images").is_dir() else root
    chosen = read_evaluation_set(root / "annotations.json", images_dir).subset(per_set, seed=0)
    rng = np.random.default_rng(0)
    for image, items in groupby(chosen, key=lambda item: item.image):
        loaded = load_image(image.path, frame=image.frame)
        embedding = segmenter.encode(loaded.rgb, loaded.image_key)
        for item in items:
            target = item.mask()
            for place, click in enumerate(_clicks(target, rng)):
                hypotheses = segmenter.hypotheses(embedding, Prompts((click,)))
                if not hypotheses:
                    continue
                overlaps = pairwise_iou([h.candidate.mask for h in hypotheses])
                yield AnsweredClick(
                    root.name,
                    f"{root.name}/{image.file_name}",
                    place == 0,
                    seen(hypotheses, click, overlaps),
                    faults(hypotheses, (click,)),
                    overlaps,
                    np.array([target.iou(h.candidate.mask) for h in hypotheses]),
                )


def _clicks(target: Mask, rng: np.random.Generator) -> list[PointPrompt]:
    """The deepest point and, where the object has more than that, another; none for an empty one."""
    depths = depth(target.bits)
    deepest = float(depths.max(initial=0.0))
    if deepest == 0.0:
        return []
    rows, columns = np.nonzero(depths >= HALF_AS_DEEP * deepest)
    first = int(np.argmax(depths[rows, columns] >= deepest - 1e-4))
    picked = [first, int(rng.integers(rows.size))]
    return [
        PointPrompt(target.x + float(columns[i]) + 0.5, target.y + float(rows[i]) + 0.5) for i in dict.fromkeys(picked)
    ]


def collect_all(model: str | None, roots: Sequence[Path], *, per_set: int, workers: int) -> list[AnsweredClick]:
    """Of several sets, in their order; each worker is a process of one thread.

    Raises:
        ModelError: the model does not zoom in, or cannot be loaded.
    """
    work = partial(_of_set, model, per_set)
    if workers <= 1:
        found = [work(root) for root in roots]
    else:
        with safe_spawning(), ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            found = list(pool.map(work, roots))
    return [click for clicks in found for click in clicks]


def zooming(model: str | None) -> ZoomSegmenter:
    """The model.

    Raises:
        ModelError: it does not zoom in, or cannot be loaded.
    """
    segmenter = load_segmenter(model, zoom=True)
    if not isinstance(segmenter, ZoomSegmenter):
        raise ModelError("This model has no zoom-in to rate.")
    return segmenter


def _of_set(model: str | None, per_set: int, root: Path) -> list[AnsweredClick]:
    torch.set_num_threads(1)
    found = list(collect(zooming(model), root, per_set=per_set))
    print(f"{root.name}: {len(found)} clicks", flush=True)
    return found


def write_clicks(path: Path, clicks: Sequence[AnsweredClick]) -> None:
    """Keep them, compressed.

    Raises:
        OSError: the file cannot be written.
    """
    np.savez_compressed(
        path,
        columns=np.array(SEEN),
        sets=np.array([click.of_set for click in clicks]),
        images=np.array([click.image for click in clicks]),
        is_deepest=np.array([click.is_deepest for click in clicks]),
        counts=np.array([len(click.truth) for click in clicks]),
        seen=np.concatenate([click.seen for click in clicks]),
        faults=np.concatenate([click.faults for click in clicks]),
        truth=np.concatenate([click.truth for click in clicks]),
        overlaps=np.concatenate([click.overlaps.ravel() for click in clicks]),
    )


def read_clicks(path: Path) -> list[AnsweredClick]:
    """What :func:`write_clicks` kept.

    Raises:
        OSError: it cannot be read. ValueError: it is of other columns than this version's.
    """
    with np.load(path) as file:
        if tuple(file["columns"].tolist()) != SEEN:
            raise ValueError(f"{path.name} holds other columns: collect them again")
        kept = {name: file[name] for name in file.files}
    ends, squares = np.cumsum(kept["counts"]), np.cumsum(kept["counts"] ** 2)
    found = []
    for i, count in enumerate(kept["counts"].tolist()):
        part, square = slice(ends[i] - count, ends[i]), slice(squares[i] - count**2, squares[i])
        found.append(
            AnsweredClick(
                str(kept["sets"][i]),
                str(kept["images"][i]),
                bool(kept["is_deepest"][i]),
                kept["seen"][part],
                kept["faults"][part],
                kept["overlaps"][square].reshape(count, count),
                kept["truth"][part],
            )
        )
    return found
