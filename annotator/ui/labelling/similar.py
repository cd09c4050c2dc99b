"""Similar objects in the window: what looks like the selected one, what looks unlike its class, and images that are
nearly the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
from PySide6.QtCore import QObject, QThreadPool, Signal
from PySide6.QtGui import QImage

from annotator.domain.brevity import brief
from annotator.domain.counting import counted
from annotator.domain.errors import ProjectError, UserError
from annotator.domain.likeness.near_copies import NearCopy, near_copies
from annotator.domain.likeness.neighbours import LEAST_OF_CLASS, Alike, Neighbours, Suspect
from annotator.domain.ports.engine import RgbArray
from annotator.domain.project import Annotation, Change, ImageRecord, reclass_edit
from annotator.domain.windowing import spread_of
from annotator.io.images.reader import LoadedImage
from annotator.io.images.reading import load_image
from annotator.io.images.windowed import through_stored
from annotator.io.project.looks import read_hashes, read_neighbours, update_looks
from annotator.io.project.store import ProjectStore
from annotator.jobs.job import Job
from annotator.ui.labelling.panel_controls import ControlParts
from annotator.ui.notices import Subject
from annotator.ui.panels.similar import THUMB_PX, SimilarPanel, SimilarRow
from annotator.ui.threads.background import BackgroundWork
from annotator.ui.threads.loading import PoolJob

SHOWN = 60
_PICTURE_MARGIN = 0.25
_NOTHING = "Select an object to find those that look like it."
_TOO_FEW = f"Classes with fewer than {counted(LEAST_OF_CLASS)} are not judged."


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What was looked at in a project: its objects, and the hashes of its images by id."""

    neighbours: Neighbours
    hashes: dict[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """``ask`` looks among the objects, beside the GUI thread; ``show`` makes rows of what it gives, and says what they
    are."""

    ask: Callable[[Looks], Sequence[Any]]
    show: Callable[[Sequence[Any]], tuple[str, list[SimilarRow]]]


class Similar(QObject):
    """One per window. Objects that are new or changed are looked at in a job; then answers are quick."""

    _cut = Signal(object, object)  # (the work that it is of, pictures by id)

    def __init__(self, parts: ControlParts) -> None:
        super().__init__(parts.window)
        self._window, self._session = window, session = parts.window, parts.session
        self._loader, self._bench = parts.loader, parts.bench
        self._panel, self._notices = cast(SimilarPanel, window.panels["similar"]), window.notices
        self._looks: Looks | None = None
        self._work: BackgroundWork | None = None
        self._question: Question | None = None
        self._wanted: SimilarRow | None = None
        self._has_changed = False
        """Whether objects are others than when the work that runs began."""
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        panel = self._panel
        panel.find_wanted.connect(self.find)
        panel.suspects_wanted.connect(self.show_suspects)
        panel.copies_wanted.connect(self.show_near_copies)
        panel.picked.connect(self.show)
        panel.digit.connect(self._reclass)
        self._cut.connect(self._on_cut)
        session.opened.connect(self._forget)
        session.changed.connect(self._on_change)
        parts.bench.picture_shown.connect(self._on_picture)

    def find(self) -> None:
        """The objects most like the selected one."""
        selected = sorted(self._window.objects.selected_ids())
        self._window.show_panel("similar", True)
        if not selected:
            self._tell(_NOTHING)
            return
        self._ask(Question(partial(_like, selected[0]), partial(self._alike, selected[0])))

    def show_suspects(self) -> None:
        """The objects that look most unlike their class, of all images."""
        self._window.show_panel("similar", True)
        self._ask(Question(lambda looks: looks.neighbours.suspects()[:SHOWN], self._suspects))

    def show_near_copies(self) -> None:
        """Images that are the same picture, or nearly, in pairs."""
        self._window.show_panel("similar", True)
        self._ask(Question(lambda looks: near_copies(looks.hashes)[: SHOWN // 2], self._near_copies))

    def go(self, step: int) -> None:
        """Show the next object of the panel (+1), or the one before."""
        row = self._panel.go(step)
        if row is None:
            self._tell("That was the last one." if step > 0 else "That was the first one.")
        else:
            self.show(row)

    def show(self, row: SimilarRow) -> None:
        """Go to the image of an object, and select it; or to an image."""
        if row.image_id not in self._session.row_of:
            self._tell("Its image is not in the project any more.")
        elif self._bench.picture is not None and self._bench.picture.image_id == row.image_id:
            self._select(row)
        else:
            self._wanted = row
            self._session.go_to(row.image_id)

    def shut_down(self) -> None:
        """Wait for what still runs."""
        self._end()
        self._pool.clear()
        self._pool.waitForDone(5000)

    # --- answers ------------------------------------------------------------------------------------------------------

    def _alike(self, annotation_id: int, found: Sequence[Alike]) -> tuple[str, list[SimilarRow]]:
        rows = [
            SimilarRow(one.annotation_id, one.image_id, f"{one.score:.2f}", self._tip(one.image_id, one.category_id))
            for one in found
        ]
        if not rows:
            return "There are no other objects, or that one could not be looked at.", []
        return f"{counted(len(rows))} like object {annotation_id}, the most alike first.", rows

    def _suspects(self, found: Sequence[Suspect]) -> tuple[str, list[SimilarRow]]:
        rows = [
            SimilarRow(
                one.annotation_id,
                one.image_id,
                f"{self._class(one.likely_id)}?",
                f"{self._tip(one.image_id, one.category_id)}, looks like {self._class(one.likely_id)}",
            )
            for one in found
        ]
        if not rows:
            return f"No object looks unlike its class. {_TOO_FEW}", []
        return f"{counted(len(rows))}, the least like their class first.", rows

    def _near_copies(self, found: Sequence[NearCopy]) -> tuple[str, list[SimilarRow]]:
        names = {image.id: image for image in self._session.images}
        rows: list[SimilarRow] = []
        for pair in found:
            if pair.first in names and pair.second in names:
                for one, other in ((pair.first, pair.second), (pair.second, pair.first)):
                    kind = "the same picture as" if pair.is_same else "nearly the same as"
                    tip = f"{names[one].path}, {kind} {names[other].path}"
                    rows.append(SimilarRow(0, one, f"{len(rows) // 2 + 1}: {names[one].name}", tip))
        if not rows:
            return "No two images are the same picture, or nearly.", []
        return f"{counted(len(rows) // 2, 'pair')} of images, the most alike first; a pair has one number.", rows

    def _class(self, category_id: int) -> str:
        category = self._session.categories.get(category_id)
        return "?" if category is None else category.name

    def _tip(self, image_id: int, category_id: int) -> str:
        place = self._session.row_of.get(image_id)
        name = "" if place is None else self._session.images[place].path
        return f"{self._class(category_id)}, {name}"

    # --- work ---------------------------------------------------------------------------------------------------------

    def _ask(self, question: Question) -> None:
        """Answer now, or as soon as the objects were looked at."""
        store = self._session.store
        if store is None:
            return
        self._question = question
        if self._work is not None:
            return
        self._session.facts.settle()  # the objects are looked at by what the file says of their images
        path, reader = store.path, self._reader()
        known, self._has_changed = self._looks, False

        def work(job: Job) -> tuple[Looks, Sequence[Any]]:
            looks = known
            if looks is None:
                with ProjectStore.open(path, read_only=True) as own:
                    done = update_looks(own, path, partial(_load, reader, own), job.progress)
                    for line in done.failed:
                        job.log(f"left out: {line}")
                    looks = Looks(read_neighbours(own, path), read_hashes(path))
            return looks, question.ask(looks)

        job = Job("Look at objects", unit="image")
        thread = self._work = BackgroundWork(work, self, job=job)
        if known is None:
            self._window.jobs.add(job, thread)
            self._panel.show_rows("The objects are being looked at…", [])
        thread.succeeded.connect(lambda result: self._on_answer(thread, question, result))
        thread.failed.connect(lambda error: self._on_failed(thread, error))
        thread.start()

    def _on_answer(self, thread: BackgroundWork, question: Question, result: tuple[Looks, Sequence[Any]]) -> None:
        if thread is not self._work:
            return
        self._end()
        looks, found = result
        self._looks = None if self._has_changed else looks
        if self._question is not question and self._question is not None:
            self._ask(self._question)  # something else is wanted meanwhile
            return
        text, rows = question.show(found)
        self._panel.show_rows(text, rows)
        self._draw(rows)

    def _on_failed(self, thread: BackgroundWork, error: Exception) -> None:
        if thread is not self._work:
            return
        self._end()
        self._panel.show_rows("", [])
        if isinstance(error, UserError):
            self._notices.warn(str(error), about=Subject.PROJECT)

    def _end(self) -> None:
        thread, self._work = self._work, None
        if thread is not None:
            thread.cancel()
            thread.wait()
            thread.deleteLater()

    def _reader(self) -> Callable[[Path, int], LoadedImage]:
        max_pixels, window_of = self._loader.max_pixels, self._loader.window_of

        def read(path: Path, frame: int) -> LoadedImage:
            loaded = load_image(path, frame=frame, max_pixels=max_pixels, is_native=True)
            return through_stored(loaded, window_of(loaded), spread_of(loaded.source))

        return read

    # --- pictures -----------------------------------------------------------------------------------------------------

    def _draw(self, rows: Sequence[SimilarRow]) -> None:
        """Cut the objects out of their images, an image at a time."""
        self._pool.clear()
        store, read, mark = self._session.store, self._reader(), self._panel.model.rows
        if store is None:
            return

        def told(result: object, _error: Exception | None) -> None:
            self._cut.emit(mark, result)

        ordered = sorted(rows, key=lambda row: row.image_id)
        for image_id, of_image in groupby(ordered, key=lambda row: row.image_id):
            keys = {row.key for row in of_image}
            objects = [found for key in keys if key > 0 and (found := _annotation(store, key)) is not None]
            place = self._session.row_of.get(image_id)
            if place is None or not (objects or -image_id in keys):
                continue
            image = self._session.images[place]
            try:
                path = self._session.image_path(image)
            except ProjectError:
                continue
            self._pool.start(PoolJob(_cutter(read, path, image, objects), told))

    def _on_cut(self, mark: object, pictures: dict[int, QImage] | None) -> None:
        if mark is self._panel.model.rows and pictures:
            self._panel.set_pictures(pictures)

    # --- what the person does -----------------------------------------------------------------------------------------

    def _reclass(self, digit: int) -> None:
        """The marked objects, of whatever images, get the class of a key, in one step."""
        category, store = self._session.classes.by_key(digit), self._session.store
        if category is None or store is None or not self._session.is_writable:
            return
        rows = [found for row in self._panel.marked() if (found := _annotation(store, row.annotation_id)) is not None]
        changed = tuple(row for row in rows if row.category_id != category.id and row.id not in self._session.locked)
        if changed:
            told = f"{counted(len(changed))} now of class {brief(category.name)}."
            self._session.large.write(reclass_edit(changed, category.id), lambda: self._tell(told))

    def _select(self, row: SimilarRow) -> None:
        if not row.annotation_id:
            return  # the image is what is shown
        found = next((one for one in self._session.annotations if one.id == row.annotation_id), None)
        if found is None:
            self._tell("That object is not there any more.")
            return
        self._window.objects.select_ids(frozenset({found.id}))
        self._window.canvas.bring_into_view(found.x + found.w / 2, found.y + found.h / 2)

    def _on_picture(self, image_id: int) -> None:
        row, self._wanted = self._wanted, None
        if row is not None and row.image_id == image_id:
            self._select(row)

    def _on_change(self, change: Change) -> None:
        if change.annotation_ids:
            self._looks, self._has_changed = None, True

    def _forget(self) -> None:
        self._end()
        self._looks = self._question = self._wanted = None
        self._panel.show_rows("", [])
        self._panel.set_allowed(self._session.store is not None)

    def _tell(self, text: str) -> None:
        self._notices.tell(text, about=Subject.CHANGE)


def _like(annotation_id: int, looks: Looks) -> Sequence[Alike]:
    return looks.neighbours.like(annotation_id, SHOWN) if annotation_id in looks.neighbours else ()


def _load(read: Callable[[Path, int], LoadedImage], store: ProjectStore, image: ImageRecord) -> LoadedImage:
    return read(store.image_path(image), image.frame)


def _annotation(store: ProjectStore, annotation_id: int) -> Annotation | None:
    try:
        return store.annotation(annotation_id)
    except KeyError:
        return None


def _cutter(
    read: Callable[[Path, int], LoadedImage], path: Path, image: ImageRecord, objects: Sequence[Annotation]
) -> Callable[[], dict[int, QImage]]:
    """Cuts objects out of one image; with none, all of it. Those of an image that cannot be read have no picture."""

    def work() -> dict[int, QImage]:
        try:
            loaded = read(path, image.frame)
        except UserError:
            return {}
        if not objects:
            return {-image.id: _on_square(loaded.rgb)}
        return {one.id: _picture(loaded, one) for one in objects}

    return work


def _picture(loaded: LoadedImage, one: Annotation) -> QImage:
    """An object with its surroundings."""
    reach = _PICTURE_MARGIN * max(one.w, one.h) + 2
    x0, y0 = max(0, int(one.x - reach)), max(0, int(one.y - reach))
    x1, y1 = min(loaded.width, int(one.x + one.w + reach) + 1), min(loaded.height, int(one.y + one.h + reach) + 1)
    return _on_square(np.ascontiguousarray(loaded.rgb[y0:y1, x0:x1]))


def _on_square(piece: RgbArray) -> QImage:
    """A piece of an image, H x W x 3, as large as it fits on a transparent square."""
    scale = THUMB_PX / max(piece.shape[:2])
    width, height = max(1, round(piece.shape[1] * scale)), max(1, round(piece.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    whole = np.zeros((THUMB_PX, THUMB_PX, 4), np.uint8)
    top, left = (THUMB_PX - height) // 2, (THUMB_PX - width) // 2
    whole[top : top + height, left : left + width, :3] = cv2.resize(piece, (width, height), interpolation=how)
    whole[top : top + height, left : left + width, 3] = 255
    return QImage(whole.data, THUMB_PX, THUMB_PX, 4 * THUMB_PX, QImage.Format.Format_RGBA8888).copy()
