"""Numbered files as a series: made and taken apart by a person, offered where the names are clearly a sequence."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject

from annotator.domain.counting import counted
from annotator.domain.errors import ImageError
from annotator.domain.media import SeriesKind
from annotator.domain.numbered import Numbered, numbered_files
from annotator.domain.project import ImageRecord
from annotator.io.images.reading import read_size
from annotator.io.project.numbering import NumberedWish
from annotator.io.project.picking import OpeningWish
from annotator.ui.canvas.latest import Latest
from annotator.ui.notices import Notices, Subject
from annotator.ui.project.session import ProjectSession

TOPIC = f"{Subject.PROJECT}/numbered"
DECLINED = "numbered_declined"
"""Of the project: identities of groups that were offered and are to stay images, as JSON."""
_SAMPLED = 5


@dataclass(frozen=True, slots=True)
class _Project:
    """What is needed to look for groups, on another thread."""

    root: Path
    images: Sequence[ImageRecord]
    settled: frozenset[str]


class NumberedFiles(QObject):
    """Part of the file actions.

    Args:
        reopen: opens a project file with what is wished of its numbered files.
    """

    def __init__(
        self,
        session: ProjectSession,
        notices: Notices,
        *,
        reopen: Callable[[Path, OpeningWish], None],
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._session, self._notices, self._reopen = session, notices, reopen
        self._search = Latest(self)
        session.opened.connect(self._on_opened)

    @property
    def is_looking(self) -> bool:
        """Whether names are being looked through."""
        return self._search.is_busy

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._search.shut_down()

    def make(self) -> None:
        """A series of the files whose names are that of the current image with another number."""
        store, image, images = self._session.store, self._session.image, self._session.images
        if store is None or image is None:
            return
        if image.series_id:
            self._notices.tell("This image is a slice of a series already.", about=Subject.IMAGE)
            return
        project = store.path
        self._search.start(lambda: _group_of(image, images), lambda group: self._make(project, group))

    def part(self) -> None:
        """The slices of the current series are images of their own again."""
        store, series = self._session.store, self._session.slices.series_of(self._session.image)
        if store is None or series is None:
            return
        if series.kind is not SeriesKind.FOLDER:
            text = "Only a series that was made of numbered files can be taken apart; this one belongs together."
            self._notices.tell(text, about=Subject.IMAGE)
            return
        self._reopen(store.path, OpeningWish(NumberedWish(apart=frozenset({series.identity}))))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _make(self, project: Path, group: Numbered | None) -> None:
        store = self._session.store
        if store is None or store.path != project:
            return
        if group is None:
            text = "No other file of this folder has the same name with another number."
            self._notices.tell(text, about=Subject.IMAGE)
            return
        self._reopen(project, OpeningWish(NumberedWish(identities=frozenset({group.identity}))))

    def _on_opened(self) -> None:
        """Another project: is there something to offer?"""
        self._search.forget()
        self._notices.withdraw(TOPIC)
        session = self._session
        store = session.store
        if store is None or not session.is_writable or session.asks_for is not None or not session.images:
            return
        settled = {one.identity for one in session.slices.series.values()} | _declined(store.meta_get(DECLINED))
        project, path = _Project(store.readable_root, session.images, frozenset(settled)), store.path
        self._search.start(lambda: _offered(project), lambda found: self._offer(path, *found))

    def _offer(self, project: Path, groups: list[Numbered], described: str) -> None:
        store = self._session.store
        if store is None or store.path != project or not groups:
            return
        identities = frozenset(group.identity for group in groups)
        self._notices.offer(
            f"{described} They can be slices of a series, with a slider, and objects carried on.",
            about=TOPIC,
            action=(
                "Show as a series",
                lambda: self._reopen(project, OpeningWish(NumberedWish(identities=identities))),
            ),
            on_close=lambda: self._decline(project, identities),
            not_now="Keep as images",
        )

    def _decline(self, project: Path, identities: frozenset[str]) -> None:
        store = self._session.store
        if store is not None and store.path == project:
            kept = _declined(store.meta_get(DECLINED)) | identities
            self._session.remember(DECLINED, json.dumps(sorted(kept)))


def _declined(text: str | None) -> set[str]:
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return set()
    return {one for one in found if isinstance(one, str)} if isinstance(found, list) else set()


def _described(groups: list[Numbered]) -> str:
    if len(groups) > 1:
        files = sum(len(group.paths) for group in groups)
        return f"The names of {counted(files, 'file')} count up, in {len(groups)} sequences."
    (group,) = groups
    first, last = (path.rpartition("/")[2] for path in (group.paths[0], group.paths[-1]))
    missing = f"; {counted(group.missing, 'number')} missing" if group.missing else ""
    return f"The names of {counted(len(group.paths), 'file')} count up, from {first} to {last}{missing}."


def _free(images: Sequence[ImageRecord]) -> list[str]:
    """Paths of files that are one image each, in no series."""
    return [image.path for image in images if not image.series_id and not image.frame]


def _group_of(image: ImageRecord, images: Sequence[ImageRecord]) -> Numbered | None:
    folder = image.path.rpartition("/")[0]
    beside = [path for path in _free(images) if path.rpartition("/")[0] == folder]
    return next((group for group in numbered_files(beside) if image.path in group.paths), None)


def _offered(project: _Project) -> tuple[list[Numbered], str]:
    """What is offered, in words, too: counting what is missing among 100,000 numbers takes longer than a frame."""
    groups = _clear_groups(project)
    return groups, _described(groups) if groups else ""


def _clear_groups(project: _Project) -> list[Numbered]:
    """Groups that are clearly sequences, and whose pictures are of one size as far as a few of them show."""
    paths = _free(project.images)
    in_folder = Counter(path.rpartition("/")[0] for path in paths)
    groups = [group for group in numbered_files(paths) if group.identity not in project.settled]
    clear = [group for group in groups if group.is_clear(in_folder[group.folder])]
    return [group for group in clear if _is_one_size(project.root, group)]


def _is_one_size(root: Path, group: Numbered) -> bool:
    last = len(group.paths) - 1
    sampled = {group.paths[round(last * share / (_SAMPLED - 1))] for share in range(_SAMPLED)}
    try:
        return len({read_size(root.joinpath(*path.split("/"))) for path in sampled}) == 1
    except ImageError:
        return False
