"""The four test sets of HQ-SAM and PA-SAM, judged as those papers do.

One object per image, its true box as the only prompt, IoU and boundary IoU at the original resolution. The folders are
those of the HQ-SAM project's data. What its code decides is decided in the same way here: a mask is its first channel
above 128; the box is taken from the mask stretched to 1024 x 1024 (bilinear); the boundary band is 2 % of the diagonal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from annotator.domain.brevity import brief
from annotator.domain.errors import ImportFormatError, ModelError
from annotator.domain.geometry import Box
from annotator.domain.metrics import boundary_iou, iou
from annotator.domain.ports.engine import Adaptable, Embedding, Segmenter
from annotator.domain.prompt import Prompts
from annotator.evaluate.progress import adapter_digest, append, appending, engine_parts, read_state, run_key
from annotator.io.images.reading import DEFAULT_MAX_PIXELS, load_stored, natural_key

if TYPE_CHECKING:
    from annotator.engine.sam2.adapted_decoder import Adapter

BoolArray = npt.NDArray[np.bool_]
GreyArray = npt.NDArray[np.uint8]

BAND = 0.02
"""Width of the boundary band, as a share of the image's diagonal."""
INSIDE_ABOVE = 128
BOX_SIDE = 1024
"""Side in pixels of the square that the box is measured in."""

MOST_PIXELS = DEFAULT_MAX_PIXELS
_PROTOCOL_VERSION = 1


@dataclass(frozen=True, slots=True)
class HqSet:
    """One of the four: its short name in the papers' tables, and its folders below the root."""

    name: str
    images: str
    masks: str


SETS = (
    HqSet("DIS", "DIS5K/DIS-VD/im", "DIS5K/DIS-VD/gt"),
    HqSet("COIFT", "thin_object_detection/COIFT/images", "thin_object_detection/COIFT/masks"),
    HqSet("HRSOD", "thin_object_detection/HRSOD/images", "thin_object_detection/HRSOD/masks_max255"),
    HqSet(
        "ThinObject",
        "thin_object_detection/ThinObject5K/images_test",
        "thin_object_detection/ThinObject5K/masks_test",
    ),
)


@dataclass(frozen=True, slots=True)
class HqPair:
    """An image and its mask; ``name`` is their stem."""

    set_name: str
    name: str
    image: Path
    mask: Path

    def __str__(self) -> str:
        return f"{self.set_name}/{self.name}"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A set or an image that no figure counts, and why."""

    what: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


@dataclass(frozen=True, slots=True)
class PairResult:
    """One image's figures, 0..1; those of the adapter are None without one.

    Attributes:
        image_bytes, mask_bytes: sizes of the two files, by which another version of them is recognised.
        area: of the true mask in pixels.
        box_xyxy: the prompt, in image pixels.
        encode_ms: what encoding took; decode_ms: the first decode, without the adapter.
    """

    set_name: str
    name: str
    image_bytes: int
    mask_bytes: int
    width: int
    height: int
    area: int
    box_xyxy: list[float]
    iou: float
    biou: float
    adapter_iou: float | None
    adapter_biou: float | None
    encode_ms: float
    decode_ms: float


@dataclass(frozen=True, slots=True)
class HqFigures:
    """Means over a set's images, 0..1."""

    images: int
    miou: float
    mbiou: float
    adapter_miou: float | None
    adapter_mbiou: float | None


@dataclass(frozen=True, slots=True)
class HqResult:
    """What came out: ``sets`` by name, in the papers' order, those with images only."""

    model: str
    adapter: str | None
    sets: dict[str, HqFigures]
    left_out: tuple[LeftOut, ...]
    per_image: tuple[PairResult, ...]

    def to_json(self) -> dict[str, Any]:
        data = asdict(self)
        return {"dataset": "hqseg44k", **data, "mean": asdict(self.mean), "per_image": list(data["per_image"])}

    @property
    def is_complete(self) -> bool:
        """Whether all four sets are there, so that the mean is the papers' average."""
        return len(self.sets) == len(SETS)

    @property
    def mean(self) -> HqFigures:
        """Every set counts the same; ``images`` is their sum."""
        return replace(_mean_of(list(self.sets.values())), images=sum(f.images for f in self.sets.values()))


Progress = Callable[[int, int, PairResult], None]
"""Called after each image: how many are done, of how many, and the newest."""


