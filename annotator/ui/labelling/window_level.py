"""How the image is shown: drags, presets and the Window panel; remembered in the project, and seen by the model."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import cast

from PySide6.QtCore import QObject, Signal

from annotator.domain.errors import ProjectError
from annotator.domain.window import Preset, Window
from annotator.domain.windowing import is_blank, presets_of
from annotator.io.images.dicom_facts import MODALITIES
from annotator.io.images.reader import LoadedImage
from annotator.io.images.windowed import Remembered
from annotator.io.project.windows import WindowBook
from annotator.ui.canvas.canvas import Canvas
from annotator.ui.canvas.preview import Preview
from annotator.ui.canvas.tools.window import WindowGesture, WindowStep
from annotator.ui.labelling.workbench import Workbench
from annotator.ui.notices import Subject
from annotator.ui.panels.window_panel import WindowPanel
from annotator.ui.project.session import ProjectSession
from annotator.ui.shell.main_window import MainWindow
from annotator.ui.threads.loading import ImageLoader, Picture
from annotator.ui.threads.window_painter import WindowPainter

_log = logging.getLogger(__name__)
TOOL = "window"


class WindowLevel(QObject):
    """One per window of the program.

    While something is dragged, only a preview is painted. When it is let go, the whole image is, the project remembers
    it, and the model looks again.
    """

    changed = Signal()
    """What the image is shown through, also while it is dragged."""

    def __init__(self, window: MainWindow, session: ProjectSession, bench: Workbench, *, loader: ImageLoader) -> None:
        super().__init__(window)
        self._window, self._session, self._bench, self._loader = window, session, bench, loader
        self._canvas: Canvas = window.canvas
        self._notices = window.notices
        self._panel = cast(WindowPanel, window.panels["window"])
        self._book = WindowBook()
        self._now: Window | None = None
        """What the person sees, or will when the painter is done; None without an image."""
        self._begun: Window | None = None
        """Where a drag began."""
        self._painter = WindowPainter(self)
        self._wished = 0
        """The generation of the whole image that is painted now; 0: none is."""
        self._spring = _Spring(self, window)
        session.opened.connect(self._on_opened)
        bench.picture_shown.connect(self._on_picture)
        bench.passing.stayed.connect(self._show_panel)
        session.image_changed.connect(self._on_image)
        bench.picture_gone.connect(self._leave)
        self._canvas.windowed.connect(self._on_gesture)
        self._painter.previewed.connect(self._on_preview)
        self._painter.painted.connect(self._on_painted)
        self._painter.failed.connect(self._on_failed)
        self._panel.changed.connect(self._show_live)
        self._panel.settled.connect(self._settle)
        self._panel.preset_wanted.connect(self.use_preset)
        self._panel.reset_wanted.connect(self.reset)
        self._panel.all_wanted.connect(self.use_for_all)
        loader.window_of = self._window_of

    @property
    def now(self) -> Window | None:
        """What the image is shown through; None without one."""
        return self._now

    # --- what the person can do ---------------------------------------------------------------------------------------

    def use_preset(self, place: int) -> None:
        """The preset of this place in the list, from 0; gamma, inversion and local contrast stay."""
        picture, now = self._bench.picture, self._now
        if picture is None or now is None:
            return
        presets = presets_of(picture.loaded.source, picture.spread)
        if place >= len(presets):
            self._notices.tell("This image has no preset of that number.", about=Subject.WINDOW)
            return
        preset = presets[place]
        self._use(replace(now, centre=preset.centre, width=preset.width, function="LINEAR_EXACT"), preset)

    def invert(self) -> None:
        """Bright becomes dark."""
        if self._now is not None:
            self._use(replace(self._now, is_inverted=not self._now.is_inverted))

    def reset(self) -> None:
        """As the file asks to be shown."""
        picture = self._bench.picture
        if picture is not None:
            self._now = self._default(picture)
            self._settle()
            told = "series" if self._book.of_slices(picture.loaded) is not None else "file"
            self._notices.tell(f"Shown as the {told} asks.", about=Subject.WINDOW)

    def use_for_all(self) -> None:
        """All images of this kind that have no window of their own."""
        picture = self._bench.picture
        if picture is None or self._now is None:
            return
        self._book.keep_for_all(picture.loaded, self._kept(picture))
        self._refresh_panel()
        self._notices.tell(
            "All images of this kind are shown so, but for those that have their own.", about=Subject.WINDOW
        )

    def shut_down(self) -> None:
        self._painter.shut_down()

    # --- the image ----------------------------------------------------------------------------------------------------

    def _on_opened(self) -> None:
        """Another project, or none."""
        self._leave()
        store = self._session.store
        self._book = WindowBook()
        if store is None:
            return
        write = self._session.remember if self._session.is_writable else None
        try:
            self._book = WindowBook.of(store, write)
        except ProjectError as error:
            _log.warning("no windows are remembered: %s", error)

    def _window_of(self, image: LoadedImage) -> Remembered | None:
        """Also on the reading threads."""
        return self._book.remembered(image)

    def _on_image(self, _image: object) -> None:
        if self._bench.picture is None:  # one that was in memory is shown already
            self._forget_wishes()
            self._now = None

    def _leave(self) -> None:
        self._forget_wishes()
        self._now = None
        self._panel.show_source(None, None)

    def _forget_wishes(self) -> None:
        self._painter.drop()
        self._canvas.preview.show_preview(None)
        self._wished, self._begun = 0, None

    def _on_picture(self, _image_id: int) -> None:
        picture = self._bench.picture
        if picture is None:
            return
        self._forget_wishes()
        source, image = picture.loaded.source, self._session.image
        if image is not None and image.series_id:
            self._book.hold_for_slices(picture.loaded)
        self._now = picture.loaded.window or source.default
        self._canvas.right_drag.is_wanted = picture.loaded.extra.get("Modality") in MODALITIES and source.is_deep
        self.changed.emit()

    def _show_panel(self, _image_id: int) -> None:
        """The panel tells of the image that stays: its histogram alone takes a tenth of a frame."""
        picture = self._bench.picture
        if picture is not None:
            source = picture.loaded.source
            self._panel.show_source(source, picture.spread, self._with_keys(presets_of(source, picture.spread)))
            self._refresh_panel(is_told=True)

    def _with_keys(self, presets: tuple[Preset, ...]) -> list[tuple[str, Preset]]:
        """With the keys that choose them."""
        keys = [self._window.key_of(f"preset_{number}") for number in range(1, len(presets) + 1)]
        return list(zip(keys, presets, strict=True))

    # --- from drag to release -----------------------------------------------------------------------------------------

    def _on_gesture(self, gesture: WindowGesture) -> None:
        picture = self._bench.picture
        if picture is None or self._now is None:
            return
        if gesture.step is WindowStep.RESET:
            self.reset()
        elif gesture.step is WindowStep.DRAG:
            self._begun = self._begun or self._now
            by = gesture.dx_px, gesture.dy_px
            self._show_live(self._begun.dragged(*by, picture.spread.within, is_fine=gesture.is_fine))
        elif gesture.step is WindowStep.TAKEN_BACK:
            self._now, self._begun = self._begun or self._now, None
            self._painter.drop()
            self._canvas.preview.show_preview(None)
            self._refresh_panel()
        else:
            self._begun = None
            self._settle()
            self._spring.drag_ended()

    def _show_live(self, window: Window) -> None:
        """For as long as it is dragged: the model is not asked, nothing is remembered."""
        picture = self._bench.picture
        if picture is None:
            return
        self._now = window
        self._wished = 0
        self._painter.preview(picture, window, self._canvas.preview.part_in_view())
        self._panel.show_window(window, self._panel.scope.text())
        self.changed.emit()
        self._notices.tell(_sentence(window.words(picture.loaded.source.unit)), about=Subject.WINDOW)

    def _use(self, window: Window, preset: Preset | None = None) -> None:
        """From one to the other at once."""
        picture = self._bench.picture
        self._now = window
        self._settle()
        if picture is not None:
            words = window.words(picture.loaded.source.unit)
            self._notices.tell(f"{preset.title}: {words}." if preset else f"{_sentence(words)}", about=Subject.WINDOW)

    def _settle(self) -> None:
        """That is it: remembered, and the whole image is painted."""
        picture, now = self._bench.picture, self._now
        if picture is None or now is None:
            return
        if is_blank(now, picture.spread):
            key = self._window.key_of("window_reset")
            self._notices.tell(f"This window shows nothing of the image. {key} is back.", about=Subject.WINDOW)
        self._book.keep(picture.loaded, self._kept(picture))
        self._refresh_panel()
        self._wished = self._painter.paint(picture, now)

    def _kept(self, picture: Picture) -> Window | None:
        """What there is to remember; nothing for what the file asks for anyway."""
        return None if self._now == self._default(picture) else self._now

    def _default(self, picture: Picture) -> Window:
        """What it is shown through unless somebody chooses."""
        return self._book.of_slices(picture.loaded) or picture.loaded.source.default

    def _on_preview(self, _generation: int, preview: Preview) -> None:
        if self._bench.picture is not None and self._now is not None:
            self._canvas.preview.show_preview(preview)

    def _on_painted(self, generation: int, picture: Picture) -> None:
        if generation == self._wished:
            self._wished = 0
            self._loader.keep_instead(picture)
            self._bench.show_anew(picture)

    def _on_failed(self, _generation: int, message: str) -> None:
        self._canvas.preview.show_preview(None)
        picture = self._bench.picture
        if picture is not None:
            self._now = picture.loaded.window or picture.loaded.source.default
            self._refresh_panel()
        self._notices.warn(message, about=Subject.WINDOW)

    def _refresh_panel(self, *, is_told: bool = False) -> None:
        picture = self._bench.picture
        if picture is None or self._now is None:
            return
        if self._book.is_for_all(picture.loaded):
            scope = "For all images of this kind"
        elif self._kept(picture) is None:
            is_slice = self._book.of_slices(picture.loaded) is not None
            scope = "One for the series, as its file asks" if is_slice else "As the file asks"
        else:
            scope = "For this series" if self._book.is_of_series(picture.loaded) else "For this image"
        self._panel.show_window(self._now, scope)
        if not is_told:
            self.changed.emit()


class _Spring(QObject):
    """The tool's key held during a drag: when it is let go, the tool from before is back in the hand. A key that is
    only tapped takes the tool for good."""

    def __init__(self, parent: QObject, window: MainWindow) -> None:
        super().__init__(parent)
        self._window = window
        self._before = ""
        self._is_let_go = self._has_dragged = False
        window.canvas.tool_changed.connect(self._on_tool)
        window.canvas.key_let_go.connect(self._on_let_go)

    def drag_ended(self) -> None:
        """The mouse button was let go."""
        self._has_dragged = True
        if self._is_let_go:
            self._go_back()

    def _on_tool(self, before: str, now: str) -> None:
        self._before = before if now == TOOL != before else ""
        self._is_let_go = self._has_dragged = False

    def _on_let_go(self, key: str) -> None:
        keys = self._window.actions_by_id.keymap.keys(f"tool_{TOOL}")
        if not self._before or key not in keys:
            return
        self._is_let_go = True
        if self._has_dragged:
            self._go_back()
        elif not self._window.canvas.has_gesture:
            self._before = ""

    def _go_back(self) -> None:
        before, self._before = self._before, ""
        if before:
            self._window.actions_by_id[f"tool_{before}"].trigger()


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
