"""It is plain that an accepted object is being refined: a bar above the canvas says which, and its row is marked."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from annotator.domain.drafts.state import RefineState
from annotator.ui.project.session import ProjectSession
from annotator.ui.refine.controller import RefineController
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.shell.question import Answer


class RefineBar(QObject):
    """Follows the current object.

    Args:
        accept, leave: what the keys that accept and cancel do.
    """

    def __init__(
        self,
        window: MainWindow,
        session: ProjectSession,
        refine: RefineController,
        *,
        accept: Callable[[], object],
        leave: Callable[[], object],
    ) -> None:
        super().__init__(window)
        self._window, self._session = window, session
        self._accept, self._leave = accept, leave
        self._shown: tuple[int, int | None] = (0, None)
        refine.state_changed.connect(self._on_refine)

    def _on_refine(self, state: RefineState) -> None:
        shown = (state.origin_id or 0, state.category_id)
        if shown == self._shown:
            return
        self._shown = shown
        bar, model = self._window.area.refining, self._window.objects.model
        model.set_refined(state.origin_id or 0)
        category = self._session.categories.get(state.category_id or 0)
        if state.origin_id is None:
            bar.withdraw()
            return
        name = category.name if category else "object"
        key_of = self._window.key_of
        bar.ask(
            f"Refining {name} #{model.row_of(state.origin_id) + 1}",
            (
                Answer("Accept", key_of("accept"), self._accept),
                Answer("Leave it as it was", key_of("cancel"), self._leave),
            ),
        )
