"""Notices go when they are no longer true: which change of state ends which subject."""

from __future__ import annotations

from PySide6.QtCore import QObject

from annotator.domain.drafts.state import RefineState
from annotator.domain.project import Change
from annotator.ui.canvas.canvas import Canvas
from annotator.ui.notices import Notices, Subject
from annotator.ui.panels.dock import ObjectPanel
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController


class NoticeUpkeep(QObject):
    """Follows project, current object, selection and canvas, and withdraws what they have made untrue.

    Make it before the parts that tell of the same changes, so that it has withdrawn what was before.
    """

    def __init__(
        self,
        notices: Notices,
        session: ProjectSession,
        refine: RefineController,
        *,
        canvas: Canvas,
        objects: ObjectPanel,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._notices, self._canvas = notices, canvas
        self._state = RefineState()
        self._image_id = 0
        session.opened.connect(lambda: notices.withdraw(Subject.PROJECT))
        session.changed.connect(self._on_change)
        session.class_changed.connect(lambda _category: notices.withdraw(Subject.CLASSES))
        objects.selection_changed.connect(lambda _ids: notices.withdraw(Subject.SELECTION))
        refine.state_changed.connect(self._on_refine)
        canvas.gesture_changed.connect(self._on_gesture)
        canvas.pointed.connect(lambda _point: notices.withdraw(Subject.CLICK))

    def _on_change(self, change: Change) -> None:
        # Facts that reading an image has shown are no change that the person made.
        if change.annotation_ids or change.category_ids:
            self._notices.withdraw(Subject.CHANGE)

    def _on_refine(self, state: RefineState) -> None:
        before, self._state = self._state, state
        if before.is_active and not state.is_active:
            self._notices.withdraw(Subject.WORK)
        if before.prompts != state.prompts:
            self._notices.withdraw(Subject.PROMPTS)

    def _on_gesture(self) -> None:
        if self._canvas.has_gesture:
            self._notices.withdraw(Subject.CLICK)
