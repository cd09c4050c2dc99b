"""The images of a project as volumes: which file's frames a label map has, in which order, and where it lies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from annotator.domain import budget
from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ExportError
from annotator.domain.media import Series, SeriesKind, frame_stem
from annotator.domain.planes import FloatArray, Lattice, Plane, lattice_of
from annotator.domain.project import ImageRecord
from annotator.domain.tally import Tally
from annotator.io.formats.report import Selection
from annotator.io.images.places import UPRIGHT, FilePlaces, Turn
from annotator.io.images.reading import read_places
from annotator.io.project.queries import ProjectQueries

_PAINTED_BYTES = 24
"""Of a pixel, while the objects of an image are painted, written and read back."""


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """What becomes one label map.

    Attributes:
        name: for people and for files: the series, or the image without its suffix.
        frames: the image of every frame in the order of the file's numbers; None where a slice is missing.
        planes: of the frames, as they are shown; None where nothing is known.
        shape: of the three axes, and times.
        affine: 4 x 4, from indices to LPS millimetres; None where the files do not say.
        spacing: mm along the three axes, where it is known.
        turn: how a slice of the file is shown.
        off_mm: how far a slice lies from where ``affine`` has it, at most.
        is_sheared: whether slices do not lie straight above each other.
        notes: what is to be said.
    """

    name: str
    frames: tuple[ImageRecord | None, ...]
    planes: tuple[Plane | None, ...]
    shape: tuple[int, int, int, int]
    affine: FloatArray | None
    spacing: tuple[float, float, float] | None
    turn: Turn = UPRIGHT
    off_mm: float = 0.0
    is_sheared: bool = False
    notes: tuple[str, ...] = ()

    @property
    def images(self) -> list[ImageRecord]:
        return [image for image in self.frames if image is not None]

    def times(self) -> list[Volume]:
        """One volume for each time."""
        *size, count = self.shape
        if count == 1:
            return [self]
        i, j, k = size
        return [
            replace(
                self,
                name=f"{self.name}-{time + 1}",
                frames=self.frames[time * k : (time + 1) * k],
                planes=self.planes[time * k : (time + 1) * k],
                shape=(i, j, k, 1),
            )
            for time in range(count)
        ]


Planes = Mapping[int, Plane]
"""By image id."""


def places_of(
    store: ProjectQueries, images: Sequence[ImageRecord], *, on_done: Callable[[int], None] | None = None
) -> dict[str, FilePlaces]:
    """By path, from the heads of the files."""
    paths = list(dict.fromkeys(image.path for image in images))
    return read_places(store.readable_root, paths, on_done=on_done)


def plane_of(image: ImageRecord, places: Mapping[str, FilePlaces]) -> Plane | None:
    """Where an image lies, as far as its file says."""
    found = places.get(image.path)
    return None if found is None or image.frame >= len(found.planes) else found.planes[image.frame]


def groups_of(store: ProjectQueries, selection: Selection) -> list[tuple[str, Series | None, list[ImageRecord]]]:
    """Name, series and images in order of what belongs together, as far as something of it is selected. Also slices of
    it that were not selected: they lie between others.

    Raises:
        ExportError: a plane would take more memory than the limit.
    """
    for image in selection.images:
        budget.ask(image.name, _PAINTED_BYTES * image.width * image.height, error=ExportError)
    chosen = {image.id: image for image in selection.images}
    series = {one.id: one for one in store.slices.series()}
    wanted = {image.series_id for image in selection.images if image.series_id in series}
    slices: dict[int, list[ImageRecord]] = {series_id: [] for series_id in wanted}
    for image in store.images():
        if image.series_id in wanted:
            slices[image.series_id].append(chosen.get(image.id, image))
    found: list[tuple[str, Series | None, list[ImageRecord]]] = []
    seen: set[int] = set()
    for image in selection.images:
        if image.series_id not in wanted:
            found.append((frame_stem(image.path, image.frame), None, [image]))
        elif image.series_id not in seen:
            seen.add(image.series_id)
            one = series[image.series_id]
            members = sorted(slices[one.id], key=lambda member: member.position)
            found.append((_stem(one), one, members))
    return _with_own_names(found)


def volumes_of(
    store: ProjectQueries,
    selection: Selection,
    tally: Tally,
    *,
    on_done: Callable[[int], None] | None = None,
) -> list[Volume]:
    """The selected images as volumes; what cannot be one is counted in ``tally``."""
    groups = groups_of(store, selection)
    places = places_of(store, [image for _, _, members in groups for image in members], on_done=on_done)
    found: list[Volume] = []
    for name, series, members in groups:
        try:
            found.append(_volume(name, series, members, places))
        except ValueError as error:
            tally.add(name, f"is left out: it {error}", noun="volume", kind=str(error))
    return found


def _volume(name: str, series: Series | None, members: list[ImageRecord], places: Mapping[str, FilePlaces]) -> Volume:
    own = places.get(members[0].path)
    if own is not None and own.volume is not None and (series is None or series.kind is SeriesKind.VOLUME):
        return _of_file(name, members, own)
    sizes = {(image.width, image.height) for image in members if image.width}
    if len(sizes) != 1:
        raise ValueError("has slices of different sizes")
    width, height = sizes.pop()
    planes = [plane_of(image, places) for image in members]
    known = [plane for plane in planes if plane is not None]
    if len(known) == len(members):
        return _in_space(name, members, known, lattice_of(known), (width, height))
    step = None if series is None else series.step_mm
    across = members[0].spacing_mm or (None if own is None else own.spacing_xy)
    spacing = None if across is None else (*across, step or 1.0)
    shape = (width, height, len(members), 1)
    return Volume(name, tuple(members), tuple(planes), shape, None, spacing)


def _of_file(name: str, members: list[ImageRecord], own: FilePlaces) -> Volume:
    """On the grid of the volume file itself: what reads both needs no alignment."""
    grid = own.volume
    if grid is None:
        raise ValueError("is no volume")
    frames = grid.shape[2] * grid.shape[3]
    by_frame = {image.frame: image for image in members}
    spacing = None
    if grid.affine is not None:
        lengths = np.linalg.norm(grid.affine[:3, :3], axis=0).tolist()
        spacing = (lengths[0], lengths[1], lengths[2])
    notes = (
        () if grid.shape[3] == 1 else (f"{brief(name)}: {grid.shape[3]} volumes of {counted(grid.shape[2], 'slice')}",)
    )
    return Volume(
        name,
        tuple(by_frame.get(frame) for frame in range(frames)),
        own.planes,
        grid.shape,
        None if grid.is_guess else grid.affine,
        spacing,
        grid.turn,
        is_sheared=grid.affine is not None and _is_sheared(grid.affine),
        notes=notes,
    )


def _in_space(
    name: str, members: list[ImageRecord], planes: list[Plane], lattice: Lattice, size_wh: tuple[int, int]
) -> Volume:
    frames: list[ImageRecord | None] = [None] * lattice.count
    places: list[Plane | None] = [None] * lattice.count
    for image, plane, slot in zip(members, planes, lattice.slots, strict=True):
        frames[slot], places[slot] = image, plane
    notes = []
    missing = lattice.count - len(members)
    if missing:
        notes.append(f"{brief(name)}: missing slices are empty: {missing} of {lattice.count}")
    if lattice.is_sheared:
        notes.append(f"{brief(name)}: its slices are tilted, and so are the axes of the file")
    if len(members) == 1:
        notes.append(f"{brief(name)}: a single slice; nothing says how thick it is, 1 mm is written")
    lengths = np.linalg.norm(lattice.affine[:3, :3], axis=0).tolist()
    return Volume(
        name,
        tuple(frames),
        tuple(places),
        (*size_wh, lattice.count, 1),
        lattice.affine,
        (lengths[0], lengths[1], lengths[2]),
        off_mm=lattice.off_mm,
        is_sheared=lattice.is_sheared,
        notes=tuple(notes),
    )


def _is_sheared(affine: FloatArray) -> bool:
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() > 1e-3)


def _stem(series: Series) -> str:
    """The folder of a stack, or the file without its suffix."""
    if series.kind in (SeriesKind.DICOM, SeriesKind.FOLDER) and "." not in series.name.rpartition("/")[2]:
        return series.name
    name = series.name.removesuffix(".gz")
    return frame_stem(name, 0)


def _with_own_names(
    groups: list[tuple[str, Series | None, list[ImageRecord]]],
) -> list[tuple[str, Series | None, list[ImageRecord]]]:
    """Two series of one folder, a.png and a.jpg: the later one gets a number."""
    taken: set[str] = set()
    found = []
    for name, series, members in groups:
        own, number = name, 1
        while own.lower() in taken:
            number += 1
            own = f"{name}-{number}"
        taken.add(own.lower())
        found.append((own, series, members))
    return found
