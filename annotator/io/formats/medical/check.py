"""Label maps read back by a second library: every voxel, and where the centre of every segment lies."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from annotator.domain import budget
from annotator.domain.counting import counted
from annotator.domain.errors import ExportError
from annotator.domain.planes import SAME_MM, FloatArray
from annotator.io.formats.medical.segments import Segment, by_image
from annotator.io.formats.medical.volumes import Volume

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def check_nifti(path: Path, volume: Volume, segments: list[Segment]) -> tuple[list[str], float]:
    """By nibabel.

    Returns:
        Problems, and how far a centre is off in mm, at most.
    """
    import nibabel

    image: Any = nibabel.load(path)
    budget.ask(path.name, 2 * int(np.prod(image.shape)) * image.get_data_dtype().itemsize, error=ExportError)
    values = np.asanyarray(image.dataobj)
    codes = int(image.header["qform_code"]), int(image.header["sform_code"])
    problems: list[str] = []
    if volume.affine is None:
        affine = None
        problems += [] if codes == (0, 0) else ["it says where it lies"]
    else:
        affine = _RAS_TO_LPS @ image.affine
        if codes[0] and not np.allclose(image.get_qform(), image.get_sform(), atol=SAME_MM):
            problems.append("its two ways to say where it lies differ")
    i, j, k, times = volume.shape
    if values.shape != ((i, j, k) if times == 1 else (i, j, k, times)):
        return [*problems, f"it is {values.shape}"], 0.0
    stored = values.reshape(i, j, k * times, order="F").transpose(2, 1, 0)
    return _compared(((frame,) for frame in stored), volume, segments, affine, {}, problems)


def check_nrrd(path: Path, volume: Volume, segments: list[Segment]) -> tuple[list[str], float]:
    """By pynrrd; as :func:`check_nifti`."""
    import nrrd

    head = nrrd.read_header(str(path))
    budget.ask(path.name, 4 * int(np.prod([int(size) for size in head["sizes"]])), error=ExportError)
    values, head = nrrd.read(str(path), index_order="F")
    directions, affine = head.get("space directions"), None
    if directions is not None:
        affine = np.eye(4)
        affine[:3, :3] = np.asarray(directions, np.float64)[-3:].T
        affine[:3, 3] = head["space origin"]
    problems = [] if head.get("space", "left-posterior-superior") == "left-posterior-superior" else ["another space"]
    if (affine is None) != (volume.affine is None):
        problems.append("where it lies")
    values = values if values.ndim == 4 else values[None]
    if values.shape[1:] != volume.shape[:3]:
        return [*problems, f"it is {values.shape}"], 0.0
    layers: dict[int, int] = {}
    for place, segment in enumerate(segments):
        layers[segment.number] = int(head[f"Segment{place}_Layer"])
        if int(head[f"Segment{place}_LabelValue"]) != segment.number:
            problems.append(f"the number of {segment.name}")
    stored = values.transpose(3, 0, 2, 1)
    return _compared(stored, volume, segments, affine, layers, problems)


def _compared(
    stored: Iterable[Iterable[npt.NDArray[Any]]],
    volume: Volume,
    segments: list[Segment],
    affine: FloatArray | None,
    layers: dict[int, int],
    problems: list[str],
) -> tuple[list[str], float]:
    """Frame by frame, in each the layers, j x i."""
    at = by_image(segments)
    centres = _Centres(affine)
    for number, (image, plane, frame) in enumerate(zip(volume.frames, volume.planes, stored, strict=True)):
        members = [] if image is None else at.get(image.id, [])
        for layer, values in enumerate(frame):
            mine = [pair for pair in members if layers.get(pair[0].number, 0) == layer]
            if not mine:
                if values.any():
                    problems.append(f"frame {number + 1} is not empty")
                continue
            shown = volume.turn.upright(values)
            top = np.zeros(shown.shape, np.int64)
            for segment, one in mine:
                top[one.mask().full()] = segment.number
            if not np.array_equal(top, shown):
                wrong = int(np.count_nonzero(top != shown))
                problems.append(f"{counted(wrong, 'pixel')} of frame {number + 1}")
            if plane is not None and affine is not None:
                for value in np.unique(top[top != 0]).tolist():
                    y, x = np.nonzero(top == value)
                    centres.wanted(value, plane.points(np.column_stack([x, y])))
                    j, i = np.nonzero(values == value)
                    centres.found(value, np.column_stack([i, j, np.full(i.size, number % volume.shape[2])]))
    off_mm = centres.off_mm()
    if off_mm > SAME_MM + volume.off_mm:
        problems.append(f"a segment lies {off_mm:.3g} mm off")
    return problems, off_mm


class _Centres:
    """Where segments lie by their images, and by the file."""

    def __init__(self, affine: FloatArray | None) -> None:
        self._affine = affine
        self._sums: dict[int, npt.NDArray[np.float64]] = {}

    def wanted(self, number: int, points: npt.NDArray[Any]) -> None:
        """More of its pixels, in millimetres."""
        self._add(number, 0, points)

    def found(self, number: int, indices: npt.NDArray[Any]) -> None:
        """More of its voxels, as indices."""
        if self._affine is not None:
            self._add(number, 1, indices @ self._affine[:3, :3].T + self._affine[:3, 3])

    def _add(self, number: int, side: int, points: npt.NDArray[Any]) -> None:
        sums = self._sums.setdefault(number, np.zeros((2, 4)))
        sums[side] += [*points.sum(axis=0), len(points)]

    def off_mm(self) -> float:
        """The largest distance of two centres."""
        worst = 0.0
        for sums in self._sums.values():
            if not sums[:, 3].all():
                return float("inf")
            wanted, found = sums[:, :3] / sums[:, 3:]
            worst = max(worst, float(np.linalg.norm(wanted - found)))
        return worst
