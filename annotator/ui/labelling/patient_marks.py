"""What the window says of the patient in a picture: directions at the canvas's edges, and text in the pixels."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject

from annotator.domain.planes import letters_of
from annotator.io.images.reader import BURNED_IN_FACT, DIRECTIONS_FACT
from annotator.ui.canvas.edge_letters import NO_LETTERS, EdgeLetters, Letters
from annotator.ui.labelling.workbench import Workbench
from annotator.ui.notices import Subject
from annotator.ui.project.session import ProjectSession
from annotator.ui.shell.main_window import MainWindow

TEXT_IN_PIXELS = f"{Subject.PROJECT}/text in pixels"
_WARNING = (
    "Text about the patient may stand in the pixels of this image, as its file says, or files of its kind often have. "
    "Look before you pass it on."
)


class PatientMarks(QObject):
    """One per window."""

    def __init__(self, window: MainWindow, session: ProjectSession, bench: Workbench) -> None:
        super().__init__(window)
        self._notices, self._bench = window.notices, bench
        self.letters = EdgeLetters(window.canvas)
        self._is_told = False
        session.opened.connect(self._on_opened)
        bench.picture_gone.connect(lambda: self.letters.show_letters(NO_LETTERS))
        bench.picture_shown.connect(self._on_picture)

    def _on_opened(self) -> None:
        """Another project: it is said once in each."""
        self._is_told = False
        self._notices.withdraw(TEXT_IN_PIXELS)
        self.letters.show_letters(NO_LETTERS)

    def _on_picture(self, _image_id: int) -> None:
        picture = self._bench.picture
        if picture is None:
            return
        facts = picture.loaded.extra
        self.letters.show_letters(edge_letters(facts.get(DIRECTIONS_FACT)))
        if facts.get(BURNED_IN_FACT) and not self._is_told:
            self._is_told = True
            self._notices.warn(_WARNING, about=TEXT_IN_PIXELS, is_error=False)


def edge_letters(directions: Any) -> Letters:
    """Left, right, top and bottom of a picture whose rows and columns lead there; empty where that is not known."""
    match directions:
        case [[a, b, c], [d, e, f]] if all(isinstance(value, int | float) for value in (a, b, c, d, e, f)):
            back, up = (-a, -b, -c), (-d, -e, -f)
            return letters_of(back), letters_of((a, b, c)), letters_of(up), letters_of((d, e, f))
    return NO_LETTERS
