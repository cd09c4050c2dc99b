"""Opening a project: everything that reads the disk, so that it can run beside the GUI thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from annotator.domain.collecting import bulk_loading
from annotator.domain.errors import ProjectError
from annotator.domain.image_filter import NameSearch
from annotator.domain.media import Series, in_order
from annotator.domain.project import FINISHED, Category, ImageRecord
from annotator.io.project.identifiers import settle_identifiers
from annotator.io.project.looking import Look, look_through
from annotator.io.project.moved import absent_images
from annotator.io.project.numbering import arrange_numbered
from annotator.io.project.picking import AS_REMEMBERED, OpeningWish, pick_frames
from annotator.io.project.store import ProjectStore

GLANCE_S = 0.3
"""So long each video is looked into before the project is shown; a short one is counted by then."""


@dataclass(frozen=True, slots=True, eq=False)
class OpenedProject:
    """A project that is open and read; whoever takes it closes its ``store``.

    Attributes:
        images: in the order of the film strip. ``row_of``: place in it by image id. ``finished``: ids of those that are
            done or empty. ``names``: of all of them, to be searched.
        categories: by id.
        first_id: the image to show, 0 when there is none.
        category_id: the class that was in use, 0 when none is known.
        absent: how many images with work have no file any more.
        asks_for: the image folder, when the person has to agree to it first: nothing there was looked at.
        series: by id.
    """

    store: ProjectStore
    images: list[ImageRecord]
    row_of: dict[int, int]
    categories: dict[int, Category]
    first_id: int
    category_id: int
    absent: int = 0
    asks_for: Path | None = None
    series: dict[int, Series] = field(default_factory=dict)
    finished: frozenset[int] = frozenset()
    names: NameSearch | None = None


def open_project(
    path: Path,
    *,
    project_path: Path | None = None,
    author: str = "",
    on_found: Callable[[int], None] | None = None,
    wish: OpeningWish = AS_REMEMBERED,
    is_quick: bool = False,
    keeps_uids: bool | None = None,
) -> OpenedProject:
    """Open a folder of images or a ``.annot`` file, and take in what is new in its folder. Any thread.

    Args:
        on_found: called now and then with how many images were found; what it raises ends the opening without trace.
        is_quick: of a long video only the first frames are taken in, unless frames of it are picked; the others are
            when the project is opened again and they are counted.
        wish: which numbered files become series, or are none any more, and which frames of videos are images.
        keeps_uids: what a project that does not say it yet notes about UIDs; None: nothing.

    Raises:
        ProjectReadOnlyError: the folder cannot be written and has no project: ask for a ``project_path``.
        ProjectError, ImageError: it cannot be opened.
    """
    with bulk_loading() as made:
        within_s = GLANCE_S if is_quick and wish.pick is None else None
        look = partial(look_through, within_s=within_s, counted=wish.counted)
        opened = _open(path, project_path, author, on_found, wish, look)
        made.append(len(opened.images))
    if keeps_uids is not None and not opened.store.is_read_only:
        # Written here, so that it does not hold the window; which tries again, and says what is wrong.
        with suppress(ProjectError):
            settle_identifiers(opened.store, opened.store.meta_set, keeps=keeps_uids)
    return opened


def _open(
    path: Path,
    project_path: Path | None,
    author: str,
    on_found: Callable[[int], None] | None,
    wish: OpeningWish,
    look: Look,
) -> OpenedProject:
    if path.is_file():
        store = ProjectStore.open(path, author=author)
    else:
        store = ProjectStore.open_folder(path, project_path=project_path, author=author, on_found=on_found, look=look)
    try:
        asks_for = store.asks_for
        if path.is_file() and not store.is_read_only and asks_for is None and os.path.isdir(store.image_root):
            store.sync_folder(on_found=on_found, look=look)
        if asks_for is None and os.path.isdir(store.image_root):
            arrange_numbered(store, wish.numbered, on_found=on_found)
            pick_frames(store, wish, on_found=on_found)
        images, store.first_images = in_order(store.first_images or store.images()), None
        row_of = {image.id: row for row, image in enumerate(images)}
        first_id = number(store.meta_get("position"))
        series = {one.id: one for one in store.slices.series()}
        if first_id not in row_of:
            first_id = _first(images, series)
        categories = {category.id: category for category in store.categories()}
        absent = len(absent_images(store)) if asks_for is None and os.path.isdir(store.image_root) else 0
        class_id = number(store.meta_get("class"))
        finished = frozenset([image.id for image in images if image.status in FINISHED])
        more = (absent, asks_for, series, finished, NameSearch(images))
        return OpenedProject(store, images, row_of, categories, first_id, class_id, *more)
    except BaseException:
        store.close()
        raise


def _first(images: list[ImageRecord], series: Mapping[int, Series]) -> int:
    """The first image; of a series the slice in the middle, where there is most to see. Of a video that is not counted
    its first frame, which needs no way to it."""
    if not images:
        return 0
    own = series.get(images[0].series_id)
    if own is not None and not own.is_counted:
        return images[0].id
    slices = (
        [image for image in images if image.series_id == images[0].series_id] if images[0].series_id else images[:1]
    )
    return slices[len(slices) // 2].id


def number(text: str | None) -> int:
    """A remembered number; 0 for anything else."""
    return int(text) if text and text.isdecimal() else 0


def is_same_project(store: ProjectStore, path: Path, project_path: Path | None) -> bool:
    """Whether ``path`` names the project that ``store`` has open, so that it has to be closed first.

    The same project file with another folder is refused while its own folder is there: then it stays open.
    """
    if path.is_file():
        return path.resolve() == store.path.resolve()
    return path.resolve() == store.image_root.resolve() or (
        project_path is not None
        and project_path.resolve() == store.path.resolve()
        and not os.path.isdir(store.image_root)
    )