def read_pairs(root: Path) -> tuple[tuple[HqPair, ...], tuple[LeftOut, ...]]:
    """The pairs of the sets that are there, and what is missing.

    Raises:
        ImportFormatError: none of the four sets is there, or a folder cannot be read.
    """
    pairs: list[HqPair] = []
    left_out: list[LeftOut] = []
    for one in SETS:
        missing = [folder for folder in (one.images, one.masks) if not (root / folder).is_dir()]
        if missing:
            left_out.append(LeftOut(one.name, f"there is no folder {' and no '.join(missing)}"))
            continue
        images, masks = _by_stem(root / one.images, ".jpg"), _by_stem(root / one.masks, ".png")
        for name in sorted(images.keys() | masks.keys(), key=natural_key):
            if name in images and name in masks:
                pairs.append(HqPair(one.name, name, images[name], masks[name]))
            else:
                absent = f"{one.masks}/{name}.png" if name in images else f"{one.images}/{name}.jpg"
                left_out.append(LeftOut(f"{one.name}/{name}", f"{absent} is missing"))
        if images.keys().isdisjoint(masks):
            left_out.append(LeftOut(one.name, "it has no image (.jpg) with a mask (.png) of the same name"))
    if not pairs:
        expected = "; ".join(f"{one.images} with {one.masks}" for one in SETS)
        raise ImportFormatError(f"{brief(root)} holds none of the four sets.", f"At least one is needed: {expected}.")
    return tuple(pairs), tuple(left_out)


def subset(pairs: Sequence[HqPair], max_objects: int | None, *, seed: int) -> tuple[HqPair, ...]:
    """At most ``max_objects`` of each set, in the old order; the choice depends on names and seed alone."""
    kept: set[HqPair] = set()
    for one in SETS:
        own = sorted((pair for pair in pairs if pair.set_name == one.name), key=lambda pair: _draw(seed, str(pair)))
        kept.update(own[:max_objects])
    return tuple(pair for pair in pairs if pair in kept)


def evaluate_hqseg44k(
    segmenter: Segmenter,
    root: Path,
    *,
    adapter: Adapter | None = None,
    max_objects: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    state_path: Path | None = None,
) -> HqResult:
    """Judge an engine on what is there of the four sets, with an adapter beside it on the same embeddings.

    Args:
        max_objects: of each set, the same ones for every model; None for all.
        state_path: finished images are kept here, one JSON line each; the same engine and adapter go on from them.

    Raises:
        ImportFormatError: no set is there, an image and its mask differ in size, or all masks are empty.
        ImageError: a file cannot be read. ModelError: the adapter does not fit. ExportError: no state can be kept.
        ValueError: no objects asked for.
    """
    if max_objects is not None and max_objects < 1:
        raise ValueError("at least one object is needed")
    pairs, left_out = read_pairs(root)
    chosen = subset(pairs, max_objects, seed=seed)
    results: list[PairResult] = []
    empty: list[LeftOut] = []
    with _Judge(segmenter, adapter) as model, appending(state_path) as state:
        key = _run_key(segmenter, adapter)
        done = {_identity(found): found for found in read_state(state_path, key, lambda item: PairResult(**item))}
        for found, is_new in _results(model, chosen, done):
            if isinstance(found, LeftOut):
                empty.append(found)
                continue
            if state is not None and is_new:
                append(state, key, asdict(found))
            results.append(found)
            if progress is not None:
                progress(len(results), len(chosen) - len(empty), found)
    if not results:
        raise ImportFormatError(
            f"No mask below {brief(root)} holds an object; {brief(empty[0])}.", "Check the masks' folders."
        )
    name = adapter.info.name if adapter is not None else None
    return HqResult(segmenter.info.name, name, _by_set(results), (*left_out, *empty), tuple(results))


def true_box(mask: GreyArray) -> Box:
    """The prompt, as HQ-SAM's code measures it: first and last pixel of the mask in a square of 1024 pixels.

    In image pixels. Where nothing, or a line only, is left of a thin object in that square: its tight box.

    Args:
        mask: H x W uint8, inside above 128, not empty.
    """
    height, width = mask.shape
    small = np.asarray(cv2.resize(mask, (BOX_SIDE, BOX_SIDE), interpolation=cv2.INTER_LINEAR)) > INSIDE_ABOVE
    x0, y0, x1, y1 = _extent(small) if small.any() else (0, 0, 0, 0)
    if x0 < x1 and y0 < y1:
        across, down = width / BOX_SIDE, height / BOX_SIDE
        return Box(x0 * across, y0 * down, x1 * across, y1 * down)
    x0, y0, x1, y1 = _extent(mask > INSIDE_ABOVE)
    return Box(x0, y0, x1 + 1, y1 + 1)


class _Judge:
    """An engine, and the same with an adapter. A context: inside, the engine has no adapter but while one answers;
    afterwards it has what it had before.

    Raises:
        ModelError: on entry: the engine takes no adapters, or not this one.
    """

    def __init__(self, segmenter: Segmenter, adapter: Adapter | None) -> None:
        self.segmenter, self._adapter = segmenter, adapter
        self._slot: Adaptable | None = segmenter if isinstance(segmenter, Adaptable) else None
        self._before = self._slot.adapter if self._slot is not None else None

    def __enter__(self) -> _Judge:
        if self._slot is not None:
            self._slot.set_adapter(self._adapter)  # refused now, not after the first image
            self._slot.set_adapter(None)
        elif self._adapter is not None:
            raise ModelError("This engine takes no adapters.", "Leave out --adapter.")
        return self

    def __exit__(self, *_: object) -> None:
        if self._slot is not None:
            self._slot.set_adapter(self._before)

    def answers(self, embedding: Embedding, box: Box) -> tuple[tuple[BoolArray, float], BoolArray | None]:
        """The engine's mask (H x W) with its decode's milliseconds, and the adapter's mask."""
        plain = self.segmenter.decode(embedding, Prompts(box=box))
        first = plain.chosen.mask.full(), plain.decode_ms
        if self._adapter is None or self._slot is None:
            return first, None
        try:
            self._slot.set_adapter(self._adapter)
            return first, self.segmenter.decode(embedding, Prompts(box=box)).chosen.mask.full()
        finally:
            self._slot.set_adapter(None)


