"""What the model sees of an image that is too large for it follows what is in view."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from PySide6.QtCore import QObject, QThreadPool, QTimer, Signal, Slot

from annotator.domain.geometry import Box
from annotator.domain.ports.engine import RgbArray
from annotator.domain.seen import Seen
from annotator.domain.sight import Sight
from annotator.io.images.reader import LoadedImage
from annotator.ui.canvas.canvas import Canvas
from annotator.ui.canvas.prepared import ReadRegion
from annotator.ui.labelling.workbench import Workbench
from annotator.ui.notices import Notices, Subject
from annotator.ui.refine.controller import RefineController
from annotator.ui.threads.loading import PoolJob

REST_MS = 150
"""The view has come to rest when it has not moved for so long."""
_COARSELY = "You and the model see it coarsely there."


class SightControl(QObject):
    """Follows the view with one read at a time, the newest wish first. One per window."""

    came = Signal()
    """What the model is to see is there."""
    _arrived = Signal(str, Sight, object, object)

    def __init__(
        self, canvas: Canvas, bench: Workbench, refine: RefineController, notices: Notices, parent: QObject
    ) -> None:
        super().__init__(parent)
        self._canvas, self._bench, self._refine, self._notices = canvas, bench, refine, notices
        self._key = ""
        """What the model sees, or is to see as soon as it is read; empty without a large image."""
        self._seen: Seen | None = None
        """What :attr:`_key` names, as soon as it is read."""
        self._waiting: tuple[str, Sight, Callable[[], RgbArray]] | None = None
        self._is_running = False
        self._pool = QThreadPool(self)
        self._pool.setMaxThreadCount(1)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST_MS)
        self._timer.timeout.connect(self.look)
        self._arrived.connect(self._on_arrived)
        canvas.view_changed.connect(self._on_view)
        bench.picture_shown.connect(self._on_picture)
        bench.picture_redone.connect(self._on_picture)
        bench.before_prompt = self.look

    @property
    def is_reading(self) -> bool:
        """Whether the model waits for what is in view."""
        return self._is_running or self._timer.isActive()

    def look(self) -> None:
        """The model is to see what is in view now; also before a prompt, so that it is answered there."""
        self._timer.stop()
        picture, prepared = self._bench.picture, self._canvas.ground.image
        read = None if prepared is None else prepared.read
        if picture is None or read is None or picture.loaded.sight is None:
            return
        loaded, sight = picture.loaded, self._sight(picture.loaded, picture.loaded.sight)
        key = loaded.image_key if sight == loaded.sight else _key(loaded.image_key, sight)
        if key == self._key:
            return
        self._key, self._seen = key, None
        self._refine.look_at(key, sight)
        if sight == loaded.sight:
            self._waiting = None
            self._seen = Seen(loaded.rgb, key, sight)
            self._refine.take_pixels(key, loaded.rgb)
            return
        self._waiting = (key, sight, _reading(read, sight))
        self._go_on()

    def seen(self) -> Seen | None:
        """What is in view, as the model gets it; None while it is read (:attr:`came`)."""
        self.look()
        return self._seen

    def shut_down(self) -> None:
        """The window closes: nothing that is still read is wanted."""
        self._timer.stop()
        self._waiting = None
        if self._canvas.ground.tiles is not None:
            self._canvas.ground.tiles.close()
        self._pool.clear()
        self._pool.waitForDone(5000)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _on_view(self) -> None:
        if self._key:
            self._timer.start()

    def _on_picture(self, _image_id: int) -> None:
        """Another image, or the same in other greys."""
        picture = self._bench.picture
        self._waiting = None
        if self._canvas.ground.tiles is not None:
            self._canvas.ground.tiles.failed.connect(self._on_lost_tile)
        sight = None if picture is None else picture.loaded.sight
        self._key, self._seen = "", None
        if picture is not None and sight is not None:
            self._key = picture.loaded.image_key
            self._seen = Seen(picture.loaded.rgb, self._key, sight)
        self._on_view()

    def _on_lost_tile(self, error: Exception) -> None:
        self._notices.warn(f"{error} {_COARSELY}", about=Subject.READING)

    def _sight(self, loaded: LoadedImage, overview: Sight) -> Sight:
        """Of what is in view; the overview where that has as many pixels."""
        seen = self._canvas.preview.part_in_view()
        view = Box(seen.left, seen.top, seen.left + seen.width, seen.top + seen.height)
        found = Sight.of_view(view, width=loaded.width, height=loaded.height)
        return found if found.step < overview.step else overview

    def _go_on(self) -> None:
        if self._waiting is None or self._is_running:
            return
        (key, sight, read), self._waiting = self._waiting, None
        self._is_running = True
        self._pool.start(PoolJob(read, lambda result, error: self._arrived.emit(key, sight, result, error)))

    @Slot(str, Sight, object, object)
    def _on_arrived(self, key: str, sight: Sight, rgb: RgbArray | None, error: Exception | None) -> None:
        self._is_running = False
        if rgb is not None:
            if key == self._key:
                self._seen = Seen(rgb, key, sight)
            self._refine.take_pixels(key, rgb)
        elif key == self._key:
            self._fall_back(error)
        self._go_on()
        if not self._is_running:
            self.came.emit()

    def _fall_back(self, error: Exception | None) -> None:
        """A part that cannot be read: the model goes on with the overview, so that no click waits for ever."""
        picture = self._bench.picture
        if picture is None or picture.loaded.sight is None:
            return
        self._notices.warn(f"{error} {_COARSELY}", about=Subject.READING)
        self._key = picture.loaded.image_key
        self._seen = Seen(picture.loaded.rgb, self._key, picture.loaded.sight)
        self._refine.show_anew(picture.loaded.rgb, self._key, picture.loaded.sight)


def _key(image_key: str, sight: Sight) -> str:
    return hashlib.sha256(f"{image_key}|{sight.name}".encode("ascii")).hexdigest()


def _reading(read: ReadRegion, sight: Sight) -> Callable[[], RgbArray]:
    return lambda: read(sight.region, sight.size_wh)
