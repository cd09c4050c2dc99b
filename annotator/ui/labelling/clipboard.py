"""Copy, paste, duplicate and move: objects between images, projects and windows."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QMimeData, QObject
from PySide6.QtGui import QGuiApplication

from annotator.domain.copies import Copied, added, copies_json, moved, placed
from annotator.domain.counting import counted
from annotator.domain.errors import UserError
from annotator.domain.geometry import Box
from annotator.domain.mask import Mask
from annotator.domain.object_edits import masks_edit
from annotator.domain.project import Annotation, ImageRecord
from annotator.io.formats.coco.clipboard import copies_from_text
from annotator.ui.labelling.views import Views
from annotator.ui.notices import Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController, utc_now
from annotator.ui.shell.main_window import MainWindow

MIME_TYPE = "application/x-annotator-objects+json"
DUPLICATE_STEP_PX = 10
MOST_PROMPTS = 50
"""Objects that the model is asked for at once."""


class ObjectClipboard(QObject):
    """The clipboard has the objects as our own type and as COCO text, which are the same."""

    def __init__(self, window: MainWindow, session: ProjectSession, refine: RefineController, *, views: Views) -> None:
        super().__init__(window)
        self._window, self._session, self._refine, self._views = window, session, refine, views
        self._waiting: tuple[int, Sequence[Copied]] | None = None
        """Copies for an image whose size is not known before it was read."""
        session.changed.connect(lambda _change: self._place_waiting())

    def copy(self) -> int:
        """The selected objects; how many."""
        chosen = self._selected()
        if not chosen:
            self._tell("Select objects to copy them.")
            return 0
        data, text = QMimeData(), copies_json(chosen, self._session.categories)
        data.setData(MIME_TYPE, text.encode())
        data.setText(text)
        QGuiApplication.clipboard().setMimeData(data)
        self._tell(f"{counted(len(chosen), 'object')} copied.")
        return len(chosen)

    def cut(self) -> None:
        """Copy them and take them away: they move to where they are pasted."""
        if self.copy():
            self._session.delete(self._window.objects.selected_ids())

    def paste(self) -> None:
        """What the clipboard has, at the same place of this image."""
        copies, image = self._read(), self._session.image
        if copies and image is not None:
            self._add(copies, image, dx=0, dy=0)

    def duplicate(self) -> None:
        """The selected objects again, a little further right and down."""
        image = self._session.image
        copies = [self._copied(row, mask) for row, mask in self._selected()]
        if copies and image is not None:
            self._add(copies, image, dx=DUPLICATE_STEP_PX, dy=DUPLICATE_STEP_PX)

    def copy_to(self, step: int) -> None:
        """The selected objects on the next image (+1) or the one before (-1), and go there."""
        copies = [self._copied(row, mask) for row, mask in self._selected()]
        target = self._session.neighbour(step)
        if not copies:
            self._tell("Select objects to copy them.")
        elif target is None:
            self._tell("There is no image to copy them to.")
        else:
            self._waiting = (target.id, copies)
            self._session.go_to(target.id)
            self._place_waiting()

    def paste_prompts(self) -> None:
        """Ask the model for what lies in the boxes of the copied objects here: each answer is accepted by itself, a
        single one is left as the current object."""
        copies, state = self._read(), self._refine.state
        if state.is_active:
            self._tell("Accept or drop the current object first.")
            return
        width, height = self._window.canvas.image_size
        boxes = [(copy, _box(placed(copy.mask, width, height))) for copy in copies[:MOST_PROMPTS]]
        asked = [(copy, box) for copy, box in boxes if box is not None]
        if copies and not asked:
            self._tell("The copied objects lie outside of this image.")
        for number, (copy, box) in enumerate(asked, start=1):
            self._session.classes.pick(self._class_of(copy))
            self._refine.set_box(box)
            if len(asked) > 1:
                self._refine.accept()
            if number == len(asked) > 1:
                self._tell(f"{counted(len(asked), 'object')} asked for.")

    def nudge(self, dx: int, dy: int) -> None:
        """Move the selected objects by so many pixels."""
        free = [one for one in self._selected() if one[0].id not in self._session.locked]
        rows = [(row, moved(row, mask, dx, dy)) for row, mask in free]
        changed = [(before, after) for before, after in rows if after is not None]
        if changed and self._session.is_writable:
            self._session.attempt(lambda: self._session.apply(masks_edit("move", changed)))

    def _place_waiting(self) -> None:
        image = self._session.image
        if self._waiting is None or image is None:
            return
        image_id, copies = self._waiting
        if image.id != image_id:
            self._waiting = None
        elif image.width:
            self._waiting = None
            self._add(copies, image, dx=0, dy=0)

    def shut_down(self) -> None:
        """Leave what was copied as text: data of an object of Python would outlive Python, and end the process by a
        fault."""
        clipboard = QGuiApplication.clipboard()
        data: QMimeData | None = clipboard.mimeData()
        if data is not None and data.hasFormat(MIME_TYPE):
            clipboard.setText(data.text())

    # --- inside -------------------------------------------------------------------------------------------------------

    def _selected(self) -> list[tuple[Annotation, Mask]]:
        ids = self._window.objects.selected_ids()
        return [(row, mask) for row, mask in self._views.objects.masks() if row.id in ids]

    def _copied(self, row: Annotation, mask: Mask) -> Copied:
        category, attributes = self._session.categories.get(row.category_id), row.extra.get("attributes")
        return Copied(mask, category.name if category else "", attributes if isinstance(attributes, dict) else {})

    def _read(self) -> tuple[Copied, ...]:
        data: QMimeData | None = QGuiApplication.clipboard().mimeData()
        if data is None:
            text = ""
        else:
            text = data.data(MIME_TYPE).toStdString() if data.hasFormat(MIME_TYPE) else data.text()
        try:
            return copies_from_text(text)
        except UserError as error:
            self._tell(str(error))
            return ()

    def _class_of(self, copy: Copied) -> int:
        """The class of that name, a new one where there is none."""
        named = next((c.id for c in self._session.categories.values() if c.name == copy.class_name), 0)
        if named or not copy.class_name:
            return named or self._session.classes.current_id
        return self._session.classes.add(copy.class_name)

    def _add(self, copies: Sequence[Copied], image: ImageRecord, *, dx: int, dy: int) -> None:
        store = self._session.store
        if store is None or not self._session.is_writable:
            return
        there = [(copy, placed(copy.mask, image.width, image.height, dx=dx, dy=dy)) for copy in copies]
        inside = [(copy, mask) for copy, mask in there if not mask.is_empty]
        if not inside:
            self._tell("They lie outside of this image.")
            return
        ids = [store.new_id("annotation") for _ in inside]
        edit = added(
            inside,
            image,
            ids=ids,
            classes=[self._class_of(copy) for copy, _ in inside],
            author=self._session.author,
            created_at=utc_now(),
        )
        if self._session.attempt(lambda: self._session.apply(edit)):
            self._window.objects.select_ids(frozenset(ids))
            left = len(copies) - len(inside)
            gone = f" {counted(left, 'object')} would lie outside of it." if left else ""
            self._tell(f"{counted(len(inside), 'object')} added.{gone}")

    def _tell(self, text: str) -> None:
        self._window.notices.tell(text, about=Subject.SELECTION)


def _box(mask: Mask) -> Box | None:
    x, y, width, height = mask.bbox_xywh
    return None if mask.is_empty else Box(x, y, x + width, y + height)