def _run_key(segmenter: Segmenter, adapter: Adapter | None) -> str:
    """The engine as it is, without an adapter, and the adapter beside it."""
    beside = "" if adapter is None else adapter_digest(adapter)
    return run_key(_PROTOCOL_VERSION, "hqseg44k", *engine_parts(segmenter), beside)


def _results(
    model: _Judge, chosen: Sequence[HqPair], done: dict[tuple[str, str, int, int], PairResult]
) -> Iterator[tuple[PairResult | LeftOut, bool]]:
    for pair in chosen:
        sizes = _bytes_of(pair.image), _bytes_of(pair.mask)
        finished = done.get((pair.set_name, pair.name, *sizes))
        if finished is not None:
            yield finished, False
            continue
        grey = load_stored(pair.mask, is_grey=True, max_pixels=MOST_PIXELS)[:, :, 0]
        if grey.max() <= INSIDE_ABOVE:
            why = f"its mask is empty (nothing above {INSIDE_ABOVE}; its highest value is {int(grey.max())})"
            yield LeftOut(str(pair), why), True
            continue
        yield _judged(model, pair, grey, sizes), True


def _judged(model: _Judge, pair: HqPair, grey: GreyArray, sizes: tuple[int, int]) -> PairResult:
    rgb = load_stored(pair.image, max_pixels=MOST_PIXELS)
    height, width = grey.shape
    if rgb.shape[:2] != grey.shape:
        raise ImportFormatError(
            f"{brief(pair)}: the image has {rgb.shape[1]} x {rgb.shape[0]} pixels, its mask {width} x {height}.",
            "They must be of one size: take them from one download.",
        )
    truth, box = grey > INSIDE_ABOVE, true_box(grey)
    embedding = model.segmenter.encode(rgb, hashlib.sha256(rgb.data).hexdigest())
    (plain, decode_ms), adapted = model.answers(embedding, box)
    return PairResult(
        set_name=pair.set_name,
        name=pair.name,
        image_bytes=sizes[0],
        mask_bytes=sizes[1],
        width=width,
        height=height,
        area=int(np.count_nonzero(truth)),
        box_xyxy=list(box.as_xyxy()),
        iou=iou(plain, truth),
        biou=boundary_iou(plain, truth, band=BAND),
        adapter_iou=None if adapted is None else iou(adapted, truth),
        adapter_biou=None if adapted is None else boundary_iou(adapted, truth, band=BAND),
        encode_ms=embedding.encode_ms,
        decode_ms=decode_ms,
    )


def _by_set(results: Sequence[PairResult]) -> dict[str, HqFigures]:
    found: dict[str, HqFigures] = {}
    for one in SETS:
        own = [HqFigures(1, r.iou, r.biou, r.adapter_iou, r.adapter_biou) for r in results if r.set_name == one.name]
        if own:
            found[one.name] = _mean_of(own)
    return found


def _mean_of(figures: Sequence[HqFigures]) -> HqFigures:
    def mean(values: list[float | None]) -> float | None:
        there = [value for value in values if value is not None]
        return sum(there) / len(there) if there else None

    plain = [sum(getattr(f, name) for f in figures) / len(figures) for name in ("miou", "mbiou")]
    adapted = [mean([getattr(f, name) for f in figures]) for name in ("adapter_miou", "adapter_mbiou")]
    return HqFigures(len(figures), plain[0], plain[1], adapted[0], adapted[1])


def _by_stem(folder: Path, suffix: str) -> dict[str, Path]:
    try:
        files = list(folder.iterdir())
    except OSError as error:
        raise ImportFormatError(
            f"The folder {brief(folder)} cannot be read ({error.strerror}).", "Check its permissions."
        ) from error
    # "._name.jpg": what some systems put beside a file in an archive, no image.
    return {path.stem: path for path in files if path.suffix.lower() == suffix and not path.name.startswith(".")}


def _extent(inside: BoolArray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def _identity(result: PairResult) -> tuple[str, str, int, int]:
    return result.set_name, result.name, result.image_bytes, result.mask_bytes


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise ImportFormatError(f"{brief(path)} cannot be read ({error.strerror}).", "Check the disk.") from error


def _draw(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode()).digest()
